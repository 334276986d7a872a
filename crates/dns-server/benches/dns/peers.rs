//! The servers that others wrote, with the same names: one UDP thread each, nothing limited.

use std::fmt::Write as _;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use crate::process::Running;
use crate::world::{NAMES, ORIGIN, SITES, TTL_SECS, World};
use crate::{Fallible, SERVER_CORE, free, say};

pub(crate) const GDNSD: &str = "gdnsd";
pub(crate) const KNOT: &str = "knot";
pub(crate) const NSD: &str = "nsd";
const POWERDNS: &str = "powerdns";

/// Where Debian puts its modules, below the library folder of the architecture.
const KNOT_MODULE: &str = "knot/modules-3.2/geoip.so";
const POWERDNS_MODULE: &str = "pdns/libgeoipbackend.so";

/// One kind: its program, what else must be there, and how it is configured and started.
struct Kind {
    label: &'static str,
    program: &'static str,
    module: Option<&'static str>,
    packages: &'static str,
    prepare: fn(&Path, SocketAddr) -> Fallible<Vec<String>>,
}

const KINDS: [Kind; 4] = [
    Kind {
        label: GDNSD,
        program: "/usr/sbin/gdnsd",
        module: None,
        packages: "gdnsd",
        prepare: gdnsd,
    },
    Kind {
        label: KNOT,
        program: "/usr/sbin/knotd",
        module: Some(KNOT_MODULE),
        packages: "knot knot-module-geoip",
        prepare: knot,
    },
    Kind {
        label: POWERDNS,
        program: "/usr/sbin/pdns_server",
        module: Some(POWERDNS_MODULE),
        packages: "pdns-server pdns-backend-geoip",
        prepare: powerdns,
    },
    Kind {
        label: NSD,
        program: "/usr/sbin/nsd",
        module: None,
        packages: "nsd",
        prepare: nsd,
    },
];

/// Starts those that are wanted and installed, and names those that are not installed.
pub(crate) fn start(
    world: &World,
    folder: &Path,
    wanted: impl Fn(&str) -> bool,
) -> Fallible<Vec<Running>> {
    fs::write(folder.join("geo.mmdb"), world.layered()?)?;
    let mut running = Vec::new();
    for kind in KINDS.into_iter().filter(|kind| wanted(kind.label)) {
        if !is_installed(&kind) {
            say(&format!(
                "skipped: {} is not installed (apt-get install {})",
                kind.label, kind.packages
            ));
            continue;
        }
        let at = folder.join(kind.label);
        fs::create_dir_all(&at)?;
        fs::copy(folder.join("geo.mmdb"), at.join("geo.mmdb"))?;
        let address = free()?;
        let mut command = Command::new("taskset");
        command.args(["-c", SERVER_CORE, kind.program]);
        command.args((kind.prepare)(&at, address)?);
        command.stderr(fs::File::create(at.join("stderr.log"))?);
        let started = Running::start(kind.label, address, command)?;
        if let Err(why) = started.await_answer(world) {
            let log = fs::read_to_string(at.join("stderr.log")).unwrap_or_default();
            return Err(format!("{why}\n{log}").into());
        }
        running.push(started);
    }
    Ok(running)
}

fn is_installed(kind: &Kind) -> bool {
    let libraries = || fs::read_dir("/usr/lib").into_iter().flatten().flatten();
    let has = |module: &str| libraries().any(|it| it.path().join(module).exists());
    Path::new(kind.program).exists() && kind.module.is_none_or(has)
}

