//! EndpointSlices and Endpoints of Services with a selector
//! (`endpointslice` and `endpoint` controllers of the real one).

use super::claim::controller_reference;
use super::pod;
use super::selector::contains;
use super::step::{Creation, Deletion, Step, Write};
use crate::clock::seconds;
use crate::object::{is_deleting, label, labels, list, name, namespace, uid};
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// Table of Services.
pub(crate) const SERVICES: &str = "services";
/// Table of EndpointSlices.
pub(crate) const SLICES: &str = "endpointslices.discovery.k8s.io";
/// Table of Endpoints.
pub(crate) const ENDPOINTS: &str = "endpoints";
/// Label that names the Service of a slice.
pub(crate) const SERVICE_NAME: &str = "kubernetes.io/service-name";
/// Label that names who keeps a slice.
pub(crate) const MANAGED_BY: &str = "endpointslice.kubernetes.io/managed-by";
/// This controller, in [`MANAGED_BY`].
pub(crate) const SLICE_MANAGER: &str = "endpointslice-controller.k8s.io";
/// Endpoints in one slice at most, as by default in the real controller.
pub(crate) const ENDPOINTS_PER_SLICE_MAX: usize = 100;
/// Addresses in one Endpoints object at most (KEP-752).
pub(crate) const ADDRESSES_MAX: usize = 1_000;
const HEADLESS: &str = "service.kubernetes.io/headless";
const TRIGGER_TIME: &str = "endpoints.kubernetes.io/last-change-trigger-time";

/// What a look at one Service sees.
#[derive(Debug, Clone, Copy)]
pub(crate) struct View<'a> {
    /// The Service.
    pub(crate) service: &'a Value,
    /// Pods of its namespace.
    pub(crate) pods: &'a [&'a Value],
    /// Its slices.
    pub(crate) slices: &'a [&'a Value],
    /// Its Endpoints.
    pub(crate) endpoints: Option<&'a Value>,
    /// Zone of each node.
    pub(crate) zones: &'a BTreeMap<String, String>,
    /// The present.
    pub(crate) now: Timestamp,
}

/// One look.
pub(crate) fn step(view: View<'_>) -> Step {
    let mut step = Step::default();
    if !has_selector(view.service) || is_deleting(view.service) {
        return step;
    }
    let mut pods: Vec<&Value> = selected(view.service, view.pods.iter().copied()).collect();
    pods.sort_by_key(|pod| (pod["metadata"]["creationTimestamp"].as_str(), name(pod)));
    sync_slices(view, &pods, &mut step);
    sync_endpoints(view, &pods, &mut step);
    step
}

/// Whether this controller keeps the endpoints of a Service.
pub(crate) fn has_selector(service: &Value) -> bool {
    let selector = service["spec"]["selector"].as_object();
    service["spec"]["type"] != "ExternalName" && selector.is_some_and(|map| !map.is_empty())
}

/// Pods that a Service sends to, or did and may still: those that end are among them.
pub(crate) fn selected<'a>(
    service: &Value,
    pods: impl Iterator<Item = &'a Value>,
) -> impl Iterator<Item = &'a Value> {
    let selector = service["spec"]["selector"].clone();
    pods.filter(move |pod| {
        contains(&selector, labels(pod))
            && !pod::is_terminal(pod)
            && pod["status"]["podIP"].is_string()
    })
}

/// Number of Pods that a Service really sends to.
pub(crate) fn ready_count<'a>(service: &Value, pods: impl Iterator<Item = &'a Value>) -> usize {
    let publish_all = publishes_not_ready(service);
    selected(service, pods)
        .filter(|pod| publish_all || (pod::is_ready(pod) && !is_deleting(pod)))
        .count()
}

fn publishes_not_ready(service: &Value) -> bool {
    service["spec"]["publishNotReadyAddresses"] == true
}

/// Endpoints of a slice share their ports.
type Ports = Vec<Value>;

