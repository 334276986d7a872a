//! Services, endpoint slices and Ingresses.

use super::{list, names, one_of, text};
use crate::schema::{child_path, index_path};
use crate::status::Cause;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::net::IpAddr;

/// What is said of a port outside of 1 to 65535.
const PORT_RANGE: &str = "must be between 1 and 65535, inclusive";

pub(in crate::kinds) fn service(object: &Value, causes: &mut Vec<Cause>) {
    let spec = &object["spec"];
    let is_external = text(&spec["type"]) == "ExternalName";
    let is_headless = text(&spec["clusterIP"]) == "None";
    let ports = list(&spec["ports"]);
    if ports.is_empty() && !is_headless && !is_external {
        causes.push(Cause::required("spec.ports", ""));
    }
    service_ports(ports, causes);
    names::labels(&spec["selector"], "spec.selector", causes);
    one_of(
        &spec["sessionAffinity"],
        "spec.sessionAffinity",
        &["ClientIP", "None"],
        causes,
    );
    let kinds = ["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"];
    one_of(&spec["type"], "spec.type", &kinds, causes);
    if is_external {
        let name = text(&spec["externalName"]).trim_end_matches('.');
        if name.is_empty() {
            causes.push(Cause::required("spec.externalName", ""));
        } else {
            for why in names::subdomain(name) {
                causes.push(Cause::invalid(
                    "spec.externalName",
                    &spec["externalName"],
                    &why,
                ));
            }
        }
    }
    addresses(spec, causes);
    if !spec["externalTrafficPolicy"].is_null() {
        let allowed = ["Cluster", "Local"];
        one_of(
            &spec["externalTrafficPolicy"],
            "spec.externalTrafficPolicy",
            &allowed,
            causes,
        );
    }
}

/// Only what a load balancer serves has addresses of one.
pub(in crate::kinds) fn service_status(object: &Value, causes: &mut Vec<Cause>) {
    let addresses = list(&object["status"]["loadBalancer"]["ingress"]);
    if !addresses.is_empty() && object["spec"]["type"] != "LoadBalancer" {
        let why = "may only be used when `spec.type` is 'LoadBalancer'";
        causes.push(Cause::forbidden("status.loadBalancer.ingress", why));
    }
}

/// Whether a Service has addresses that the outside reaches.
pub(crate) fn is_reached_from_outside(spec: &Value) -> bool {
    match spec["type"].as_str() {
        Some("LoadBalancer" | "NodePort") => true,
        Some("ClusterIP") => !list(&spec["externalIPs"]).is_empty(),
        _ => false,
    }
}

fn service_ports(ports: &[Value], causes: &mut Vec<Cause>) {
    let mut seen_names = BTreeSet::new();
    for (index, port) in ports.iter().enumerate() {
        let path = index_path("spec.ports", index);
        let at = |field: &str| child_path(&path, field);
        let name = text(&port["name"]);
        if name.is_empty() {
            if ports.len() > 1 {
                causes.push(Cause::required(at("name"), ""));
            }
        } else {
            for why in names::label(name) {
                causes.push(Cause::invalid(at("name"), &port["name"], &why));
            }
            if !seen_names.insert(name) {
                causes.push(Cause::duplicate(at("name"), &port["name"]));
            }
        }
        number(&port["port"], &at("port"), causes);
        one_of(
            &port["protocol"],
            &at("protocol"),
            &["SCTP", "TCP", "UDP"],
            causes,
        );
        match &port["targetPort"] {
            Value::String(target) => {
                for why in names::port_name(target) {
                    causes.push(Cause::invalid(at("targetPort"), &port["targetPort"], &why));
                }
            }
            target => number(target, &at("targetPort"), causes),
        }
    }
    let mut seen_ports: Vec<(&Value, &str)> = Vec::new();
    for (index, port) in ports.iter().enumerate() {
        let identity = (&port["port"], text(&port["protocol"]));
        if seen_ports.contains(&identity) {
            let path = index_path("spec.ports", index);
            causes.push(Cause::duplicate(path, &shown_port(port)));
        }
        seen_ports.push(identity);
    }
}

