//! Load balancers of Services: an address for each, on which a small server really listens.
//!
//! | room | what it does |
//! |---|---|
//! | here | what the service controller writes, and which listeners are open |
//! | `subnet` | a part of 127.0.0.0/8 for each fleet and cluster |
//! | `listener` | the server on one address and port |
//!
//! Guarantees: an address in `status.loadBalancer` listens on all TCP ports of its Service while
//! the data plane is up; it is kept until the Service goes.
//! Assumptions: Linux, where all of 127.0.0.0/8 is local; elsewhere a Service says why it has none.
//! Caveats: in-process clusters hand out addresses on which nothing listens; UDP ports are not served.

mod listener;
mod subnet;

pub use subnet::{Loopback, Subnet};

use crate::faults::DataPlaneState;
use crate::object::{finalizers, is_deleting, list, metadata_mut, name, namespace};
use crate::workloads::addresses::{Addresses, Block};
use crate::workloads::step::{Note, Severity, Step, Write};
use listener::{Answer, Listener};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use tokio::sync::watch;

/// Addresses on which nobody is by accident: RFC 5737 has them for documentation.
pub const QUIET_ADDRESSES: Block = Block::new(Ipv4Addr::new(203, 0, 113, 0), 24);

/// Finalizer that holds a Service until its load balancer is gone (KEP-980).
const CLEANUP: &str = "service.kubernetes.io/load-balancer-cleanup";
/// Who reports Events.
const COMPONENT: &str = "service-controller";

/// Where the load balancers of a cluster are.
#[derive(Debug, Clone, Default)]
pub enum LoadBalancing {
    /// Where it fits: in a fleet on sockets, in the process at [`QUIET_ADDRESSES`].
    #[default]
    Automatic,
    /// Addresses of this block, on which nothing listens.
    AddressOnly(Block),
    /// Addresses of this part of 127.0.0.0/8, on which servers listen.
    Listening(Subnet),
    /// None: Services of this type stay pending.
    Off,
}

/// The load balancers of one cluster.
#[derive(Debug)]
pub(crate) struct LoadBalancers {
    cluster: String,
    place: LoadBalancing,
    /// Made with the first load balancer, so that a cluster without any holds no sockets.
    addresses: Option<Addresses>,
    data_plane: DataPlaneState,
    balancers: BTreeMap<String, Balancer>,
}

/// One load balancer.
#[derive(Debug)]
struct Balancer {
    address: Ipv4Addr,
    answer: watch::Sender<Answer>,
    listeners: BTreeMap<u16, Listener>,
    ports: Vec<u16>,
}

impl LoadBalancing {
    /// What a cluster of a fleet does, by its number: `Automatic` becomes a part of the loopback
    /// network.
    #[must_use]
    pub fn in_fleet(self, loopback: &Loopback, cluster: usize) -> Self {
        match self {
            Self::Automatic => Self::Listening(loopback.subnet(cluster)),
            chosen => chosen,
        }
    }

    fn block(&self) -> Result<Block, String> {
        match self {
            Self::Automatic => Ok(QUIET_ADDRESSES),
            Self::AddressOnly(block) => Ok(*block),
            Self::Listening(subnet) => subnet.block(),
            Self::Off => Err("load balancers are off".to_owned()),
        }
    }
}

/// What became of a Service's load balancer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It has this address.
    Address(Ipv4Addr),
    /// It could not be made.
    Failed(String),
    /// There is none (any longer).
    Absent,
}

/// What the service controller writes: the finalizer, then the status; the other way when it goes.
pub(crate) fn step(service: &Value, outcome: &Outcome) -> Step {
    let mut step = Step::default();
    let held = finalizers(service).any(|finalizer| finalizer == CLEANUP);
    if service["spec"]["type"] == "LoadBalancer" && !wants_balancer(service) && !held {
        // Somebody else's, by its class: so is its status (KEP-1959).
        return step;
    }
    if wants_balancer(service) && !held {
        let mut object = service.clone();
        let finalizers = &mut object["metadata"]["finalizers"];
        match finalizers.as_array_mut() {
            Some(list) => list.push(json!(CLEANUP)),
            None => *finalizers = json!([CLEANUP]),
        }
        step.push(Write::Update("services", object));
        let note = note(
            service,
            "EnsuringLoadBalancer",
            "Ensuring load balancer".to_owned(),
        );
        step.push(note);
        return step;
    }
    let ingress = match outcome {
        Outcome::Address(address) => json!([{"ip": address, "ipMode": "VIP"}]),
        Outcome::Failed(why) => {
            let message =
                format!("Error syncing load balancer: failed to ensure load balancer: {why}");
            let reason = "SyncLoadBalancerFailed";
            step.push(Write::Event(Note::new(
                COMPONENT,
                service,
                Severity::Warning,
                reason,
                message,
            )));
            return step;
        }
        Outcome::Absent => Value::Null,
    };
    if service["status"]["loadBalancer"]["ingress"] != ingress {
        let mut object = service.clone();
        object["status"]["loadBalancer"] = match ingress {
            Value::Null => json!({}),
            ingress => json!({"ingress": ingress}),
        };
        step.push(Write::UpdateStatus("services", object));
        if matches!(outcome, Outcome::Address(_)) {
            step.push(note(
                service,
                "EnsuredLoadBalancer",
                "Ensured load balancer".to_owned(),
            ));
        }
        return step;
    }
    if held && *outcome == Outcome::Absent {
        let mut object = service.clone();
        let metadata = metadata_mut(&mut object);
        let left: Vec<Value> = list(&service["metadata"]["finalizers"])
            .iter()
            .filter(|f| **f != CLEANUP)
            .cloned()
            .collect();
        match left.is_empty() {
            true => drop(metadata.shift_remove("finalizers")),
            false => drop(metadata.insert("finalizers".to_owned(), Value::Array(left))),
        }
        step.push(Write::Update("services", object));
    }
    step
}

