//! Scenarios and properties of the steering engine: what clients get while the world changes.

mod branches;
mod harness;
mod hosts;
mod observers;
mod partitions;
mod policies;
mod properties;
mod restart;
mod signals;
mod traffic;
mod transfers;
