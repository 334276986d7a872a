//! Scenarios and properties of the steering engine: what clients get while the world changes.

mod bindings;
mod branches;
mod challenges;
mod clock;
mod flat;
mod harness;
mod hosts;
mod leaving;
mod many_zones;
mod moved;
mod networks;
mod observers;
mod overdue;
mod partitions;
mod policies;
mod properties;
mod published;
mod restart;
mod shares;
mod signals;
mod traffic;
mod transfers;
