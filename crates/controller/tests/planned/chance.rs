//! Chance: worlds and changes that nobody thought of, the same for the same seed.

use crate::world::{SYSTEM, TYPES, with_type};
use federation::ANNOTATION_ORPHAN;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};

/// Members of a random world.
pub(crate) const MEMBERS: [&str; 3] = ["a", "b", "c"];
/// Federated ConfigMaps of a random world.
pub(crate) const CONFIGS: [&str; 4] = ["one", "two", "three", "four"];
/// Its federated Deployments; a preference divides the first.
pub(crate) const DEPLOYMENTS: [&str; 2] = ["web", "api"];
/// Its federated Secrets.
pub(crate) const SECRETS: [&str; 2] = ["keys", "words"];
/// Its federated Services; the second has a port at each node.
pub(crate) const SERVICES: [&str; 2] = ["front", "door"];
/// Its federated ClusterRoles, which are in no namespace.
pub(crate) const ROLES: [&str; 2] = ["viewer", "keeper"];
const COLOURS: [&str; 4] = ["red", "green", "blue", "${cluster.name}"];
const TIERS: [&str; 2] = ["edge", "core"];

/// A source of chance.
pub(crate) struct Dice(StdRng);

impl Dice {
    pub(crate) fn of(seed: u64) -> Self {
        Self(StdRng::seed_from_u64(seed))
    }

    /// A number below a bound.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0.random_range(0..bound)
    }

    /// Whether something that happens so many times in a hundred happens now.
    pub(crate) fn percent(&mut self, chance: usize) -> bool {
        self.below(100) < chance
    }

    pub(crate) fn one_of<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len())]
    }

    /// Something a user may apply to the host.
    pub(crate) fn manifest(&mut self) -> Value {
        match self.below(100) {
            0..32 => self.config_map(),
            32..42 => self.secret(),
            42..50 => self.service(),
            50..58 => self.role(),
            58..70 => self.deployment(),
            70..80 => self.preference(),
            80..87 => self.namespace(),
            87..96 => self.member(),
            _ => self.settings(),
        }
    }

    /// A federated object that may be there: its kind and name.
    pub(crate) fn federated_object(&mut self) -> (&'static str, &'static str) {
        let all = [
            ("FederatedConfigMap", CONFIGS.as_slice()),
            ("FederatedConfigMap", &CONFIGS),
            ("FederatedSecret", &SECRETS),
            ("FederatedService", &SERVICES),
            ("FederatedClusterRole", &ROLES),
            ("FederatedDeployment", &DEPLOYMENTS),
        ];
        let (kind, names) = *self.one_of(&all);
        (kind, *self.one_of(names))
    }

    pub(crate) fn config_map(&mut self) -> Value {
        let name = *self.one_of(&CONFIGS);
        let data = self.data();
        let mut spec = json!({"template": {"data": data}, "placement": self.placement()});
        if self.percent(40) {
            spec["overrides"] = self.overrides(&["/data/colour", "/data/size", "/data/taste"]);
        }
        if self.percent(25) {
            spec["rollout"] = self.rollout();
        }
        let mut object = federated("FederatedConfigMap", name, spec);
        // Somebody who applies it without the annotation takes it off; here it says the other.
        let orphan = if self.percent(15) { "true" } else { "false" };
        object["metadata"]["annotations"] = json!({ANNOTATION_ORPHAN: orphan});
        object
    }

    /// Step by step, and the next only on somebody's word, which nobody gives here.
    fn rollout(&mut self) -> Value {
        let first = *self.one_of(&MEMBERS);
        let order = match self.percent(50) {
            true => json!([{"clusters": [{"name": first}]}]),
            false => json!([{"clusterSelector": {"matchLabels": {"tier": self.one_of(&TIERS)}}}]),
        };
        json!({"order": order, "pause": "Manual"})
    }

    fn secret(&mut self) -> Value {
        let name = *self.one_of(&SECRETS);
        let mut data = json!({});
        for field in ["colour", "size"] {
            if self.percent(60) {
                data[field] = json!(self.one_of(&["cmVk", "Z3JlZW4=", "Ymx1ZQ=="]));
            }
        }
        let mut spec = json!({"template": {"type": "Opaque", "data": data},
            "placement": self.placement()});
        if self.percent(20) {
            let change = json!({"op": "add", "path": "/data/size", "value": "aHVnZQ=="});
            let member = *self.one_of(&MEMBERS);
            spec["overrides"] = json!([{"clusterName": member, "clusterOverrides": [change]}]);
        }
        federated("FederatedSecret", name, spec)
    }

    fn service(&mut self) -> Value {
        let name = *self.one_of(&SERVICES);
        let kind = if name == SERVICES[0] {
            "ClusterIP"
        } else {
            "NodePort"
        };
        let port = 80 + self.below(3);
        let spec = json!({"template": {"spec": {"type": kind,
                "selector": {"app": self.one_of(&DEPLOYMENTS)},
                "ports": [{"name": "http", "port": port, "targetPort": 8080}]}},
            "placement": self.placement()});
        federated("FederatedService", name, spec)
    }

    fn role(&mut self) -> Value {
        let name = *self.one_of(&ROLES);
        let verbs = *self.one_of(&[["get", "list"].as_slice(), &["get"], &["watch", "get"]]);
        let rule = json!({"apiGroups": [""], "resources": ["configmaps"], "verbs": verbs});
        let spec = json!({"template": {"rules": [rule]}, "placement": self.placement()});
        let mut object = federated("FederatedClusterRole", name, spec);
        object["metadata"] = json!({"name": name});
        object
    }

    fn data(&mut self) -> Value {
        let mut data = json!({});
        for field in ["colour", "size", "taste"] {
            if self.percent(60) {
                data[field] = json!(self.one_of(&COLOURS));
            }
        }
        data
    }

    fn deployment(&mut self) -> Value {
        let name = *self.one_of(&DEPLOYMENTS);
        let mut template = deployment_template(name, self.below(3));
        if self.percent(60) {
            template["spec"]["replicas"] = json!(self.below(5));
        }
        let mut spec = json!({"template": template, "placement": self.placement()});
        if self.percent(30) {
            spec["overrides"] = self.overrides(&["/metadata/annotations"]);
        }
        if self.percent(15) {
            spec["retainReplicas"] = json!(true);
        }
        if self.percent(20) {
            spec["rollout"] = self.rollout();
        }
        federated("FederatedDeployment", name, spec)
    }

    fn preference(&mut self) -> Value {
        let mut spec = json!({"targetKind": "FederatedDeployment",
            "totalReplicas": self.below(12)});
        if self.percent(60) {
            let mut clusters = json!({});
            for name in ["*", "a", "b", "c"] {
                if self.percent(50) {
                    let least = self.below(3);
                    clusters[name] = json!({"weight": self.below(4), "minReplicas": least,
                        "maxReplicas": least + self.below(8)});
                }
            }
            spec["clusters"] = clusters;
        }
        if self.percent(30) {
            spec["rebalance"] = json!(true);
        }
        preference(&spec)
    }

    fn namespace(&mut self) -> Value {
        let placement = match self.percent(60) {
            true => json!({"clusterSelector": {}}),
            false => self.placement(),
        };
        federated(
            "FederatedNamespace",
            "shop",
            json!({"placement": placement}),
        )
    }

    /// A member whose label changes.
    fn member(&mut self) -> Value {
        let name = *self.one_of(&MEMBERS);
        let tier = *self.one_of(&TIERS);
        member(name, tier)
    }

    fn settings(&mut self) -> Value {
        let adopt = *self.one_of(&["Enabled", "Disabled"]);
        let mut spec = settings();
        spec["syncController"] = json!({"adoptResources": adopt});
        let config = json!({"metadata": {"name": "kubefed", "namespace": SYSTEM}, "spec": spec});
        with_type("core.kubefed.io/v1beta1", "KubeFedConfig", config)
    }

    fn placement(&mut self) -> Value {
        let mut placement = json!({});
        if self.percent(45) {
            let mut clusters = Vec::new();
            for name in ["a", "b", "c", "nowhere"] {
                if self.percent(if name == "nowhere" { 10 } else { 60 }) {
                    clusters.push(json!({"name": name}));
                }
            }
            placement["clusters"] = json!(clusters);
        }
        if self.percent(70) {
            placement["clusterSelector"] = match self.percent(60) {
                true => json!({}),
                false => json!({"matchLabels": {"tier": self.one_of(&TIERS)}}),
            };
        }
        placement
    }

    fn overrides(&mut self, paths: &[&str]) -> Value {
        let mut overrides = Vec::new();
        for name in MEMBERS {
            if !self.percent(50) {
                continue;
            }
            let path = *self.one_of(paths);
            let operation = *self.one_of(&["add", "replace", "remove"]);
            let mut change = json!({"op": operation, "path": path});
            if operation != "remove" {
                change["value"] = match path.ends_with("annotations") {
                    true => json!({"taste": self.one_of(&COLOURS)}),
                    false => json!(self.one_of(&COLOURS)),
                };
                if self.percent(30) {
                    change["expand"] = json!(true);
                }
            }
            overrides.push(json!({"clusterName": name, "clusterOverrides": [change]}));
        }
        json!(overrides)
    }
}

