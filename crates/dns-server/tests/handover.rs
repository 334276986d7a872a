//! A successor takes the sockets of a server that answers: no query is lost, however often.
#![cfg(test)]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use dns::{Name, RecordType, Secrets, Snapshot, SnapshotBuilder, Transport, Zone, read_records};
use meridian_dns_server::{DnsMetrics, DnsServer, Handle, Named, Options, give, take};
use prometheus_client::registry::Registry;

const TIMES: u32 = 100;
/// A reply that takes longer is lost.
const PATIENCE: Duration = Duration::from_secs(5);

fn snapshot(number: u32) -> Arc<Snapshot> {
    let origin = Name::parse("example.org").unwrap();
    let text = "@ SOA ns host 1 2 3 4 5\n@ NS ns\nwww A 192.0.2.1\n";
    let records = read_records(text, &origin, 300).unwrap();
    let mut builder = SnapshotBuilder::new();
    builder.zone(&Zone { origin, records }).unwrap();
    Arc::new(builder.build(u64::from(number)))
}

fn options(listen: SocketAddr) -> Options {
    let secrets = Secrets {
        current: [1; 16],
        other: None,
    };
    Options {
        udp_threads: 2,
        ..Options::new(vec![listen], secrets)
    }
}

fn www() -> Vec<u8> {
    let mut query = vec![0, 7, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    query.extend(Name::parse("www.example.org").unwrap().wire());
    query.extend(RecordType::A.0.to_be_bytes());
    query.extend([0, 1]);
    query
}

/// Asks again and again until it is told to stop, each query once; how many were answered.
fn ask(
    stop: &Arc<AtomicBool>,
    mut once: impl FnMut() -> bool + Send + 'static,
) -> JoinHandle<usize> {
    let stop = Arc::clone(stop);
    thread::spawn(move || {
        let mut answered = 0;
        while !stop.load(Ordering::Relaxed) {
            assert!(once(), "a query was lost after {answered}");
            answered += 1;
        }
        answered
    })
}

fn succeed(before: &Handle, listen: SocketAddr, number: u32) -> Handle {
    let (mut here, mut there) = UnixStream::pair().unwrap();
    give(&mut here, before.sockets()).unwrap();
    let sockets: Vec<Named> = take(&mut there).unwrap();
    let metrics = DnsMetrics::new(&mut Registry::default());
    DnsServer::succeed(&options(listen), sockets, snapshot(number), &metrics).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_successors_lose_no_query() {
    let metrics = DnsMetrics::new(&mut Registry::default());
    let any = "127.0.0.1:0".parse().unwrap();
    let mut server = DnsServer::start(&options(any), snapshot(0), &metrics).unwrap();
    let address = server.local_addrs(Transport::Udp)[0];
    let stop = Arc::new(AtomicBool::new(false));
    let asking = [0, 1].map(|_| {
        let mut socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let mut count = 0u32;
        ask(&stop, move || {
            count += 1;
            // Another port, so that the system chooses another of the server's sockets.
            if count.is_multiple_of(50) {
                socket = UdpSocket::bind("127.0.0.1:0").unwrap();
            }
            socket.set_read_timeout(Some(PATIENCE)).unwrap();
            socket.send_to(&www(), address).unwrap();
            let mut reply = [0; 512];
            let len = socket.recv(&mut reply).unwrap_or(0);
            reply[..len].ends_with(&[192, 0, 2, 1])
        })
    });
    let connecting = ask(&stop, move || {
        let framed = [&(www().len() as u16).to_be_bytes()[..], &www()].concat();
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut length = [0; 2];
        let asked = stream
            .write_all(&framed)
            .and_then(|()| stream.read_exact(&mut length));
        let mut reply = vec![0; usize::from(u16::from_be_bytes(length))];
        asked.and_then(|()| stream.read_exact(&mut reply)).is_ok()
            && reply.ends_with(&[192, 0, 2, 1])
    });
    for number in 1..=TIMES {
        let next = succeed(&server, address, number);
        assert_eq!(next.local_addrs(Transport::Udp), [address]);
        assert_eq!(next.generation(), u64::from(number));
        server.stop().await;
        server = next;
    }
    stop.store(true, Ordering::Relaxed);
    let answered: usize = asking.into_iter().map(|it| it.join().unwrap()).sum();
    let connected = connecting.join().unwrap();
    assert!(
        answered > 1000 && connected > 100,
        "{answered}, {connected}"
    );
    server.stop().await;
}