/// What makes a port a duplicate as the server prints it: a port of Go's with nothing else set.
fn shown_port(port: &Value) -> Value {
    json!({
        "Name": "",
        "Protocol": port["protocol"],
        "AppProtocol": null,
        "Port": port["port"],
        "TargetPort": 0,
        "NodePort": 0,
    })
}

fn addresses(spec: &Value, causes: &mut Vec<Cause>) {
    let address = text(&spec["clusterIP"]);
    if !address.is_empty() && address != "None" && address.parse::<IpAddr>().is_err() {
        let why = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)";
        causes.push(Cause::invalid("spec.clusterIPs[0]", &address.into(), why));
    }
    for (index, address) in list(&spec["externalIPs"]).iter().enumerate() {
        if text(address).parse::<IpAddr>().is_err() {
            let why = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)";
            causes.push(Cause::invalid(
                index_path("spec.externalIPs", index),
                address,
                why,
            ));
        }
    }
}

pub(super) fn number(value: &Value, field: &str, causes: &mut Vec<Cause>) {
    let number = value.as_i64().unwrap_or(0);
    if !(1..=65_535).contains(&number) {
        causes.push(Cause::invalid(field, &number.into(), PORT_RANGE));
    }
}

pub(in crate::kinds) fn endpoint_slice(object: &Value, causes: &mut Vec<Cause>) {
    const ENDPOINTS_MAX: usize = 1000;
    let kind = &object["addressType"];
    one_of(kind, "addressType", &["FQDN", "IPv4", "IPv6"], causes);
    let endpoints = list(&object["endpoints"]);
    if endpoints.len() > ENDPOINTS_MAX {
        let count = endpoints.len();
        let message = format!("Too many: {count}: must have at most {ENDPOINTS_MAX} items");
        causes.push(Cause::new("FieldValueTooMany", "endpoints", message));
    }
    for (index, endpoint) in endpoints.iter().enumerate() {
        let field = child_path(&index_path("endpoints", index), "addresses");
        let addresses = list(&endpoint["addresses"]);
        if addresses.is_empty() {
            causes.push(Cause::required(&field, "must contain at least 1 address"));
        }
        for (at, address) in addresses.iter().enumerate() {
            let why = match (text(kind), text(address).parse::<IpAddr>()) {
                ("IPv4", Ok(address)) if !address.is_ipv4() => "must be an IPv4 address",
                ("IPv6", Ok(address)) if !address.is_ipv6() => "must be an IPv6 address",
                ("IPv4" | "IPv6", Err(_)) => {
                    "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"
                }
                _ => continue,
            };
            causes.push(Cause::invalid(index_path(&field, at), address, why));
        }
    }
}

pub(in crate::kinds) fn ingress(object: &Value, causes: &mut Vec<Cause>) {
    let spec = &object["spec"];
    let rules = list(&spec["rules"]);
    if rules.is_empty() && spec["defaultBackend"].is_null() {
        let why = "either `defaultBackend` or `rules` must be specified";
        causes.push(Cause::invalid("spec", &Value::Null, why));
    }
    for (index, rule) in rules.iter().enumerate() {
        let paths = list(&rule["http"]["paths"]);
        for (at, path) in paths.iter().enumerate() {
            let below = index_path(&format!("spec.rules[{index}].http.paths"), at);
            let field = child_path(&below, "pathType");
            match path["pathType"].as_str() {
                None => causes.push(Cause::required(field, "pathType must be specified")),
                Some("Exact" | "Prefix") if !text(&path["path"]).starts_with('/') => {
                    let why = "must be an absolute path";
                    let found = text(&path["path"]).into();
                    causes.push(Cause::invalid(child_path(&below, "path"), &found, why));
                }
                Some("Exact" | "Prefix" | "ImplementationSpecific") => {}
                Some(_) => {
                    let allowed = ["Exact", "ImplementationSpecific", "Prefix"];
                    causes.push(Cause::unsupported(field, &path["pathType"], &allowed));
                }
            }
        }
    }
}
