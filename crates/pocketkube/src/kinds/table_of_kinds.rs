//! The table of built-in kinds.

use super::Kind;
use super::hooks::{self, Hooks};
use crate::resource::{Origin, Resource, ScalePaths, Scope, Subresource, Verb};
use crate::table;
use k8s_openapi::api::{
    admissionregistration::v1 as admission, apps::v1 as apps, authentication::v1 as authentication,
    authorization::v1 as authorization, autoscaling::v1 as autoscaling_v1,
    autoscaling::v2 as autoscaling, batch::v1 as batch, coordination::v1 as coordination,
    core::v1 as core, discovery::v1 as discovery, events::v1 as events,
    networking::v1 as networking, node::v1 as node, policy::v1 as policy, rbac::v1 as rbac,
    resource::v1 as devices, scheduling::v1 as scheduling, storage::v1 as storage,
};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1 as extensions;
use k8s_openapi::apimachinery::pkg::apis::meta::v1 as meta;
use k8s_openapi::kube_aggregator::pkg::apis::apiregistration::v1 as registration;
use schemars::SchemaGenerator;
use std::sync::{Arc, OnceLock};

/// One line of the table.
struct Row {
    group: &'static str,
    version: &'static str,
    kind: &'static str,
    plural: &'static str,
    scope: Scope,
    short: &'static [&'static str],
    category: &'static [&'static str],
    verbs: Verbs,
    status: Subresource,
    scale: bool,
    extra: &'static [&'static str],
    hooks: &'static Hooks,
}

/// What a built-in kind lets one do.
#[derive(Clone, Copy)]
enum Verbs {
    /// Everything.
    All,
    /// Everything but deleting a collection.
    NoCollection,
    /// Creating only: a question that is answered.
    Create,
}

