//! Under attack: what comes from everywhere at once neither grows memory nor keeps others from
//! their answers.
#![cfg(test)]

use std::fs;
use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use dns::{Name, RecordType, ReplyClass, Secrets, SnapshotBuilder, Transport, Zone, read_records};
use meridian_dns_server::{DnsMetrics, DnsServer, Handle, Options};
use prometheus_client::registry::Registry;
use socket2::{Domain, Socket, Type};

/// What the process may grow by: buffers of the kernel are not its own.
const GROWTH_BYTES_MAX: u64 = 16 << 20;
/// Datagrams of the flood.
const FLOOD: u64 = 300_000;
/// Networks that they come from.
const NETWORKS: usize = 200;
/// Answers that an honest client gets meanwhile, however long that takes.
const ANSWERS: u64 = 100;
/// How often an honest client asks again: its datagrams share a full queue with the flood's.
const TRIES_MAX: usize = 50;

fn start(options: impl Fn(&mut Options)) -> (Handle, DnsMetrics) {
    let origin = Name::parse("example.org").unwrap();
    let text = "@ SOA ns host 1 2 3 4 5\n@ NS ns\nwww A 192.0.2.1\n";
    let records = read_records(text, &origin, 300).unwrap();
    let mut builder = SnapshotBuilder::new();
    builder.zone(&Zone { origin, records }).unwrap();
    let secrets = Secrets {
        current: [1; 16],
        other: None,
    };
    let mut all = Options::new(vec!["127.0.0.1:0".parse().unwrap()], secrets);
    options(&mut all);
    let metrics = DnsMetrics::new(&mut Registry::default());
    let handle = DnsServer::start(&all, Arc::new(builder.build(1)), &metrics).unwrap();
    (handle, metrics)
}

fn query(id: u64, owner: &str) -> Vec<u8> {
    let mut query = (id as u16).to_be_bytes().to_vec();
    query.extend([0, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    query.extend(Name::parse(owner).unwrap().wire());
    query.extend(RecordType::A.0.to_be_bytes());
    query.extend([0, 1]);
    query
}

/// Resident memory of this process.
fn memory_bytes() -> u64 {
    let text = fs::read_to_string("/proc/self/statm").unwrap();
    let pages: u64 = text.split(' ').nth(1).unwrap().parse().unwrap();
    pages * 4096
}

/// Sends random names from many networks until it is told to stop; how many.
fn flood(server: SocketAddr, from: &[UdpSocket], stop: &AtomicBool, sent: &AtomicU64) {
    let mut number = 0u64;
    let mut reply = [0; 512];
    while !stop.load(Ordering::Relaxed) {
        let socket = &from[number as usize % from.len()];
        let owner = format!(
            "n{}.example.org",
            number.wrapping_mul(0x9e37_79b9_7f4a_7c15)
        );
        // The system may have no room: a flood does not care.
        let _ = socket.send_to(&query(number, &owner), server);
        let _ = socket.recv(&mut reply);
        number += 1;
        sent.store(number, Ordering::Relaxed);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_from_everywhere_grows_no_memory_and_starves_nobody() {
    // So few that a busy machine's flood is over the rate as well.
    let (handle, metrics) = start(|options| options.rates.nxdomain = NonZeroU32::new(20));
    let server = handle.local_addrs(Transport::Udp)[0];
    let from: Vec<_> = (0..NETWORKS)
        .map(|i| {
            let address = IpAddr::from([127, 1 + (i >> 8) as u8, i as u8, 1]);
            let socket = UdpSocket::bind((address, 0)).unwrap();
            socket.set_nonblocking(true).unwrap();
            socket
        })
        .collect();
    let stop = Arc::new(AtomicBool::new(false));
    let sent = Arc::new(AtomicU64::new(0));
    let flooding = {
        let (stop, sent) = (Arc::clone(&stop), Arc::clone(&sent));
        thread::spawn(move || flood(server, &from, &stop, &sent))
    };
    let honest = thread::spawn(move || {
        let socket = UdpSocket::bind("127.200.0.1:0").unwrap();
        socket.connect(server).unwrap();
        socket
            .set_read_timeout(Some(Duration::from_millis(200)))
            .unwrap();
        let mut first = None;
        let mut answered = 0u64;
        while answered < ANSWERS || sent.load(Ordering::Relaxed) < FLOOD {
            let asked = query(answered, "www.example.org");
            let mut reply = [0; 512];
            let got = (0..TRIES_MAX).any(|_| {
                socket.send(&asked).unwrap();
                let len = socket.recv(&mut reply).unwrap_or(0);
                reply[..len].ends_with(&[192, 0, 2, 1])
            });
            assert!(got, "an honest client was starved after {answered} answers");
            answered += 1;
            // Buffers and tables are in use by now.
            if sent.load(Ordering::Relaxed) > FLOOD / 10 {
                first.get_or_insert_with(memory_bytes);
            }
        }
        (first.unwrap(), memory_bytes())
    });
    let (before, after) = honest.join().unwrap();
    stop.store(true, Ordering::Relaxed);
    flooding.join().unwrap();
    let growth = after.saturating_sub(before);
    assert!(growth < GROWTH_BYTES_MAX, "{before} became {after} bytes");
    let held = metrics.replies(Transport::Udp, ReplyClass::Limited);
    assert!(held > 0, "nothing was held back");
    handle.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_from_everywhere_are_bounded_and_leave_room_when_they_go() {
    const PLACES: usize = 20;
    let (handle, _) = start(|options| options.connections_max = PLACES);
    let server = handle.local_addrs(Transport::Tcp)[0];
    let connect = |last: u8| {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        let from = SocketAddr::from(([127, 9, 0, last], 0));
        socket.bind(&from.into()).unwrap();
        socket.connect(&server.into()).unwrap();
        let stream = TcpStream::from(socket);
        stream
            .set_read_timeout(Some(Duration::from_secs(5)))
            .unwrap();
        stream
    };
    let www = query(1, "www.example.org");
    let framed = [&(www.len() as u16).to_be_bytes()[..], &www].concat();
    let served = |stream: &mut TcpStream| {
        let mut byte = [0; 1];
        stream.write_all(&framed).is_ok() && matches!(stream.read(&mut byte), Ok(1))
    };
    let mut open: Vec<_> = (1..=100).map(connect).collect();
    let count = open.iter_mut().map(&served).filter(|it| *it).count();
    assert_eq!(count, PLACES);
    drop(open);
    // The server learns of the ends by itself; each refusal shows that it has not yet.
    let again = (0..10_000).any(|_| served(&mut connect(200)));
    assert!(again, "places that were left can be taken");
    handle.stop().await;
}