/// Whether a Service asks for a load balancer of this cluster's own kind.
pub(crate) fn wants_balancer(service: &Value) -> bool {
    service["spec"]["type"] == "LoadBalancer"
        && service["spec"]["loadBalancerClass"].is_null()
        && !is_deleting(service)
}

fn note(service: &Value, reason: &'static str, message: String) -> Write {
    Write::Event(Note::new(
        COMPONENT,
        service,
        Severity::Normal,
        reason,
        message,
    ))
}

impl LoadBalancers {
    /// No load balancers yet.
    pub(crate) fn new(cluster: &str, options: &LoadBalancing) -> Self {
        Self {
            cluster: cluster.to_owned(),
            place: options.clone(),
            addresses: None,
            data_plane: DataPlaneState::Up,
            balancers: BTreeMap::new(),
        }
    }

    /// Makes what a Service asks for, changes it, or takes it away.
    pub(crate) fn ensure(&mut self, key: &str, service: &Value, ready: usize) -> Outcome {
        if !wants_balancer(service) || matches!(self.place, LoadBalancing::Off) {
            self.remove(key);
            return Outcome::Absent;
        }
        if !self.balancers.contains_key(key)
            && let Err(why) = self.add(key, service)
        {
            return Outcome::Failed(why);
        }
        let mode = self.data_plane;
        let listens = matches!(self.place, LoadBalancing::Listening(_));
        let Some(balancer) = self.balancers.get_mut(key) else {
            return Outcome::Absent;
        };
        balancer.set_answer(service, ready, mode);
        balancer.ports = tcp_ports(service);
        if listens
            && mode != DataPlaneState::Down
            && let Err(why) = balancer.listen()
        {
            return Outcome::Failed(why);
        }
        Outcome::Address(balancer.address)
    }

    /// Takes a load balancer away; its address is free again.
    pub(crate) fn remove(&mut self, key: &str) {
        if let (Some(gone), Some(addresses)) = (self.balancers.remove(key), &mut self.addresses) {
            addresses.release(gone.address);
        }
    }

    /// Opens or closes all listeners.
    pub(crate) fn set_data_plane(&mut self, data_plane: DataPlaneState) {
        self.data_plane = data_plane;
        for balancer in self.balancers.values_mut() {
            balancer
                .answer
                .send_modify(|answer| answer.data_plane = data_plane);
            if data_plane == DataPlaneState::Down {
                balancer.listeners.clear();
            }
        }
    }

    fn add(&mut self, key: &str, service: &Value) -> Result<(), String> {
        let addresses = match &mut self.addresses {
            Some(addresses) => addresses,
            none => none.insert(Addresses::new(self.place.block()?, 1)),
        };
        let block = addresses.block();
        let before = service["status"]["loadBalancer"]["ingress"][0]["ip"].as_str();
        let before: Option<Ipv4Addr> = before.and_then(|text| text.parse().ok());
        let kept = before.filter(|address| block.contains(*address) && addresses.claim(*address));
        let address = kept
            .or_else(|| addresses.take())
            .ok_or_else(|| format!("no free address in {block}"))?;
        let answer = Answer {
            cluster: self.cluster.clone(),
            namespace: namespace(service).to_owned(),
            service: name(service).to_owned(),
            address,
            ready: 0,
            data_plane: self.data_plane,
        };
        let balancer = Balancer {
            address,
            answer: watch::Sender::new(answer),
            listeners: BTreeMap::new(),
            ports: Vec::new(),
        };
        self.balancers.insert(key.to_owned(), balancer);
        Ok(())
    }
}

impl Balancer {
    fn set_answer(&mut self, service: &Value, ready: usize, data_plane: DataPlaneState) {
        self.answer.send_if_modified(|answer| {
            let changed = answer.ready != ready || answer.data_plane != data_plane;
            (answer.ready, answer.data_plane) = (ready, data_plane);
            changed
        });
        debug_assert_eq!(
            self.answer.borrow().service,
            name(service),
            "a balancer keeps its Service"
        );
    }

    /// Opens what is missing and closes what is not wanted any longer.
    fn listen(&mut self) -> Result<(), String> {
        self.listeners.retain(|port, _| self.ports.contains(port));
        for port in &self.ports {
            if self.listeners.contains_key(port) {
                continue;
            }
            let at = SocketAddr::V4(SocketAddrV4::new(self.address, *port));
            let listener = Listener::open(at, self.answer.subscribe())
                .map_err(|error| format!("cannot listen on {at}: {error}"))?;
            self.listeners.insert(*port, listener);
        }
        Ok(())
    }
}

fn tcp_ports(service: &Value) -> Vec<u16> {
    let ports = list(&service["spec"]["ports"]).iter();
    let tcp = ports.filter(|port| port["protocol"].as_str().unwrap_or("TCP") == "TCP");
    tcp.filter_map(|port| port["port"].as_u64()?.try_into().ok())
        .collect()
}

#[cfg(test)]
mod tests;
