//! What the scheduler reserves for a Pod, of a member's or of a template.

use model::{Resources, quantity_millis};
use serde::Deserialize;
use serde_json::{Number, Value};
use std::collections::BTreeMap;

/// As much of a Pod's spec as says where it is and what it asks for.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct PodSpec {
    pub(crate) node_name: Option<String>,
    containers: Vec<Container>,
    init_containers: Vec<Container>,
    resources: Asked,
    overhead: Amounts,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Container {
    restart_policy: Option<String>,
    resources: Asked,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Asked {
    requests: Amounts,
    limits: Amounts,
}

type Amounts = BTreeMap<String, Amount>;

/// Templates may have numbers, which the API server writes as text.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
enum Amount {
    Text(String),
    Number(Number),
}

/// What is reserved for a Pod: the sum of its containers and of those that stay beside them, or what
/// one that runs before them wants, whichever is more (KEP-753); what the Pod says for all of them
/// goes before (KEP-2837); its overhead comes on top.
pub(crate) fn requests(spec: &PodSpec) -> Resources {
    let asks = |name: &str| match millis(&spec.resources, name) {
        0 => of_containers(spec, name),
        named => named,
    };
    let on_top = |name: &str| amount(&spec.overhead, name).unwrap_or(0);
    Resources {
        cpu_millis: asks("cpu").saturating_add(on_top("cpu")),
        memory_bytes: asks("memory").saturating_add(on_top("memory")) / 1000,
        pods: 1,
    }
}

/// What a Pod of a workload's template asks for; `None` when it names no processor and no memory, as
/// the number of its Pods then says nothing.
pub(crate) fn asks(template: &Value) -> Option<Resources> {
    let spec = template.pointer("/spec/template/spec")?;
    let asks = requests(&PodSpec::deserialize(spec).ok()?);
    (asks.cpu_millis > 0 || asks.memory_bytes > 0).then_some(asks)
}

fn of_containers(spec: &PodSpec, name: &str) -> i64 {
    let (mut beside, mut before) = (0_i64, 0_i64);
    for container in &spec.init_containers {
        let wants = millis(&container.resources, name);
        match container.restart_policy.as_deref() {
            Some("Always") => beside = beside.saturating_add(wants),
            // Those that stay and were started earlier run meanwhile.
            _ => before = before.max(beside.saturating_add(wants)),
        }
    }
    let wants = spec.containers.iter();
    let wants = wants.map(|container| millis(&container.resources, name));
    wants.fold(beside, i64::saturating_add).max(before)
}

/// Where there is a limit and no request, the API server makes it the request.
fn millis(asked: &Asked, name: &str) -> i64 {
    let request = amount(&asked.requests, name);
    let asked = request.or_else(|| amount(&asked.limits, name));
    asked.unwrap_or(0)
}

fn amount(amounts: &Amounts, name: &str) -> Option<i64> {
    match amounts.get(name)? {
        Amount::Text(text) => quantity_millis(text),
        Amount::Number(number) => quantity_millis(&number.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn wants(cpu: &str, memory: &str) -> Value {
        json!({"requests": {"cpu": cpu, "memory": memory}})
    }

    #[test]
    fn a_pod_reserves_what_the_scheduler_reserves_for_it() {
        let web = json!({"name": "web", "resources": wants("250m", "64Mi")});
        let sidecar = json!({"name": "mesh", "restartPolicy": "Always",
            "resources": wants("100m", "32Mi")});
        let first = json!({"name": "load", "resources": wants("1", "16Mi")});
        let limited = json!({"name": "log", "resources": {"limits": {"cpu": 0.05}}});
        for (spec, cpu_millis, mebibytes) in [
            (json!({"containers": [web, web]}), 500, 128),
            (json!({"containers": [{"name": "free"}]}), 0, 0),
            (json!({"containers": [web, limited]}), 300, 64),
            (
                json!({"containers": [web], "initContainers": [sidecar]}),
                350,
                96,
            ),
            (
                json!({"containers": [web], "initContainers": [first]}),
                1000,
                64,
            ),
            (
                json!({"containers": [web], "initContainers": [sidecar, first]}),
                1100,
                96,
            ),
            (
                json!({"containers": [web], "initContainers": [first, sidecar]}),
                1000,
                96,
            ),
            (
                json!({"containers": [web], "resources": wants("2", "1Gi")}),
                2000,
                1024,
            ),
            (
                json!({"containers": [web], "overhead": {"cpu": "50m"}}),
                300,
                64,
            ),
        ] {
            let expected = Resources {
                cpu_millis,
                memory_bytes: mebibytes << 20,
                pods: 1,
            };
            let read: PodSpec = serde_json::from_value(spec.clone()).unwrap();
            assert_eq!(requests(&read), expected, "{spec}");
        }
    }

    #[test]
    fn a_template_without_requests_says_nothing_of_how_many_fit() {
        let template = |pod: Value| json!({"spec": {"template": {"spec": pod}}});
        let asked = template(json!({"containers": [{"resources": wants("1", "0")}]}));
        assert_eq!(asks(&asked).map(|asks| asks.cpu_millis), Some(1000));
        assert_eq!(
            asks(&template(json!({"containers": [{"name": "web"}]}))),
            None
        );
        assert_eq!(asks(&json!({"spec": {"replicas": 3}})), None);
    }
}