fn sync_slices(view: View<'_>, pods: &[&Value], step: &mut Step) {
    let own: Vec<&Value> = view
        .slices
        .iter()
        .copied()
        .filter(|slice| label(slice, MANAGED_BY) == Some(SLICE_MANAGER) && !is_deleting(slice))
        .collect();
    let mut groups: BTreeMap<String, (Ports, Vec<Value>)> = BTreeMap::new();
    for pod in pods {
        let ports = ports_of(view.service, pod);
        let group = groups.entry(Value::Array(ports.clone()).to_string());
        group
            .or_insert_with(|| (ports, Vec::new()))
            .1
            .push(endpoint(view, pod));
    }
    if groups.is_empty() {
        groups.insert(String::new(), (Vec::new(), Vec::new()));
    }
    let mut free: Vec<&Value> = own.clone();
    for (ports, endpoints) in groups.into_values() {
        let ports = if ports.is_empty() {
            Value::Null
        } else {
            Value::Array(ports)
        };
        let chunks = match endpoints.is_empty() {
            true => vec![Value::Null],
            false => endpoints
                .chunks(ENDPOINTS_PER_SLICE_MAX)
                .map(|c| json!(c))
                .collect(),
        };
        for endpoints in chunks {
            write_slice(view, &mut free, &ports, endpoints, step);
        }
    }
    for slice in free {
        step.push(Write::Delete(Deletion::of(SLICES, slice)));
    }
}

/// Puts endpoints in a slice that has these ports, or any that is free, or a new one.
fn write_slice(
    view: View<'_>,
    free: &mut Vec<&Value>,
    ports: &Value,
    endpoints: Value,
    step: &mut Step,
) {
    let same = free.iter().position(|slice| slice["ports"] == *ports);
    let Some(index) = same.or_else(|| (!free.is_empty()).then_some(0)) else {
        step.push(Write::Create(Creation::quiet(
            SLICES,
            new_slice(view, ports, endpoints),
        )));
        return;
    };
    let seen = free.remove(index);
    let wanted_labels = slice_labels(view.service);
    let unchanged = seen["ports"] == *ports
        && seen["endpoints"] == endpoints
        && labels(seen) == wanted_labels.as_object();
    if unchanged {
        return;
    }
    let mut slice = seen.clone();
    slice["ports"] = ports.clone();
    slice["endpoints"] = endpoints;
    slice["metadata"]["labels"] = wanted_labels;
    slice["metadata"]["annotations"][TRIGGER_TIME] = json!(seconds(view.now));
    step.push(Write::Update(SLICES, slice));
}

fn new_slice(view: View<'_>, ports: &Value, endpoints: Value) -> Value {
    let service = view.service;
    let mut prefix = format!("{}-", name(service));
    prefix.truncate(super::GENERATE_NAME_CHARS_MAX);
    json!({
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "generateName": prefix,
            "namespace": namespace(service),
            "labels": slice_labels(service),
            "annotations": {TRIGGER_TIME: seconds(view.now)},
            "ownerReferences": [controller_reference(service)],
        },
        "addressType": "IPv4",
        "endpoints": endpoints,
        "ports": ports,
    })
}

fn slice_labels(service: &Value) -> Value {
    let mut wanted = service_labels(service);
    wanted.insert(SERVICE_NAME.to_owned(), json!(name(service)));
    wanted.insert(MANAGED_BY.to_owned(), json!(SLICE_MANAGER));
    Value::Object(wanted)
}

/// A Service's own labels, and the one that marks it headless.
fn service_labels(service: &Value) -> Map<String, Value> {
    let mut wanted = labels(service).cloned().unwrap_or_default();
    for reserved in [SERVICE_NAME, MANAGED_BY, HEADLESS] {
        wanted.shift_remove(reserved);
    }
    if service["spec"]["clusterIP"] == "None" {
        wanted.insert(HEADLESS.to_owned(), json!(""));
    }
    wanted
}

fn endpoint(view: View<'_>, pod: &Value) -> Value {
    let terminating = is_deleting(pod);
    let serving = pod::is_ready(pod);
    let ready = publishes_not_ready(view.service) || (serving && !terminating);
    let mut endpoint = json!({
        "addresses": [pod["status"]["podIP"]],
        "conditions": {"ready": ready, "serving": serving, "terminating": terminating},
        "targetRef": {
            "kind": "Pod",
            "namespace": namespace(pod),
            "name": name(pod),
            "uid": uid(pod),
        },
        "nodeName": pod::node(pod),
    });
    if let Some(zone) = view.zones.get(pod::node(pod)) {
        endpoint["zone"] = json!(zone);
    }
    if let Some(hostname) = hostname(view.service, pod) {
        endpoint["hostname"] = hostname.clone();
    }
    endpoint
}

