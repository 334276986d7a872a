//! Batched datagrams: `recvmmsg`, `sendmmsg` and packet info. The only unsafe code of the
//! product's servers is here.
//!
//! On wildcard addresses each query tells to which address it came (IP_PKTINFO,
//! IPV6_RECVPKTINFO), and its reply leaves from there. The calls go past the library's functions of
//! the same names, which make the thread one that may be cancelled and back again, for each call.
#![expect(
    unsafe_code,
    reason = "batched system calls with packet info have no safe wrapper"
)]

use std::io;
use std::mem::{size_of, zeroed};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::ptr;

use dns::UDP_BYTES_MAX;

/// Datagrams per system call: gdnsd found that more only adds latency.
pub(crate) const WIDTH: usize = 16;
/// The longest query that is read whole; what is longer is malformed for us.
const QUERY_BYTES_MAX: usize = 2048;

/// Room for one control message with packet info, aligned as `cmsghdr` must be.
type Control = [u64; 8];

/// Buffers for one batch, made once per thread.
pub(crate) struct Batch {
    queries: Box<[[u8; QUERY_BYTES_MAX]; WIDTH]>,
    replies: Box<[[u8; UDP_BYTES_MAX]; WIDTH]>,
    slots: Box<[Slot; WIDTH]>,
}

/// What is known about one datagram besides its bytes.
#[derive(Clone, Copy)]
struct Slot {
    back: Back,
    query_len: usize,
    reply_len: usize,
}

/// The way back of one datagram: where it came from, and which address it was sent to.
#[derive(Clone, Copy)]
pub(crate) struct Back {
    source: libc::sockaddr_storage,
    source_len: libc::socklen_t,
    control: Control,
    control_len: usize,
}

impl Back {
    /// Who sent it.
    #[inline]
    pub(crate) fn source(&self) -> IpAddr {
        source(&self.source).ip()
    }

    /// The same, with the port.
    pub(crate) fn peer(&self) -> SocketAddr {
        source(&self.source)
    }

    /// Sends one reply by itself, without waiting: what the socket has no room for is lost.
    pub(crate) fn send(mut self, socket: &UdpSocket, reply: &[u8]) {
        let mut vector = libc::iovec {
            iov_base: reply.as_ptr().cast_mut().cast(),
            iov_len: reply.len(),
        };
        // SAFETY: zeroes are a valid value of this C structure.
        let mut header = unsafe { zeroed::<libc::msghdr>() };
        self.address(&mut header);
        header.msg_iov = &raw mut vector;
        header.msg_iovlen = 1;
        // SAFETY: the header leads to this value, to the vector of this frame and to `reply`, with
        // their true lengths; sending only reads them.
        unsafe { libc::sendmsg(socket.as_raw_fd(), &raw const header, libc::MSG_DONTWAIT) };
    }

    /// Has a message go back.
    fn address(&mut self, header: &mut libc::msghdr) {
        header.msg_name = (&raw mut self.source).cast();
        header.msg_namelen = self.source_len;
        if self.control_len > 0 {
            header.msg_control = self.control.as_mut_ptr().cast();
            header.msg_controllen = self.control_len as _;
        }
    }
}

/// Sets what a socket needs besides its address: packet info on a wildcard address, and no
/// fragments that follow path MTU messages, which anybody can forge (RFC 9715 § 3.2).
pub(crate) fn configure(socket: &UdpSocket, address: SocketAddr) -> io::Result<()> {
    let wildcard = libc::c_int::from(address.ip().is_unspecified());
    if address.is_ipv4() {
        set_option(socket, libc::IPPROTO_IP, libc::IP_PKTINFO, wildcard)?;
        set_option(
            socket,
            libc::IPPROTO_IP,
            libc::IP_MTU_DISCOVER,
            libc::IP_PMTUDISC_OMIT,
        )
    } else {
        set_option(socket, libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO, wildcard)?;
        set_option(
            socket,
            libc::IPPROTO_IPV6,
            libc::IPV6_MTU_DISCOVER,
            libc::IPV6_PMTUDISC_OMIT,
        )
    }
}

