//! EDNS (RFC 6891), the client subnet (RFC 7871) and the options that a reply carries.
//!
//! What a client must ask for to get: NSID (RFC 5001), the stream's idle time (RFC 7828) and
//! padding (RFC 7830).

use crate::address::Address;
use crate::client::{IDENTITY_BYTES_MAX, Server, Transport};

/// The most bytes of a reply over UDP, and what we say we can take (RFC 9715 § 3.1).
pub const UDP_BYTES_MAX: usize = 1232;
/// The most bytes of a reply over UDP to a client without EDNS (RFC 1035 § 4.2.1).
pub(crate) const UDP_BYTES_PLAIN: usize = 512;
/// OPT with no options.
pub(crate) const OPT_BYTES: usize = 11;
/// A cookie option with the server's part.
const COOKIE_BYTES: usize = 4 + 8 + 16;
/// An extended error without text (RFC 8914 § 2).
const EXTENDED_ERROR_BYTES: usize = 6;
/// How many extended errors one reply may carry.
pub(crate) const EXTENDED_ERRORS_MAX: usize = 2;

/// How long a stream may be idle (RFC 7828 § 3.1).
const KEEPALIVE_BYTES: usize = 4 + 2;
/// Padded replies are a multiple of this long (RFC 8467 § 4.1).
const PADDED_BLOCK: usize = 468;

const OPTION_NAME_SERVER_ID: u16 = 3;
const OPTION_SUBNET: u16 = 8;
const OPTION_COOKIE: u16 = 10;
const OPTION_KEEPALIVE: u16 = 11;
const OPTION_PADDING: u16 = 12;
const OPTION_EXTENDED_ERROR: u16 = 15;

/// What an OPT record says.
#[derive(Debug, Clone)]
pub(crate) struct Edns<'q> {
    pub(crate) udp_bytes: u16,
    pub(crate) version: u8,
    pub(crate) dnssec_ok: bool,
    pub(crate) subnet: Option<Subnet<'q>>,
    /// The client's part and, if it has one, the server's.
    pub(crate) cookie: Option<&'q [u8]>,
    /// The server's name is asked for.
    pub(crate) asks_name: bool,
    /// How long the stream may be idle is asked for.
    pub(crate) asks_keepalive: bool,
    /// The query is padded, and the reply is to be.
    pub(crate) asks_padding: bool,
}

/// A client subnet option, which is sound: its data, which a reply repeats but for the scope.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Subnet<'q>(&'q [u8]);

impl Subnet<'_> {
    /// The client's address; none when the prefix length is 0, which asks not to tailor by it.
    #[inline]
    pub(crate) fn address(self) -> Option<Address> {
        match *self.0 {
            [_, _, 0, ..] => None,
            // As nearly all resolvers send it.
            [_, 1, _, _, a, b, c] => Some(Address::v4(u32::from_be_bytes([a, b, c, 0]))),
            [_, family, _, _, ref octets @ ..] => {
                let octets = octets.iter().zip((0..).step_by(8));
                let bits = octets.fold(0, |bits, (octet, at)| {
                    bits | u128::from(*octet) << (120 - at)
                });
                let is_v4 = family == 1;
                Some(Address { bits, is_v4 })
            }
            _ => None,
        }
    }
}

/// What the reply's OPT says.
#[derive(Debug, Default)]
pub(crate) struct ReplyOptions<'q> {
    pub(crate) dnssec_ok: bool,
    pub(crate) subnet: Option<(Subnet<'q>, u8)>,
    /// The client's part and ours.
    pub(crate) cookie: Option<([u8; 8], [u8; 16])>,
    pub(crate) extended_errors: [Option<ExtendedError>; EXTENDED_ERRORS_MAX],
    /// The server's name.
    pub(crate) name: Option<&'q str>,
    /// Tenths of a second.
    pub(crate) keepalive: Option<u16>,
    /// How many bytes of the reply stand before OPT, where it is to be padded.
    pub(crate) padded_after: Option<usize>,
}

