//! What sequences are drawn from, kind by kind.

use serde_json::{Value, json};

use crate::draw::{Draw, Garden, sequence};
use crate::recording::Step;

/// Writes in a sequence.
const LENGTH: usize = 12;
/// Sets the seeds of kinds apart.
const SEEDS_OF_A_KIND: u64 = 10_000;
const LAST_APPLIED: &str =
    "/metadata/annotations/kubectl.kubernetes.io~1last-applied-configuration";

/// All sequences of a kind, with their names.
pub(crate) fn sequences(kind: &str) -> Vec<(String, Vec<Step>)> {
    let (garden, base, count) = match kind {
        "configmap" => (config_map(), 0, 50),
        "deployment" => (deployment(), 1, 90),
        "service" => (service(), 2, 70),
        _ => (thing(), 3, 110),
    };
    let drawn = (0..count).map(|number: u64| {
        let seed = base * SEEDS_OF_A_KIND + number;
        (format!("{kind}-{number}"), sequence(&garden, seed, LENGTH))
    });
    drawn.collect()
}

fn config_map() -> Garden {
    Garden {
        collection: "configmaps",
        other: None,
        new: |draw| {
            let mut object = json!({"kind": "ConfigMap", "data": {"a": "1"}});
            draw.metadata(&mut object);
            object
        },
        some: |draw| {
            let mut object = json!({});
            draw.metadata(&mut object);
            for name in ["a", "b", "c", "d.e"] {
                let value = json!(draw.one(&["1", "2"]));
                draw.maybe(&mut object, &format!("/data/{name}"), 40, value);
            }
            let value = json!(draw.one(&["AA==", "AQ=="]));
            draw.maybe(&mut object, "/binaryData/x", 20, value);
            draw.maybe(&mut object, "/immutable", 3, json!(true));
            let applied = json!({
                "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"},
                "data": {"a": draw.one(&["1", "2"]), "b": draw.one(&["1", "2"])},
            });
            draw.maybe(&mut object, LAST_APPLIED, 10, json!(applied.to_string()));
            object
        },
        status: None,
        has_scale: false,
        has_strategic: true,
    }
}

fn deployment() -> Garden {
    Garden {
        collection: "apps/v1:deployments",
        other: None,
        new: |draw| {
            let mut object = json!({"kind": "Deployment", "spec": {
                "selector": {"matchLabels": {"app": "a"}},
                "template": {
                    "metadata": {"labels": {"app": "a"}},
                    "spec": {"containers": [{"name": "ca", "image": "image:1"}]},
                },
            }});
            draw.metadata(&mut object);
            draw.maybe(&mut object, "/spec/replicas", 50, json!(2));
            object
        },
        some: |draw| {
            let mut object = json!({});
            draw.metadata(&mut object);
            deployment_spec(draw, &mut object);
            pod_spec(draw, &mut object);
            object
        },
        status: Some(|draw| {
            let mut object = json!({"status": {}});
            let condition = |kind: &str, status: &str| json!({"type": kind, "status": status, "reason": "R", "message": "m"});
            let status = draw.one(&["True", "False", "Unknown"]);
            let conditions = draw.some(&[
                condition("Available", status),
                condition("Progressing", status),
                condition("example.com/Other", "True"),
            ]);
            draw.maybe(&mut object, "/status/conditions", 60, json!(conditions));
            let count = json!(draw.below(3));
            draw.maybe(&mut object, "/status/replicas", 40, count.clone());
            draw.maybe(&mut object, "/status/readyReplicas", 20, json!(0));
            draw.maybe(&mut object, "/status/observedGeneration", 40, json!(1));
            draw.maybe(&mut object, "/metadata/labels/la", 10, json!("3"));
            draw.maybe(&mut object, "/spec/replicas", 10, json!(3));
            object
        }),
        has_scale: true,
        has_strategic: true,
    }
}

fn deployment_spec(draw: &mut Draw, object: &mut Value) {
    let replicas = json!(draw.below(4));
    draw.maybe(object, "/spec/replicas", 30, replicas);
    draw.maybe(object, "/spec/minReadySeconds", 10, json!(5));
    draw.maybe(object, "/spec/paused", 10, json!(true));
    let strategy = draw.one(&[
        json!({"type": "Recreate"}),
        json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}),
        json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "50%", "maxUnavailable": 0}}),
    ]);
    draw.maybe(object, "/spec/strategy", 15, strategy);
    let selector = "/spec/selector/matchLabels/app";
    draw.maybe(object, selector, 20, json!("a"));
    let labels = "/spec/template/metadata/labels";
    draw.maybe(object, &format!("{labels}/app"), 20, json!("a"));
    let value = json!(draw.one(&["1", "2"]));
    draw.maybe(object, &format!("{labels}/tier"), 15, value);
}