fn set_option(socket: &UdpSocket, level: i32, name: i32, value: libc::c_int) -> io::Result<()> {
    let length = size_of::<libc::c_int>() as libc::socklen_t;
    let pointer = (&raw const value).cast();
    // SAFETY: the descriptor is open, and the pointer leads to `length` readable bytes.
    let result = unsafe { libc::setsockopt(socket.as_raw_fd(), level, name, pointer, length) };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

impl Batch {
    pub(crate) fn new() -> Self {
        // SAFETY: an address of zeroes is a valid value of this C structure.
        let source = unsafe { zeroed::<libc::sockaddr_storage>() };
        let slot = Slot {
            back: Back {
                source,
                source_len: 0,
                control: [0; 8],
                control_len: 0,
            },
            query_len: 0,
            reply_len: 0,
        };
        Self {
            queries: Box::new([[0; QUERY_BYTES_MAX]; WIDTH]),
            replies: Box::new([[0; UDP_BYTES_MAX]; WIDTH]),
            slots: Box::new([slot; WIDTH]),
        }
    }

    /// Waits for one datagram, takes what else is there, and says how many there are.
    pub(crate) fn receive(&mut self, socket: &UdpSocket) -> io::Result<usize> {
        // SAFETY: zeroes are valid values of these C structures.
        let mut vectors = unsafe { zeroed::<[libc::iovec; WIDTH]>() };
        // SAFETY: as above.
        let mut headers = unsafe { zeroed::<[libc::mmsghdr; WIDTH]>() };
        for index in 0..WIDTH {
            let slot = &mut self.slots[index];
            vectors[index].iov_base = self.queries[index].as_mut_ptr().cast();
            vectors[index].iov_len = QUERY_BYTES_MAX;
            let header = &mut headers[index].msg_hdr;
            header.msg_name = (&raw mut slot.back.source).cast();
            header.msg_namelen = size_of::<libc::sockaddr_storage>() as libc::socklen_t;
            header.msg_iov = &raw mut vectors[index];
            header.msg_iovlen = 1;
            header.msg_control = slot.back.control.as_mut_ptr().cast();
            header.msg_controllen = size_of::<Control>() as _;
        }
        // SAFETY: each header leads to buffers of this batch and of this frame, with their true
        // lengths, and nothing else uses them during the call.
        let received = unsafe {
            libc::syscall(
                libc::SYS_recvmmsg,
                socket.as_raw_fd(),
                headers.as_mut_ptr(),
                WIDTH as libc::c_uint,
                libc::MSG_WAITFORONE,
                ptr::null_mut::<libc::timespec>(),
            )
        };
        let received = usize::try_from(received).map_err(|_| io::Error::last_os_error())?;
        for (slot, header) in self.slots.iter_mut().zip(&headers).take(received) {
            slot.back.source_len = header.msg_hdr.msg_namelen;
            slot.query_len = header.msg_len as usize;
            slot.reply_len = 0;
            slot.back.control_len = reply_control(&header.msg_hdr);
        }
        Ok(received)
    }

    /// One query of the batch, its way back, and the buffer for its reply.
    pub(crate) fn query(&mut self, index: usize) -> (&[u8], &Back, &mut [u8]) {
        let slot = &self.slots[index];
        let query = &self.queries[index][..slot.query_len.min(QUERY_BYTES_MAX)];
        (query, &slot.back, &mut self.replies[index])
    }

    /// Says how long the reply is; 0 for none.
    pub(crate) fn reply(&mut self, index: usize, len: usize) {
        self.slots[index].reply_len = len.min(UDP_BYTES_MAX);
    }

    /// Sends the replies to the first `count` queries, and says how many could not be sent. It
    /// never waits: what the socket has no room for is lost.
    pub(crate) fn send(&mut self, socket: &UdpSocket, count: usize) -> usize {
        // SAFETY: zeroes are valid values of these C structures.
        let mut vectors = unsafe { zeroed::<[libc::iovec; WIDTH]>() };
        // SAFETY: as above.
        let mut headers = unsafe { zeroed::<[libc::mmsghdr; WIDTH]>() };
        let mut filled = 0;
        for index in 0..count.min(WIDTH) {
            let slot = &mut self.slots[index];
            if slot.reply_len == 0 {
                continue;
            }
            vectors[filled].iov_base = self.replies[index].as_mut_ptr().cast();
            vectors[filled].iov_len = slot.reply_len;
            let header = &mut headers[filled].msg_hdr;
            slot.back.address(header);
            header.msg_iov = &raw mut vectors[filled];
            header.msg_iovlen = 1;
            filled += 1;
        }
        let mut done = 0;
        let mut unsent = 0;
        while done < filled {
            // SAFETY: the headers from `done` on lead to buffers of this batch and of this frame,
            // with their true lengths, and nothing else uses them during the call.
            let sent = unsafe {
                libc::syscall(
                    libc::SYS_sendmmsg,
                    socket.as_raw_fd(),
                    headers.as_mut_ptr().add(done),
                    (filled - done) as libc::c_uint,
                    libc::MSG_DONTWAIT,
                )
            };
            match usize::try_from(sent) {
                Ok(sent) if sent > 0 => done += sent,
                _ if io::Error::last_os_error().kind() == io::ErrorKind::Interrupted => {}
                // The first of them cannot be sent; perhaps the others can.
                _ => {
                    unsent += 1;
                    done += 1;
                }
            }
        }
        unsent
    }
}

/// Where a datagram came from. Sockets here are IPv4 or IPv6, so nothing else comes.
#[inline]
fn source(storage: &libc::sockaddr_storage) -> SocketAddr {
    let storage = ptr::from_ref(storage);
    // SAFETY: the storage is larger than, and aligned for, each of the structures it may hold;
    // any bytes are a valid value of them.
    unsafe {
        if (*storage).ss_family == libc::AF_INET as libc::sa_family_t {
            let inner = &*storage.cast::<libc::sockaddr_in>();
            let ip = Ipv4Addr::from(u32::from_be(inner.sin_addr.s_addr));
            SocketAddr::from((ip, u16::from_be(inner.sin_port)))
        } else {
            let inner = &*storage.cast::<libc::sockaddr_in6>();
            let ip = Ipv6Addr::from(inner.sin6_addr.s6_addr);
            SocketAddr::from((ip, u16::from_be(inner.sin6_port)))
        }
    }
}

/// Turns the packet info that came with a query, in place, into what its reply is sent with: from
/// the address that was asked, over whichever interface leads back. Gives its length, or 0.
fn reply_control(header: &libc::msghdr) -> usize {
    // SAFETY: the header's control buffer is part of the batch, and the system has filled as much
    // of it as `msg_controllen` says; CMSG_FIRSTHDR gives null when that is no whole message. The
    // data of the two types is read and written as the structure that the system put there,
    // without assuming alignment.
    unsafe {
        let message = libc::CMSG_FIRSTHDR(header);
        if message.is_null() {
            return 0;
        }
        match ((*message).cmsg_level, (*message).cmsg_type) {
            (libc::IPPROTO_IP, libc::IP_PKTINFO) => {
                let data = libc::CMSG_DATA(message).cast::<libc::in_pktinfo>();
                let mut info = data.read_unaligned();
                info.ipi_ifindex = 0;
                data.write_unaligned(info);
                libc::CMSG_SPACE(size_of::<libc::in_pktinfo>() as libc::c_uint) as usize
            }
            (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => {
                let data = libc::CMSG_DATA(message).cast::<libc::in6_pktinfo>();
                let mut info = data.read_unaligned();
                // A link-local address means nothing without its interface.
                if !Ipv6Addr::from(info.ipi6_addr.s6_addr).is_unicast_link_local() {
                    info.ipi6_ifindex = 0;
                }
                data.write_unaligned(info);
                libc::CMSG_SPACE(size_of::<libc::in6_pktinfo>() as libc::c_uint) as usize
            }
            _ => 0,
        }
    }
}