/// Why an answer is what it is (RFC 8914 § 4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u16)]
pub(crate) enum ExtendedError {
    Stale = 3,
    Prohibited = 18,
    NotAuthoritative = 20,
    NotSupported = 21,
    NoReachableAuthority = 22,
    InvalidData = 24,
}

impl Edns<'_> {
    /// One without options.
    #[inline(always)]
    fn plain(fixed: &[u8; 10]) -> Self {
        Self {
            udp_bytes: u16::from_be_bytes([fixed[2], fixed[3]]),
            version: fixed[5],
            dnssec_ok: fixed[6] & 0x80 != 0,
            subnet: None,
            cookie: None,
            asks_name: false,
            asks_keepalive: false,
            asks_padding: false,
        }
    }

    /// Whether the reply's OPT has nothing to say but that there is one.
    #[inline]
    pub(crate) fn asks_nothing(&self) -> bool {
        let asks = self.asks_name | self.asks_keepalive | self.asks_padding;
        self.subnet.is_none() && self.cookie.is_none() && !asks
    }

    /// The most bytes that this OPT's reply takes. Over UDP far less than the least room there is:
    /// padding alone would be nearly all of it.
    pub(crate) fn reply_bytes(&self, transport: Transport) -> usize {
        OPT_BYTES
            + self.cookie.map_or(0, |_| COOKIE_BYTES)
            + self.subnet.map_or(0, |subnet| 4 + subnet.0.len())
            + EXTENDED_ERROR_BYTES * EXTENDED_ERRORS_MAX
            + usize::from(self.asks_name) * (4 + IDENTITY_BYTES_MAX)
            + usize::from(self.asks_keepalive) * KEEPALIVE_BYTES
            + usize::from(self.pads(transport)) * (4 + PADDED_BLOCK)
    }

    /// The server's name, where it is asked for and known.
    #[inline]
    pub(crate) fn name<'s>(&self, server: &'s Server) -> Option<&'s str> {
        self.asks_name.then(|| server.identity.name()).flatten()
    }

    /// How long the stream may be idle. Over UDP the option is ignored (RFC 7828 § 3.2.1).
    #[inline]
    pub(crate) fn keepalive(&self, server: &Server, transport: Transport) -> Option<u16> {
        (self.asks_keepalive && transport.has_keepalive()).then_some(server.stream_idle_deciseconds)
    }

    /// Whether the reply is to be padded: what is not encrypted never is (RFC 7830 § 6).
    #[inline]
    pub(crate) fn pads(&self, transport: Transport) -> bool {
        self.asks_padding && transport.is_encrypted()
    }
}

/// Reads an OPT record: `fixed` is what stands between its owner and its data. An error is what it
/// says besides its options, when one that we know is malformed; unknown ones are skipped
/// (RFC 6891 § 6.1.2).
#[inline(always)]
pub(crate) fn read_options<'q>(fixed: &[u8; 10], data: &'q [u8]) -> Result<Edns<'q>, Edns<'q>> {
    let mut edns = Edns::plain(fixed);
    // What another version's options mean is not ours to say.
    if edns.version != 0 {
        return Ok(edns);
    }
    match take_options(&mut edns, data) {
        Some(()) => Ok(edns),
        None => Err(Edns::plain(fixed)),
    }
}

/// Takes each option; none when one is malformed.
#[inline(always)]
fn take_options<'q>(edns: &mut Edns<'q>, mut data: &'q [u8]) -> Option<()> {
    while !data.is_empty() {
        let (head, tail) = data.split_first_chunk::<4>()?;
        let length = usize::from(u16::from_be_bytes([head[2], head[3]]));
        let (option, tail) = tail.split_at_checked(length)?;
        match u16::from_be_bytes([head[0], head[1]]) {
            OPTION_SUBNET if edns.subnet.is_none() => edns.subnet = Some(read_subnet(option)?),
            OPTION_COOKIE if edns.cookie.is_none() => {
                // RFC 7873 § 5.2.2.
                if !matches!(option.len(), 8 | 16..=40) {
                    return None;
                }
                edns.cookie = Some(option);
            }
            // What a query says in these is not looked at (RFC 5001 § 2.1).
            OPTION_NAME_SERVER_ID => edns.asks_name = true,
            OPTION_KEEPALIVE => edns.asks_keepalive = true,
            OPTION_PADDING => edns.asks_padding = true,
            _ => {}
        }
        data = tail;
    }
    Some(())
}