fn pod_spec(draw: &mut Draw, object: &mut Value) {
    const SPEC: &str = "/spec/template/spec";
    let all = ["ca", "cb", "cc"].map(|name| container(draw, name));
    let containers = draw.some(&all);
    draw.maybe(object, &format!("{SPEC}/containers"), 60, json!(containers));
    let first = container(draw, "ia");
    draw.maybe(object, &format!("{SPEC}/initContainers"), 8, json!([first]));
    let volumes = draw.some(&[
        json!({"name": "va", "emptyDir": {}}),
        json!({"name": "vb", "configMap": {"name": "settings"}}),
        json!({"name": "vc", "emptyDir": {"medium": "Memory"}}),
    ]);
    draw.maybe(object, &format!("{SPEC}/volumes"), 15, json!(volumes));
    let node = json!({draw.one(&["zone", "disk"]): "1"});
    draw.maybe(object, &format!("{SPEC}/nodeSelector"), 10, node);
    let tolerations = draw.some(&[
        json!({"key": "ta", "operator": "Exists"}),
        json!({"key": "tb", "operator": "Equal", "value": "1"}),
    ]);
    draw.maybe(
        object,
        &format!("{SPEC}/tolerations"),
        10,
        json!(tolerations),
    );
    let secrets = draw.some(&[json!({"name": "sa"}), json!({"name": "sb"})]);
    draw.maybe(
        object,
        &format!("{SPEC}/imagePullSecrets"),
        10,
        json!(secrets),
    );
    let spread =
        |key: &str| json!({"topologyKey": key, "maxSkew": 1, "whenUnsatisfiable": "DoNotSchedule"});
    let spreads = draw.some(&[spread("zone"), spread("host")]);
    let place = format!("{SPEC}/topologySpreadConstraints");
    draw.maybe(object, &place, 10, json!(spreads));
    let context = json!({"runAsUser": draw.one(&[1000, 2000])});
    draw.maybe(object, &format!("{SPEC}/securityContext"), 8, context);
    draw.maybe(
        object,
        &format!("{SPEC}/terminationGracePeriodSeconds"),
        8,
        json!(5),
    );
}

fn container(draw: &mut Draw, name: &str) -> Value {
    let mut container = json!({"name": name});
    let image = json!(draw.one(&["image:1", "image:2"]));
    draw.maybe(&mut container, "/image", 85, image);
    let variable = |name: &str, value: &str| json!({"name": name, "value": value});
    let value = draw.one(&["1", "2"]);
    let variables = draw.some(&[
        variable("EA", value),
        variable("EB", "1"),
        json!({"name": "EC", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "k"}}}),
    ]);
    draw.maybe(&mut container, "/env", 25, json!(variables));
    let mut tcp = json!({"containerPort": 80, "name": "http"});
    draw.maybe(&mut tcp, "/protocol", 50, json!("TCP"));
    let ports = draw.some(&[
        tcp,
        json!({"containerPort": 80, "protocol": "UDP"}),
        json!({"containerPort": 81}),
    ]);
    draw.maybe(&mut container, "/ports", 25, json!(ports));
    let arguments = draw.some(&["x", "y"]);
    draw.maybe(&mut container, "/args", 15, json!(arguments));
    let cpu = json!(draw.one(&["100m", "0.1", "1"]));
    draw.maybe(&mut container, "/resources/requests/cpu", 15, cpu);
    draw.maybe(
        &mut container,
        "/resources/limits/memory",
        10,
        json!("64Mi"),
    );
    let mounts = draw.some(&[
        json!({"name": "va", "mountPath": "/a"}),
        json!({"name": "va", "mountPath": "/b", "readOnly": true}),
    ]);
    draw.maybe(&mut container, "/volumeMounts", 10, json!(mounts));
    container
}

