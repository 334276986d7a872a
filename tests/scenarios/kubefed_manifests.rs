//! Manifests of KubeFed v2 are taken as they are, and mean what they meant.
//!
//! These are the examples of KubeFed's user guide and chart, re-expressed: only the names of the
//! namespace and of the two clusters are this world's own. What configures an installation is
//! shown to the host as a trial, strictly, so that a field which is not known would be named.

use meridian_tests::world::{ObjectRef, SCHEDULING, World, in_cluster};
use serde_json::{Value, json};

scenarios! {
    shared:
    the_user_guides_objects_propagate_with_their_overrides,
    the_user_guides_ingress_of_old_is_told_in_the_members_words,
    the_guides_jobs_accounts_and_roles_propagate_once_their_types_are_enabled,
    the_charts_configuration_and_a_registered_cluster_are_accepted;
}

/// A namespace in two clusters, and what is in it.
const SAMPLE: &str = r#"
apiVersion: v1
kind: Namespace
metadata:
  name: test-namespace
---
apiVersion: types.kubefed.io/v1beta1
kind: FederatedNamespace
metadata:
  name: test-namespace
  namespace: test-namespace
spec:
  placement:
    clusters:
    - name: cluster2
    - name: cluster1
---
apiVersion: types.kubefed.io/v1beta1
kind: FederatedConfigMap
metadata:
  name: test-configmap
  namespace: test-namespace
spec:
  template:
    data:
      A: ala ma kota
  placement:
    clusters:
    - name: cluster2
    - name: cluster1
  overrides:
  - clusterName: cluster2
    clusterOverrides:
    - path: /data
      value:
        foo: bar
---
apiVersion: types.kubefed.io/v1beta1
kind: FederatedSecret
metadata:
  name: test-secret
  namespace: test-namespace
spec:
  template:
    data:
      A: YWxhIG1hIGtvdGE=
    type: Opaque
  placement:
    clusters:
    - name: cluster2
    - name: cluster1
  overrides:
  - clusterName: cluster2
    clusterOverrides:
    - path: /data
      value:
        A: null
---
apiVersion: types.kubefed.io/v1beta1
kind: FederatedService
metadata:
  name: test-service
  namespace: test-namespace
spec:
  template:
    spec:
      selector:
        app: nginx
      type: NodePort
      ports:
        - name: http
          port: 80
  placement:
    clusters:
    - name: cluster2
    - name: cluster1
---
apiVersion: types.kubefed.io/v1beta1
kind: FederatedDeployment
metadata:
  name: test-deployment
  namespace: test-namespace
spec:
  template:
    metadata:
      labels:
        app: nginx
    spec:
      replicas: 3
      selector:
        matchLabels:
          app: nginx
      template:
        metadata:
          labels:
            app: nginx
        spec:
          containers:
          - image: nginx
            name: nginx
  placement:
    clusters:
    - name: cluster2
    - name: cluster1
  overrides:
  - clusterName: cluster2
    clusterOverrides:
    - path: "/spec/replicas"
      value: 5
    - path: "/spec/template/spec/containers/0/image"
      value: "nginx:1.17.0-alpine"
    - path: "/metadata/annotations"
      op: "add"
      value:
        foo: bar
    - path: "/metadata/annotations/foo"
      op: "remove"
"#;

/// What else the guide has; KubeFed's chart enables these types.
const MORE: &str = r#"
apiVersion: types.kubefed.io/v1beta1
kind: FederatedClusterRole
metadata:
  name: test-clusterrole
spec:
  template:
    rules:
    - apiGroups:
      - '*'
      resources:
      - '*'
      verbs:
      - '*'
  placement:
    clusters:
    - name: cluster2
    - name: cluster1
---
apiVersion: types.kubefed.io/v1beta1
kind: FederatedClusterRoleBinding
metadata:
  name: test-clusterrolebinding
spec:
  template:
    subjects:
    - kind: Group
      name: test-user
      apiGroup: rbac.authorization.k8s.io
    roleRef:
      kind: ClusterRole
      name: cluster-admin
      apiGroup: rbac.authorization.k8s.io
  placement:
    clusters:
    - name: cluster2
    - name: cluster1
---
apiVersion: types.kubefed.io/v1beta1
kind: FederatedServiceAccount
metadata:
  name: test-serviceaccount
  namespace: test-namespace
spec:
  template:
    automountServiceAccountToken: true
  placement:
    clusters:
    - name: cluster2
    - name: cluster1
---
apiVersion: types.kubefed.io/v1beta1
kind: FederatedJob
metadata:
  name: test-job
  namespace: test-namespace
spec:
  template:
    spec:
      parallelism: 1
      selector:
        matchLabels:
          app: busybox
      manualSelector: true
      template:
        metadata:
          labels:
            app: busybox
        spec:
          terminationGracePeriodSeconds: 0
          restartPolicy: Never
          containers:
            - name: busybox
              image: busybox
              command: ["/bin/sh", "-c", "sleep 1000"]
  placement:
    clusters:
    - name: cluster2
    - name: cluster1
  overrides:
  - clusterName: cluster2
    clusterOverrides:
    - path: /spec/parallelism
      value: 2
