//! UPDATE over real sockets: the reply waits for whoever keeps the challenges, nobody else does, and it
//! comes back signed, from the address that was asked.
#![cfg(test)]

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use dns::{Key, Keys, Name, Secrets, SnapshotBuilder, Transport, UpdateCode, Zone, read_records};
use hickory_proto::op::{Message, OpCode, ResponseCode, update_message};
use hickory_proto::rr::rdata::TXT;
use hickory_proto::rr::rdata::tsig::TsigAlgorithm;
use hickory_proto::rr::{RData, Record, RecordSet, TSigVerifier, TSigner};
use meridian_dns_server::{DnsMetrics, DnsServer, Handle, Options, UpdateRequest};
use prometheus_client::registry::Registry;
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;

const PATIENCE: Duration = Duration::from_secs(10);
const SECRET: [u8; 16] = [7; 16];

/// A server on this address; at most one change waits.
fn start(address: &str) -> (Handle, SocketAddr, mpsc::Receiver<UpdateRequest>) {
    let origin = Name::parse("example.org").unwrap();
    let text = "@ SOA ns host 1 2 3 4 5\n@ NS ns\nwww A 192.0.2.1\n";
    let records = read_records(text, &origin, 300).unwrap();
    let mut builder = SnapshotBuilder::new();
    let zone = Zone {
        origin: origin.clone(),
        records,
    };
    builder.zone(&zone).unwrap();
    let keys = BTreeSet::from([Name::parse("acme").unwrap()]);
    builder.updaters(BTreeMap::from([(origin, keys)]));
    let secrets = Secrets {
        current: [1; 16],
        other: None,
    };
    let (updates, asked) = mpsc::channel(1);
    let mut options = Options::new(vec![address.parse().unwrap()], secrets);
    options.updates = Some(updates);
    let metrics = DnsMetrics::new(&mut Registry::default());
    let handle = DnsServer::start(&options, Arc::new(builder.build(1)), &metrics).unwrap();
    let key = Key::parse("acme", "hmac-sha256:BwcHBwcHBwcHBwcHBwcHBw==").unwrap();
    handle.set_keys(Keys::new(vec![key]));
    let listening = handle.local_addrs(Transport::Udp)[0];
    (handle, listening, asked)
}

/// An UPDATE as hickory makes it, and what checks the reply's signature.
fn signed(id: u16) -> (Vec<u8>, TSigVerifier) {
    let mut message = unsigned(id);
    let name = "acme.".parse().unwrap();
    let signer = TSigner::new(SECRET.to_vec(), TsigAlgorithm::HmacSha256, name, 300).unwrap();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let verifier = message.finalize(&signer, now.as_secs()).unwrap();
    (message.to_vec().unwrap(), verifier.unwrap())
}

fn unsigned(id: u16) -> Message {
    let name = "_acme-challenge.www.example.org.".parse().unwrap();
    let text = RData::TXT(TXT::new(vec!["token".to_owned()]));
    let set = RecordSet::from(Record::from_rdata(name, 60, text));
    let mut message = update_message::append(set, "example.org.".parse().unwrap(), false, false);
    message.metadata.id = id;
    message
}

fn client(server: SocketAddr) -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(server).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

fn receive(socket: &UdpSocket) -> Vec<u8> {
    let mut reply = vec![0; 2048];
    let len = socket.recv(&mut reply).unwrap();
    reply.truncate(len);
    reply
}

fn code(reply: &[u8]) -> ResponseCode {
    let message = Message::from_vec(reply).unwrap();
    assert_eq!(message.metadata.op_code, OpCode::Update);
    message.metadata.response_code
}

/// A query for `www`, answered.
fn ask(socket: &UdpSocket, id: u16) {
    let mut query = id.to_be_bytes().to_vec();
    query.extend([0, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    query.extend(b"\x03www\x07example\x03org\x00\x00\x01\x00\x01");
    socket.send(&query).unwrap();
    let reply = receive(socket);
    assert_eq!((&reply[..2], reply[7]), (&id.to_be_bytes()[..], 1));
}

#[tokio::test]
async fn a_datagram_is_answered_when_it_is_known_what_became_of_it_and_queries_do_not_wait() {
    // The reply leaves from the address that was asked: the client's socket takes no other.
    let (handle, listening, mut asked) = start("0.0.0.0:0");
    let server = SocketAddr::from(([127, 0, 0, 2], listening.port()));
    let socket = Arc::new(client(server));
    let (message, mut verifier) = signed(1);
    socket.send(&message).unwrap();
    let request = asked.recv().await.unwrap();
    assert_eq!(request.update().zone().to_string(), "example.org.");
    let same = Arc::clone(&socket);
    spawn_blocking(move || ask(&same, 2)).await.unwrap();
    request.answer(UpdateCode::NoError);
    let reply = spawn_blocking(move || receive(&socket)).await.unwrap();
    assert_eq!(code(&reply), ResponseCode::NoError);
    verifier.verify(&reply).expect("it is signed");
    handle.stop().await;
}

#[tokio::test]
async fn over_a_stream_too_and_the_next_message_follows_it() {
    let (handle, server, mut asked) = start("127.0.0.1:0");
    let (message, mut verifier) = signed(1);
    let exchange = spawn_blocking(move || {
        let mut stream = TcpStream::connect(server).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut replies = Vec::new();
        for message in [message, unsigned(2).to_vec().unwrap()] {
            stream
                .write_all(&(message.len() as u16).to_be_bytes())
                .unwrap();
            stream.write_all(&message).unwrap();
            let mut len = [0; 2];
            stream.read_exact(&mut len).unwrap();
            let mut reply = vec![0; usize::from(u16::from_be_bytes(len))];
            stream.read_exact(&mut reply).unwrap();
            replies.push(reply);
        }
        replies
    });
    asked.recv().await.unwrap().answer(UpdateCode::YxRrset);
    let replies = exchange.await.unwrap();
    assert_eq!(code(&replies[0]), ResponseCode::YXRRSet);
    verifier.verify(&replies[0]).expect("it is signed");
    assert_eq!(code(&replies[1]), ResponseCode::Refused, "unsigned");
    handle.stop().await;
}

#[tokio::test]
async fn what_is_refused_reaches_nobody_and_more_than_can_wait_is_to_be_tried_again() {
    let (handle, server, mut asked) = start("127.0.0.1:0");
    let socket = client(server);
    socket.send(&unsigned(1).to_vec().unwrap()).unwrap();
    assert_eq!(code(&receive(&socket)), ResponseCode::Refused);
    let (mut forged, _) = signed(2);
    let last = forged.len() - 10;
    forged[last] ^= 1;
    socket.send(&forged).unwrap();
    assert_eq!(code(&receive(&socket)), ResponseCode::NotAuth);
    for cut in (12..forged.len()).step_by(7) {
        socket.send(&forged[..cut]).unwrap();
        assert_ne!(receive(&socket)[3] & 0xf, 0);
    }
    assert!(asked.is_empty(), "nobody was asked");
    socket.send(&signed(3).0).unwrap();
    socket.send(&signed(4).0).unwrap();
    let reply = receive(&socket);
    assert_eq!((code(&reply), reply[1]), (ResponseCode::ServFail, 4));
    asked.recv().await.unwrap().answer(UpdateCode::NoError);
    let reply = receive(&socket);
    assert_eq!((code(&reply), reply[1]), (ResponseCode::NoError, 3));
    handle.stop().await;
}
