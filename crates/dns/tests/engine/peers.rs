//! The same zone on Debian's `knotd` and `nsd`: rcode, flags and sections agree.
//!
//! What is left out on purpose: ANY (each answers its own minimum, RFC 8482), the NS records that
//! NSD adds to answers, and addresses that Knot adds for MX and NS (both optional).

use std::fs;
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use meridian_dns::{Name, Record, RecordType, Snapshot, SnapshotBuilder, Zone, read_records};

use crate::properties::{client, name, query, reply};
use crate::reply::{Decoded, decode, lines};

const ZONE: &str = r#"
@ 3600 SOA ns1 host 1 7200 3600 1209600 300
@ NS ns1
@ NS ns.example.net.
@ MX 10 mail
ns1 A 192.0.2.53
mail 600 A 192.0.2.25
mail AAAA 2001:db8::25
www 60 A 192.0.2.1
www 60 A 192.0.2.2
www TXT "a" "b"
x.y.ent A 192.0.2.3
*.wild TXT "wild"
*.wild MX 5 mail
deep.under.wild A 192.0.2.4
*.alias CNAME www
a.*.star A 192.0.2.5
one CNAME two
two CNAME www
lost CNAME nowhere
bare CNAME ns1
out CNAME www.example.net.
sub NS ns.sub
sub NS ns.other
sub DS 1 13 2 0102030405060708091011121314151617181920212223242526272829303132
ns.sub A 192.0.2.6
hidden.sub TXT "hidden"
other NS ns.other
ns.other AAAA 2001:db8::6
into CNAME www.sub
old DNAME new
old TXT "owner"
www.new A 192.0.2.7
away DNAME example.net.
odd TYPE65280 \# 3 010203
caa CAA 0 issue "ca.example.net"
_s._tcp SRV 1 2 3 www
"#;

/// A server of another kind, stopped at the end.
struct Peer {
    label: &'static str,
    process: Child,
    port: u16,
    folder: PathBuf,
}

