//! What is in a cluster when it starts.

use super::options::WriteOptions;
use super::{Caller, Cluster};
use crate::object::Object;
use serde_json::{Value, json};
use std::sync::Arc;

/// Namespaces that are always there.
const NAMESPACES: [&str; 4] = ["default", "kube-node-lease", "kube-public", "kube-system"];

/// Port of the `kubernetes` Service.
const HTTPS: u16 = 443;

impl Cluster {
    /// Takes up what follows from objects that were kept: the kinds that definitions define, and
    /// the addresses and ports that Services have.
    pub(super) fn resume(&self) {
        let kept = |table: &str| -> Vec<Arc<Object>> {
            let store = self.store();
            store
                .range(table, "", None)
                .map(|(_, object)| object)
                .collect()
        };
        for definition in kept("customresourcedefinitions.apiextensions.k8s.io") {
            self.definition_kept(&definition);
        }
        for service in kept("services") {
            self.service_written(None, Some(&service));
        }
        // Its own address may be another one than before.
        for (api_version, kind, fields) in [
            ("v1", "Endpoints", self.kubernetes_endpoints()),
            (
                "discovery.k8s.io/v1",
                "EndpointSlice",
                self.kubernetes_slice(),
            ),
        ] {
            if let Ok(resource) = self.resource(api_version, kind) {
                // There is none yet in a new cluster.
                let _ = self.rewrite(&resource, "default", "kubernetes", |kept| {
                    for field in ["subsets", "endpoints", "ports"] {
                        if let Some(value) = fields.get(field) {
                            kept[field] = value.clone();
                        }
                    }
                });
            }
        }
    }

    /// Makes what is in a cluster when it starts.
    pub(super) fn bootstrap(&self) {
        for name in NAMESPACES {
            self.start_with("v1", "Namespace", json!({"metadata": {"name": name}}));
        }
        self.start_with("v1", "Service", kubernetes_service());
        self.start_with("v1", "Endpoints", self.kubernetes_endpoints());
        self.start_with(
            "discovery.k8s.io/v1",
            "EndpointSlice",
            self.kubernetes_slice(),
        );
        for class in priority_classes() {
            self.start_with("scheduling.k8s.io/v1", "PriorityClass", class);
        }
        if self.enforces_roles() {
            return self.start_with_roles();
        }
        for role in cluster_roles() {
            self.start_with("rbac.authorization.k8s.io/v1", "ClusterRole", role);
        }
        let binding = cluster_admin_binding();
        self.start_with(
            "rbac.authorization.k8s.io/v1",
            "ClusterRoleBinding",
            binding,
        );
    }

    pub(crate) fn start_with(&self, api_version: &str, kind: &str, object: Value) {
        let Ok(resource) = self.resource(api_version, kind) else {
            return;
        };
        let namespace = crate::object::namespace(&object).to_owned();
        let caller = Caller::system("kube-apiserver");
        let options = WriteOptions::default();
        let name = crate::object::name(&object);
        if self.kept(&resource.table(), &namespace, name).is_some() {
            // From before a restart.
            return;
        }
        if let Err(status) = self.create(&caller, &resource, &namespace, object, &options) {
            tracing::warn!(%status, kind, "a cluster starts without an object of its own");
        }
    }

    fn kubernetes_endpoints(&self) -> Value {
        let (address, port) = self.server_address();
        json!({
            "metadata": {
                "name": "kubernetes",
                "namespace": "default",
                "labels": {"endpointslice.kubernetes.io/skip-mirror": "true"},
            },
            "subsets": [{
                "addresses": [{"ip": address}],
                "ports": [{"name": "https", "port": port, "protocol": "TCP"}],
            }],
        })
    }

    fn kubernetes_slice(&self) -> Value {
        let (address, port) = self.server_address();
        json!({
            "metadata": {
                "name": "kubernetes",
                "namespace": "default",
                "labels": {"kubernetes.io/service-name": "kubernetes"},
            },
            "addressType": "IPv4",
            "endpoints": [{"addresses": [address], "conditions": {"ready": true}}],
            "ports": [{"name": "https", "port": port, "protocol": "TCP"}],
        })
    }
}

fn kubernetes_service() -> Value {
    json!({
        "metadata": {
            "name": "kubernetes",
            "namespace": "default",
            "labels": {"component": "apiserver", "provider": "kubernetes"},
        },
        "spec": {
            "clusterIP": "10.96.0.1",
            "ports": [{"name": "https", "port": HTTPS, "protocol": "TCP", "targetPort": 6443}],
            "type": "ClusterIP",
        },
    })
}

fn priority_classes() -> [Value; 2] {
    let class = |name: &str, value: i64, description: &str| {
        json!({
            "metadata": {"name": name},
            "value": value,
            "description": description,
        })
    };
    [
        class(
            "system-cluster-critical",
            2_000_000_000,
            "Used for system critical pods that must run in the cluster, but can be moved to \
             another node if necessary.",
        ),
        class(
            "system-node-critical",
            2_000_001_000,
            "Used for system critical pods that must not be moved from their current node.",
        ),
    ]
}

fn cluster_roles() -> [Value; 4] {
    let role = |name: &str, rules: Value| {
        json!({
            "metadata": {
                "name": name,
                "labels": {"kubernetes.io/bootstrapping": "rbac-defaults"},
            },
            "rules": rules,
        })
    };
    let rules = |verbs: &[&str]| {
        let groups = [
            "",
            "apps",
            "autoscaling",
            "batch",
            "networking.k8s.io",
            "policy",
        ];
        json!([{"apiGroups": groups, "resources": ["*"], "verbs": verbs}])
    };
    let read = ["get", "list", "watch"];
    let write = [
        "create",
        "delete",
        "deletecollection",
        "get",
        "list",
        "patch",
        "update",
        "watch",
    ];
    let everything = json!([
        {"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]},
        {"nonResourceURLs": ["*"], "verbs": ["*"]},
    ]);
    [
        role("admin", rules(&write)),
        role("cluster-admin", everything),
        role("edit", rules(&write)),
        role("view", rules(&read)),
    ]
}

fn cluster_admin_binding() -> Value {
    json!({
        "metadata": {
            "name": "cluster-admin",
            "labels": {"kubernetes.io/bootstrapping": "rbac-defaults"},
        },
        "roleRef": {
            "apiGroup": "rbac.authorization.k8s.io",
            "kind": "ClusterRole",
            "name": "cluster-admin",
        },
        "subjects": [{
            "apiGroup": "rbac.authorization.k8s.io",
            "kind": "Group",
            "name": "system:masters",
        }],
    })
}
