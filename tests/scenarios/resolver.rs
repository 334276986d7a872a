//! A resolver as small as the scenarios need: one question over UDP, for a client of its own.

use hickory_proto::op::{Edns, Message, Query};
use hickory_proto::rr::rdata::opt::{ClientSubnet, EdnsOption};
use hickory_proto::rr::{Name, RData, RecordType};
use meridian_tests::world::PATIENCE;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};
use tokio::net::UdpSocket;

/// How long a resolver waits before it asks again.
const TIMEOUT: Duration = Duration::from_millis(500);
/// DNS gives no sign when an answer changes.
const ASK_AGAIN: Duration = Duration::from_millis(50);
/// The client subnet that public resolvers send for IPv4 (RFC 7871 § 11.1).
const SUBNET_BITS: u8 = 24;
const ID: u16 = 4711;

/// Asks until the addresses of `name` for a client are as wanted.
///
/// # Panics
/// After [`PATIENCE`], with what was answered last.
pub(crate) async fn until_answered(
    server: SocketAddr,
    (name, client): (&str, IpAddr),
    what: &str,
    wanted: impl Fn(&[IpAddr]) -> bool,
) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let answer = ask(server, name, client).await;
        if answer.as_deref().is_some_and(&wanted) {
            return;
        }
        let late = Instant::now() >= deadline;
        assert!(
            !late,
            "{name} from {client}: {what}; last answer: {answer:?}"
        );
        tokio::time::sleep(ASK_AGAIN).await;
    }
}

/// The addresses, sorted; nothing without an answer.
pub(crate) async fn ask(server: SocketAddr, name: &str, client: IpAddr) -> Option<Vec<IpAddr>> {
    let socket = UdpSocket::bind("127.0.0.1:0").await.ok()?;
    socket.connect(server).await.ok()?;
    socket.send(&question(name, client)).await.ok()?;
    let mut reply = [0_u8; 1232];
    let received = tokio::time::timeout(TIMEOUT, socket.recv(&mut reply)).await;
    let length = received.ok()?.ok()?;
    let message = Message::from_vec(&reply[..length]).expect("an answer parses");
    assert_eq!(message.metadata.id, ID, "it belongs to the question");
    let addresses = message
        .answers
        .iter()
        .filter_map(|record| match record.data {
            RData::A(a) => Some(IpAddr::V4(a.0)),
            _ => None,
        });
    let mut addresses: Vec<IpAddr> = addresses.collect();
    addresses.sort();
    Some(addresses)
}

/// The texts of a name, sorted; nothing without an answer.
pub(crate) async fn texts(server: SocketAddr, name: &str) -> Option<Vec<String>> {
    let mut message = Message::query();
    message.metadata.id = ID;
    let name = Name::from_ascii(name).expect("a name");
    message.add_query(Query::query(name, RecordType::TXT));
    let socket = UdpSocket::bind("127.0.0.1:0").await.ok()?;
    socket.connect(server).await.ok()?;
    let query = message.to_vec().expect("a query encodes");
    socket.send(&query).await.ok()?;
    let mut reply = [0_u8; 1232];
    let received = tokio::time::timeout(TIMEOUT, socket.recv(&mut reply)).await;
    let length = received.ok()?.ok()?;
    let message = Message::from_vec(&reply[..length]).expect("an answer parses");
    let texts = message.answers.iter().map(|record| record.data.to_string());
    let mut texts: Vec<String> = texts.collect();
    texts.sort();
    Some(texts)
}

/// Asks for nothing but a cookie (RFC 7873 § 5.4), with the one that is known; both parts.
pub(crate) async fn cookie(server: SocketAddr, known: &[u8]) -> Option<Vec<u8>> {
    let mut query = ID.to_be_bytes().to_vec();
    query.extend([0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
    query.extend([0, 0, 41, 0x04, 0xd0, 0, 0, 0, 0]);
    query.extend((known.len() as u16 + 4).to_be_bytes());
    query.extend([0, 10]);
    query.extend((known.len() as u16).to_be_bytes());
    query.extend(known);
    let socket = UdpSocket::bind("127.0.0.1:0").await.ok()?;
    socket.connect(server).await.ok()?;
    socket.send(&query).await.ok()?;
    let mut reply = [0_u8; 512];
    let received = tokio::time::timeout(TIMEOUT, socket.recv(&mut reply)).await;
    let length = received.ok()?.ok()?;
    let cookie = reply[..length].last_chunk::<24>();
    cookie.map(|both| both.to_vec())
}

fn question(name: &str, client: IpAddr) -> Vec<u8> {
    let mut message = Message::query();
    message.metadata.id = ID;
    let name = Name::from_ascii(name).expect("a name");
    message.add_query(Query::query(name, RecordType::A));
    let mut edns = Edns::new();
    edns.set_max_payload(1232);
    let subnet = ClientSubnet::new(client, SUBNET_BITS, 0);
    edns.options_mut().insert(EdnsOption::Subnet(subnet));
    message.set_edns(edns);
    message.to_vec().expect("a question")
}