/// Pods with a name in the Service's domain (StatefulSets).
fn hostname<'a>(service: &Value, pod: &'a Value) -> Option<&'a Value> {
    let hostname = pod["spec"]
        .get("hostname")
        .filter(|name| name.is_string())?;
    (pod["spec"]["subdomain"] == service["metadata"]["name"]).then_some(hostname)
}

/// The ports of a Service on one Pod; one that the Pod does not have is left out.
fn ports_of(service: &Value, pod: &Value) -> Ports {
    let ports = list(&service["spec"]["ports"]).iter().filter_map(|port| {
        let protocol = port["protocol"].as_str().unwrap_or("TCP");
        let mut resolved = json!({
            "name": port["name"].as_str().unwrap_or_default(),
            "protocol": protocol,
            "port": target_port(port, pod, protocol)?,
        });
        if let Some(app) = port.get("appProtocol").filter(|app| !app.is_null()) {
            resolved["appProtocol"] = app.clone();
        }
        Some(resolved)
    });
    ports.collect()
}

fn target_port(port: &Value, pod: &Value, protocol: &str) -> Option<i64> {
    let Some(wanted) = port["targetPort"].as_str() else {
        let number = port["targetPort"].as_i64().filter(|number| *number != 0);
        return number.or_else(|| port["port"].as_i64());
    };
    let initial = list(&pod["spec"]["initContainers"]).iter();
    let sidecars = initial.filter(|container| container["restartPolicy"] == "Always");
    let containers = list(&pod["spec"]["containers"]).iter().chain(sidecars);
    let mut ports = containers.flat_map(|container| list(&container["ports"]));
    let named = ports.find(|port| {
        port["name"] == *wanted && port["protocol"].as_str().unwrap_or("TCP") == protocol
    });
    named?["containerPort"].as_i64()
}

fn sync_endpoints(view: View<'_>, pods: &[&Value], step: &mut Step) {
    let subsets = subsets(view.service, pods);
    let mut wanted_labels = labels(view.service).cloned().unwrap_or_default();
    wanted_labels.insert(
        "endpoints.kubernetes.io/managed-by".to_owned(),
        json!("endpoint-controller"),
    );
    if view.service["spec"]["clusterIP"] == "None" {
        wanted_labels.insert(HEADLESS.to_owned(), json!(""));
    }
    let mut object = view.endpoints.cloned().unwrap_or_else(|| {
        json!({
            "apiVersion": "v1",
            "kind": "Endpoints",
            "metadata": {"name": name(view.service), "namespace": namespace(view.service)},
        })
    });
    let unchanged = list(&object["subsets"]) == subsets && labels(&object) == Some(&wanted_labels);
    if view.endpoints.is_some() && unchanged {
        return;
    }
    object["metadata"]["labels"] = Value::Object(wanted_labels);
    object["metadata"]["annotations"][TRIGGER_TIME] = json!(seconds(view.now));
    if let Some(fields) = object.as_object_mut() {
        match subsets.is_empty() {
            true => drop(fields.shift_remove("subsets")),
            false => drop(fields.insert("subsets".to_owned(), Value::Array(subsets))),
        }
    }
    step.push(match view.endpoints {
        Some(_) => Write::Update(ENDPOINTS, object),
        None => Write::Create(Creation::quiet(ENDPOINTS, object)),
    });
}