/// A Deployment of some image.
pub(crate) fn deployment_template(name: &str, image: usize) -> Value {
    let labels = json!({"app": name});
    let image = format!("web:{image}");
    json!({"spec": {
        "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels},
            "spec": {"containers": [{"name": "web", "image": image}]}}}})
}

/// The preference of the first Deployment.
pub(crate) fn preference(spec: &Value) -> Value {
    let object = json!({"metadata": {"name": DEPLOYMENTS[0], "namespace": "shop"}, "spec": spec});
    let version = "scheduling.kubefed.io/v1alpha1";
    with_type(version, "ReplicaSchedulingPreference", object)
}

/// The settings of a random world: nothing fails over while a member is briefly away.
pub(crate) fn settings() -> Value {
    json!({"failover": {"mode": "Off"}})
}

/// A member with a label.
pub(crate) fn member(name: &str, tier: &str) -> Value {
    let member = json!({
        "metadata": {"name": name, "namespace": SYSTEM,
            "labels": {"name": name, "tier": tier}},
        "spec": {"apiEndpoint": format!("https://{name}.invalid"),
            "secretRef": {"name": name}}});
    with_type("core.kubefed.io/v1beta1", "KubeFedCluster", member)
}

pub(crate) fn federated(kind: &str, name: &str, spec: Value) -> Value {
    let object = json!({"metadata": {"name": name, "namespace": "shop"}, "spec": spec});
    with_type(TYPES, kind, object)
}
