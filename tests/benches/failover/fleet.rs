//! What fails, and what it fails over in: sites, services, replicas.

use crate::unbound::Unbound;
use meridian_tests::control_plane::free_ports;
use meridian_tests::sighted::Result;
use meridian_tests::world::{GSLB, Kind, Meridian, Run, SYSTEM, Site, World, WorldOptions};
use serde_json::{Value, json};
use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

pub(crate) const NAMESPACE: &str = "shop";
pub(crate) const ZONE: &str = "failover.example";
/// DNS replicas.
pub(crate) const REPLICAS: usize = 3;
const SITES: [(&str, &str); 2] = [("berlin", "52.52,13.40"), ("osaka", "34.69,135.50")];

/// How fast failures are to be noticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pace {
    /// As the product does it when nothing is said.
    Defaults,
    /// Probes each second, two failures, answers for a second.
    Fastest,
}

/// Everything that runs.
pub(crate) struct Fleet {
    pub(crate) world: World,
    pub(crate) replicas: Vec<Replica>,
    pub(crate) unbound: Option<Unbound>,
}

/// A DNS replica that may be restarted.
pub(crate) struct Replica {
    name: String,
    pub(crate) address: SocketAddr,
    state: TempDir,
    process: Option<Meridian>,
}

/// A service with its two sites.
pub(crate) struct Service {
    pub(crate) name: String,
    pub(crate) host: String,
    pub(crate) sites: [Place; 2],
}

/// A program that answers HTTP until it is to be silent.
pub(crate) struct Place {
    pub(crate) address: SocketAddr,
    silent: Arc<AtomicBool>,
    serving: JoinHandle<()>,
}

impl Fleet {
    pub(crate) async fn start() -> Result<Self> {
        let sites = SITES.map(|(name, location)| Site {
            name,
            region: name,
            city: name,
            location,
        });
        let mut world = World::furnished(WorldOptions {
            kind: Kind::Pocketkube,
            binary: PathBuf::from(env!("CARGO_BIN_EXE_meridian")),
            sites: sites.to_vec(),
            settings: json!({}),
        })
        .await;
        world.restore().await;
        let namespace =
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}});
        world.host().apply(namespace).await;
        world.host().apply(zone()).await;
        let ports: [u16; REPLICAS] = free_ports();
        let mut replicas = Vec::new();
        for (at, port) in ports.into_iter().enumerate() {
            let mut replica = Replica {
                name: format!("replica-{at}"),
                address: SocketAddr::from(([127, 0, 0, 1], port)),
                state: tempfile::tempdir()?,
                process: None,
            };
            replica.start(&world).await;
            replicas.push(replica);
        }
        let servers: Vec<_> = replicas.iter().map(|replica| replica.address).collect();
        let unbound = Unbound::start(ZONE, &servers).await?;
        if unbound.is_none() {
            writeln!(
                io::stderr(),
                "\n*** unbound is not installed: T3 and T4 are SKIPPED (Debian: apt install unbound) ***\n"
            )?;
        }
        Ok(Self {
            world,
            replicas,
            unbound,
        })
    }

    /// A service that answers with its first site, and stands by with its second.
    pub(crate) async fn serve(&self, pace: Pace, at: usize) -> Result<Service> {
        let name = format!("{pace:?}-{at}").to_lowercase();
        let number = u8::try_from(at + 1)?;
        let third = match pace {
            Pace::Defaults => 41,
            Pace::Fastest => 51,
        };
        let [port] = free_ports();
        let place =
            async |site: u8| Place::open(Ipv4Addr::new(127, third, number, site), port).await;
        let sites = [place(1).await?, place(2).await?];
        let host = format!("{name}.{ZONE}");
        let service = Service { name, host, sites };
        self.world.host().apply(manifest(&service, pace)).await;
        Ok(service)
    }
}

impl Replica {
    pub(crate) async fn start(&mut self, world: &World) {
        let listen = self.address.to_string();
        let arguments = ["--dns-listen", &listen, "--failure-domain", &self.name];
        let run = Run::with_roles(&self.name, "dns", &arguments).kept_in(self.state.path());
        self.process = Some(world.run(&run).await);
    }

    /// Asks it to stop, and starts it on what it left.
    pub(crate) async fn restart(&mut self, world: &World) {
        if let Some(process) = self.process.take() {
            process.stop();
        }
        self.start(world).await;
    }
}

impl Service {
    pub(crate) fn address(&self, site: usize) -> IpAddr {
        self.sites[site].address.ip()
    }
}

impl Place {
    async fn open(address: Ipv4Addr, port: u16) -> Result<Self> {
        let address = SocketAddr::from((address, port));
        let listener = TcpListener::bind(address).await?;
        let silent = Arc::new(AtomicBool::new(false));
        let quiet = Arc::clone(&silent);
        let serving = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(respond(stream, Arc::clone(&quiet)));
            }
        });
        Ok(Self {
            address,
            silent,
            serving,
        })
    }

    /// From now on it takes connections and says nothing.
    pub(crate) fn go_silent(&self) {
        self.silent.store(true, Ordering::Release);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// Answers one request, or none ever.
async fn respond(mut stream: TcpStream, silent: Arc<AtomicBool>) {
    let mut request = [0_u8; 2048];
    let read = stream.read(&mut request).await;
    if silent.load(Ordering::Acquire) {
        // Until the other side gives up.
        while matches!(stream.read(&mut request).await, Ok(1..)) {}
        return;
    }
    if matches!(read, Ok(1..)) {
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";
        // Who asked is gone: so is the need.
        let _ = stream.write_all(answer).await;
        let _ = stream.shutdown().await;
    }
}

fn zone() -> Value {
    json!({
        "apiVersion": GSLB, "kind": "Zone",
        "metadata": {"namespace": SYSTEM, "name": "failover"},
        "spec": {"domain": ZONE,
            "nameServers": [{"name": format!("ns1.{ZONE}"), "addresses": ["127.0.0.1"]}]},
    })
}

fn manifest(service: &Service, pace: Pace) -> Value {
    let endpoints = [0, 1]
        .map(|at| json!({"cluster": SITES[at].0, "addresses": [service.address(at).to_string()]}));
    let branch = |name: &str, at: usize| json!({"name": name, "pool": {"clusters": [SITES[at].0]}});
    let port = service.sites[0].address.port();
    let mut spec = json!({
        "hosts": [service.host],
        "endpoints": {"static": endpoints},
        "healthCheck": {"http": {"port": port}},
        "policy": {"failover": [branch("first", 0), branch("standby", 1)]},
    });
    if pace == Pace::Fastest {
        spec["ttl"] = json!({"min": "1s", "max": "1s"});
        spec["healthCheck"]["interval"] = json!("1s");
        spec["healthCheck"]["timeout"] = json!("300ms");
        spec["healthCheck"]["down"] = json!(2);
    }
    json!({
        "apiVersion": GSLB, "kind": "GlobalService",
        "metadata": {"namespace": NAMESPACE, "name": service.name},
        "spec": spec,
    })
}
