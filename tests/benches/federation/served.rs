//! What members serve, and what DNS says of it: a port each, and a name that is answered with the
//! one that is to be lost as long as it works.

use crate::ask::{Answer, Asking};
use meridian_tests::control_plane::free_ports;
use meridian_tests::sighted::Result;
use meridian_tests::world::{CORE, GSLB, ObjectRef, SYSTEM, World};
use serde_json::{Value, json};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

const ZONE: &str = "web.example";
const NAME: &str = "shop.web.example";
/// Between two questions.
const ASK_AGAIN: Duration = Duration::from_millis(50);
/// How long an answer is waited for that has to come.
const PATIENCE: Duration = Duration::from_secs(120);

/// See the file's head.
pub(crate) struct Served {
    dns: SocketAddr,
    /// Of who is lost, and of who stands by.
    addresses: [IpAddr; 2],
    serving: [JoinHandle<()>; 2],
}

/// What was answered over some time.
#[derive(Debug, Default)]
pub(crate) struct Asked {
    pub(crate) questions: usize,
    pub(crate) unanswered: usize,
    /// Answers that did not name the member whose API hangs.
    pub(crate) changed: usize,
}

impl Served {
    /// Returns when the name is answered, and the member's own check is told of what runs there.
    pub(crate) async fn open(
        world: &World,
        namespace: &str,
        dns: SocketAddr,
        replica: &str,
        [lost, standby]: [&str; 2],
    ) -> Result<Self> {
        let [port] = free_ports();
        let addresses = [1, 2].map(|site| IpAddr::V4(Ipv4Addr::new(127, 61, 0, site)));
        let served = Self {
            dns,
            addresses,
            serving: [
                answering(SocketAddr::new(addresses[0], port)).await?,
                answering(SocketAddr::new(addresses[1], port)).await?,
            ],
        };
        let host = world.host();
        let check = json!({"address": addresses[0], "healthCheck": {"tcp": {"port": port}}});
        let member = ObjectRef::new(CORE, "KubeFedCluster", SYSTEM, lost);
        let spec = json!({"spec": {"dataPlaneCheck": check}});
        host.patch(&member, spec).await;
        host.apply(zone(namespace)).await;
        let of = [(lost, addresses[0]), (standby, addresses[1])];
        host.apply(service(namespace, port, of)).await;
        let report = ObjectRef::new(GSLB, "ProbeReport", SYSTEM, replica);
        let up = |report: &Value| {
            let said = report["spec"]["verdicts"].as_array();
            let mut said = said.into_iter().flatten();
            said.any(|said| said["cluster"] == lost && said["verdict"] == "Up")
        };
        host.until(&report, "it is up", up).await;
        served.until_named(0).await?;
        Ok(served)
    }

    /// Asks until it is told to stop.
    pub(crate) async fn ask(&self, stop: CancellationToken) -> Result<Asked> {
        let mut asking = Asking::of(self.dns).await?;
        let wanted = Answer::Addresses(vec![self.addresses[0]]);
        let mut asked = Asked::default();
        while !stop.is_cancelled() {
            asked.questions += 1;
            match asking.ask(NAME).await {
                None => asked.unanswered += 1,
                Some(answer) if answer != wanted => asked.changed += 1,
                Some(_) => {}
            }
            sleep(ASK_AGAIN).await;
        }
        Ok(asked)
    }

    /// Nothing of the member that is lost answers any more.
    pub(crate) fn lose(&self) {
        self.serving[0].abort();
    }

    /// When the answer names who stands by, and nobody else.
    pub(crate) async fn until_left(&self) -> Result<Instant> {
        self.until_named(1).await
    }

    async fn until_named(&self, site: usize) -> Result<Instant> {
        let mut asking = Asking::of(self.dns).await?;
        let wanted = Some(Answer::Addresses(vec![self.addresses[site]]));
        let deadline = Instant::now() + PATIENCE;
        loop {
            let answer = asking.ask(NAME).await;
            let now = Instant::now();
            if answer == wanted {
                return Ok(now);
            }
            if now >= deadline {
                return Err(format!("{NAME}: {answer:?} and not {wanted:?}").into());
            }
            sleep(ASK_AGAIN).await;
        }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.serving.iter().for_each(JoinHandle::abort);
    }
}

/// Takes connections, and says nothing.
async fn answering(address: SocketAddr) -> Result<JoinHandle<()>> {
    let listener = TcpListener::bind(address).await?;
    Ok(tokio::spawn(async move {
        loop {
            drop(listener.accept().await);
        }
    }))
}

fn zone(namespace: &str) -> Value {
    json!({
        "apiVersion": GSLB, "kind": "Zone",
        "metadata": {"namespace": SYSTEM, "name": "web"},
        "spec": {"domain": ZONE, "allowedNamespaces": [namespace],
            "nameServers": [{"name": format!("ns1.{ZONE}"), "addresses": ["127.0.0.1"]}]},
    })
}

fn service(namespace: &str, port: u16, of: [(&str, IpAddr); 2]) -> Value {
    let endpoints =
        of.map(|(cluster, address)| json!({"cluster": cluster, "addresses": [address]}));
    let [first, standby] = of.map(|(cluster, _)| json!({"clusters": [cluster]}));
    json!({
        "apiVersion": GSLB, "kind": "GlobalService",
        "metadata": {"namespace": namespace, "name": "shop"},
        "spec": {
            "hosts": [NAME],
            "endpoints": {"static": endpoints},
            "healthCheck": {"tcp": {"port": port}},
            "policy": {"failover": [
                {"name": "first", "pool": first}, {"name": "standby", "pool": standby}]},
        },
    })
}
