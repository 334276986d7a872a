//! What meridian does, told as scenarios: one file each, one sentence a test.
//!
//! The product is the real binary: it joins the members and runs in processes of its own, and what
//! is asked and changed is asked and changed as a user would. Each scenario runs twice:
//! `pocketkube::<scenario>` always, and `real::<scenario>` when `KUBEBUILDER_ASSETS` names a folder
//! with the binaries of a control plane. A few need load balancers that listen, which no control
//! plane has by itself: they run on pocketkube only, and a run on real ones lists them.

#[cfg(test)]
#[macro_use]
mod run;
#[cfg(test)]
mod bank;
#[cfg(test)]
mod front;
#[cfg(test)]
mod resolver;

#[cfg(test)]
mod any_type;
#[cfg(test)]
mod bad_input;
#[cfg(test)]
mod bad_policies;
#[cfg(test)]
mod challenges;
#[cfg(test)]
mod chaos;
#[cfg(test)]
mod commands;
#[cfg(test)]
mod cookies;
#[cfg(test)]
mod credentials;
#[cfg(test)]
mod external_dns;
#[cfg(test)]
mod federation_names;
#[cfg(test)]
mod gateways;
#[cfg(test)]
mod host_away;
#[cfg(test)]
mod hung_member;
#[cfg(test)]
mod kubefed_manifests;
#[cfg(test)]
mod leader_election;
#[cfg(test)]
mod lost_city;
#[cfg(test)]
mod member_away;
#[cfg(test)]
mod moving_over;
#[cfg(test)]
mod one_namespace;
#[cfg(test)]
mod other_writers;
#[cfg(test)]
mod paused_member;
#[cfg(test)]
mod propagate;
#[cfg(test)]
mod records;
#[cfg(test)]
mod replicas;
#[cfg(test)]
mod restart;
#[cfg(test)]
mod rights;
#[cfg(test)]
mod rollout;
#[cfg(test)]
mod sources;
#[cfg(test)]
mod status;
#[cfg(test)]
mod traffic;
#[cfg(test)]
mod two_cities;
#[cfg(test)]
mod unjoin;
#[cfg(test)]
mod webhook;
#[cfg(test)]
mod witness_rights;
