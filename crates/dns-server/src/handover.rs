//! Sockets that a process hands to its successor, over a Unix socket (SCM_RIGHTS).
//!
//! # Guarantees
//! - Both have the same sockets, not copies: what comes while one stops and the other has started
//!   waits in the same queue, and one of them takes it. No datagram and no connection that waits
//!   to be accepted is lost.
//! - Until the successor says that it answers, the process before it goes on.
//! # Caveats
//! - Connections that are open stay with the process that accepted them, until it ends.

use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};

/// So many descriptors fit one message (SCM_MAX_FD of Linux).
const SOCKETS_MAX: usize = 253;
/// A line names one socket: its kind and its address.
const NAMES_BYTES_MAX: usize = SOCKETS_MAX * 64;

/// A socket with what it is for.
#[derive(Debug)]
pub struct Named {
    /// What listens on it, such as `udp` or `tls`.
    pub kind: String,
    /// Where.
    pub address: SocketAddr,
    /// The socket.
    pub socket: OwnedFd,
}

impl Named {
    /// One for the sockets of a kind at an address.
    pub(crate) fn new(kind: &str, address: SocketAddr, socket: OwnedFd) -> Self {
        Self {
            kind: kind.to_owned(),
            address,
            socket,
        }
    }
}

/// Takes the sockets of a kind and address out of those that were handed over.
pub(crate) fn pick(from: &mut Vec<Named>, kind: &str, address: SocketAddr) -> Vec<OwnedFd> {
    let is_it = |it: &mut Named| it.kind == kind && it.address == address;
    from.extract_if(.., is_it).map(|it| it.socket).collect()
}

/// Sends sockets; they stay open here as well.
///
/// # Errors
/// Nobody is at the other end, or there are more sockets than fit.
pub fn give(stream: &mut UnixStream, sockets: &[Named]) -> io::Result<()> {
    if sockets.len() > SOCKETS_MAX {
        let problem = format!(
            "{} sockets: {SOCKETS_MAX} can be handed over",
            sockets.len()
        );
        return Err(io::Error::other(problem));
    }
    let lines = sockets
        .iter()
        .map(|it| format!("{} {}\n", it.kind, it.address));
    let names: String = lines.collect();
    let length = (names.len() as u32).to_be_bytes();
    let descriptors: Vec<_> = sockets.iter().map(|it| it.socket.as_fd()).collect();
    let mut space = vec![MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(SOCKETS_MAX))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() && !control.push(SendAncillaryMessage::ScmRights(&descriptors)) {
        return Err(io::Error::other("the sockets do not fit one message"));
    }
    // The descriptors come with the first bytes.
    let sent = sendmsg(
        &*stream,
        &[IoSlice::new(&length)],
        &mut control,
        SendFlags::empty(),
    )?;
    stream.write_all(&length[sent..])?;
    stream.write_all(names.as_bytes())
}

/// Takes what [`give`] sends.
///
/// # Errors
/// The other end went away, or sent something else.
pub fn take(stream: &mut UnixStream) -> io::Result<Vec<Named>> {
    let mut length = [0; 4];
    let mut space = vec![MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(SOCKETS_MAX))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut parts = [IoSliceMut::new(&mut length)];
    let received = recvmsg(&*stream, &mut parts, &mut control, RecvFlags::CMSG_CLOEXEC)?.bytes;
    let mut descriptors: Vec<OwnedFd> = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            descriptors.extend(rights);
        }
    }
    if received == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    stream.read_exact(&mut length[received..])?;
    let length = u32::from_be_bytes(length) as usize;
    let unexpected = || io::Error::other("the other end sent no list of sockets");
    if length > NAMES_BYTES_MAX {
        return Err(unexpected());
    }
    let mut names = vec![0; length];
    stream.read_exact(&mut names)?;
    let names = String::from_utf8(names).map_err(|_| unexpected())?;
    if names.lines().count() != descriptors.len() {
        return Err(unexpected());
    }
    let named = names.lines().zip(descriptors).map(|(line, socket)| {
        let (kind, address) = line.split_once(' ').ok_or_else(unexpected)?;
        let address = address.parse().map_err(|_| unexpected())?;
        let kind = kind.to_owned();
        Ok(Named {
            kind,
            address,
            socket,
        })
    });
    named.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::UdpSocket;

    #[test]
    fn a_socket_that_was_given_is_the_same_socket() {
        let (mut here, mut there) = UnixStream::pair().unwrap();
        let mine = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = mine.local_addr().unwrap();
        let named = Named {
            kind: "udp".to_owned(),
            address,
            socket: mine.into(),
        };
        give(&mut here, &[named]).unwrap();
        let [taken] = &take(&mut there).unwrap()[..] else {
            panic!("one")
        };
        assert_eq!((taken.kind.as_str(), taken.address), ("udp", address));
        let theirs = UdpSocket::from(taken.socket.try_clone().unwrap());
        assert_eq!(theirs.local_addr().unwrap(), address);
        let client = UdpSocket::bind("127.0.0.1:0").unwrap();
        client.send_to(b"x", address).unwrap();
        assert_eq!(theirs.recv(&mut [0; 8]).unwrap(), 1);
    }

    #[test]
    fn what_is_no_list_of_sockets_is_refused() {
        let (mut here, mut there) = UnixStream::pair().unwrap();
        here.write_all(&[0, 0, 0, 4]).unwrap();
        here.write_all(b"udp\n").unwrap();
        assert!(take(&mut there).is_err());
        drop(here);
        assert!(take(&mut there).is_err());
    }
}