"#;

/// As `example/sample1` has it.
const OLD_INGRESS: &str = r#"
apiVersion: types.kubefed.io/v1beta1
kind: FederatedIngress
metadata:
  name: test-ingress
  namespace: test-namespace
spec:
  template:
    spec:
      rules:
      - host: ingress.example.com
        http:
          paths:
          - backend:
              serviceName: test-service
              servicePort: 80
  placement:
    clusters:
    - name: cluster2
    - name: cluster1
"#;

/// Ten replicas, two to three.
const PREFERENCE: &str = r#"
apiVersion: scheduling.kubefed.io/v1alpha1
kind: ReplicaSchedulingPreference
metadata:
  name: test-deployment
  namespace: test-namespace
spec:
  targetKind: FederatedDeployment
  totalReplicas: 10
  rebalance: true
  clusters:
    cluster1:
      weight: 2
    cluster2:
      weight: 3
"#;

/// What KubeFed's chart and `kubefedctl` write into the system namespace.
const INSTALLATION: &str = r#"
apiVersion: core.kubefed.io/v1beta1
kind: KubeFedConfig
metadata:
  name: kubefed
  namespace: kube-federation-system
spec:
  scope: Cluster
  controllerDuration:
    availableDelay: 20s
    unavailableDelay: 60s
    cacheSyncTimeout: 5m
  leaderElect:
    leaseDuration: 15s
    renewDeadline: 10s
    retryPeriod: 5s
    resourceLock: configmaps
  clusterHealthCheck:
    period: 10s
    failureThreshold: 3
    successThreshold: 1
    timeout: 3s
  syncController:
    maxConcurrentReconciles: 1
    adoptResources: Enabled
  statusController:
    maxConcurrentReconciles: 1
  featureGates:
  - name: PushReconciler
    configuration: Enabled
  - name: SchedulerPreferences
    configuration: Enabled
---
apiVersion: core.kubefed.io/v1beta1
kind: KubeFedConfig
metadata:
  name: kubefed
  namespace: kube-federation-system
spec:
  scope: Cluster
  controllerDuration:
    availableDelay: 20s
    unavailableDelay: 60s
    clusterMonitorPeriod: 40s
  leaderElect:
    leaseDuration: 15s
    renewDeadline: 10s
    retryPeriod: 5s
    resourceLock: configmaps
  featureGates:
  - name: PushReconciler
    configuration: "Enabled"
  - name: RawResourceStatusCollection
    configuration: "Enabled"
  - name: SchedulerPreferences
    configuration: "Enabled"
  - name: FederatedIngress
    configuration: "Enabled"
---
apiVersion: core.kubefed.io/v1beta1
kind: FederatedTypeConfig
metadata:
  name: deployments.apps
  namespace: kube-federation-system
spec:
  federatedType:
    group: types.kubefed.io
    kind: FederatedDeployment
    pluralName: federateddeployments
    scope: Namespaced
    version: v1beta1
  propagation: Enabled
  targetType:
    group: apps
    kind: Deployment
    pluralName: deployments
    scope: Namespaced
    version: v1
---
apiVersion: core.kubefed.io/v1beta1
kind: KubeFedCluster
metadata:
  name: cluster1
  namespace: kube-federation-system
spec:
  apiEndpoint: https://10.0.0.1:6443
  caBundle: LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCg==
  secretRef:
    name: cluster1-shb2x
  disabledTLSValidations:
  - "*"
"#;