/// Group, version and kind.
type Names = (&'static str, &'static str, &'static str);

const IN_ALL: &[&str] = &["all"];
const EXTENSIONS: &[&str] = &["api-extensions"];
const RBAC: &str = "rbac.authorization.k8s.io";

/// All built-in kinds.
pub(super) fn build() -> Vec<Arc<Kind>> {
    rows().iter().map(|row| Arc::new(row.build())).collect()
}

/// Group, version and kind that an OpenAPI definition describes.
pub(super) fn kind_of(definition: &str) -> Option<Names> {
    static NAMES: OnceLock<Vec<(String, Names)>> = OnceLock::new();
    let names = NAMES.get_or_init(|| {
        let named = |row: &Row| {
            let resource = row.resource(Vec::new());
            let name = super::openapi::definition_name(&resource);
            (name, (row.group, row.version, row.kind))
        };
        rows().iter().map(named).collect()
    });
    names
        .iter()
        .find(|(name, _)| name == definition)
        .map(|(_, kind)| *kind)
}

macro_rules! register {
    ($generator:ident: $($kind:ty),* $(,)?) => { $( let _ = $generator.subschema_for::<$kind>(); )* };
}

/// Registers the types of all kinds, and of what subresources take, with a schema generator.
pub(super) fn register_types(generator: &mut SchemaGenerator) {
    register_storage_and_devices(generator);
    register![generator:
        core::Namespace,
        core::Node,
        core::Pod,
        core::Service,
        core::Endpoints,
        core::ConfigMap,
        core::Secret,
        core::ServiceAccount,
        core::Event,
        core::PersistentVolume,
        core::PersistentVolumeClaim,
        core::ReplicationController,
        core::LimitRange,
        core::ResourceQuota,
        core::PodTemplate,
        core::Binding,
        apps::Deployment,
        apps::ReplicaSet,
        apps::StatefulSet,
        apps::DaemonSet,
        apps::ControllerRevision,
        batch::Job,
        batch::CronJob,
        discovery::EndpointSlice,
        events::Event,
        autoscaling::HorizontalPodAutoscaler,
        autoscaling_v1::HorizontalPodAutoscaler,
        autoscaling_v1::Scale,
        policy::PodDisruptionBudget,
        policy::Eviction,
        networking::Ingress,
        networking::IngressClass,
        networking::NetworkPolicy,
        rbac::Role,
        rbac::RoleBinding,
        rbac::ClusterRole,
        rbac::ClusterRoleBinding,
        scheduling::PriorityClass,
        coordination::Lease,
        extensions::CustomResourceDefinition,
        admission::ValidatingWebhookConfiguration,
        admission::MutatingWebhookConfiguration,
        admission::ValidatingAdmissionPolicy,
        admission::ValidatingAdmissionPolicyBinding,
        registration::APIService,
        authentication::TokenReview,
        authentication::TokenRequest,
        authentication::SelfSubjectReview,
        authorization::SubjectAccessReview,
        authorization::LocalSubjectAccessReview,
        authorization::SelfSubjectAccessReview,
        authorization::SelfSubjectRulesReview,
        meta::APIGroup,
        meta::APIGroupList,
        meta::APIResourceList,
        meta::APIVersions,
        meta::Status,
        meta::DeleteOptions,
        meta::ListMeta,
    ];
}

fn register_storage_and_devices(generator: &mut SchemaGenerator) {
    register![generator:
        storage::StorageClass,
        storage::CSIDriver,
        storage::CSINode,
        storage::CSIStorageCapacity,
        storage::VolumeAttachment,
        storage::VolumeAttributesClass,
        node::RuntimeClass,
        devices::DeviceClass,
        devices::ResourceClaim,
        devices::ResourceClaimTemplate,
        devices::ResourceSlice,
    ];
}

impl Row {
    fn build(&self) -> Kind {
        let columns = table::built_in_columns(self.group, self.kind);
        Kind {
            resource: Arc::new(self.resource(columns)),
            extra_subresources: self.extra.to_vec(),
            hooks: self.hooks,
            schema: OnceLock::new(),
            rules: None,
            selectable: Vec::new(),
            open_api: None,
        }
    }

    fn resource(&self, columns: Vec<crate::resource::Column>) -> Resource {
        let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        let verbs = match self.verbs {
            Verbs::All => Verb::ALL.to_vec(),
            Verbs::NoCollection => Verb::ALL
                .into_iter()
                .filter(|verb| *verb != Verb::DeleteCollection)
                .collect(),
            Verbs::Create => vec![Verb::Create],
        };
        let scale = self.scale.then(|| ScalePaths {
            spec_replicas: ".spec.replicas".to_owned(),
            status_replicas: ".status.replicas".to_owned(),
            label_selector: None,
        });
        Resource {
            group: self.group.to_owned(),
            version: self.version.to_owned(),
            kind: self.kind.to_owned(),
            list_kind: format!("{}List", self.kind),
            plural: self.plural.to_owned(),
            singular: self.kind.to_lowercase(),
            scope: self.scope,
            short_names: owned(self.short),
            categories: owned(self.category),
            verbs,
            status: self.status,
            scale,
            columns,
            origin: Origin::BuiltIn,
        }
    }

    const fn new(
        group: &'static str,
        version: &'static str,
        kind: &'static str,
        plural: &'static str,
        scope: Scope,
    ) -> Self {
        Self {
            group,
            version,
            kind,
            plural,
            scope,
            short: &[],
            category: &[],
            verbs: Verbs::All,
            status: Subresource::Absent,
            scale: false,
            extra: &[],
            hooks: &hooks::PLAIN,
        }
    }

    const fn short(mut self, short: &'static [&'static str]) -> Self {
        self.short = short;
        self
    }

    const fn category(mut self, category: &'static [&'static str]) -> Self {
        self.category = category;
        self
    }

    const fn verbs(mut self, verbs: Verbs) -> Self {
        self.verbs = verbs;
        self
    }

    const fn with_status(mut self) -> Self {
        self.status = Subresource::Served;
        self
    }

    const fn with_scale(mut self) -> Self {
        self.scale = true;
        self
    }

    const fn extra(mut self, extra: &'static [&'static str]) -> Self {
        self.extra = extra;
        self
    }

    const fn hooks(mut self, hooks: &'static Hooks) -> Self {
        self.hooks = hooks;
        self
    }
}

fn rows() -> &'static [Row] {
    static ROWS: OnceLock<Vec<Row>> = OnceLock::new();
    ROWS.get_or_init(|| {
        let mut rows = core_rows();
        rows.extend(workload_rows());
        rows.extend(network_and_policy_rows());
        rows.extend(storage_and_device_rows());
        rows.extend(extension_rows());
        rows
    })
}

