//! Plays `tests/dns/*.rpl` over real sockets: what the engine says reaches who asked, by datagrams
//! and over connections, on which everything that comes is asked before anything is read (RFC 7766
//! § 6.2.1.1).
//!
//! Left out are the steps whose client, clock or chance is another than those of this machine.
#![cfg(test)]

extern crate dns as meridian_dns;

#[path = "../../dns/tests/engine/compare.rs"]
mod compare;
#[path = "../../dns/tests/engine/reply.rs"]
mod reply;
#[path = "../../dns/tests/engine/script_file.rs"]
mod script_file;
#[path = "../../dns/tests/engine/script_query.rs"]
mod script_query;
#[path = "../../dns/tests/engine/signature.rs"]
mod signature;

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use dns::{Challenges, Rates, SnapshotBuilder, Transport, UpdateCode};
use meridian_dns_server::{DnsMetrics, DnsServer, Handle, Options, UpdateRequest};
use prometheus_client::registry::Registry;
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;

use script_file::{Script, Step};
use signature::Signed;

const PATIENCE: Duration = Duration::from_secs(10);
/// What depends on the client, the clock or chance, or has no reply to wait for.
const ELSEWHERE: [&str; 5] = ["CLIENT", "NOW", "ENTROPY", "LIMITED", "NO_REPLY"];
/// Whose answers differ with chance, or from client to client.
const CHANCE: [&str; 2] = ["        weighted ", "        prefix "];

#[tokio::test(flavor = "multi_thread")]
async fn what_scripts_say_holds_over_datagrams_and_connections() {
    let mut failures = Vec::new();
    let mut played = 0;
    for path in script_file::paths() {
        let text = fs::read_to_string(&path).unwrap();
        if CHANCE.iter().any(|word| text.contains(word)) {
            continue;
        }
        let script = Arc::new(script_file::read(&text));
        let (handle, updates) = start(&script);
        let server = handle.local_addrs(Transport::Udp)[0];
        let playing = spawn_blocking({
            let script = Arc::clone(&script);
            move || play(&script, server)
        });
        let (steps, problems) = keep(&script, &handle, updates, playing).await;
        played += steps;
        failures.extend(problems.iter().map(|it| format!("{}, {it}", stem(&path))));
        handle.stop().await;
    }
    assert!(
        failures.is_empty(),
        "{} of {played}:\n{}",
        failures.len(),
        failures.join("\n")
    );
    assert!(played >= 150, "only {played} steps");
}

fn stem(path: &Path) -> String {
    path.file_stem().unwrap().to_string_lossy().into_owned()
}

fn start(script: &Script) -> (Handle, mpsc::Receiver<UpdateRequest>) {
    let listen = vec!["127.0.0.1:0".parse().unwrap()];
    let mut options = Options::new(listen, script.server.secrets.clone());
    options.identity = script.server.identity.clone();
    options.rates = Rates {
        errors: None,
        nxdomain: None,
        ..Rates::default()
    };
    let (updates, asked) = mpsc::channel(64);
    options.updates = script.has_updates.then_some(updates);
    let snapshot = SnapshotBuilder::from(&script.snapshot).build(1);
    let metrics = DnsMetrics::new(&mut Registry::default());
    let handle = DnsServer::start(&options, Arc::new(snapshot), &metrics).unwrap();
    handle.set_keys(script.server.keys.clone());
    (handle, asked)
}

/// Keeps challenges until all is played.
async fn keep<T>(
    script: &Script,
    handle: &Handle,
    mut updates: mpsc::Receiver<UpdateRequest>,
    mut playing: tokio::task::JoinHandle<T>,
) -> T {
    let mut challenges = Challenges::new();
    loop {
        let request = tokio::select! {
            played = &mut playing => return played.unwrap(),
            Some(request) = updates.recv() => request,
        };
        match request.update().apply(&challenges) {
            Ok(next) => {
                challenges = next;
                let snapshot = script.with(&challenges, &script.snapshot);
                handle.publish(Arc::new(snapshot));
                request.answer(UpdateCode::NoError);
            }
            Err(code) => request.answer(code),
        }
    }
}

/// How many steps were played, and what was wrong.
fn play(script: &Script, server: SocketAddr) -> (usize, Vec<String>) {
    let mut problems = Vec::new();
    let steps: Vec<&Step> = script.steps.iter().filter(|it| is_played(it)).collect();
    // Those that follow each other on the same way share a connection; changes come one after another.
    for run in steps.chunk_by(|a, b| way(a) == way(b)) {
        let now_secs = unix_secs();
        let sent: Vec<Sent> = run
            .iter()
            .map(|step| sent(script, step, now_secs))
            .collect();
        let replies = match way(run[0]) {
            Transport::Tcp => over_connection(server, &sent),
            _ => sent.iter().map(|it| by_datagram(server, it)).collect(),
        };
        let now = u64::from(now_secs)..=u64::from(unix_secs());
        for ((step, sent), reply) in run.iter().zip(&sent).zip(replies) {
            let (messages, told) = signature::verify(vec![reply], sent.signed.as_ref(), &now);
            let checked = compare::check(step, &messages, &told);
            problems.extend(checked.err().map(|it| format!("{}: {it}", step.label)));
        }
    }
    (steps.len(), problems)
}

fn is_played(step: &Step) -> bool {
    let both = [&step.query, &step.expected];
    let is_elsewhere = both
        .iter()
        .any(|entry| ELSEWHERE.iter().any(|word| entry.get(word).is_some()));
    let has_cookie = step.query.all("OPTION").any(|it| it.starts_with("COOKIE"));
    let is_plain = matches!(way(step), Transport::Udp | Transport::Tcp);
    is_plain && !is_elsewhere && !has_cookie
}

fn way(step: &Step) -> Transport {
    step.query.client().transport
}

/// A query as it is sent.
struct Sent {
    bytes: Vec<u8>,
    signed: Option<Signed>,
}

fn sent(script: &Script, step: &Step, now_secs: u32) -> Sent {
    let bare = script_query::query(&step.query);
    let known = |name: &str| script.keys.get(name).map(String::as_str);
    let line = step.query.get("TSIG");
    let signed = line.map(|line| signature::sign(bare.clone(), line, now_secs, known));
    Sent {
        bytes: signed.as_ref().map_or(bare, |it| it.query.clone()),
        signed,
    }
}

fn by_datagram(server: SocketAddr, sent: &Sent) -> Vec<u8> {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(server).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.send(&sent.bytes).unwrap();
    let mut reply = vec![0; 65_535];
    let len = socket.recv(&mut reply).unwrap();
    reply.truncate(len);
    reply
}

/// All of it is sent, then all replies are read, which come in the same order here.
fn over_connection(server: SocketAddr, sent: &[Sent]) -> Vec<Vec<u8>> {
    let mut stream = TcpStream::connect(server).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    for it in sent {
        let length = (it.bytes.len() as u16).to_be_bytes();
        stream
            .write_all(&[&length, &it.bytes[..]].concat())
            .unwrap();
    }
    let mut read = || {
        let mut length = [0; 2];
        stream.read_exact(&mut length).unwrap();
        let mut reply = vec![0; usize::from(u16::from_be_bytes(length))];
        stream.read_exact(&mut reply).unwrap();
        reply
    };
    sent.iter().map(|_| read()).collect()
}

fn unix_secs() -> u32 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    since.as_secs() as u32
}
