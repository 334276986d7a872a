//! The engine from outside: scripts, an oracle, properties over generated zones, allocations.

#[cfg(test)]
mod allocation;
#[cfg(test)]
mod compare;
#[cfg(test)]
mod oracle;
#[cfg(test)]
mod peers;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod publishing;
#[cfg(test)]
mod reply;
#[cfg(test)]
mod script_file;
#[cfg(test)]
mod script_query;
#[cfg(test)]
mod scripts;
#[cfg(test)]
mod signature;
#[cfg(test)]
mod transfers;
