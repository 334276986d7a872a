//! Sockets for the DNS engine: they carry bytes to `dns::answer` and back, and decide nothing.
//!
//! UDP is answered by threads, each with a socket of its own and batched system calls; TCP by
//! tasks over hickory's transport. All take the current [`dns::Snapshot`] from one place, where
//! [`Handle::publish`] puts the next.
//!
//! # Guarantees
//! - Answering takes no lock and waits for nobody: a published snapshot is seen with the next
//!   batch, and an old one is dropped by whoever publishes, not by a thread that answers.
//! - Memory is bounded: buffers per thread are fixed, TCP connections are counted in all and per
//!   client, and each holds one message at a time.
//!
//! # Assumptions
//! - [`DnsServer::start`] is called inside a tokio runtime.
//!
//! # Caveats
//! - A reply that the socket has no room for is dropped, and counted: clients ask again.

mod batch;
mod error;
mod metrics;
mod server;
mod snapshots;
mod sockets;
mod tcp;
mod udp;

pub use error::Error;
pub use metrics::{DnsMetrics, TransportLabel};
pub use server::{DnsServer, Handle, Options};
