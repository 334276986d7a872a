//! Telling secondaries that a zone has another serial (RFC 1996).

use std::net::SocketAddr;

use crate::client::Server;
use crate::name::Name;
use crate::query::HEADER_BYTES;
use crate::record::RecordType;
use crate::snapshot::Snapshot;
use crate::tsig::Signing;

/// QR clear, the opcode NOTIFY, AA (RFC 1996 § 3.7 and § 4.5).
const FLAGS: u8 = 4 << 3 | 0x04;
const RESPONSE: u8 = 0x80;
const OPCODE: u8 = 0x78;

/// A zone that somebody is to be told of.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct News {
    /// The zone's origin.
    pub origin: Name,
    /// Whom to tell.
    pub to: SocketAddr,
    /// The zone's serial.
    pub serial: u32,
    /// The key that the message is signed with.
    pub key: Option<Name>,
}

impl Snapshot {
    /// Every secondary that is told of changes, with the serial that it should have.
    pub fn news(&self) -> impl Iterator<Item = News> {
        self.transfers.iter().flat_map(|(origin, edition)| {
            edition.secondaries.iter().flat_map(move |secondary| {
                secondary.notify.iter().map(move |to| News {
                    origin: origin.clone(),
                    to: *to,
                    serial: edition.serial,
                    key: secondary.key.clone(),
                })
            })
        })
    }
}

impl News {
    /// The message; `None` when its key is not known (yet).
    pub fn message(&self, server: &Server, id: u16, now_secs: u32) -> Option<Vec<u8>> {
        let mut message = vec![0; HEADER_BYTES];
        message[..2].copy_from_slice(&id.to_be_bytes());
        message[2] = FLAGS;
        message[5] = 1;
        message.extend(self.origin.wire());
        message.extend(RecordType::SOA.0.to_be_bytes());
        message.extend([0, 1]);
        if let Some(name) = &self.key {
            let mut signing = Signing::query(server.keys.get(name)?, id.to_be_bytes());
            let len = message.len();
            message.resize(len + signing.bytes_max(), 0);
            let len = signing.sign(&mut message, len, now_secs);
            message.truncate(len);
        }
        Some(message)
    }

    /// Whether a message that came from there says that it was told. A signature is not looked at:
    /// forged, it would end no more than the repetition.
    pub fn is_told(id: u16, reply: &[u8]) -> bool {
        reply.len() >= HEADER_BYTES
            && reply[..2] == id.to_be_bytes()
            && reply[2] & RESPONSE != 0
            && reply[2] & OPCODE == FLAGS & OPCODE
    }
}