fn core_rows() -> Vec<Row> {
    let spaced = |kind, plural| Row::new("", "v1", kind, plural, Scope::Namespaced);
    let cluster = |kind, plural| Row::new("", "v1", kind, plural, Scope::Cluster);
    vec![
        spaced("Binding", "bindings").verbs(Verbs::Create),
        spaced("ConfigMap", "configmaps")
            .short(&["cm"])
            .hooks(&hooks::CONFIG_MAP),
        spaced("Endpoints", "endpoints")
            .short(&["ep"])
            .hooks(&hooks::ENDPOINTS),
        spaced("Event", "events")
            .short(&["ev"])
            .hooks(&hooks::EVENT),
        spaced("LimitRange", "limitranges").short(&["limits"]),
        cluster("Namespace", "namespaces")
            .short(&["ns"])
            .verbs(Verbs::NoCollection)
            .with_status()
            .extra(&["finalize"])
            .hooks(&hooks::NAMESPACE),
        cluster("Node", "nodes")
            .short(&["no"])
            .with_status()
            .hooks(&hooks::NODE),
        spaced("PersistentVolumeClaim", "persistentvolumeclaims")
            .short(&["pvc"])
            .with_status()
            .hooks(&hooks::CLAIM),
        cluster("PersistentVolume", "persistentvolumes")
            .short(&["pv"])
            .with_status()
            .hooks(&hooks::VOLUME),
        spaced("Pod", "pods")
            .short(&["po"])
            .category(IN_ALL)
            .with_status()
            .extra(&["binding", "eviction", "log"])
            .hooks(&hooks::POD),
        spaced("PodTemplate", "podtemplates").hooks(&hooks::POD_TEMPLATE),
        spaced("ReplicationController", "replicationcontrollers")
            .short(&["rc"])
            .category(IN_ALL)
            .with_status()
            .with_scale()
            .hooks(&hooks::REPLICATION_CONTROLLER),
        spaced("ResourceQuota", "resourcequotas")
            .short(&["quota"])
            .with_status(),
        spaced("Secret", "secrets").hooks(&hooks::SECRET),
        spaced("ServiceAccount", "serviceaccounts")
            .short(&["sa"])
            .extra(&["token"]),
        spaced("Service", "services")
            .short(&["svc"])
            .category(IN_ALL)
            .with_status()
            .hooks(&hooks::SERVICE),
    ]
}

fn workload_rows() -> Vec<Row> {
    let spaced = |group, kind, plural| Row::new(group, "v1", kind, plural, Scope::Namespaced);
    let scaler = |version| {
        Row::new(
            "autoscaling",
            version,
            "HorizontalPodAutoscaler",
            "horizontalpodautoscalers",
            Scope::Namespaced,
        )
        .short(&["hpa"])
        .category(IN_ALL)
        .with_status()
    };
    vec![
        spaced("apps", "ControllerRevision", "controllerrevisions")
            .hooks(&hooks::CONTROLLER_REVISION),
        spaced("apps", "DaemonSet", "daemonsets")
            .short(&["ds"])
            .category(IN_ALL)
            .with_status()
            .hooks(&hooks::DAEMON_SET),
        spaced("apps", "Deployment", "deployments")
            .short(&["deploy"])
            .category(IN_ALL)
            .with_status()
            .with_scale()
            .hooks(&hooks::DEPLOYMENT),
        spaced("apps", "ReplicaSet", "replicasets")
            .short(&["rs"])
            .category(IN_ALL)
            .with_status()
            .with_scale()
            .hooks(&hooks::REPLICA_SET),
        spaced("apps", "StatefulSet", "statefulsets")
            .short(&["sts"])
            .category(IN_ALL)
            .with_status()
            .with_scale()
            .hooks(&hooks::STATEFUL_SET),
        scaler("v2").hooks(&hooks::AUTOSCALER),
        scaler("v1").hooks(&hooks::AUTOSCALER_V1),
        spaced("batch", "CronJob", "cronjobs")
            .short(&["cj"])
            .category(IN_ALL)
            .with_status()
            .hooks(&hooks::CRON_JOB),
        spaced("batch", "Job", "jobs")
            .category(IN_ALL)
            .with_status()
            .hooks(&hooks::JOB),
    ]
}

fn network_and_policy_rows() -> Vec<Row> {
    let spaced = |group, kind, plural| Row::new(group, "v1", kind, plural, Scope::Namespaced);
    let cluster = |group, kind, plural| Row::new(group, "v1", kind, plural, Scope::Cluster);
    vec![
        spaced("coordination.k8s.io", "Lease", "leases").hooks(&hooks::LEASE),
        spaced("discovery.k8s.io", "EndpointSlice", "endpointslices").hooks(&hooks::SLICE),
        spaced("events.k8s.io", "Event", "events")
            .short(&["ev"])
            .hooks(&hooks::NEW_EVENT),
        cluster("networking.k8s.io", "IngressClass", "ingressclasses").hooks(&hooks::INGRESS_CLASS),
        spaced("networking.k8s.io", "Ingress", "ingresses")
            .short(&["ing"])
            .with_status()
            .hooks(&hooks::INGRESS),
        spaced("networking.k8s.io", "NetworkPolicy", "networkpolicies")
            .short(&["netpol"])
            .hooks(&hooks::NETWORK_POLICY),
        spaced("policy", "PodDisruptionBudget", "poddisruptionbudgets")
            .short(&["pdb"])
            .with_status()
            .hooks(&hooks::DISRUPTION_BUDGET),
        cluster(RBAC, "ClusterRoleBinding", "clusterrolebindings").hooks(&hooks::ROLE_BINDING),
        cluster(RBAC, "ClusterRole", "clusterroles").hooks(&hooks::ROLE),
        spaced(RBAC, "RoleBinding", "rolebindings").hooks(&hooks::ROLE_BINDING),
        spaced(RBAC, "Role", "roles").hooks(&hooks::ROLE),
        cluster("scheduling.k8s.io", "PriorityClass", "priorityclasses")
            .short(&["pc"])
            .hooks(&hooks::PRIORITY_CLASS),
    ]
}

