//! A DNS client as small as a stub resolver: one question over UDP, with a client subnet.
//!
//! The demo measures the product from outside, so nothing here uses the product's own codec.

use anyhow::{Context, Result, ensure};
use hickory_proto::op::{Edns, Message, Query, ResponseCode};
use hickory_proto::rr::rdata::opt::{ClientSubnet, EdnsCode, EdnsOption};
use hickory_proto::rr::{Name, RData, RecordType};
use serde::Serialize;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use tokio::net::UdpSocket;

/// How long a stub resolver would wait before it asks again.
const TIMEOUT: Duration = Duration::from_millis(500);
/// The option code of extended errors (RFC 8914); hickory has no name for it.
const EXTENDED_ERROR: u16 = 15;
/// The longest client subnet that public resolvers send for IPv4 (RFC 7871 § 11.1).
const SUBNET_BITS: u8 = 24;

/// What an answer said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Answer {
    /// The rcode as text, `NOERROR` when fine.
    pub(crate) rcode: String,
    /// A and AAAA records, sorted.
    pub(crate) addresses: Vec<IpAddr>,
    /// The TTL of the first record.
    pub(crate) ttl_secs: Option<u32>,
    /// The ECS scope (RFC 7871), when the option came back.
    pub(crate) scope: Option<u8>,
    /// Extended error codes (RFC 8914); 3 is a stale answer.
    pub(crate) extended_errors: Vec<u16>,
}

impl Answer {
    /// Whether the server marked the answer as stale (RFC 8914 § 4.4).
    pub(crate) fn is_stale(&self) -> bool {
        self.extended_errors.contains(&3)
    }
}

/// Asks `server` for the addresses of `name` as a resolver that serves `client` would.
///
/// # Errors
/// No answer within half a second, or one that does not parse.
pub(crate) async fn ask(server: SocketAddr, name: &str, client: IpAddr, id: u16) -> Result<Answer> {
    let local: SocketAddr = if server.is_ipv4() {
        ([0, 0, 0, 0], 0).into()
    } else {
        ([0u16; 8], 0).into()
    };
    let socket = UdpSocket::bind(local)
        .await
        .context("no UDP socket for the client")?;
    socket.connect(server).await?;
    socket.send(&question(name, client, id)?).await?;
    let mut reply = [0u8; 1232];
    let length = tokio::time::timeout(TIMEOUT, socket.recv(&mut reply))
        .await
        .context("no answer within 500 ms")??;
    read(&reply[..length], id)
}

fn question(name: &str, client: IpAddr, id: u16) -> Result<Vec<u8>> {
    let mut message = Message::query();
    message.metadata.id = id;
    let name = Name::from_ascii(name).with_context(|| format!("{name:?} is not a DNS name"))?;
    message.add_query(Query::query(name, RecordType::A));
    let mut edns = Edns::new();
    edns.set_max_payload(1232);
    let subnet = ClientSubnet::new(client, SUBNET_BITS, 0);
    edns.options_mut().insert(EdnsOption::Subnet(subnet));
    message.set_edns(edns);
    Ok(message.to_vec()?)
}

fn read(bytes: &[u8], id: u16) -> Result<Answer> {
    let message = Message::from_vec(bytes).context("the answer does not parse")?;
    ensure!(
        message.metadata.id == id,
        "the answer belongs to another question"
    );
    let mut addresses = Vec::new();
    for record in &message.answers {
        match record.data {
            RData::A(a) => addresses.push(IpAddr::V4(a.0)),
            RData::AAAA(aaaa) => addresses.push(IpAddr::V6(aaaa.0)),
            _ => {}
        }
    }
    addresses.sort();
    let options = message.edns.as_ref().map(Edns::options);
    let scope = options.and_then(|options| match options.get(EdnsCode::Subnet) {
        Some(EdnsOption::Subnet(subnet)) => Some(subnet.scope_prefix()),
        _ => None,
    });
    let extended_errors = options
        .map(|options| options.get_all(EdnsCode::Unknown(EXTENDED_ERROR)))
        .unwrap_or_default()
        .into_iter()
        .filter_map(|option| match option {
            EdnsOption::Unknown(_, data) if data.len() >= 2 => {
                Some(u16::from_be_bytes([data[0], data[1]]))
            }
            _ => None,
        })
        .collect();
    let rcode = match message.metadata.response_code {
        ResponseCode::NoError => "NOERROR".to_owned(),
        ResponseCode::NXDomain => "NXDOMAIN".to_owned(),
        ResponseCode::ServFail => "SERVFAIL".to_owned(),
        ResponseCode::Refused => "REFUSED".to_owned(),
        other => other.to_string(),
    };
    let ttl_secs = message.answers.first().map(|record| record.ttl);
    Ok(Answer {
        rcode,
        addresses,
        ttl_secs,
        scope,
        extended_errors,
    })
}
