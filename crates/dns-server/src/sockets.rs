//! Opening sockets: one TCP listener and several UDP sockets on the same address.

use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::time::Duration;

use dns::Transport;
use socket2::{Domain, Protocol, Socket, Type};

use crate::batch;
use crate::error::Error;
use crate::handover::{self, Named};

/// How long a UDP socket waits before its thread looks whether to stop.
const STOP_CHECK: Duration = Duration::from_millis(200);
/// Room for bursts between two batches.
const UDP_BUFFER_BYTES: usize = 4 << 20;
/// Connections that wait to be accepted.
const TCP_BACKLOG: i32 = 1024;
/// How often a free port is looked for on which both transports are free.
const PORT_TRIES_MAX: usize = 16;

/// What listens on one address.
pub(crate) struct Listening {
    pub(crate) address: SocketAddr,
    pub(crate) udp: Vec<UdpSocket>,
    pub(crate) tcp: TcpListener,
}

/// Listens on `address`; port 0 is any that is free for both transports. Where a predecessor's
/// sockets are there they are used, all of them: queries wait in each.
pub(crate) fn listen(
    address: SocketAddr,
    udp_threads: usize,
    inherited: &mut Vec<Named>,
) -> Result<Listening, Error> {
    let udp = handover::pick(inherited, Transport::Udp.label(), address);
    let tcp = handover::pick(inherited, Transport::Tcp.label(), address).pop();
    if let (Some(tcp), false) = (tcp, udp.is_empty()) {
        return Ok(Listening {
            address,
            udp: udp.into_iter().map(UdpSocket::from).collect(),
            tcp: tcp.into(),
        });
    }
    let mut tries = 0;
    loop {
        tries += 1;
        match listen_once(address, udp_threads) {
            Err(Error::Taken { .. }) if address.port() == 0 && tries < PORT_TRIES_MAX => {}
            other => return other,
        }
    }
}

/// A UDP socket for QUIC, for tokio.
pub(crate) fn quic(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::DGRAM,
        Some(Protocol::UDP),
    )?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    Ok(socket.into())
}

fn listen_once(address: SocketAddr, udp_threads: usize) -> Result<Listening, Error> {
    // TCP first, and without SO_REUSEPORT: a second server on the same address is an error
    // instead of a share of the queries.
    let tcp = tcp_listener(address).map_err(|source| Error::listen("tcp", address, source))?;
    let address = tcp
        .local_addr()
        .map_err(|source| Error::listen("tcp", address, source))?;
    let refuse = |source| Error::listen("udp", address, source);
    // Likewise for UDP: this one shows whether the port is free, and makes room.
    drop(udp_socket(address, Sharing::Alone).map_err(refuse)?);
    let udp = (0..udp_threads.max(1))
        .map(|_| udp_socket(address, Sharing::Group))
        .collect::<io::Result<Vec<_>>>()
        .map_err(refuse)?;
    Ok(Listening { address, udp, tcp })
}

/// Whether other sockets may have the same address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sharing {
    Alone,
    /// The system spreads clients over all sockets (SO_REUSEPORT).
    Group,
}

fn udp_socket(address: SocketAddr, sharing: Sharing) -> io::Result<UdpSocket> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::DGRAM,
        Some(Protocol::UDP),
    )?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    if sharing == Sharing::Group {
        socket.set_reuse_port(true)?;
    }
    // The system may grant less, which is not an error.
    socket.set_recv_buffer_size(UDP_BUFFER_BYTES)?;
    socket.set_send_buffer_size(UDP_BUFFER_BYTES)?;
    socket.set_read_timeout(Some(STOP_CHECK))?;
    socket.bind(&address.into())?;
    let socket: UdpSocket = socket.into();
    batch::configure(&socket, address)?;
    Ok(socket)
}

/// A TCP listener, for tokio.
pub(crate) fn tcp_listener(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // Connections of a process before us that are still closing are no obstacle.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(TCP_BACKLOG)?;
    Ok(socket.into())
}