/// What schedulers and drivers of nodes read and write; of these, only StorageClasses mean
/// something to the workloads here.
fn storage_and_device_rows() -> Vec<Row> {
    let cluster = |group, kind, plural| Row::new(group, "v1", kind, plural, Scope::Cluster);
    let spaced = |group, kind, plural| Row::new(group, "v1", kind, plural, Scope::Namespaced);
    let (storage, devices) = ("storage.k8s.io", "resource.k8s.io");
    vec![
        cluster("node.k8s.io", "RuntimeClass", "runtimeclasses").hooks(&hooks::RUNTIME_CLASS),
        cluster(devices, "DeviceClass", "deviceclasses").hooks(&hooks::DEVICES),
        spaced(devices, "ResourceClaim", "resourceclaims")
            .with_status()
            .hooks(&hooks::DEVICE_CLAIM),
        spaced(devices, "ResourceClaimTemplate", "resourceclaimtemplates")
            .hooks(&hooks::DEVICE_CLAIM_TEMPLATE),
        cluster(devices, "ResourceSlice", "resourceslices").hooks(&hooks::DEVICES),
        cluster(storage, "CSIDriver", "csidrivers").hooks(&hooks::STORAGE_DRIVER),
        cluster(storage, "CSINode", "csinodes"),
        spaced(storage, "CSIStorageCapacity", "csistoragecapacities")
            .hooks(&hooks::STORAGE_CAPACITY),
        cluster(storage, "StorageClass", "storageclasses")
            .short(&["sc"])
            .hooks(&hooks::STORAGE_CLASS),
        cluster(storage, "VolumeAttachment", "volumeattachments")
            .with_status()
            .hooks(&hooks::VOLUME_ATTACHMENT),
        cluster(storage, "VolumeAttributesClass", "volumeattributesclasses")
            .short(&["vac"])
            .hooks(&hooks::ATTRIBUTES_CLASS),
    ]
}

fn extension_rows() -> Vec<Row> {
    let cluster = |group, kind, plural| Row::new(group, "v1", kind, plural, Scope::Cluster);
    let ask = |group, kind, plural| cluster(group, kind, plural).verbs(Verbs::Create);
    let admission = "admissionregistration.k8s.io";
    let (authentication, authorization) = ("authentication.k8s.io", "authorization.k8s.io");
    let local = Row::new(
        authorization,
        "v1",
        "LocalSubjectAccessReview",
        "localsubjectaccessreviews",
        Scope::Namespaced,
    );
    vec![
        cluster(
            admission,
            "MutatingWebhookConfiguration",
            "mutatingwebhookconfigurations",
        )
        .category(EXTENSIONS)
        .hooks(&hooks::WEBHOOKS),
        cluster(
            admission,
            "ValidatingWebhookConfiguration",
            "validatingwebhookconfigurations",
        )
        .category(EXTENSIONS)
        .hooks(&hooks::WEBHOOKS),
        cluster(
            admission,
            "ValidatingAdmissionPolicy",
            "validatingadmissionpolicies",
        )
        .category(EXTENSIONS)
        .with_status()
        .hooks(&hooks::POLICY),
        cluster(
            admission,
            "ValidatingAdmissionPolicyBinding",
            "validatingadmissionpolicybindings",
        )
        .category(EXTENSIONS)
        .hooks(&hooks::POLICY_BINDING),
        cluster(
            "apiextensions.k8s.io",
            "CustomResourceDefinition",
            "customresourcedefinitions",
        )
        .short(&["crd", "crds"])
        .category(EXTENSIONS)
        .with_status()
        .hooks(&hooks::DEFINITION),
        cluster("apiregistration.k8s.io", "APIService", "apiservices")
            .category(EXTENSIONS)
            .with_status(),
        ask(authentication, "SelfSubjectReview", "selfsubjectreviews"),
        ask(authentication, "TokenReview", "tokenreviews"),
        local.verbs(Verbs::Create),
        ask(
            authorization,
            "SelfSubjectAccessReview",
            "selfsubjectaccessreviews",
        ),
        ask(
            authorization,
            "SelfSubjectRulesReview",
            "selfsubjectrulesreviews",
        ),
        ask(authorization, "SubjectAccessReview", "subjectaccessreviews"),
    ]
}
