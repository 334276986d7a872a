//! A secondary that nobody here wrote: knotd holds our zone, follows our serials, and is the only
//! one that gets it.
#![cfg(test)]

use std::fmt::Write as _;
use std::fs;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use dns::{
    Key, Keys, Name, Secondary, Secrets, Snapshot, SnapshotBuilder, Transfer, Transport, Zone,
    read_records,
};
use meridian_dns_server::{DnsMetrics, DnsServer, Handle, Options};
use prometheus_client::registry::Registry;

const KEY: &str = "hmac-sha256:c2VjcmV0IHNlY3JldCBzZWNyZXQgc2VjcmV0IQ==";
const SECRET: &str = "c2VjcmV0IHNlY3JldCBzZWNyZXQgc2VjcmV0IQ==";
const PATIENCE: Duration = Duration::from_secs(30);

/// Whether a program is there; CI has them all.
fn is_installed(program: &str) -> bool {
    let found = ["/usr/sbin", "/usr/bin"]
        .iter()
        .any(|folder| Path::new(folder).join(program).exists());
    assert!(
        found || std::env::var_os("CI").is_none(),
        "{program} is not installed"
    );
    if !found {
        println!("skipped: {program} is not installed");
    }
    found
}

fn publish(before: Option<&Snapshot>, serial: u32, text: &str, notify: SocketAddr) -> Snapshot {
    let origin = Name::parse("example.org").unwrap();
    let text = format!("@ SOA ns1 host {serial} 7200 3600 1209600 300\n@ NS ns1\n{text}");
    let records = read_records(&text, &origin, 300).unwrap();
    let mut builder = before.map_or_else(SnapshotBuilder::new, SnapshotBuilder::from);
    let zone = Zone {
        origin: origin.clone(),
        records: records.clone(),
    };
    builder.zone(&zone).unwrap();
    let secondary = Secondary {
        networks: Vec::new(),
        key: Some(Name::parse("transfer.example").unwrap()),
        notify: vec![notify],
    };
    let transfer = Transfer {
        secondaries: vec![secondary],
        records,
    };
    builder.transfer(&origin, &transfer).unwrap();
    builder.build(u64::from(serial))
}

fn start(snapshot: &Arc<Snapshot>) -> Handle {
    let secrets = Secrets {
        current: [1; 16],
        other: None,
    };
    let options = Options::new(vec!["127.0.0.1:0".parse().unwrap()], secrets);
    let metrics = DnsMetrics::new(&mut Registry::default());
    let handle = DnsServer::start(&options, Arc::clone(snapshot), &metrics).unwrap();
    handle.set_keys(Keys::new(vec![
        Key::parse("transfer.example", KEY).unwrap(),
    ]));
    handle
}

/// knotd as our secondary, stopped at the end.
struct Knot {
    process: Child,
    address: SocketAddr,
    folder: PathBuf,
}