fn service() -> Garden {
    Garden {
        collection: "services",
        other: None,
        new: |draw| {
            let mut object = json!({"kind": "Service", "spec": {
                "selector": {"app": "a"}, "ports": [{"port": 80}],
            }});
            draw.metadata(&mut object);
            object
        },
        some: |draw| {
            let mut object = json!({});
            draw.metadata(&mut object);
            service_spec(draw, &mut object);
            object
        },
        status: Some(|draw| {
            let mut object = json!({"status": {}});
            let ingress = draw.some(&[
                json!({"ip": "192.0.2.1"}),
                json!({"ip": "192.0.2.2", "ipMode": "VIP"}),
                json!({"hostname": "a.example.com"}),
            ]);
            draw.maybe(
                &mut object,
                "/status/loadBalancer/ingress",
                60,
                json!(ingress),
            );
            let condition = |kind: &str, status: &str| {
                json!({
                    "type": kind, "status": status, "reason": "R", "message": "m",
                    "lastTransitionTime": "2020-01-01T00:00:00Z",
                })
            };
            let conditions = draw.some(&[condition("A", "True"), condition("B", "False")]);
            draw.maybe(&mut object, "/status/conditions", 50, json!(conditions));
            object
        }),
        has_scale: false,
        has_strategic: true,
    }
}

fn service_spec(draw: &mut Draw, object: &mut Value) {
    let kind = json!(draw.one(&["ClusterIP", "ClusterIP", "NodePort", "LoadBalancer"]));
    draw.maybe(object, "/spec/type", 20, kind);
    let target = json!(draw.one(&[json!(8080), json!("web")]));
    let mut web = json!({"name": "web", "port": 80});
    draw.maybe(&mut web, "/protocol", 50, json!("TCP"));
    draw.maybe(&mut web, "/targetPort", 50, target);
    draw.maybe(&mut web, "/appProtocol", 20, json!("http"));
    let ports = draw.some(&[
        web,
        json!({"name": "dns", "port": 53, "protocol": "UDP"}),
        json!({"name": "dns-tcp", "port": 53, "protocol": "TCP"}),
    ]);
    draw.maybe(object, "/spec/ports", 50, json!(ports));
    let selector = json!({draw.one(&["app", "tier"]): draw.one(&["a", "b"])});
    draw.maybe(object, "/spec/selector", 25, selector);
    let addresses = draw.some(&["192.0.2.7", "192.0.2.8"]);
    draw.maybe(object, "/spec/externalIPs", 10, json!(addresses));
    let affinity = json!(draw.one(&["ClientIP", "None"]));
    draw.maybe(object, "/spec/sessionAffinity", 10, affinity);
    draw.maybe(object, "/spec/publishNotReadyAddresses", 8, json!(true));
    draw.maybe(object, "/spec/internalTrafficPolicy", 8, json!("Local"));
}

fn thing() -> Garden {
    Garden {
        collection: "example.com/v1:things",
        other: Some("example.com/v2:things"),
        new: |draw| {
            let mut object = json!({"kind": "Thing"});
            draw.metadata(&mut object);
            let size = json!(draw.below(4));
            draw.maybe(&mut object, "/spec/size", 60, size);
            object
        },
        some: |draw| {
            let mut object = json!({});
            draw.metadata(&mut object);
            thing_spec(draw, &mut object);
            object
        },
        status: Some(|draw| {
            let mut object = json!({"status": {}});
            let condition = |kind: &str, status: &str| json!({"type": kind, "status": status});
            let status = draw.one(&["True", "False"]);
            let conditions = draw.some(&[condition("A", status), condition("B", "True")]);
            draw.maybe(&mut object, "/status/conditions", 60, json!(conditions));
            let size = json!(draw.below(3));
            draw.maybe(&mut object, "/status/size", 40, size);
            draw.maybe(&mut object, "/metadata/labels/la", 10, json!("3"));
            draw.maybe(&mut object, "/spec/size", 10, json!(3));
            object
        }),
        has_scale: true,
        has_strategic: false,
    }
}

