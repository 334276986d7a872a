//! What clients rely on in a Kubernetes API, case by case.
//!
//! Each case is a sentence that holds on a real control plane, and runs twice: `pocketkube::<case>`
//! always, and `real::<case>` on a control plane that the run itself starts when
//! `KUBEBUILDER_ASSETS` names a folder with `etcd` and `kube-apiserver` (and
//! `kube-controller-manager` and `kube-scheduler`, where a group needs them). A case that only one
//! of the two passes is a defect of pocketkube, or of the case.
//!
//! Groups that need workloads run a third time there, `controllers::<case>`: the real
//! kube-controller-manager and kube-scheduler act on pocketkube's API, which has no workloads of its
//! own then.

#[cfg(test)]
#[macro_use]
mod run;
#[cfg(test)]
mod answer;
#[cfg(test)]
mod manifests;
#[cfg(test)]
mod server;
#[cfg(test)]
mod watch;
#[cfg(test)]
mod world;

#[cfg(test)]
mod access;
#[cfg(test)]
mod admission;
#[cfg(test)]
mod autoscaling;
#[cfg(test)]
mod built_in_kinds;
#[cfg(test)]
mod costs;
#[cfg(test)]
mod crud;
#[cfg(test)]
mod custom_resources;
#[cfg(test)]
mod daemon_sets;
#[cfg(test)]
mod deletion;
#[cfg(test)]
mod discovery;
#[cfg(test)]
mod disruptions;
#[cfg(test)]
mod dry_run;
#[cfg(test)]
mod hook;
#[cfg(test)]
mod jobs;
#[cfg(test)]
mod kubectl;
#[cfg(test)]
mod kubectl_auth;
#[cfg(test)]
mod kubectl_workloads;
#[cfg(test)]
mod leases_and_events;
#[cfg(test)]
mod list;
#[cfg(test)]
mod namespaces;
#[cfg(test)]
mod nodes;
#[cfg(test)]
mod open_api;
#[cfg(test)]
mod options;
#[cfg(test)]
mod pages;
#[cfg(test)]
mod patch;
#[cfg(test)]
mod patch_errors;
#[cfg(test)]
mod policies;
#[cfg(test)]
mod ratcheting;
#[cfg(test)]
mod rbac;
#[cfg(test)]
mod rule_types;
#[cfg(test)]
mod rules;
#[cfg(test)]
mod scheduling;
#[cfg(test)]
mod schemas;
#[cfg(test)]
mod server_side_apply;
#[cfg(test)]
mod stateful_sets;
#[cfg(test)]
mod storage_and_devices;
#[cfg(test)]
mod subresources;
#[cfg(test)]
mod tables;
#[cfg(test)]
mod volumes;
#[cfg(test)]
mod watching;
#[cfg(test)]
mod workloads;
