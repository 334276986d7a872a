//! Sockets for the DNS engine: they carry bytes to `dns::answer` and back, and decide nothing.
//!
//! UDP is answered by threads, each with a socket of its own and batched system calls; TCP and TLS
//! by tasks over hickory's streams, HTTPS over hyper and QUIC over quinn. All take the current
//! [`dns::Snapshot`] from one place, where [`Handle::publish`] puts the next. A task tells secondaries of new serials.
//!
//! # Guarantees
//! - Answering takes no lock and waits for nobody: a published snapshot is seen with the next
//!   batch, and an old one is dropped by whoever publishes, not by a thread that answers.
//! - Memory is bounded: buffers per thread are fixed, connections are counted in all and per
//!   client, and each holds one message at a time, or as many as its transport has streams.
//!
//! # Assumptions
//! - [`DnsServer::start`] is called inside a tokio runtime.
//!
//! # Caveats
//! - A reply that the socket has no room for is dropped, and counted: clients ask again.
//! - Queries that come fast over UDP wait for each other, [`GATHER`] at most unless told otherwise.

mod accept;
mod batch;
mod certificate;
mod chance;
mod error;
mod framing;
mod gather;
mod handover;
mod https;
mod metrics;
mod notify;
mod quic;
mod reply;
mod server;
mod snapshots;
mod sockets;
mod split_mix;
mod stream;
mod tap;
mod udp;
mod update;

pub use certificate::CertificateFiles;
pub use error::Error;
pub use gather::GATHER;
pub use handover::{Named, give, take};
pub use metrics::DnsMetrics;
pub use server::{DnsServer, Encrypted, Handle, Options};
pub use tap::TapOptions;
pub use update::{UPDATES_MAX, UpdateRequest};
