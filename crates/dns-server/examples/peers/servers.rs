//! Servers that others wrote, on the loopback interface, ended when they are no longer needed.

use std::fmt::Write as _;
use std::fs;
use std::net::{SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::Fallible;
use crate::zones::Made;

/// How long one may take to load the zones.
const PATIENCE: Duration = Duration::from_secs(30);

/// A server that runs.
pub(crate) struct Peer {
    pub(crate) label: &'static str,
    pub(crate) address: SocketAddr,
    process: Child,
}

impl Drop for Peer {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A configuration with these zones, for a folder and a port.
type Configure = fn(&[Made], &str, u16) -> String;

/// knotd, nsd and named, with these zones.
pub(crate) fn start(zones: &[Made], folder: &Path) -> Fallible<Vec<Peer>> {
    for zone in zones {
        fs::write(folder.join(file(zone)), &zone.text)?;
    }
    let kinds: [(&'static str, &[&str], Configure); 3] = [
        ("knotd", &["-c"], knot),
        ("nsd", &["-d", "-c"], nsd),
        ("named", &["-f", "-c"], named),
    ];
    let mut peers = Vec::new();
    for (label, arguments, config) in kinds {
        let at = folder.join(label);
        fs::create_dir_all(&at)?;
        for zone in zones {
            fs::copy(folder.join(file(zone)), at.join(file(zone)))?;
        }
        let address = free()?;
        let text = config(zones, &at.to_string_lossy(), address.port());
        peers.push(spawn(label, arguments, &at, &text, address)?);
    }
    for peer in &peers {
        await_answer(peer, &zones[zones.len() - 1].origin, folder)?;
    }
    Ok(peers)
}

/// Starts a program with its configuration in a folder.
pub(crate) fn spawn(
    label: &'static str,
    arguments: &[&str],
    folder: &Path,
    config: &str,
    address: SocketAddr,
) -> Fallible<Peer> {
    let path = folder.join("peer.conf");
    fs::write(&path, config)?;
    let log = fs::File::create(log_file(folder))?;
    let program = PathBuf::from("/usr/sbin").join(label);
    let process = Command::new(&program)
        .args(arguments)
        .arg(&path)
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .map_err(|why| format!("{} does not start: {why}", program.display()))?;
    Ok(Peer {
        label,
        address,
        process,
    })
}

fn log_file(folder: &Path) -> PathBuf {
    folder.join("stderr.log")
}

/// A port that was free a moment ago, for UDP and TCP.
pub(crate) fn free() -> Fallible<SocketAddr> {
    loop {
        let address = UdpSocket::bind("127.0.0.1:0")?.local_addr()?;
        if std::net::TcpListener::bind(address).is_ok() {
            return Ok(address);
        }
    }
}

fn await_answer(peer: &Peer, origin: &str, folder: &Path) -> Fallible<()> {
    let mut query = vec![9, 9, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in origin.trim_end_matches('.').split('.') {
        query.push(label.len() as u8);
        query.extend(label.bytes());
    }
    query.extend([0, 0, 6, 0, 1]);
    let start = Instant::now();
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    socket.connect(peer.address)?;
    socket.set_read_timeout(Some(Duration::from_millis(100)))?;
    let mut reply = [0; 512];
    while start.elapsed() < PATIENCE {
        // Refused until it listens.
        let _ = socket.send(&query);
        if let Ok(len) = socket.recv(&mut reply)
            && len > 12
            && reply[3] & 0xf == 0
        {
            return Ok(());
        }
    }
    let log = fs::read_to_string(log_file(&folder.join(peer.label))).unwrap_or_default();
    Err(format!("{} does not answer for {origin}\n{log}", peer.label).into())
}

fn file(zone: &Made) -> String {
    format!("{}zone", zone.origin)
}

fn knot(zones: &[Made], at: &str, port: u16) -> String {
    let mut text = format!(
        "server:\n  rundir: {at}\n  listen: 127.0.0.1@{port}\n  udp-workers: 1\n\
         database:\n  storage: {at}\ntemplate:\n  - id: default\n    storage: {at}\n    \
         zonefile-load: whole\n    journal-content: none\nzone:\n"
    );
    for zone in zones {
        let _ = writeln!(
            text,
            "  - domain: {}\n    file: {}",
            zone.origin,
            file(zone)
        );
    }
    text
}

fn nsd(zones: &[Made], at: &str, port: u16) -> String {
    let mut text = format!(
        "server:\n  ip-address: 127.0.0.1@{port}\n  port: {port}\n  username: \"\"\n  \
         zonesdir: \"{at}\"\n  pidfile: \"{at}/pid\"\n  xfrdfile: \"{at}/xfrd\"\n  \
         zonelistfile: \"{at}/list\"\n  logfile: \"{at}/log\"\n  xfrdir: \"{at}\"\n  \
         rrl-ratelimit: 0\n  minimal-responses: yes\nremote-control:\n  control-enable: no\n"
    );
    for zone in zones {
        let _ = writeln!(
            text,
            "zone:\n  name: {}\n  zonefile: {}",
            zone.origin.trim_end_matches('.'),
            file(zone)
        );
    }
    text
}

fn named(zones: &[Made], at: &str, port: u16) -> String {
    let mut text = format!(
        "options {{ directory \"{at}\"; pid-file \"{at}/pid\"; session-keyfile \"{at}/session\"; \
         listen-on port {port} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }}; recursion no; \
         minimal-responses yes; dnssec-validation no; notify no; max-udp-size 1232; \
         managed-keys-directory \"{at}\"; check-integrity no; answer-cookie no; }};\n\
         controls {{ }};\n"
    );
    for zone in zones {
        let _ = writeln!(
            text,
            "zone \"{}\" {{ type primary; file \"{}\"; check-names ignore; }};",
            zone.origin,
            file(zone)
        );
    }
    text
}