fn thing_spec(draw: &mut Draw, object: &mut Value) {
    let size = json!(draw.below(4));
    draw.maybe(object, "/spec/size", 20, size);
    let set = draw.some(&["x", "y", "z"]);
    draw.maybe(object, "/spec/set", 30, json!(set));
    let numbers = draw.some(&[1, 2, 3]);
    draw.maybe(object, "/spec/atomicList", 15, json!(numbers));
    let all = ["ka", "kb", "kc"].map(|name| element(draw, name));
    let mut elements = draw.some(&all);
    if let Some(first) = elements.first().cloned()
        && draw.percent(4)
    {
        // Twice the same key.
        elements.push(first);
    }
    draw.maybe(object, "/spec/list", 50, json!(elements));
    for name in ["ma", "mb"] {
        let value = json!(draw.one(&["1", "2"]));
        draw.maybe(object, &format!("/spec/map/{name}"), 20, value);
    }
    let atomic = json!({draw.one(&["p", "q"]): draw.one(&["1", "2"])});
    draw.maybe(object, "/spec/atomicMap", 15, atomic);
    let free = draw.one(&[
        json!({"deep": {"a": 1, "b": [1, 2]}}),
        json!({"deep": {"a": 2}, "c": null}),
        json!({"list": [{"name": "x"}]}),
    ]);
    draw.maybe(object, "/spec/free", 15, free);
    let either = draw.one(&[json!(1), json!("50%")]);
    draw.maybe(object, "/spec/either", 10, either);
    let colour = json!(draw.one(&["red", "blue"]));
    draw.maybe(object, "/spec/colour", 10, colour);
    draw.maybe(object, "/spec/nothing", 6, Value::Null);
    draw.maybe(object, "/spec/unknown", 3, json!(1));
    draw.maybe(object, "/spec/size", 2, json!("many"));
}

fn element(draw: &mut Draw, name: &str) -> Value {
    let mut element = json!({"name": name});
    let port = json!(draw.one(&[80, 81]));
    draw.maybe(&mut element, "/port", 40, port);
    let value = json!(draw.one(&["1", "2"]));
    draw.maybe(&mut element, "/value", 50, value);
    let inner = |key: &str, value: i32| json!({"key": key, "n": value});
    let number = draw.one(&[1, 2]);
    let below = draw.some(&[inner("x", number), inner("y", 1)]);
    draw.maybe(&mut element, "/below", 30, json!(below));
    let tags = draw.some(&["t", "u"]);
    draw.maybe(&mut element, "/tags", 20, json!(tags));
    element
}

/// The custom type: every kind of list and map, defaults, two versions, status and scale.
pub(crate) fn definition() -> Value {
    let version = |name: &str, storage: bool| {
        json!({
            "name": name, "served": true, "storage": storage,
            "subresources": {"status": {}, "scale": {
                "specReplicasPath": ".spec.size", "statusReplicasPath": ".status.size",
            }},
            "schema": {"openAPIV3Schema": {"type": "object", "properties": {
                "spec": spec_schema(), "status": status_schema(),
            }}},
        })
    };
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "things.example.com"},
        "spec": {
            "group": "example.com",
            "names": {"kind": "Thing", "plural": "things"},
            "scope": "Namespaced",
            "versions": [version("v1", true), version("v2", false)],
        },
    })
}

fn spec_schema() -> Value {
    let (text, integer) = (json!({"type": "string"}), json!({"type": "integer"}));
    let below = json!({
        "type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["key"],
        "items": {"type": "object", "required": ["key"], "properties": {
            "key": text, "n": integer,
        }},
    });
    let set = json!({"type": "array", "x-kubernetes-list-type": "set", "items": text});
    let port = json!({"type": "integer", "default": 80});
    json!({"type": "object", "properties": {
        "size": integer,
        "set": set,
        "atomicList": {"type": "array", "items": integer},
        "list": {
            "type": "array", "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["name", "port"],
            "items": {"type": "object", "required": ["name"], "properties": {
                "name": text, "port": port, "value": text, "below": below, "tags": set,
            }},
        },
        "map": {"type": "object", "additionalProperties": text},
        "atomicMap": {
            "type": "object", "additionalProperties": text, "x-kubernetes-map-type": "atomic",
        },
        "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
        "either": {"x-kubernetes-int-or-string": true},
        "colour": {"type": "string", "default": "red"},
        "nothing": {"type": "string", "nullable": true},
    }})
}

fn status_schema() -> Value {
    json!({"type": "object", "properties": {
        "size": {"type": "integer"},
        "conditions": {
            "type": "array", "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["type"],
            "items": {"type": "object", "required": ["type"], "properties": {
                "type": {"type": "string"}, "status": {"type": "string"},
            }},
        },
    }})
}
