//! Defaults of Services, endpoints and network policies.

use super::{each, fill, made, spec};
use serde_json::{Value, json};

/// A Service. Its addresses and node ports are the cluster's to give.
pub(in crate::kinds) fn service(object: &mut Value) {
    let Some(spec) = spec(object) else { return };
    fill(spec, "sessionAffinity", "None");
    match spec.get("sessionAffinity").and_then(Value::as_str) {
        Some("ClientIP") => {
            const THREE_HOURS: i64 = 10_800;
            let config = made(spec, "sessionAffinityConfig");
            if let Some(client) = config.and_then(|config| made(config, "clientIP")) {
                fill(client, "timeoutSeconds", THREE_HOURS);
            }
        }
        _ => {
            spec.shift_remove("sessionAffinityConfig");
        }
    }
    fill(spec, "type", "ClusterIP");
    for port in each(spec, "ports") {
        fill(port, "protocol", "TCP");
        let number = port.get("port").cloned().unwrap_or(json!(0));
        let target = port.get("targetPort");
        if target.is_none_or(|t| t.is_null() || *t == json!(0) || *t == json!("")) {
            port.insert("targetPort".to_owned(), number);
        }
    }
    let kind = spec
        .get("type")
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned();
    let has_addresses = spec
        .get("externalIPs")
        .and_then(Value::as_array)
        .is_some_and(|addresses| !addresses.is_empty());
    let is_exposed = matches!(kind.as_str(), "NodePort" | "LoadBalancer");
    if is_exposed || (kind == "ClusterIP" && has_addresses) {
        fill(spec, "externalTrafficPolicy", "Cluster");
    }
    let is_balanced = kind == "LoadBalancer";
    if is_balanced {
        fill(spec, "allocateLoadBalancerNodePorts", true);
    }
    if matches!(kind.as_str(), "NodePort" | "LoadBalancer" | "ClusterIP") {
        fill(spec, "internalTrafficPolicy", "Cluster");
    }
    let status = object.get_mut("status").and_then(Value::as_object_mut);
    if let Some(balancer) = status.and_then(|status| made(status, "loadBalancer"))
        && is_balanced
    {
        for address in each(balancer, "ingress") {
            if address.get("ip").is_some_and(|ip| *ip != json!("")) {
                fill(address, "ipMode", "VIP");
            }
        }
    }
}

pub(in crate::kinds) fn endpoints(object: &mut Value) {
    let Some(fields) = object.as_object_mut() else {
        return;
    };
    for subset in each(fields, "subsets") {
        for port in each(subset, "ports") {
            fill(port, "protocol", "TCP");
        }
    }
}

pub(in crate::kinds) fn endpoint_slice(object: &mut Value) {
    let Some(fields) = object.as_object_mut() else {
        return;
    };
    for port in each(fields, "ports") {
        fill(port, "name", "");
        fill(port, "protocol", "TCP");
    }
}

pub(in crate::kinds) fn network_policy(object: &mut Value) {
    let Some(spec) = spec(object) else { return };
    let has_egress = spec
        .get("egress")
        .and_then(Value::as_array)
        .is_some_and(|l| !l.is_empty());
    let types = if has_egress {
        json!(["Ingress", "Egress"])
    } else {
        json!(["Ingress"])
    };
    fill(spec, "policyTypes", types);
    for list in ["ingress", "egress"] {
        for rule in each(spec, list) {
            for port in each(rule, "ports") {
                fill(port, "protocol", "TCP");
            }
        }
    }
}
