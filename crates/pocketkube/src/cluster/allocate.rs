//! Cluster addresses and node ports of Services, taken while the Service is written, as the real
//! server takes them.

use super::Cluster;
use crate::kinds::is_reached_from_outside;
use crate::object::{self, Object};
use crate::resource::Resource;
use crate::status::{Cause, Status};
use crate::workloads::addresses::{Addresses, Block, NODE_PORTS, NodePorts};
use serde_json::{Value, json};
use std::net::Ipv4Addr;

/// Addresses and node ports in use.
#[derive(Debug)]
pub(super) struct Allocations {
    addresses: Addresses,
    ports: NodePorts,
}

impl Allocations {
    pub(super) fn new() -> Self {
        // The first addresses are for the services of the cluster itself.
        Self {
            addresses: Addresses::new(Block::SERVICES, 32),
            ports: NodePorts::default(),
        }
    }
}

impl Cluster {
    /// Gives a Service what it asks for or lacks. Other kinds are left alone.
    pub(super) fn allocate(
        &self,
        resource: &Resource,
        old: Option<&Object>,
        new: &mut Value,
    ) -> Result<(), Status> {
        if resource.is_custom() || resource.qualified() != "services" {
            return Ok(());
        }
        if let Some(old) = old {
            drop_of_other_type(old, new);
        }
        let mut causes = Vec::new();
        self.allocate_address(old, new, &mut causes);
        self.allocate_ports(old, new, &mut causes);
        if causes.is_empty() {
            return Ok(());
        }
        Err(Status::invalid(resource, object::name(new), causes))
    }

    /// Takes note of what a Service has after a write, and frees what it had.
    pub(super) fn service_written(&self, old: Option<&Object>, new: Option<&Object>) {
        let mut allocations = self.allocations();
        let (kept_address, kept_ports) = (
            new.and_then(|new| address(new)),
            new.map_or_else(Vec::new, |new| ports(new)),
        );
        if let Some(old) = old {
            if let Some(freed) = address(old).filter(|freed| Some(*freed) != kept_address) {
                allocations.addresses.release(freed);
            }
            for freed in ports(old)
                .into_iter()
                .filter(|freed| !kept_ports.contains(freed))
            {
                allocations.ports.release(freed);
            }
        }
        if let Some(address) = kept_address {
            allocations.addresses.claim(address);
        }
        for port in kept_ports {
            allocations.ports.claim(port);
        }
    }