async fn the_user_guides_objects_propagate_with_their_overrides(world: &World, namespace: &str) {
    // The guide begins with the namespace, so it is one that nobody federated yet.
    let namespace = &format!("{namespace}-guide");
    for object in read(SAMPLE, namespace) {
        world.host().apply(object).await;
    }
    let kinds = ["Namespace", "ConfigMap", "Secret", "Service", "Deployment"];
    for (kind, name) in kinds.into_iter().zip([
        namespace.as_str(),
        "test-configmap",
        "test-secret",
        "test-service",
        "test-deployment",
    ]) {
        let federated = format!("Federated{kind}");
        world.until_propagated(&federated, namespace, name).await;
    }
    let (first, second) = (world.member("berlin"), world.member("osaka"));
    let at = |version, kind, name| ObjectRef::new(version, kind, namespace, name);
    let prices = at("v1", "ConfigMap", "test-configmap");
    let expected = json!({"A": "ala ma kota"});
    assert_eq!(first.get(&prices).await["data"], expected);
    assert_eq!(second.get(&prices).await["data"], json!({"foo": "bar"}));
    let secret = at("v1", "Secret", "test-secret");
    let expected = json!({"A": "YWxhIG1hIGtvdGE="});
    assert_eq!(first.get(&secret).await["data"], expected);
    let service = at("v1", "Service", "test-service");
    let held = second.get(&service).await;
    assert!(held["spec"]["ports"][0]["nodePort"].is_u64(), "{held:#}");
    let deployment = at("apps/v1", "Deployment", "test-deployment");
    let (one, two) = (first.get(&deployment).await, second.get(&deployment).await);
    assert_eq!(
        (&one["spec"]["replicas"], &two["spec"]["replicas"]),
        (&json!(3), &json!(5))
    );
    let image = "/spec/template/spec/containers/0/image";
    assert_eq!(two.pointer(image), Some(&json!("nginx:1.17.0-alpine")));
    assert!(two["metadata"]["annotations"]["foo"].is_null(), "{two:#}");
    let nowhere = world.member("lisbon").find(&deployment).await;
    assert_eq!(nowhere, None, "the namespace is not placed there");

    for object in read(PREFERENCE, namespace) {
        world.host().apply(object).await;
    }
    for (member, replicas) in [(first, 4), (second, 6)] {
        member
            .until(&deployment, "its share of ten", |held| {
                held["spec"]["replicas"] == replicas && held["status"]["readyReplicas"] == replicas
            })
            .await;
    }
    let preference = at(SCHEDULING, "ReplicaSchedulingPreference", "test-deployment");
    let spec = world.host().get(&preference).await["spec"].clone();
    let asked = read(PREFERENCE, namespace)[0]["spec"].clone();
    assert_eq!(spec, asked, "what a user wrote is never rewritten");
}

/// It was written for extensions/v1beta1, whose fields no API server takes any more.
async fn the_user_guides_ingress_of_old_is_told_in_the_members_words(
    world: &World,
    namespace: &str,
) {
    let mut made = read(OLD_INGRESS, namespace);
    let at = ObjectRef::of(&world.host().apply(made.remove(0)).await);
    let told = |object: &Value| {
        ["berlin", "osaka"].iter().all(|name| {
            let entry = in_cluster(object, name);
            let said = entry["message"].as_str().unwrap_or_default();
            entry["status"] == "CreationFailed" && said.contains("serviceName")
        })
    };
    world
        .host()
        .until(&at, "both say what is wrong", told)
        .await;
}

async fn the_guides_jobs_accounts_and_roles_propagate_once_their_types_are_enabled(
    world: &World,
    namespace: &str,
) {
    let types = [
        "clusterroles.rbac.authorization.k8s.io",
        "clusterrolebindings.rbac.authorization.k8s.io",
        "serviceaccounts",
        "jobs.batch",
    ];
    for name in types {
        world.command(&["enable", name]).await;
    }
    for object in read(MORE, namespace) {
        world.host().apply_once_served(object).await;
    }
    let rbac = "rbac.authorization.k8s.io/v1";
    let (first, second) = (world.member("berlin"), world.member("osaka"));
    let job = ObjectRef::new("batch/v1", "Job", namespace, "test-job");
    for (member, parallelism) in [(first, 1), (second, 2)] {
        let as_overridden = |held: &Value| held["spec"]["parallelism"] == parallelism;
        member.until(&job, "its parallelism", as_overridden).await;
        let account = ObjectRef::new("v1", "ServiceAccount", namespace, "test-serviceaccount");
        let automounts = |held: &Value| held["automountServiceAccountToken"] == true;
        member.until(&account, "it automounts", automounts).await;
        let role = ObjectRef::new(rbac, "ClusterRole", "", "test-clusterrole");
        let has_rules = |held: &Value| held["rules"][0]["verbs"] == json!(["*"]);
        member.until(&role, "it has its rules", has_rules).await;
        let binding = ObjectRef::new(rbac, "ClusterRoleBinding", "", "test-clusterrolebinding");
        let binds = |held: &Value| held["subjects"][0]["name"] == "test-user";
        member.until(&binding, "it binds", binds).await;
    }
    assert_eq!(world.member("lisbon").find(&job).await, None);
}

async fn the_charts_configuration_and_a_registered_cluster_are_accepted(
    world: &World,
    namespace: &str,
) {
    for object in read(INSTALLATION, namespace) {
        let what = ObjectRef::of(&object);
        let answer = world.host().try_on_trial(object).await;
        assert!(answer.is_ok(), "{what}: {answer:?}");
    }
}

/// The documents of a text, with this world's names.
fn read(text: &str, namespace: &str) -> Vec<Value> {
    let text = text
        .replace("test-namespace", namespace)
        .replace("name: cluster1\n", "name: berlin\n")
        .replace("name: cluster2\n", "name: osaka\n")
        .replace("clusterName: cluster2", "clusterName: osaka")
        .replace("cluster1:", "berlin:")
        .replace("cluster2:", "osaka:");
    serde_saphyr::from_multiple(&text).expect("YAML of our own")
}
