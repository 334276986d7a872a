//! A caching resolver that nobody here wrote, in front of the replicas.

use crate::ask::Asking;
use meridian_tests::control_plane::free_ports;
use meridian_tests::process::{Folder, Process};
use meridian_tests::sighted::Result;
use std::fmt::Write;
use std::net::SocketAddr;
use std::path::Path;

/// Where distributions put it.
const PLACES: [&str; 3] = [
    "/usr/sbin/unbound",
    "/usr/bin/unbound",
    "/usr/local/sbin/unbound",
];

/// It runs until this is dropped.
pub(crate) struct Unbound {
    _process: Process,
    pub(crate) address: SocketAddr,
}

impl Unbound {
    /// Starts one that asks these servers about `zone`; nothing when it is not installed.
    ///
    /// # Errors
    /// It is there and does not answer.
    pub(crate) async fn start(zone: &str, servers: &[SocketAddr]) -> Result<Option<Self>> {
        let Some(binary) = PLACES.map(Path::new).into_iter().find(|it| it.exists()) else {
            return Ok(None);
        };
        let folder = tempfile::Builder::new()
            .prefix("unbound-")
            .tempdir()?
            .keep();
        let [port] = free_ports();
        let file = folder.join("unbound.conf");
        std::fs::write(&file, configuration(zone, port, servers)?)?;
        let arguments = ["-d", "-c", &file.display().to_string()].map(str::to_owned);
        let process = Process::spawn("unbound", binary, &arguments, &folder, Folder::Removed);
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let mut asking = Asking::of(address).await?;
        for _ in 0..10 {
            if asking.ask(&format!("up.{zone}")).await.is_some() {
                return Ok(Some(Self {
                    _process: process,
                    address,
                }));
            }
            // A closed port is told at once.
            tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        }
        Err(format!("unbound does not answer:\n{}", process.log_tail()).into())
    }
}

fn configuration(zone: &str, port: u16, servers: &[SocketAddr]) -> Result<String> {
    let mut text = format!(
        "server:\n interface: 127.0.0.1@{port}\n do-daemonize: no\n username: \"\"\n chroot: \"\"\n \
         pidfile: \"\"\n use-syslog: no\n logfile: \"\"\n do-not-query-localhost: no\n \
         module-config: \"iterator\"\n do-ip6: no\n num-threads: 1\n\
         remote-control:\n control-enable: no\n\
         stub-zone:\n name: \"{zone}\"\n"
    );
    for server in servers {
        writeln!(text, " stub-addr: {}@{}", server.ip(), server.port())?;
    }
    Ok(text)
}