    fn allocate_address(&self, old: Option<&Object>, new: &mut Value, causes: &mut Vec<Cause>) {
        let spec = &mut new["spec"];
        if spec["type"] == "ExternalName" {
            if let Some(spec) = spec.as_object_mut() {
                for field in ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"] {
                    spec.shift_remove(field);
                }
            }
            return;
        }
        let had = old
            .and_then(|old| old["spec"]["clusterIP"].as_str())
            .unwrap_or_default();
        let mut given = spec["clusterIP"].as_str().unwrap_or_default().to_owned();
        if given.is_empty() {
            given = spec["clusterIPs"][0].as_str().unwrap_or(had).to_owned();
        }
        if given.is_empty() {
            let place = self.chance().below(Block::SERVICES.size() / 2) + 256;
            let taken = self.allocations().addresses.take_from(place);
            match taken {
                Some(address) => given = address.to_string(),
                None => {
                    let why = "failed to allocate IP: range is full";
                    causes.push(Cause::invalid("spec.clusterIPs", &json!([]), why));
                    return;
                }
            }
        } else if given != "None" && given != had {
            let shown = json!([given]);
            match given.parse::<Ipv4Addr>() {
                Ok(address) if !Block::SERVICES.contains(address) => {
                    let why = format!(
                        "failed to allocate IP {given}: the provided network does not match the \
                         current range"
                    );
                    causes.push(Cause::invalid("spec.clusterIPs", &shown, &why));
                }
                Ok(address) if !self.allocations().addresses.claim(address) => {
                    let why =
                        format!("failed to allocate IP {given}: provided IP is already allocated");
                    causes.push(Cause::invalid("spec.clusterIPs", &shown, &why));
                }
                _ => {}
            }
        }
        spec["clusterIP"] = given.as_str().into();
        spec["clusterIPs"] = json!([given]);
        if spec["ipFamilies"].is_null() {
            spec["ipFamilies"] = json!(["IPv4"]);
        }
        if spec["ipFamilyPolicy"].is_null() {
            spec["ipFamilyPolicy"] = "SingleStack".into();
        }
    }

    fn allocate_ports(&self, old: Option<&Object>, new: &mut Value, causes: &mut Vec<Cause>) {
        let spec = &mut new["spec"];
        let wanted = match spec["type"].as_str() {
            Some("NodePort") => true,
            Some("LoadBalancer") => spec["allocateLoadBalancerNodePorts"] != json!(false),
            _ => false,
        };
        let is_exposed = matches!(spec["type"].as_str(), Some("NodePort" | "LoadBalancer"));
        let before = old.map_or_else(Vec::new, |old| ports(old));
        let old_ports: &[Value] = old.map_or(&[], |old| object::list(&old["spec"]["ports"]));
        // Indexing would write a null where there are none.
        let Some(listed) = spec.get_mut("ports").and_then(Value::as_array_mut) else {
            return;
        };
        for (index, port) in listed.iter_mut().enumerate() {
            let given = port["nodePort"]
                .as_u64()
                .and_then(|port| u16::try_from(port).ok());
            match given.filter(|port| *port > 0) {
                Some(_) if !is_exposed => {
                    if let Some(port) = port.as_object_mut() {
                        port.shift_remove("nodePort");
                    }
                }
                Some(given) if before.contains(&given) => {}
                Some(given) => self.claim_port(given, index, causes),
                None if wanted => {
                    let same = old_ports.iter().find(|old| {
                        old["port"] == port["port"] && old["protocol"] == port["protocol"]
                    });
                    if let Some(kept) = same.and_then(|old| old["nodePort"].as_u64()) {
                        port["nodePort"] = kept.into();
                        continue;
                    }
                    let place = self.chance().below(NODE_PORTS.len() as u64);
                    if let Some(taken) = self.allocations().ports.take_from(place) {
                        port["nodePort"] = taken.into();
                    }
                }
                None => {}
            }
        }
    }

    fn claim_port(&self, given: u16, index: usize, causes: &mut Vec<Cause>) {
        let field = format!("spec.ports[{index}].nodePort");
        if !NODE_PORTS.contains(&given) {
            let why = format!(
                "provided port is not in the valid range. The range of valid ports is {}-{}",
                NODE_PORTS.start(),
                NODE_PORTS.end()
            );
            causes.push(Cause::invalid(field, &given.into(), &why));
        } else if !self.allocations().ports.claim(given) {
            causes.push(Cause::invalid(
                field,
                &given.into(),
                "provided port is already allocated",
            ));
        }
    }
}

/// What belongs to the type that a Service had, and was not changed with the type, goes with it;
/// who set it goes on owning it.
fn drop_of_other_type(old: &Value, new: &mut Value) {
    let is_balanced = |service: &Value| service["spec"]["type"] == "LoadBalancer";
    let is_outside = |service: &Value| is_reached_from_outside(&service["spec"]);
    let mut gone = Vec::new();
    if is_outside(old) && !is_outside(new) {
        gone.push("externalTrafficPolicy");
    }
    if is_balanced(old) && !is_balanced(new) {
        gone.extend(["allocateLoadBalancerNodePorts", "loadBalancerClass"]);
        new["status"]["loadBalancer"] = json!({});
    }
    gone.retain(|field| new["spec"].get(*field) == old["spec"].get(*field));
    if let Some(spec) = new["spec"].as_object_mut() {
        spec.retain(|field, _| !gone.contains(&field.as_str()));
    }
}

fn address(service: &Value) -> Option<Ipv4Addr> {
    service["spec"]["clusterIP"].as_str()?.parse().ok()
}

fn ports(service: &Value) -> Vec<u16> {
    object::list(&service["spec"]["ports"])
        .iter()
        .filter_map(|port| u16::try_from(port["nodePort"].as_u64()?).ok())
        .filter(|port| *port > 0)
        .collect()
}