/// The zone's text, with what `of` says for each name.
fn zone(of: impl Fn(usize) -> String) -> String {
    let mut text = format!(
        "$ORIGIN {ORIGIN}.\n$TTL {TTL_SECS}\n\
         @ SOA ns hostmaster 1 3600 600 604800 60\n@ NS ns\nns A 192.0.2.53\n"
    );
    for number in 0..NAMES {
        let _ = writeln!(text, "name{number} {}", of(number));
    }
    text
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// `geoip` with a map of continents.
fn gdnsd(at: &Path, address: SocketAddr) -> Fallible<Vec<String>> {
    let names: Vec<&str> = SITES.iter().map(|site| site.name).collect();
    let (mut map, mut places) = (String::new(), String::new());
    for site in &SITES {
        for continent in site.continents {
            let _ = write!(map, "{continent} => [{}], ", site.name);
        }
        let _ = write!(places, "{} => {}, ", site.name, site.address);
    }
    let config = format!(
        "options => {{ listen => \"{address}\", run_dir => {at}/run, state_dir => {at}/state, \
         udp_threads => 1, tcp_threads => 1 }}\n\
         plugins => {{ geoip => {{\n  maps => {{ sites => {{ geoip2_db => {at}/geo.mmdb, \
         datacenters => [{}], map => {{ {map}default => [frankfurt] }} }} }}\n  \
         resources => {{ site => {{ map => sites, service_types => up, dcmap => {{ {places} }} }} }}\n}} }}\n",
        names.join(", "),
        at = at.display()
    );
    fs::write(at.join("config"), config)?;
    fs::create_dir_all(at.join("zones"))?;
    let zone = zone(|_| format!("{TTL_SECS} DYNA geoip!site"));
    fs::write(at.join("zones").join(ORIGIN), zone)?;
    Ok(vec!["-c".into(), text(at), "start".into()])
}

/// mod-geoip by continent.
fn knot(at: &Path, address: SocketAddr) -> Fallible<Vec<String>> {
    let mut rules = String::new();
    for number in 0..NAMES {
        let _ = writeln!(rules, "name{number}.{ORIGIN}:");
        for site in &SITES {
            for continent in site.continents {
                let _ = writeln!(rules, "  - geo: \"{continent}\"\n    A: {}", site.address);
            }
        }
        let _ = writeln!(rules, "  - geo: \"*\"\n    A: {}", SITES[2].address);
    }
    fs::write(at.join("geo.conf"), rules)?;
    fs::write(at.join("zone"), zone(|_| format!("A {}", SITES[2].address)))?;
    let config = format!(
        "server:\n  rundir: {at}\n  listen: {}@{}\n  udp-workers: 1\n  tcp-workers: 1\n  \
         background-workers: 1\n  edns-client-subnet: on\ndatabase:\n  storage: {at}\n\
         mod-geoip:\n  - id: sites\n    config-file: {at}/geo.conf\n    ttl: {TTL_SECS}\n    \
         mode: geodb\n    geodb-file: {at}/geo.mmdb\n    geodb-key: continent/code\n\
         zone:\n  - domain: {ORIGIN}\n    storage: {at}\n    file: zone\n    \
         zonefile-load: whole\n    journal-content: none\n    module: mod-geoip/sites\n",
        address.ip(),
        address.port(),
        at = at.display()
    );
    let path = at.join("knot.conf");
    fs::write(&path, config)?;
    Ok(vec!["-c".into(), text(&path)])
}

/// The GeoIP backend, whose services name the continent.
fn powerdns(at: &Path, address: SocketAddr) -> Fallible<Vec<String>> {
    let mut zone = format!(
        "domains:\n- domain: {ORIGIN}\n  ttl: {TTL_SECS}\n  records:\n    {ORIGIN}:\n      \
         - soa: ns.{ORIGIN} hostmaster.{ORIGIN} 1 3600 600 604800 60\n      - ns: ns.{ORIGIN}\n    \
         ns.{ORIGIN}:\n      - a: 192.0.2.53\n"
    );
    for site in &SITES {
        for continent in site.continents {
            let continent = continent.to_lowercase();
            let (name, address) = (format!("{continent}.site.{ORIGIN}"), site.address);
            let _ = writeln!(zone, "    {name}:\n      - a: {address}");
        }
    }
    let fallback = SITES[2].address;
    let _ = writeln!(zone, "    unknown.site.{ORIGIN}:\n      - a: {fallback}");
    let _ = writeln!(zone, "  services:");
    for number in 0..NAMES {
        let _ = writeln!(zone, "    name{number}.{ORIGIN}: '%cn.site.{ORIGIN}'");
    }
    fs::write(at.join("zones.yaml"), zone)?;
    let (folder, ip, port) = (text(at), address.ip(), address.port());
    let mut words = vec![
        format!("--config-dir={folder}"),
        format!("--socket-dir={folder}"),
        format!("--geoip-zones-file={folder}/zones.yaml"),
        format!("--geoip-database-files=mmdb:{folder}/geo.mmdb"),
        format!("--local-address={ip}"),
        format!("--local-port={port}"),
    ];
    words.extend(
        [
            "--daemon=no",
            "--guardian=no",
            "--launch=geoip",
            "--edns-subnet-processing=yes",
            "--receiver-threads=1",
            "--distributor-threads=1",
            "--loglevel=3",
        ]
        .map(str::to_owned),
    );
    Ok(words)
}

/// Static addresses.
fn nsd(at: &Path, address: SocketAddr) -> Fallible<Vec<String>> {
    fs::write(at.join("zone"), zone(|_| format!("A {}", SITES[2].address)))?;
    let config = format!(
        "server:\n  ip-address: {}@{}\n  server-count: 1\n  username: \"\"\n  zonesdir: \"{at}\"\n  \
         pidfile: \"{at}/pid\"\n  xfrdfile: \"{at}/xfrd\"\n  zonelistfile: \"{at}/list\"\n  \
         logfile: \"{at}/log\"\n  xfrdir: \"{at}\"\n  rrl-ratelimit: 0\n  minimal-responses: yes\n\
         remote-control:\n  control-enable: no\n\
         zone:\n  name: {ORIGIN}\n  zonefile: zone\n",
        address.ip(),
        address.port(),
        at = at.display()
    );
    let path = at.join("nsd.conf");
    fs::write(&path, config)?;
    Ok(vec!["-d".into(), "-c".into(), text(&path)])
}
