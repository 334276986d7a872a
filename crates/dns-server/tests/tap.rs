//! dnstap, read back by other code than what writes it.

use std::collections::BTreeMap;
use std::net::{SocketAddr, UdpSocket};
use std::num::NonZeroU32;
use std::path::Path;
use std::sync::Arc;

use dns::{Name, Secrets, Snapshot, SnapshotBuilder, Transport, Zone, read_records};
use meridian_dns_server::{DnsMetrics, DnsServer, Handle, Options, TapOptions};
use prometheus_client::registry::Registry;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixListener, UnixStream};

const CONTENT: &[u8] = b"protobuf:dnstap.Dnstap";

fn snapshot() -> Arc<Snapshot> {
    let origin = Name::parse("example.org").expect("a name");
    let text = "@ SOA ns host 1 2 3 4 5\n@ NS ns\nwww A 192.0.2.1\n";
    let records = read_records(text, &origin, 300).expect("a zone");
    let mut builder = SnapshotBuilder::new();
    builder
        .zone(&Zone { origin, records })
        .expect("it is right");
    Arc::new(builder.build(1))
}

fn serve(socket: &Path, one_in: u32, registry: &mut Registry) -> (Handle, SocketAddr) {
    let secrets = Secrets {
        current: [0; 16],
        other: None,
    };
    let mut options = Options::new(vec!["127.0.0.1:0".parse().expect("an address")], secrets);
    options.tap = Some(TapOptions {
        socket: socket.to_owned(),
        one_in: NonZeroU32::new(one_in).expect("not 0"),
        identity: Some("dns-1".to_owned()),
    });
    let handle = DnsServer::start(&options, snapshot(), &DnsMetrics::new(registry));
    let handle = handle.expect("it listens");
    let address = handle.local_addrs(Transport::Udp)[0];
    (handle, address)
}

fn query(id: u8, name: &str) -> Vec<u8> {
    let mut query = vec![7, id, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    query.extend(Name::parse(name).expect("a name").wire());
    query.extend([0, 1, 0, 1]);
    query
}

/// A control frame with the kind of content.
fn control(kind: u8) -> Vec<u8> {
    let length = 12 + CONTENT.len() as u8;
    let mut frame = vec![0, 0, 0, 0, 0, 0, 0, length, 0, 0, 0, kind, 0, 0, 0, 1];
    frame.extend([0, 0, 0, CONTENT.len() as u8]);
    frame.extend(CONTENT);
    frame
}

/// A receiver's side: the next frame, a control frame's kind or data.
async fn next(stream: &mut UnixStream) -> Result<u8, Vec<u8>> {
    let length = stream.read_u32().await.expect("a frame");
    if length > 0 {
        let mut data = vec![0; length as usize];
        stream.read_exact(&mut data).await.expect("a whole frame");
        return Err(data);
    }
    let mut body = vec![0; stream.read_u32().await.expect("a length") as usize];
    stream.read_exact(&mut body).await.expect("a control frame");
    Ok(body[3])
}

async fn accept(listener: &UnixListener) -> UnixStream {
    let (mut stream, _) = listener.accept().await.expect("somebody comes");
    assert_eq!(next(&mut stream).await, Ok(4), "READY");
    stream.write_all(&control(1)).await.expect("ACCEPT");
    assert_eq!(next(&mut stream).await, Ok(2), "START");
    stream
}

/// A field of a protocol buffer.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Field {
    Number(u64),
    Bytes(Vec<u8>),
}

fn fields(mut bytes: &[u8]) -> BTreeMap<u64, Field> {
    fn varint(bytes: &mut &[u8]) -> u64 {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = bytes.split_first().expect("a whole number");
            *bytes = rest;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                break;
            }
        }
        number
    }
    let mut found = BTreeMap::new();
    while !bytes.is_empty() {
        let tag = varint(&mut bytes);
        let field = match tag & 7 {
            0 => Field::Number(varint(&mut bytes)),
            2 => {
                let length = varint(&mut bytes) as usize;
                let (data, rest) = bytes.split_at(length);
                bytes = rest;
                Field::Bytes(data.to_vec())
            }
            5 => {
                let (data, rest) = bytes.split_first_chunk::<4>().expect("four bytes");
                bytes = rest;
                Field::Number(u64::from(u32::from_le_bytes(*data)))
            }
            other => panic!("wire type {other}"),
        };
        assert!(found.insert(tag >> 3, field).is_none(), "each field once");
    }
    found
}

/// What a frame says: the message inside a `Dnstap`.
fn message(data: &[u8]) -> BTreeMap<u64, Field> {
    let whole = fields(data);
    assert_eq!(whole[&1], Field::Bytes(b"dns-1".to_vec()), "identity");
    assert_eq!(whole[&15], Field::Number(1), "MESSAGE");
    let Field::Bytes(message) = &whole[&14] else {
        panic!("{whole:?}")
    };
    fields(message)
}

