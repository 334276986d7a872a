//! The servers of this program: the bound and the product, each in a process of its own.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use dns::Secrets;
use meridian_dns_server::{DnsMetrics, DnsServer, Options};
use prometheus_client::registry::Registry;
use socket2::{Domain, Socket, Type};

use crate::batch::{self, Batch};
use crate::process::Running;
use crate::world::{ANSWER_BYTES, World};
use crate::{Fallible, free};

pub(crate) const REFLECTOR: &str = "reflector";
pub(crate) const MERIDIAN: &str = "meridian";
/// The same, where no query waits for others (`--dns-gather 0`).
pub(crate) const AT_ONCE: &str = "at-once";
/// As the server has it.
const BUFFER_BYTES: usize = 4 << 20;

/// Starts this program again as one of its servers.
pub(crate) fn start(label: &'static str) -> Fallible<Running> {
    let address = free()?;
    let mut command = Command::new("taskset");
    command.args(["-c", crate::SERVER_CORE]);
    command.arg(std::env::current_exe()?);
    command.args([label, &address.to_string()]);
    Running::start(label, address, command)
}

/// The bound: each query goes back with the length of an answer, and the bits of one in its header.
pub(crate) fn reflect(address: SocketAddr) -> Fallible<()> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, None)?;
    socket.set_recv_buffer_size(BUFFER_BYTES)?;
    socket.set_send_buffer_size(BUFFER_BYTES)?;
    socket.bind(&address.into())?;
    let socket = UdpSocket::from(socket);
    batch::configure(&socket, address)?;
    let mut batch = Batch::new();
    loop {
        let count = match batch.receive(&socket) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            count => count?,
        };
        for index in 0..count {
            let (query, _, out) = batch.query(index);
            let len = query.len();
            out[..len].copy_from_slice(query);
            out[2] |= 0x84;
            batch.reply(index, len + ANSWER_BYTES);
        }
        batch.send(&socket, count);
    }
}

/// The product's server, as its role `dns` starts it, unless told how long queries may gather.
#[tokio::main]
pub(crate) async fn serve(address: SocketAddr, gather: Option<Duration>) -> Fallible<()> {
    let secrets = Secrets {
        current: [7; 16],
        other: None,
    };
    let mut options = Options::new(vec![address], secrets);
    options.gather = gather.unwrap_or(options.gather);
    let snapshot = World::read()?.snapshot()?;
    let metrics = DnsMetrics::new(&mut Registry::default());
    let _handle = DnsServer::start(&options, Arc::new(snapshot), &metrics)?;
    std::future::pending().await
}