/// Reads a client subnet (RFC 7871 § 6): too few or too many octets, bits beyond the prefix
/// length (§ 7.2.1), an unknown family, or a scope in a query are errors.
fn read_subnet(bytes: &[u8]) -> Option<Subnet<'_>> {
    let (head, octets) = bytes.split_first_chunk::<4>()?;
    let source = usize::from(head[2]);
    let width = match u16::from_be_bytes([head[0], head[1]]) {
        // `dig +subnet=0` sends family 0, with nothing else.
        0 => 0,
        1 => 32,
        2 => 128,
        _ => return None,
    };
    if source > width || head[3] != 0 || octets.len() != source.div_ceil(8) {
        return None;
    }
    if !source.is_multiple_of(8) && octets.last()? & (0xff >> (source % 8)) != 0 {
        return None;
    }
    Some(Subnet(bytes))
}

/// Writes an OPT record at the start of `out`, and gives its length.
///
/// # Panics
/// When `out` is shorter than [`Edns::reply_bytes`] said.
#[inline]
pub(crate) fn write_options(options: &ReplyOptions<'_>, rcode: u16, out: &mut [u8]) -> usize {
    let len = write_bare(options.dnssec_ok, rcode, out);
    let mut writer = Writer { out, len };
    if let Some((client, server)) = &options.cookie {
        writer.head(OPTION_COOKIE, client.len() + server.len());
        writer.put(client);
        writer.put(server);
    }
    if let Some((subnet, scope)) = &options.subnet {
        writer.head(OPTION_SUBNET, subnet.0.len());
        match *subnet.0 {
            [a, b, c, _, d, e, f] => writer.put(&[a, b, c, *scope, d, e, f]),
            ref bytes => {
                let scope_at = writer.len + 3;
                writer.put(bytes);
                writer.out[scope_at] = *scope;
            }
        }
    }
    if let Some(name) = options.name {
        writer.head(OPTION_NAME_SERVER_ID, name.len());
        writer.put(name.as_bytes());
    }
    if let Some(deciseconds) = options.keepalive {
        writer.head(OPTION_KEEPALIVE, 2);
        writer.put(&deciseconds.to_be_bytes());
    }
    for error in options.extended_errors.iter().flatten() {
        writer.head(OPTION_EXTENDED_ERROR, 2);
        writer.put(&(*error as u16).to_be_bytes());
    }
    if let Some(before) = options.padded_after {
        let unpadded = before + writer.len + 4;
        let padding = unpadded.next_multiple_of(PADDED_BLOCK) - unpadded;
        writer.head(OPTION_PADDING, padding);
        writer.fill(padding);
    }
    let length = (writer.len - OPT_BYTES) as u16;
    writer.out[9..11].copy_from_slice(&length.to_be_bytes());
    writer.len
}

/// Writes one without options.
#[inline]
pub(crate) fn write_bare(dnssec_ok: bool, rcode: u16, out: &mut [u8]) -> usize {
    let [high, low] = (UDP_BYTES_MAX as u16).to_be_bytes();
    let flags = if dnssec_ok { 0x80 } else { 0 };
    let record = [0, 0, 41, high, low, (rcode >> 4) as u8, 0, flags, 0, 0, 0];
    out[..OPT_BYTES].copy_from_slice(&record);
    OPT_BYTES
}

struct Writer<'o> {
    out: &'o mut [u8],
    len: usize,
}

impl Writer<'_> {
    #[inline]
    fn put(&mut self, bytes: &[u8]) {
        self.out[self.len..self.len + bytes.len()].copy_from_slice(bytes);
        self.len += bytes.len();
    }

    fn fill(&mut self, zeroes: usize) {
        self.out[self.len..self.len + zeroes].fill(0);
        self.len += zeroes;
    }

    #[inline]
    fn head(&mut self, code: u16, length: usize) {
        self.put(&code.to_be_bytes());
        self.put(&(length as u16).to_be_bytes());
    }
}
