//! The server over real sockets on the loopback interface.
#![cfg(test)]

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use dns::{
    Name, Rates, Record, RecordType, ReplyClass, Secrets, Snapshot, SnapshotBuilder, Soa,
    Transport, Zone,
};
use meridian_dns_server::{DnsMetrics, DnsServer, Error, Handle, Options};
use prometheus_client::registry::Registry;
use tokio::io::AsyncReadExt;

/// Bound of every wait for the network.
const PATIENCE: Duration = Duration::from_secs(10);

fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

/// `www` has the given address, `big` has 100 records of text.
fn snapshot(generation: u64, last: u8) -> Arc<Snapshot> {
    let soa = Soa {
        primary: name("ns.example.org"),
        mailbox: name("host.example.org"),
        serial: 1,
        refresh_secs: 1,
        retry_secs: 1,
        expire_secs: 1,
        minimum_secs: 1,
    };
    let mut zone = Zone::new(name("example.org"), 60, &soa, &[name("ns.example.org")]);
    let address = IpAddr::from([192, 0, 2, last]);
    zone.records
        .push(Record::address(name("www.example.org"), 60, address));
    for index in 0..100 {
        let text = [&[200][..], &[index; 200]].concat();
        zone.records.push(Record::new(
            name("big.example.org"),
            60,
            RecordType::TXT,
            text,
        ));
    }
    let mut builder = SnapshotBuilder::new();
    builder.zone(&zone).unwrap();
    Arc::new(builder.build(generation))
}

fn options(listen: &[&str]) -> Options {
    let listen = listen
        .iter()
        .map(|address| address.parse().unwrap())
        .collect();
    Options::new(
        listen,
        Secrets {
            current: [1; 16],
            other: None,
        },
    )
}

fn start(options: &Options) -> (Handle, DnsMetrics) {
    let metrics = DnsMetrics::new(&mut Registry::default());
    let handle = DnsServer::start(options, snapshot(1, 1), &metrics).unwrap();
    (handle, metrics)
}