impl Drop for Knot {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

impl Knot {
    fn start(primary: SocketAddr, address: SocketAddr) -> Self {
        let folder = std::env::temp_dir().join(format!("meridian-secondary-{}", address.port()));
        fs::create_dir_all(&folder).unwrap();
        let at = folder.display();
        let (port, theirs) = (address.port(), primary.port());
        let config = format!(
            "server:\n  rundir: {at}\n  listen: 127.0.0.1@{port}\n\
             log:\n  - target: {at}/log\n    any: debug\n\
             database:\n  storage: {at}\n\
             key:\n  - id: transfer.example\n    algorithm: hmac-sha256\n    secret: {SECRET}\n\
             remote:\n  - id: meridian\n    address: 127.0.0.1@{theirs}\n    key: transfer.example\n\
             acl:\n  - id: notices\n    address: 127.0.0.1\n    key: transfer.example\n    action: notify\n\
             zone:\n  - domain: example.org\n    storage: {at}\n    master: meridian\n    acl: notices\n    \
             zonefile-load: none\n    journal-content: all\n"
        );
        fs::write(folder.join("knot.conf"), config).unwrap();
        let process = Command::new("knotd")
            .arg("-c")
            .arg(folder.join("knot.conf"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self {
            process,
            address,
            folder,
        }
    }

    /// Waits for an answer to hold; what it answers then.
    fn await_answer(&self, name: &str, record_type: &str, expected: &str) {
        let start = Instant::now();
        loop {
            let output = kdig(self.address, &[name, record_type, "+short"]);
            if output.trim() == expected {
                return;
            }
            let log = fs::read_to_string(self.folder.join("log")).unwrap_or_default();
            assert!(
                start.elapsed() < PATIENCE,
                "{name} {record_type} is {output:?}, not {expected:?}\n{log}"
            );
        }
    }

    fn await_log(&self, line: &str) {
        let start = Instant::now();
        loop {
            let log = fs::read_to_string(self.folder.join("log")).unwrap_or_default();
            if log.contains(line) {
                return;
            }
            assert!(start.elapsed() < PATIENCE, "{line:?} is not in\n{log}");
        }
    }
}

fn kdig(server: SocketAddr, arguments: &[&str]) -> String {
    let output = Command::new("kdig")
        .args([
            "@127.0.0.1",
            "-p",
            &server.port().to_string(),
            "+retry=0",
            "+timeout=1",
        ])
        .args(arguments)
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    String::from_utf8_lossy(&said).into_owned()
}

/// A port that was free a moment ago, for both protocols. It is below those that a system gives
/// connections that go out, so that none of them takes it until knotd does.
fn free() -> SocketAddr {
    let first = 20_000 + std::process::id() % 10_000;
    let address = |turn: u32| SocketAddr::from(([127, 0, 0, 1], (first + turn) as u16));
    let is_free = |address: &SocketAddr| {
        UdpSocket::bind(address).is_ok() && TcpListener::bind(address).is_ok()
    };
    let found = (0..2_000).map(address).find(is_free);
    found.expect("a port is free")
}

#[tokio::test(flavor = "multi_thread")]
async fn knot_holds_our_zone_and_follows_its_serials_by_steps() {
    if !is_installed("knotd") || !is_installed("kdig") {
        return;
    }
    let mut text =
        String::from("www A 192.0.2.1\nold A 192.0.2.9\nsub NS ns.sub\nns.sub A 192.0.2.2\n");
    for i in 0..5000 {
        writeln!(text, "n{i} TXT \"number {i}\"").unwrap();
    }
    let address = free();
    let first = Arc::new(publish(None, 1, &text, address));
    let server = start(&first);
    let primary = server.local_addrs(Transport::Tcp)[0];
    let checks = tokio::task::spawn_blocking(move || {
        let knot = Knot::start(primary, address);
        knot.await_answer(
            "example.org",
            "SOA",
            "ns1.example.org. host.example.org. 1 7200 3600 1209600 300",
        );
        knot.await_answer("n4999.example.org", "TXT", "\"number 4999\"");
        knot
    });
    let knot = checks.await.unwrap();
    // A notice brings the next serial, and the secondary takes the step only.
    let changed = text.replace("old A 192.0.2.9", "new A 192.0.2.10");
    server.publish(Arc::new(publish(Some(&first), 2, &changed, address)));
    let checks = tokio::task::spawn_blocking(move || {
        knot.await_answer("new.example.org", "A", "192.0.2.10");
        knot.await_answer("old.example.org", "A", "");
        assert!(!kdig(knot.address, &["n1.example.org", "TXT", "+short"]).is_empty());
        knot.await_log("IXFR, incoming");
        knot.await_log("notify, incoming");
    });
    checks.await.unwrap();
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transfer_needs_the_right_key() {
    if !is_installed("kdig") {
        return;
    }
    let server = start(&Arc::new(publish(None, 1, "www A 192.0.2.1", free())));
    let primary = server.local_addrs(Transport::Tcp)[0];
    let checks = tokio::task::spawn_blocking(move || {
        let with = |key: &str, rest: &[&str]| {
            let key = format!("hmac-sha256:{key}");
            kdig(
                primary,
                &[&["-y", &key, "+tcp", "example.org"], rest].concat(),
            )
        };
        let right = with(&format!("transfer.example:{SECRET}"), &["AXFR"]);
        assert!(
            right.contains("www.example.org.") && right.contains("192.0.2.1"),
            "{right}"
        );
        assert!(!right.contains("WARNING"), "{right}");
        let unsigned = kdig(primary, &["+tcp", "example.org", "AXFR"]);
        assert!(
            unsigned.contains("REFUSED") && !unsigned.contains("192.0.2.1"),
            "{unsigned}"
        );
        let unknown = with(&format!("other.example:{SECRET}"), &["AXFR"]);
        assert!(!unknown.contains("192.0.2.1"), "{unknown}");
        let unknown = with(&format!("other.example:{SECRET}"), &["SOA"]);
        assert!(unknown.contains("status: BADKEY"), "{unknown}");
        let wrong = with(
            "transfer.example:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
            &["SOA"],
        );
        assert!(wrong.contains("status: BADSIG"), "{wrong}");
        // Any other query may be signed as well, and then its reply is.
        let signed = with(&format!("transfer.example:{SECRET}"), &["SOA", "+notcp"]);
        assert!(
            signed.contains("NOERROR") && signed.contains("TSIG"),
            "{signed}"
        );
        assert!(!signed.contains("WARNING"), "{signed}");
    });
    checks.await.unwrap();
    server.stop().await;
}