/// Asks over UDP and waits for the reply.
fn ask(server: SocketAddr, query: &[u8]) -> (SocketAddr, Vec<u8>) {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
    socket.send_to(query, server).expect("sent");
    let mut reply = vec![0; 1232];
    let length = socket.recv(&mut reply).expect("a reply");
    reply.truncate(length);
    (socket.local_addr().expect("bound"), reply)
}

#[tokio::test]
async fn every_query_is_told_with_its_reply_and_the_end_is_agreed_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("tap.sock");
    let listener = UnixListener::bind(&path).expect("a socket");
    let (server, address) = serve(&path, 1, &mut Registry::default());
    let mut stream = accept(&listener).await;
    for (id, name) in [(1, "www.example.org"), (2, "gone.example.org")] {
        let query = query(id, name);
        let (from, reply) = ask(address, &query);
        let told = message(&next(&mut stream).await.expect_err("data"));
        let expected = BTreeMap::from([
            (1, Field::Number(2)),
            (2, Field::Number(1)),
            (3, Field::Number(1)),
            (4, Field::Bytes(vec![127, 0, 0, 1])),
            (6, Field::Number(u64::from(from.port()))),
            (10, Field::Bytes(query)),
            (14, Field::Bytes(reply)),
        ]);
        for (number, field) in expected {
            assert_eq!(told[&number], field, "field {number}");
        }
        assert!(matches!(told[&8], Field::Number(secs) if secs > 1_700_000_000));
    }
    let mut tcp = TcpStream::connect(address).await.expect("it accepts");
    let query = query(3, "www.example.org");
    tcp.write_u16(query.len() as u16).await.expect("sent");
    tcp.write_all(&query).await.expect("sent");
    let told = message(&next(&mut stream).await.expect_err("data"));
    assert_eq!(
        (&told[&3], &told[&10]),
        (&Field::Number(2), &Field::Bytes(query))
    );
    drop(tcp);
    let stopped = tokio::spawn(server.stop());
    assert_eq!(next(&mut stream).await, Ok(3), "STOP");
    stream.write_all(&control(5)).await.expect("FINISH");
    stopped.await.expect("it stops");
}

#[tokio::test]
async fn answers_never_wait_and_what_finds_no_room_is_counted() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut registry = Registry::default();
    // Nobody listens there.
    let (server, address) = serve(&folder.path().join("nobody.sock"), 1, &mut registry);
    for id in 0..=255_u8 {
        for _ in 0..20 {
            ask(address, &query(id, "www.example.org"));
        }
    }
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry).expect("it encodes");
    let line = text
        .lines()
        .find(|line| line.starts_with("dns_tap_lost_total"));
    // 5,120 queries, and room for 4,096.
    assert_eq!(line, Some("dns_tap_lost_total 1024"));
    server.stop().await;
}

#[tokio::test]
async fn a_sample_is_about_one_of_so_many() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("tap.sock");
    let listener = UnixListener::bind(&path).expect("a socket");
    let (server, address) = serve(&path, 10, &mut Registry::default());
    let mut stream = accept(&listener).await;
    for _ in 0..2_000 {
        ask(address, &query(1, "www.example.org"));
    }
    let stopped = tokio::spawn(server.stop());
    let mut told = 0;
    while let Err(data) = next(&mut stream).await {
        message(&data);
        told += 1;
    }
    stream.write_all(&control(5)).await.expect("FINISH");
    stopped.await.expect("it stops");
    // Outside of this once in 10^12 runs (seven deviations of 13).
    assert!((105..=295).contains(&told), "{told} of 2,000");
}

#[tokio::test]
async fn a_receiver_that_went_away_keeps_no_server_from_stopping() {
    let folder = tempfile::tempdir().expect("a folder");
    let socket = folder.path().join("tap.sock");
    let listener = UnixListener::bind(&socket).expect("it listens");
    let (handle, _) = serve(&socket, 1, &mut Registry::default());
    let stream = accept(&listener).await;
    drop((stream, listener));
    let bound = std::time::Duration::from_secs(20);
    let stopped = tokio::time::timeout(bound, handle.stop()).await;
    assert!(stopped.is_ok(), "it waits for a receiver that is gone");
}

#[tokio::test]
async fn a_receiver_that_says_nothing_more_keeps_no_server_from_stopping() {
    let folder = tempfile::tempdir().expect("a folder");
    let socket = folder.path().join("tap.sock");
    let listener = UnixListener::bind(&socket).expect("it listens");
    let (handle, _) = serve(&socket, 1, &mut Registry::default());
    let stream = accept(&listener).await;
    let bound = std::time::Duration::from_secs(20);
    let stopped = tokio::time::timeout(bound, handle.stop()).await;
    assert!(stopped.is_ok(), "it waits for a receiver that is silent");
    drop((stream, listener));
}