fn query(id: u16, owner: &str, record_type: RecordType) -> Vec<u8> {
    let mut query = id.to_be_bytes().to_vec();
    query.extend([1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    query.extend(name(owner).wire());
    query.extend(record_type.0.to_be_bytes());
    query.extend([0, 1]);
    query
}

fn udp_client(local: &str) -> UdpSocket {
    let socket = UdpSocket::bind(local).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

/// The reply, and where it came from.
fn ask_udp(local: &str, server: SocketAddr, query: &[u8]) -> (Vec<u8>, SocketAddr) {
    let socket = udp_client(local);
    socket.send_to(query, server).unwrap();
    let mut reply = vec![0; 2048];
    let (len, from) = socket.recv_from(&mut reply).unwrap();
    reply.truncate(len);
    (reply, from)
}

fn tcp_client(server: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(server).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

fn framed(query: &[u8]) -> Vec<u8> {
    [&(query.len() as u16).to_be_bytes()[..], query].concat()
}

fn read_framed(stream: &mut TcpStream) -> Vec<u8> {
    let mut length = [0; 2];
    stream.read_exact(&mut length).unwrap();
    let mut reply = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut reply).unwrap();
    reply
}

#[tokio::test(flavor = "multi_thread")]
async fn every_datagram_of_a_burst_is_answered_and_counted() {
    let (handle, metrics) = start(&Options {
        udp_threads: 2,
        ..options(&["127.0.0.1:0"])
    });
    let server = handle.local_addrs(Transport::Tcp)[0];
    let socket = udp_client("127.0.0.1:0");
    for id in 0..100u16 {
        socket
            .send_to(&query(id, "www.example.org", RecordType::A), server)
            .unwrap();
    }
    let mut ids = Vec::new();
    let mut reply = [0; 2048];
    for _ in 0..100 {
        let len = socket.recv(&mut reply).unwrap();
        assert!(reply[..len].ends_with(&[192, 0, 2, 1]));
        ids.push(u16::from_be_bytes([reply[0], reply[1]]));
    }
    ids.sort_unstable();
    assert_eq!(ids, (0..100).collect::<Vec<_>>());
    assert_eq!(metrics.replies(Transport::Udp, ReplyClass::Static), 100);
    handle.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wildcard_address_answers_from_the_address_that_was_asked() {
    let (handle, _) = start(&options(&["0.0.0.0:0"]));
    let port = handle.local_addrs(Transport::Tcp)[0].port();
    for asked in ["127.0.0.1", "127.0.0.2", "127.1.2.3"] {
        let server = SocketAddr::new(asked.parse().unwrap(), port);
        let (_, from) = ask_udp(
            "0.0.0.0:0",
            server,
            &query(1, "www.example.org", RecordType::A),
        );
        assert_eq!(from, server);
    }
    handle.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ipv6_is_answered_and_takes_no_ipv4() {
    if UdpSocket::bind("[::1]:0").is_err() {
        println!("skipped: this machine has no IPv6 loopback");
        return;
    }
    let (handle, _) = start(&options(&["[::]:0"]));
    let server = SocketAddr::new(
        "::1".parse().unwrap(),
        handle.local_addrs(Transport::Tcp)[0].port(),
    );
    let www = query(1, "www.example.org", RecordType::A);
    let (reply, from) = ask_udp("[::]:0", server, &www);
    assert!(reply.ends_with(&[192, 0, 2, 1]));
    assert_eq!(from, server);
    assert!(TcpStream::connect(("127.0.0.1", server.port())).is_err());
    let mut stream = tcp_client(server);
    stream.write_all(&framed(&www)).unwrap();
    assert!(read_framed(&mut stream).ends_with(&[192, 0, 2, 1]));
    handle.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_truncated_over_udp_is_whole_over_tcp() {
    let (handle, metrics) = start(&options(&["127.0.0.1:0"]));
    let server = handle.local_addrs(Transport::Tcp)[0];
    let big = query(7, "big.example.org", RecordType::TXT);
    let (reply, _) = ask_udp("127.0.0.1:0", server, &big);
    assert!(reply[2] & 2 != 0 && reply.len() <= 512, "TC is set");
    let mut stream = tcp_client(server);
    stream.write_all(&framed(&big)).unwrap();
    let reply = read_framed(&mut stream);
    assert!(reply[2] & 2 == 0);
    assert_eq!(u16::from_be_bytes([reply[6], reply[7]]), 100);
    assert_eq!(metrics.replies(Transport::Tcp, ReplyClass::Static), 1);
    handle.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pipelined_and_cut_up_queries_on_one_connection_are_all_answered() {
    let (handle, _) = start(&options(&["127.0.0.1:0"]));
    let mut stream = tcp_client(handle.local_addrs(Transport::Tcp)[0]);
    let queries: Vec<u8> = (0..50)
        .flat_map(|id| framed(&query(id, "www.example.org", RecordType::A)))
        .collect();
    for piece in queries.chunks(7) {
        stream.write_all(piece).unwrap();
    }
    for id in 0..50u16 {
        assert_eq!(read_framed(&mut stream)[..2], id.to_be_bytes());
    }
    handle.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_has_a_limit_of_connections_and_gets_its_place_back() {
    let limited = Options {
        connections_per_client_max: 2,
        ..options(&["127.0.0.1:0"])
    };
    let (handle, _) = start(&limited);
    let server = handle.local_addrs(Transport::Tcp)[0];
    let www = framed(&query(1, "www.example.org", RecordType::A));
    let served = |stream: &mut TcpStream| {
        let mut byte = [0; 1];
        stream.write_all(&www).is_ok() && matches!(stream.read(&mut byte), Ok(1))
    };
    let mut first = tcp_client(server);
    let mut second = tcp_client(server);
    assert!(served(&mut first) && served(&mut second));
    assert!(!served(&mut tcp_client(server)), "the third is refused");
    drop(first);
    // The server learns of the end by itself; each refusal shows that it has not yet.
    let again = (0..10_000).any(|_| served(&mut tcp_client(server)));
    assert!(again, "a place that was left can be taken");
    handle.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_random_names_is_sent_to_tcp_and_others_are_answered() {
    const RCODE: u8 = 0xf;
    let limited = Options {
        rates: Rates {
            nxdomain: NonZeroU32::new(1),
            ..Rates::default()
        },
        ..options(&["127.0.0.1:0"])
    };
    let (handle, metrics) = start(&limited);
    let server = handle.local_addrs(Transport::Tcp)[0];
    let random = query(1, "nothing.example.org", RecordType::A);
    let is_limited = |reply: &[u8]| reply[2] & 0x02 != 0 && reply[3] & RCODE == 0;
    let replies: Vec<_> = (0..100)
        .map(|_| ask_udp("127.0.0.1:0", server, &random).0)
        .collect();
    assert!(replies.iter().any(|reply| reply[3] & RCODE == 3));
    let held = replies.iter().filter(|reply| is_limited(reply)).count();
    assert!(held > 0, "nothing was held back");
    assert!(
        replies
            .iter()
            .all(|reply| reply.len() <= random.len() || !is_limited(reply))
    );
    assert_eq!(
        metrics.replies(Transport::Udp, ReplyClass::Limited),
        held as u64
    );
    let www = query(2, "www.example.org", RecordType::A);
    let (answered, _) = ask_udp("127.0.0.1:0", server, &www);
    assert!(
        answered.ends_with(&[192, 0, 2, 1]),
        "records are not held back"
    );
    let mut stream = tcp_client(server);
    stream.write_all(&framed(&random)).unwrap();
    assert_eq!(read_framed(&mut stream)[3] & RCODE, 3, "NXDOMAIN over TCP");
    handle.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_is_closed() {
    let (handle, _) = start(&options(&["127.0.0.1:0"]));
    let mut stream = tokio::net::TcpStream::connect(handle.local_addrs(Transport::Tcp)[0])
        .await
        .unwrap();
    let before = tokio::time::Instant::now();
    let mut byte = [0; 1];
    assert_eq!(stream.read(&mut byte).await.unwrap(), 0);
    assert!(before.elapsed() >= Duration::from_secs(9));
    handle.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_published_snapshot_answers_the_next_query() {
    let (handle, _) = start(&options(&["127.0.0.1:0"]));
    let server = handle.local_addrs(Transport::Tcp)[0];
    let www = query(1, "www.example.org", RecordType::A);
    for last in 1..50 {
        handle.publish(snapshot(u64::from(last), last));
        assert_eq!(handle.generation(), u64::from(last));
        assert!(
            ask_udp("127.0.0.1:0", server, &www)
                .0
                .ends_with(&[192, 0, 2, last])
        );
    }
    handle.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn junk_does_not_stop_the_answers() {
    let (handle, metrics) = start(&options(&["127.0.0.1:0"]));
    let server = handle.local_addrs(Transport::Tcp)[0];
    let socket = udp_client("127.0.0.1:0");
    for junk in [&b""[..], b"x", &[0xff; 12], &[0; 1400], &[0x55; 4000]] {
        socket.send_to(junk, server).unwrap();
    }
    socket
        .send_to(&query(9, "www.example.org", RecordType::A), server)
        .unwrap();
    let mut reply = [0; 2048];
    let answered = (0..5).any(|_| {
        let len = socket.recv(&mut reply).unwrap();
        reply[..len].starts_with(&[0, 9]) && reply[..len].ends_with(&[192, 0, 2, 1])
    });
    assert!(answered);
    assert!(metrics.replies(Transport::Udp, ReplyClass::Dropped) >= 3);
    handle.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_that_is_taken_is_named_and_nothing_else_listens() {
    // An address of this test alone: nobody else's TCP has the port.
    let taken = UdpSocket::bind("127.77.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let metrics = DnsMetrics::new(&mut Registry::default());
    let result = DnsServer::start(
        &options(&[&address.to_string()]),
        Arc::new(Snapshot::empty()),
        &metrics,
    );
    let Err(error @ Error::Taken { .. }) = result else {
        panic!("it started")
    };
    let text = error.to_string();
    assert!(text.contains(&format!("udp {address} is taken")), "{text}");
    assert!(text.contains("listen on another address or port"), "{text}");

    let (handle, _) = start(&options(&["127.0.0.1:0"]));
    let second = options(&[&handle.local_addrs(Transport::Tcp)[0].to_string()]);
    let result = DnsServer::start(&second, Arc::new(Snapshot::empty()), &metrics);
    assert_eq!(
        result.err().map(|error| error.kind()),
        Some("taken"),
        "no silent sharing"
    );
    let none = DnsServer::start(&options(&[]), Arc::new(Snapshot::empty()), &metrics);
    assert_eq!(none.err().map(|error| error.kind()), Some("no_address"));
    handle.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_server_frees_its_ports() {
    let (handle, _) = start(&options(&["127.0.0.1:0", "127.0.0.2:0"]));
    let addresses = handle.local_addrs(Transport::Tcp).to_vec();
    let mut open = tcp_client(addresses[0]);
    handle.stop().await;
    assert_eq!(open.read(&mut [0; 1]).unwrap_or(0), 0, "connections end");
    for address in &addresses {
        UdpSocket::bind(address).unwrap();
    }
    let again: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    let again: Vec<&str> = again.iter().map(String::as_str).collect();
    start(&options(&again)).0.stop().await;
}