/// Addresses that share ports make a subset; Pods that end are in none.
fn subsets(service: &Value, pods: &[&Value]) -> Vec<Value> {
    let mut groups: BTreeMap<String, (Ports, Vec<Value>, Vec<Value>)> = BTreeMap::new();
    for pod in pods
        .iter()
        .filter(|pod| !is_deleting(pod))
        .take(ADDRESSES_MAX)
    {
        let ports = ports_of(service, pod);
        let headless =
            service["spec"]["clusterIP"] == "None" && list(&service["spec"]["ports"]).is_empty();
        if ports.is_empty() && !headless {
            continue;
        }
        let ports: Ports = ports.into_iter().map(nameless_port).collect();
        let group = groups.entry(Value::Array(ports.clone()).to_string());
        let (_, ready, not_ready) = group.or_insert_with(|| (ports, Vec::new(), Vec::new()));
        let is_ready = publishes_not_ready(service) || pod::is_ready(pod);
        if is_ready {
            ready.push(address(service, pod))
        } else {
            not_ready.push(address(service, pod))
        }
    }
    let subset = |(ports, ready, not_ready): (Ports, Vec<Value>, Vec<Value>)| {
        let mut subset = Map::new();
        for (field, values) in [
            ("addresses", ready),
            ("notReadyAddresses", not_ready),
            ("ports", ports),
        ] {
            if !values.is_empty() {
                subset.insert(field.to_owned(), Value::Array(values));
            }
        }
        Value::Object(subset)
    };
    groups.into_values().map(subset).collect()
}

/// Endpoints leave an empty name out, slices write it.
fn nameless_port(mut port: Value) -> Value {
    if port["name"] == ""
        && let Some(fields) = port.as_object_mut()
    {
        fields.shift_remove("name");
    }
    port
}

