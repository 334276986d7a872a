//! Tables of Services and what belongs to them.

use super::{age_cell, at, count, labels, list, or_none, selector, text, wide};
use crate::resource::Column;
use serde_json::{Value, json};

/// Addresses that a cell shows before it counts the rest.
const SHOWN_MAX: usize = 3;

pub(super) fn columns(kind: &str) -> Option<Vec<Column>> {
    let columns = match kind {
        "Service" => vec![
            text("Type", |o, _| json!(at(o, &["spec", "type"]))),
            text("Cluster-IP", |o, _| or_none(at(o, &["spec", "clusterIP"]))),
            text("External-IP", |o, _| json!(external(o))),
            text("Port(s)", |o, _| json!(ports(o))),
            text("Age", age_cell),
            wide("Selector", |o, _| json!(labels(&o["spec"]["selector"]))),
        ],
        "Endpoints" => vec![
            text("Endpoints", |o, _| json!(endpoints(o))),
            text("Age", age_cell),
        ],
        "EndpointSlice" => vec![
            text("AddressType", |o, _| json!(at(o, &["addressType"]))),
            text("Ports", |o, _| json!(slice_ports(o))),
            text("Endpoints", |o, _| json!(slice_addresses(o))),
            text("Age", age_cell),
        ],
        "Ingress" => vec![
            text("Class", |o, _| {
                or_none(at(o, &["spec", "ingressClassName"]))
            }),
            text("Hosts", |o, _| json!(hosts(o))),
            text("Address", |o, _| {
                json!(ingress_addresses(&o["status"]["loadBalancer"]))
            }),
            text("Ports", |o, _| {
                json!(if list(&o["spec"]["tls"]).is_empty() {
                    "80"
                } else {
                    "80, 443"
                })
            }),
            text("Age", age_cell),
        ],
        "IngressClass" => vec![
            text("Controller", |o, _| json!(at(o, &["spec", "controller"]))),
            text("Parameters", |o, _| {
                let parameters = &o["spec"]["parameters"];
                let (kind, name) = (at(parameters, &["kind"]), at(parameters, &["name"]));
                match (kind, at(parameters, &["apiGroup"])) {
                    ("", _) => json!("<none>"),
                    (kind, "") => json!(format!("{kind}/{name}")),
                    (kind, group) => json!(format!("{kind}.{group}/{name}")),
                }
            }),
            text("Age", age_cell),
        ],
        "NetworkPolicy" => vec![
            text("Pod-Selector", |o, _| {
                json!(selector(&o["spec"]["podSelector"]))
            }),
            text("Age", age_cell),
        ],
        _ => return None,
    };
    Some(columns)
}

fn ports(service: &Value) -> String {
    let ports = list(&service["spec"]["ports"]);
    let shown = |port: &Value| {
        let (number, node) = (count(port, &["port"]), count(port, &["nodePort"]));
        let protocol = at(port, &["protocol"]);
        match node {
            0 => format!("{number}/{protocol}"),
            node => format!("{number}:{node}/{protocol}"),
        }
    };
    if ports.is_empty() {
        return "<none>".to_owned();
    }
    ports.iter().map(shown).collect::<Vec<_>>().join(",")
}

fn external(service: &Value) -> String {
    let spec = &service["spec"];
    let own: Vec<&str> = list(&spec["externalIPs"])
        .iter()
        .filter_map(Value::as_str)
        .collect();
    let given = ingress_addresses(&service["status"]["loadBalancer"]);
    match at(spec, &["type"]) {
        "ExternalName" => at(spec, &["externalName"]).to_owned(),
        "LoadBalancer" => match (given.as_str(), own.as_slice()) {
            ("", []) => "<pending>".to_owned(),
            ("", own) => own.join(","),
            (given, []) => given.to_owned(),
            (given, own) => format!("{given},{}", own.join(",")),
        },
        _ if own.is_empty() => "<none>".to_owned(),
        _ => own.join(","),
    }
}

fn ingress_addresses(status: &Value) -> String {
    let address = |ingress: &Value| match at(ingress, &["ip"]) {
        "" => at(ingress, &["hostname"]).to_owned(),
        ip => ip.to_owned(),
    };
    let mut addresses: Vec<String> = list(&status["ingress"]).iter().map(address).collect();
    addresses.sort();
    addresses.dedup();
    addresses.join(",")
}

fn endpoints(object: &Value) -> String {
    let mut shown = Vec::new();
    let mut total = 0;
    for subset in list(&object["subsets"]) {
        let ports = list(&subset["ports"]);
        for address in list(&subset["addresses"]) {
            let ip = at(address, &["ip"]);
            let pairs: Vec<String> = match ports {
                [] => vec![ip.to_owned()],
                ports => ports
                    .iter()
                    .map(|p| format!("{ip}:{}", count(p, &["port"])))
                    .collect(),
            };
            total += pairs.len();
            shown.extend(pairs);
        }
    }
    if shown.is_empty() {
        return "<none>".to_owned();
    }
    shown.truncate(SHOWN_MAX);
    more(shown.join(","), total, SHOWN_MAX)
}

fn slice_ports(slice: &Value) -> String {
    let ports = list(&slice["ports"]);
    let mut numbers: Vec<String> = Vec::new();
    for port in ports {
        let number = match port["port"].as_i64() {
            Some(number) => number.to_string(),
            None => "*".to_owned(),
        };
        if !numbers.contains(&number) {
            numbers.push(number);
        }
    }
    let total = numbers.len();
    numbers.truncate(SHOWN_MAX);
    if numbers.is_empty() {
        "<unset>".to_owned()
    } else {
        more(numbers.join(","), total, SHOWN_MAX)
    }
}

fn slice_addresses(slice: &Value) -> String {
    let endpoints = list(&slice["endpoints"]);
    let mut addresses: Vec<&str> = Vec::new();
    for endpoint in endpoints {
        addresses.extend(
            list(&endpoint["addresses"])
                .iter()
                .filter_map(Value::as_str),
        );
    }
    let total = addresses.len();
    addresses.truncate(SHOWN_MAX);
    if addresses.is_empty() {
        "<unset>".to_owned()
    } else {
        more(addresses.join(","), total, SHOWN_MAX)
    }
}

fn hosts(ingress: &Value) -> String {
    let named = list(&ingress["spec"]["rules"])
        .iter()
        .map(|rule| at(rule, &["host"]));
    let mut hosts: Vec<&str> = named.filter(|host| !host.is_empty()).collect();
    let total = hosts.len();
    hosts.truncate(SHOWN_MAX);
    if hosts.is_empty() {
        "*".to_owned()
    } else {
        more(hosts.join(","), total, SHOWN_MAX)
    }
}

fn more(shown: String, total: usize, max: usize) -> String {
    match total.saturating_sub(max) {
        0 => shown,
        hidden => format!("{shown} + {hidden} more..."),
    }
}