impl Drop for Peer {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

impl Peer {
    /// Starts a server; none when it is not installed.
    fn start(label: &'static str, arguments: &[&str], config: &str) -> Option<Self> {
        let program = Path::new("/usr/sbin").join(label);
        if !program.exists() {
            assert!(std::env::var_os("CI").is_none(), "{label} is not installed");
            println!("skipped: {label} is not installed");
            return None;
        }
        let port = UdpSocket::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let folder = std::env::temp_dir().join(format!("meridian-{label}-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let config = config
            .replace("PORT", &port.to_string())
            .replace("FOLDER", &folder.to_string_lossy());
        fs::write(folder.join("peer.conf"), config).unwrap();
        fs::write(
            folder.join("zone"),
            format!("$ORIGIN example.org.\n$TTL 300{ZONE}"),
        )
        .unwrap();
        let process = Command::new(program)
            .args(arguments)
            .arg(folder.join("peer.conf"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let peer = Self {
            label,
            process,
            port,
            folder,
        };
        let start = Instant::now();
        let soa = query(&name("example.org"), RecordType::SOA);
        while peer.ask(&soa, Duration::from_millis(100)).is_none() {
            assert!(
                start.elapsed() < Duration::from_secs(20),
                "{label} does not answer"
            );
        }
        Some(peer)
    }

    fn ask(&self, query: &[u8], patience: Duration) -> Option<Decoded> {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.connect(("127.0.0.1", self.port)).unwrap();
        socket.set_read_timeout(Some(patience)).unwrap();
        socket.send(query).ok()?;
        let mut reply = [0; 4096];
        let len = socket.recv(&mut reply).ok()?;
        let decoded = decode(&reply[..len]);
        (decoded.rcode != 2).then_some(decoded)
    }
}

const NSD: &str = "server:\n  ip-address: 127.0.0.1@PORT\n  port: PORT\n  username: \"\"\n  \
    zonesdir: \"FOLDER\"\n  pidfile: \"FOLDER/pid\"\n  xfrdfile: \"FOLDER/xfrd\"\n  \
    zonelistfile: \"FOLDER/list\"\n  logfile: \"FOLDER/log\"\n  xfrdir: \"FOLDER\"\n  \
    rrl-ratelimit: 0\nremote-control:\n  control-enable: no\n\
    zone:\n  name: example.org\n  zonefile: zone\n";

const KNOT: &str = "server:\n  rundir: FOLDER\n  listen: 127.0.0.1@PORT\n\
    database:\n  storage: FOLDER\n\
    zone:\n  - domain: example.org\n    storage: FOLDER\n    file: zone\n    \
    zonefile-load: whole\n    journal-content: none\n";

fn ours() -> Snapshot {
    let origin = name("example.org");
    let records = read_records(ZONE, &origin, 300).unwrap();
    let mut builder = SnapshotBuilder::new();
    builder.zone(&Zone { origin, records }).unwrap();
    builder.build(1)
}

/// Every owner, what is above and what is below.
fn names() -> Vec<Name> {
    let origin = name("example.org");
    let records = read_records(ZONE, &origin, 300).unwrap();
    let owners = records.iter().flat_map(|record| record.owner.ancestry());
    let mut names: Vec<Name> = owners.filter(|name| name.is_within(&origin)).collect();
    for name in names.clone() {
        names.extend(
            ["zz", "www", "*", "a.b"]
                .iter()
                .filter_map(|label| name.child(label).ok()),
        );
    }
    names.push(name("example.net"));
    names.sort();
    names.dedup();
    names
}

fn sorted(records: &[Record]) -> Vec<String> {
    let mut lines = lines(records);
    lines.sort();
    lines
}

/// What must be the same.
fn essence(reply: &Decoded) -> String {
    let flags: Vec<_> = reply.flags.iter().filter(|flag| **flag != "RD").collect();
    let mut authority = reply.authority.clone();
    let is_referral = reply.answer.is_empty() && !reply.flags.contains(&"AA");
    let at_apex = |record: &Record| record.owner == name("example.org");
    authority.retain(|r| !(r.record_type == RecordType::NS && at_apex(r)));
    authority.retain(|r| r.record_type != RecordType::DS);
    let additional = if is_referral {
        sorted(&reply.additional)
    } else {
        Vec::new()
    };
    let answer = sorted(&reply.answer);
    let authority = sorted(&authority);
    format!(
        "{} {flags:?}\n{answer:#?}\n{authority:#?}\n{additional:#?}",
        reply.rcode
    )
}

#[test]
fn knot_and_nsd_agree_on_a_zone_with_everything() {
    let peers = [
        Peer::start("nsd", &["-d", "-c"], NSD),
        Peer::start("knotd", &["-c"], KNOT),
    ];
    let snapshot = ours();
    let types = [1, 28, 16, 2, 5, 6, 15, 33, 39, 43, 257, 65280].map(RecordType);
    let mut differences = Vec::new();
    let mut asked = 0;
    for peer in peers.iter().flatten() {
        for owner in names() {
            for record_type in types {
                let query = query(&owner, record_type);
                let mine = essence(&decode(&reply(&snapshot, &query, &client())));
                asked += 1;
                // A datagram may get lost on a machine that is busy.
                let theirs = (0..3).find_map(|_| peer.ask(&query, Duration::from_secs(5)));
                let theirs = theirs.map_or("none".to_owned(), |reply| essence(&reply));
                if mine != theirs {
                    differences.push(format!(
                        "{owner} {record_type}\nours: {mine}\n{}: {theirs}",
                        peer.label
                    ));
                }
            }
        }
    }
    println!("{asked} queries compared");
    let shown = differences
        .iter()
        .take(12)
        .cloned()
        .collect::<Vec<_>>()
        .join("\n\n");
    assert!(
        differences.is_empty(),
        "{} differences\n{shown}",
        differences.len()
    );
}