fn address(service: &Value, pod: &Value) -> Value {
    let mut address = json!({
        "ip": pod["status"]["podIP"],
        "nodeName": pod::node(pod),
        "targetRef": {
            "kind": "Pod",
            "namespace": namespace(pod),
            "name": name(pod),
            "uid": uid(pod),
        },
    });
    if let Some(hostname) = hostname(service, pod) {
        address["hostname"] = hostname.clone();
    }
    address
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: &str = "2026-01-01T00:00:00Z";

    fn service(ports: Value) -> Value {
        json!({"apiVersion": "v1", "kind": "Service",
            "metadata": {"name": "web", "namespace": "n", "uid": "s", "labels": {"app": "web"}},
            "spec": {"clusterIP": "10.96.0.9", "selector": {"app": "web"}, "ports": ports}})
    }

    fn pod(name: &str, ip: &str, ready: bool) -> Value {
        let status = if ready { "True" } else { "False" };
        json!({"metadata": {"name": name, "namespace": "n", "uid": name, "labels": {"app": "web"}},
            "spec": {"nodeName": "a", "containers": [{"ports": [{"name": "http", "containerPort": 80}]}]},
            "status": {"phase": "Running", "podIP": ip,
                "conditions": [{"type": "Ready", "status": status}]}})
    }

    fn look(service: &Value, pods: &[Value], slices: &[Value], endpoints: Option<&Value>) -> Step {
        let pods: Vec<&Value> = pods.iter().collect();
        let slices: Vec<&Value> = slices.iter().collect();
        let zones = BTreeMap::from([("a".to_owned(), "zone-a".to_owned())]);
        let now = NOW.parse().unwrap();
        let view = View {
            service,
            pods: &pods,
            slices: &slices,
            endpoints,
            zones: &zones,
            now,
        };
        step(view)
    }

    fn objects(step: Step) -> Vec<Value> {
        let object = |write| match write {
            Write::Create(creation) => creation.object,
            Write::Update(_, object) => object,
            other => panic!("{other:?}"),
        };
        step.writes.into_iter().map(object).collect()
    }

    fn http() -> Value {
        json!([{"port": 8080, "targetPort": "http"}])
    }

    #[test]
    fn a_slice_and_endpoints_say_who_is_ready() {
        let mut going = pod("going", "10.0.0.3", true);
        going["metadata"]["deletionTimestamp"] = json!(NOW);
        let pods = [
            pod("one", "10.0.0.1", true),
            pod("two", "10.0.0.2", false),
            going,
        ];
        let made = objects(look(&service(http()), &pods, &[], None));
        let (slice, endpoints) = (&made[0], &made[1]);
        assert_eq!(
            slice["ports"],
            json!([{"name": "", "protocol": "TCP", "port": 80}])
        );
        let conditions: Vec<&Value> = list(&slice["endpoints"])
            .iter()
            .map(|endpoint| &endpoint["conditions"])
            .collect();
        assert_eq!(
            conditions,
            [
                &json!({"ready": false, "serving": true, "terminating": true}),
                &json!({"ready": true, "serving": true, "terminating": false}),
                &json!({"ready": false, "serving": false, "terminating": false}),
            ]
        );
        assert_eq!(slice["endpoints"][0]["zone"], "zone-a");
        assert_eq!(
            slice["metadata"]["labels"],
            json!({"app": "web", SERVICE_NAME: "web", MANAGED_BY: SLICE_MANAGER})
        );
        let subset = &endpoints["subsets"][0];
        assert_eq!(subset["addresses"][0]["ip"], "10.0.0.1");
        assert_eq!(subset["notReadyAddresses"][0]["ip"], "10.0.0.2");
        assert_eq!(subset["ports"], json!([{"protocol": "TCP", "port": 80}]));
    }

    #[test]
    fn nothing_is_written_when_nothing_changed() {
        let pods = [pod("one", "10.0.0.1", true)];
        let made = objects(look(&service(http()), &pods, &[], None));
        let again = look(&service(http()), &pods, &made[..1], Some(&made[1]));
        assert_eq!(again, Step::default());
    }

    #[test]
    fn a_service_without_pods_has_an_empty_slice() {
        let made = objects(look(&service(http()), &[], &[], None));
        assert_eq!(
            (&made[0]["endpoints"], &made[0]["ports"]),
            (&Value::Null, &Value::Null)
        );
        assert_eq!(made[1].get("subsets"), None);
        let again = objects(look(
            &service(http()),
            &[pod("p", "10.0.0.1", true)],
            &made[..1],
            Some(&made[1]),
        ));
        assert_eq!(again[0]["endpoints"][0]["addresses"], json!(["10.0.0.1"]));
    }

    #[test]
    fn ports_that_a_pod_does_not_have_are_left_out() {
        let ports = json!([
            {"name": "a", "port": 80, "targetPort": "http", "appProtocol": "kubernetes.io/h2c"},
            {"name": "b", "port": 81, "targetPort": 8},
            {"name": "c", "port": 82, "targetPort": "missing"},
            {"name": "d", "port": 83},
        ]);
        let made = objects(look(
            &service(ports),
            &[pod("p", "10.0.0.1", true)],
            &[],
            None,
        ));
        let numbers: Vec<i64> = list(&made[0]["ports"])
            .iter()
            .filter_map(|port| port["port"].as_i64())
            .collect();
        assert_eq!(numbers, [80, 8, 83]);
        assert_eq!(made[0]["ports"][0]["appProtocol"], "kubernetes.io/h2c");
    }

    #[test]
    fn many_endpoints_fill_several_slices_and_leave_when_they_go() {
        let pods: Vec<Value> = (0..250)
            .map(|n| pod(&format!("p{n:03}"), &format!("10.0.0.{n}"), true))
            .collect();
        let made = objects(look(&service(http()), &pods, &[], None));
        let sizes: Vec<usize> = made[..3]
            .iter()
            .map(|slice| list(&slice["endpoints"]).len())
            .collect();
        assert_eq!(sizes, [100, 100, 50]);
        let fewer = look(&service(http()), &pods[..100], &made[..3], Some(&made[3]));
        let deleted = fewer
            .writes
            .iter()
            .filter(|write| matches!(write, Write::Delete(_)));
        assert_eq!(deleted.count(), 2);
    }

    #[test]
    fn services_without_a_selector_are_left_to_their_makers() {
        let mut headless = service(http());
        headless["spec"]["selector"] = json!({});
        assert_eq!(
            look(&headless, &[pod("p", "10.0.0.1", true)], &[], None),
            Step::default()
        );
        let mut external = service(http());
        external["spec"]["type"] = json!("ExternalName");
        assert_eq!(look(&external, &[], &[], None), Step::default());
    }

    #[test]
    fn unready_addresses_are_published_when_asked_for() {
        let mut service = service(http());
        service["spec"]["publishNotReadyAddresses"] = json!(true);
        let pods = [pod("one", "10.0.0.1", false)];
        let made = objects(look(&service, &pods, &[], None));
        assert_eq!(made[0]["endpoints"][0]["conditions"]["ready"], true);
        assert_eq!(made[1]["subsets"][0]["addresses"][0]["ip"], "10.0.0.1");
        assert_eq!(ready_count(&service, pods.iter()), 1);
    }
}
