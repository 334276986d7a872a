//! Stories told with the real kubectl: what a person types, and reads.

use std::process::Stdio;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::Command;

use crate::answer::Look;
use crate::manifests::{config_map, config_map_with, deployment, pod, service, widgets};
use crate::world::World;

cases! { Workloads:
    apply_creates_configures_and_leaves_unchanged,
    apply_removes_what_the_manifest_no_longer_has,
    apply_server_side_owns_and_conflicts,
    apply_server_side_takes_over_from_apply,
    apply_refuses_a_misspelt_field,
    apply_as_a_trial_changes_nothing,
    apply_takes_a_definition_and_its_object,
    get_prints_a_table,
    get_prints_wide_tables_of_pods,
    get_prints_yaml_json_and_names,
    get_prints_by_path,
    get_selects_by_label_and_field,
    get_all_shows_what_a_deployment_made,
    get_watches_changes,
    get_prints_columns_of_a_custom_kind,
    get_says_not_found,
    describe_tells_of_a_deployment,
    describe_tells_of_a_pod_with_events,
    describe_tells_of_a_service_with_endpoints,
    describe_tells_of_a_node,
    describe_tells_of_a_custom_object,
    diff_shows_what_apply_would_change,
    diff_server_side_shows_the_same,
    patch_takes_all_three_types,
    edit_writes_what_the_editor_leaves,
    scale_and_wait_for_the_rollout,
    set_image_and_undo_it,
    rollout_pauses_resumes_and_restarts,
    label_and_annotate_add_and_refuse_to_overwrite,
    wait_for_a_condition_a_path_and_a_deletion,
    delete_by_name_file_and_label,
    delete_can_orphan,
    replace_and_create_say_what_they_did,
    create_makes_objects_from_flags,
    create_token_gives_one,
    explain_describes_fields,
    explain_describes_a_custom_kind,
    api_resources_and_versions_are_listed,
    auth_can_i_answers,
    version_and_cluster_info_answer,
    run_and_delete_a_pod,
    expose_makes_a_service,
    events_are_listed,
    a_namespace_can_be_made_and_deleted,
}

/// What kubectl printed, and its exit code.
pub(crate) struct Said {
    code: i32,
    out: String,
    err: String,
}

impl Said {
    /// Standard output, when it went well.
    #[track_caller]
    pub(crate) fn well(self) -> String {
        assert_eq!(self.code, 0, "{}\n{}", self.out, self.err);
        self.out
    }

    /// Standard error, when it failed.
    #[track_caller]
    pub(crate) fn badly(self) -> String {
        assert_ne!(self.code, 0, "{}\n{}", self.out, self.err);
        self.err
    }
}

/// Whether there is a kubectl; without one the stories are not told, except that CI must have one.
pub(crate) fn available() -> bool {
    static FOUND: std::sync::LazyLock<bool> = std::sync::LazyLock::new(|| {
        let found = std::process::Command::new("kubectl")
            .args(["version", "--client"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success());
        if !found {
            assert!(std::env::var_os("CI").is_none(), "CI needs kubectl on PATH");
            crate::run::say("skipped the stories of kubectl: there is none on PATH");
        }
        found
    });
    *FOUND
}

/// `return`s from a story when there is no kubectl.
macro_rules! needs_kubectl {
    () => {
        if !available() {
            return;
        }
    };
}

fn command(world: &World, arguments: &str) -> Command {
    let mut command = Command::new("kubectl");
    command
        .arg("--kubeconfig")
        .arg(&world.server.kubeconfig_path)
        .arg("--cache-dir")
        .arg(world.folder.path())
        .args(["--namespace", &world.namespace])
        .args(arguments.split_whitespace())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

async fn finish(mut command: Command, input: &str) -> Said {
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(input.as_bytes()).await.unwrap();
    drop(stdin);
    let output = child.wait_with_output().await.unwrap();
    Said {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

pub(crate) async fn kubectl(world: &World, arguments: &str) -> Said {
    finish(command(world, arguments), "").await
}

/// With `manifest` on standard input, where the arguments say `-f -`.
pub(crate) async fn feed(world: &World, arguments: &str, manifest: &Value) -> Said {
    finish(command(world, arguments), &manifest.to_string()).await
}

/// The words of each line.
pub(crate) fn words(text: &str) -> Vec<Vec<&str>> {
    text.lines()
        .map(|line| line.split_whitespace().collect())
        .collect()
}

async fn apply_creates_configures_and_leaves_unchanged(world: World) {
    needs_kubectl!();
    let manifest = config_map_with("a", json!({"k": "v"}));
    assert_eq!(
        feed(&world, "apply -f -", &manifest).await.well(),
        "configmap/a created\n"
    );
    assert_eq!(
        feed(&world, "apply -f -", &manifest).await.well(),
        "configmap/a unchanged\n"
    );
    let manifest = config_map_with("a", json!({"k": "w"}));
    assert_eq!(
        feed(&world, "apply -f -", &manifest).await.well(),
        "configmap/a configured\n"
    );
    world
        .get("configmaps/a")
        .await
        .is(200)
        .has(json!({"data": {"k": "w"}}));
}

async fn apply_removes_what_the_manifest_no_longer_has(world: World) {
    needs_kubectl!();
    let manifest = config_map_with("a", json!({"k": "v", "l": "w"}));
    feed(&world, "apply -f -", &manifest).await.well();
    world
        .merge_patch("configmaps/a", &json!({"data": {"other": "x"}}))
        .await
        .is(200);
    let manifest = config_map_with("a", json!({"k": "v"}));
    feed(&world, "apply -f -", &manifest).await.well();
    let object = world.get("configmaps/a").await.is(200);
    assert_eq!(object["data"], json!({"k": "v", "other": "x"}));
    let mut manifest = deployment("a", 0);
    let containers = json!([{"name": "main", "image": "a:1"}, {"name": "side", "image": "b:1"}]);
    manifest["spec"]["template"]["spec"]["containers"] = containers;
    feed(&world, "apply -f -", &manifest).await.well();
    manifest["spec"]["template"]["spec"]["containers"]
        .as_array_mut()
        .unwrap()
        .pop();
    let said = feed(&world, "apply -f -", &manifest).await.well();
    assert_eq!(said, "deployment.apps/a configured\n");
    let object = world.get("apps/v1:deployments/a").await.is(200);
    object.has(json!({"spec": {"template": {"spec": {"containers": [{"name": "main"}]}}}}));
}

async fn apply_server_side_owns_and_conflicts(world: World) {
    needs_kubectl!();
    let manifest = config_map_with("a", json!({"k": "v"}));
    let said = feed(&world, "apply --server-side -f -", &manifest)
        .await
        .well();
    assert_eq!(said, "configmap/a serverside-applied\n");
    let object = world.get("configmaps/a").await.is(200);
    let fields = json!({"f:data": {"f:k": {}}});
    assert_eq!(object.managed(), [("kubectl", "Apply", "", &fields)]);
    let manifest = config_map_with("a", json!({"k": "w"}));
    let other = "apply --server-side --field-manager=other -f -";
    let said = feed(&world, other, &manifest).await.badly();
    assert!(
        said.contains("Apply failed with 1 conflict: conflict with \"kubectl\": .data.k"),
        "{said}"
    );
    feed(&world, &format!("{other} --force-conflicts"), &manifest)
        .await
        .well();
}

async fn apply_server_side_takes_over_from_apply(world: World) {
    needs_kubectl!();
    let manifest = config_map_with("a", json!({"k": "v", "l": "v"}));
    feed(&world, "apply -f -", &manifest).await.well();
    let manifest = config_map_with("a", json!({"k": "w"}));
    feed(&world, "apply --server-side -f -", &manifest)
        .await
        .well();
    let object = world.get("configmaps/a").await.is(200);
    assert_eq!(object["data"], json!({"k": "w"}));
}

async fn apply_refuses_a_misspelt_field(world: World) {
    needs_kubectl!();
    let mut manifest = deployment("a", 0);
    manifest["spec"]["replica"] = json!(3);
    let said = feed(&world, "apply -f -", &manifest).await.badly();
    assert!(
        said.contains("strict decoding error: unknown field \"spec.replica\""),
        "{said}"
    );
    world.get("apps/v1:deployments/a").await.is(404);
}

async fn apply_as_a_trial_changes_nothing(world: World) {
    needs_kubectl!();
    let manifest = config_map("a");
    let said = feed(&world, "apply --dry-run=server -f -", &manifest)
        .await
        .well();
    assert_eq!(said, "configmap/a created (server dry run)\n");
    world.get("configmaps/a").await.is(404);
}

async fn apply_takes_a_definition_and_its_object(world: World) {
    needs_kubectl!();
    let said = feed(&world, "apply -f -", &widgets(&world.group))
        .await
        .well();
    let name = format!("widgets.{}", world.group);
    assert_eq!(
        said,
        format!("customresourcedefinition.apiextensions.k8s.io/{name} created\n")
    );
    kubectl(
        &world,
        &format!("wait --for=condition=Established crd/{name}"),
    )
    .await
    .well();
    world
        .until_ok(&world.path(&format!("{}/v1:widgets", world.group)))
        .await;
    let object = world.custom("Widget", "a", json!({"spec": {"size": 1, "tags": ["x"]}}));
    let said = feed(&world, "apply -f -", &object).await.well();
    assert_eq!(said, format!("widget.{}/a created\n", world.group));
    let object = world.custom("Widget", "a", json!({"spec": {"size": 2}}));
    let said = feed(&world, "apply -f -", &object).await.well();
    assert_eq!(said, format!("widget.{}/a configured\n", world.group));
    let object = world
        .get(&format!("{}/v1:widgets/a", world.group))
        .await
        .is(200);
    assert_eq!(object["spec"], json!({"size": 2}));
}

async fn get_prints_a_table(world: World) {
    needs_kubectl!();
    world
        .post("configmaps", &config_map_with("a", json!({"k": "v"})))
        .await
        .is(201);
    let said = kubectl(&world, "get configmap a").await.well();
    let lines = words(&said);
    assert_eq!(lines[0], ["NAME", "DATA", "AGE"]);
    assert_eq!(lines[1][..2], ["a", "1"]);
    let said = kubectl(&world, "get secrets").await;
    assert!(
        said.err.starts_with("No resources found in "),
        "{}",
        said.err
    );
    assert_eq!(said.well(), "");
}

/// Makes the Deployment `a` and waits for its pods.
async fn deployed(world: &World, replicas: u32) {
    world.takes_pods().await;
    feed(world, "apply -f -", &deployment("a", replicas))
        .await
        .well();
    kubectl(world, "rollout status deployment/a --timeout=60s")
        .await
        .well();
}

async fn get_prints_wide_tables_of_pods(world: World) {
    needs_kubectl!();
    deployed(&world, 1).await;
    let said = kubectl(&world, "get pods -o wide").await.well();
    let lines = words(&said);
    let head = [
        "NAME",
        "READY",
        "STATUS",
        "RESTARTS",
        "AGE",
        "IP",
        "NODE",
        "NOMINATED",
        "NODE",
    ];
    assert_eq!(lines[0][..9], head);
    assert_eq!(lines[1][1..4], ["1/1", "Running", "0"]);
    let said = kubectl(&world, "get deployment a -o wide").await.well();
    let head = [
        "NAME",
        "READY",
        "UP-TO-DATE",
        "AVAILABLE",
        "AGE",
        "CONTAINERS",
        "IMAGES",
        "SELECTOR",
    ];
    let lines = words(&said);
    assert_eq!(lines[0], head);
    assert_eq!(
        (&lines[1][..4], &lines[1][5..]),
        (&["a", "1/1", "1", "1"][..], &["main", "app:1", "app=a"][..])
    );
}

async fn get_prints_yaml_json_and_names(world: World) {
    needs_kubectl!();
    let created = world
        .post("configmaps", &config_map_with("a", json!({"k": "v"})))
        .await
        .is(201);
    let said = kubectl(&world, "get configmap a -o json --show-managed-fields")
        .await
        .well();
    assert_eq!(serde_json::from_str::<Value>(&said).unwrap(), created);
    let said = kubectl(&world, "get configmap a -o yaml").await.well();
    assert!(
        said.starts_with("apiVersion: v1\ndata:\n  k: v\nkind: ConfigMap\n"),
        "{said}"
    );
    assert_eq!(
        kubectl(&world, "get configmap/a -o name").await.well(),
        "configmap/a\n"
    );
}

async fn get_prints_by_path(world: World) {
    needs_kubectl!();
    world
        .post("configmaps", &config_map_with("a", json!({"k": "v"})))
        .await
        .is(201);
    assert_eq!(
        kubectl(&world, "get cm a -o jsonpath={.data.k}")
            .await
            .well(),
        "v"
    );
    let said = kubectl(
        &world,
        "get cm a -o custom-columns=N:.metadata.name,K:.data.k",
    )
    .await
    .well();
    assert_eq!(words(&said), [["N", "K"], ["a", "v"]]);
}

async fn get_selects_by_label_and_field(world: World) {
    needs_kubectl!();
    for (name, value) in [("a", "x"), ("b", "y")] {
        let body = crate::manifests::labelled(name, json!({"k": value}));
        world.post("configmaps", &body).await.is(201);
    }
    assert_eq!(
        kubectl(&world, "get cm -l k=y -o name").await.well(),
        "configmap/b\n"
    );
    let said = kubectl(&world, "get cm --field-selector metadata.name=a -o name")
        .await
        .well();
    assert_eq!(said, "configmap/a\n");
    let said = kubectl(&world, "get cm -l k --show-labels -A").await.well();
    assert!(
        said.contains("k=x") && said.starts_with("NAMESPACE"),
        "{said}"
    );
}

async fn get_all_shows_what_a_deployment_made(world: World) {
    needs_kubectl!();
    deployed(&world, 1).await;
    world.post("services", &service("a")).await.is(201);
    let said = kubectl(&world, "get all").await.well();
    for part in [
        "pod/a-",
        "service/a ",
        "deployment.apps/a ",
        "replicaset.apps/a-",
    ] {
        assert!(said.contains(part), "no {part} in {said}");
    }
}

async fn get_watches_changes(world: World) {
    needs_kubectl!();
    world
        .post("secrets", &crate::manifests::secret("a"))
        .await
        .is(201);
    let mut child = command(&world, "get secrets --watch --output-watch-events")
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(
        lines
            .next_line()
            .await
            .unwrap()
            .unwrap()
            .starts_with("EVENT")
    );
    let line = lines.next_line().await.unwrap().unwrap();
    assert_eq!(words(&line)[0][..2], ["ADDED", "a"]);
    world
        .post("secrets", &crate::manifests::secret("b"))
        .await
        .is(201);
    let line = lines.next_line().await.unwrap().unwrap();
    assert_eq!(words(&line)[0][..2], ["ADDED", "b"]);
    world
        .merge_patch("secrets/a", &json!({"stringData": {"k": "v"}}))
        .await
        .is(200);
    let line = lines.next_line().await.unwrap().unwrap();
    assert_eq!(words(&line)[0][..4], ["MODIFIED", "a", "Opaque", "1"]);
    world.delete("secrets/b").await.is(200);
    let line = lines.next_line().await.unwrap().unwrap();
    assert_eq!(words(&line)[0][..2], ["DELETED", "b"]);
    child.kill().await.unwrap();
}

async fn get_prints_columns_of_a_custom_kind(world: World) {
    needs_kubectl!();
    let mut definition = widgets(&world.group);
    definition["spec"]["names"]["shortNames"] = json!([format!("w{}", &world.group[4..6])]);
    definition["spec"]["versions"][0]["additionalPrinterColumns"] =
        json!([{"name": "Size", "type": "integer", "jsonPath": ".spec.size"}]);
    let widgets = world.define(&definition).await;
    world
        .post(
            &widgets,
            &world.custom("Widget", "a", json!({"spec": {"size": 7}})),
        )
        .await
        .is(201);
    let said = kubectl(&world, &format!("get widgets.{}", world.group))
        .await
        .well();
    assert_eq!(words(&said), [["NAME", "SIZE"], ["a", "7"]]);
}

async fn get_says_not_found(world: World) {
    needs_kubectl!();
    let said = kubectl(&world, "get configmap missing").await.badly();
    assert_eq!(
        said,
        "Error from server (NotFound): configmaps \"missing\" not found\n"
    );
    let said = kubectl(&world, "get gadgets").await.badly();
    assert_eq!(
        said,
        "error: the server doesn't have a resource type \"gadgets\"\n"
    );
}

/// Asserts that `text` has each part of `parts`, which ` … ` separates, in this order.
#[track_caller]
pub(crate) fn tells(text: &str, parts: &str) {
    let mut rest = text;
    for part in parts.split(" … ") {
        let Some(at) = rest.find(part) else {
            panic!("no {part:?} in what is left of {text}")
        };
        rest = &rest[at + part.len()..];
    }
}

async fn describe_tells_of_a_deployment(world: World) {
    needs_kubectl!();
    deployed(&world, 2).await;
    let said = kubectl(&world, "describe deployment a").await.well();
    tells(
        &said,
        &format!(
            "Name: … a … Namespace: … {} … Selector: … app=a … 2 desired | 2 updated | 2 total | \
         2 available | 0 unavailable … StrategyType: … RollingUpdate … Containers: … main: … \
         Image: … app:1 … Conditions: … Available … True … MinimumReplicasAvailable … \
         NewReplicaSet: … (2/2 replicas created) … Events: … ScalingReplicaSet",
            world.namespace
        ),
    );
}

async fn describe_tells_of_a_pod_with_events(world: World) {
    needs_kubectl!();
    deployed(&world, 1).await;
    let said = kubectl(&world, "describe pod -l app=a").await.well();
    tells(
        &said,
        "Status: … Running … Controlled By: … ReplicaSet/a- … Containers: … main: … State: … \
         Running … Ready: … True … Conditions: … PodScheduled … QoS Class: … BestEffort … \
         Events: … Scheduled … Successfully assigned",
    );
}

async fn describe_tells_of_a_service_with_endpoints(world: World) {
    needs_kubectl!();
    deployed(&world, 1).await;
    world.post("services", &service("a")).await.is(201);
    let list = "discovery.k8s.io/v1:endpointslices?labelSelector=kubernetes.io/service-name%3Da";
    let filled = |slices: &[Value]| {
        slices
            .first()
            .is_some_and(|slice| !slice.list("/endpoints").is_empty())
    };
    let slices = world.until_list(list, filled).await;
    let address = slices[0].text("/endpoints/0/addresses/0");
    let said = kubectl(&world, "describe service a").await.well();
    tells(
        &said,
        "Selector: … app=a … Type: … ClusterIP … TargetPort: … 8080/TCP … Endpoints:",
    );
    assert!(said.contains(&format!("{address}:8080")), "{said}");
}

async fn describe_tells_of_a_node(world: World) {
    needs_kubectl!();
    let nodes = world.get("/api/v1/nodes").await.is(200);
    let name = nodes.text("/items/0/metadata/name");
    let said = kubectl(&world, &format!("describe node {name}"))
        .await
        .well();
    tells(
        &said,
        &format!(
            "Name: … {} … Conditions: … Ready … True … Capacity: … cpu: … Allocated resources:",
            name
        ),
    );
}

async fn describe_tells_of_a_custom_object(world: World) {
    needs_kubectl!();
    let widgets = world.define(&widgets(&world.group)).await;
    world
        .post(
            &widgets,
            &world.custom("Widget", "a", json!({"spec": {"size": 7}})),
        )
        .await
        .is(201);
    let said = kubectl(&world, &format!("describe widgets.{} a", world.group))
        .await
        .well();
    tells(
        &said,
        "Name: … a … API Version: … Kind: … Widget … Spec: … Size: … 7",
    );
}

async fn diff_shows_what_apply_would_change(world: World) {
    needs_kubectl!();
    let manifest = config_map_with("a", json!({"k": "v"}));
    feed(&world, "apply -f -", &manifest).await.well();
    assert_eq!(feed(&world, "diff -f -", &manifest).await.well(), "");
    let manifest = config_map_with("a", json!({"k": "w"}));
    let said = feed(&world, "diff -f -", &manifest).await;
    assert_eq!(said.code, 1, "{}", said.err);
    tells(&said.out, "-  k: v … +  k: w");
    world
        .get("configmaps/a")
        .await
        .is(200)
        .has(json!({"data": {"k": "v"}}));
}

async fn diff_server_side_shows_the_same(world: World) {
    needs_kubectl!();
    let manifest = config_map_with("a", json!({"k": "v"}));
    feed(&world, "apply --server-side -f -", &manifest)
        .await
        .well();
    assert_eq!(
        feed(&world, "diff --server-side -f -", &manifest)
            .await
            .well(),
        ""
    );
    let manifest = config_map_with("a", json!({"k": "w"}));
    let said = feed(&world, "diff --server-side -f -", &manifest).await;
    assert_eq!(said.code, 1, "{}", said.err);
    tells(&said.out, "-  k: v … +  k: w");
}

async fn patch_takes_all_three_types(world: World) {
    needs_kubectl!();
    world
        .post("apps/v1:deployments", &deployment("a", 0))
        .await
        .is(201);
    let strategic = r#"patch deployment a -p {"spec":{"minReadySeconds":1}}"#;
    assert_eq!(
        kubectl(&world, strategic).await.well(),
        "deployment.apps/a patched\n"
    );
    let merge = r#"patch deployment a --type=merge -p {"spec":{"minReadySeconds":2}}"#;
    kubectl(&world, merge).await.well();
    let again = kubectl(&world, merge).await.well();
    assert_eq!(again, "deployment.apps/a patched (no change)\n");
    let json =
        r#"patch deployment a --type=json -p [{"op":"remove","path":"/spec/minReadySeconds"}]"#;
    kubectl(&world, json).await.well();
    let object = world.get("apps/v1:deployments/a").await.is(200);
    object.has(json!({"spec": {"minReadySeconds": null}}));
    let status = r#"patch deployment a --subresource=status --type=merge -p {"status":{"collisionCount":1}}"#;
    kubectl(&world, status).await.well();
}

async fn edit_writes_what_the_editor_leaves(world: World) {
    needs_kubectl!();
    world
        .post("configmaps", &config_map_with("a", json!({"k": "before"})))
        .await
        .is(201);
    let mut edit = command(&world, "edit configmap a");
    edit.env("KUBE_EDITOR", "sed -i s/before/after/");
    assert_eq!(finish(edit, "").await.well(), "configmap/a edited\n");
    world
        .get("configmaps/a")
        .await
        .is(200)
        .has(json!({"data": {"k": "after"}}));
    let mut edit = command(&world, "edit configmap a");
    edit.env("KUBE_EDITOR", "true");
    let said = finish(edit, "").await;
    assert!(
        said.err.contains("Edit cancelled, no changes made."),
        "{}",
        said.err
    );
}

async fn scale_and_wait_for_the_rollout(world: World) {
    needs_kubectl!();
    deployed(&world, 1).await;
    let said = kubectl(&world, "scale deployment a --replicas=3")
        .await
        .well();
    assert_eq!(said, "deployment.apps/a scaled\n");
    let said = kubectl(&world, "rollout status deployment/a --timeout=60s")
        .await
        .well();
    assert!(
        said.ends_with("deployment \"a\" successfully rolled out\n"),
        "{said}"
    );
    assert_eq!(
        kubectl(&world, "get pods -o name")
            .await
            .well()
            .lines()
            .count(),
        3
    );
    let said = kubectl(
        &world,
        "scale deployment a --replicas=1 --current-replicas=7",
    )
    .await
    .badly();
    assert!(said.contains("Expected replicas to be 7, was 3"), "{said}");
}

async fn set_image_and_undo_it(world: World) {
    needs_kubectl!();
    deployed(&world, 1).await;
    let said = kubectl(&world, "set image deployment/a main=app:2")
        .await
        .well();
    assert_eq!(said, "deployment.apps/a image updated\n");
    kubectl(&world, "rollout status deployment/a --timeout=60s")
        .await
        .well();
    let said = kubectl(&world, "rollout history deployment/a").await.well();
    assert_eq!(
        words(&said)[..4],
        [
            vec!["deployment.apps/a"],
            vec!["REVISION", "CHANGE-CAUSE"],
            vec!["1", "<none>"],
            vec!["2", "<none>"],
        ]
    );
    let said = kubectl(&world, "rollout undo deployment/a").await.well();
    assert_eq!(said, "deployment.apps/a rolled back\n");
    kubectl(&world, "rollout status deployment/a --timeout=60s")
        .await
        .well();
    let image = "get deployment a -o jsonpath={.spec.template.spec.containers[0].image}";
    assert_eq!(kubectl(&world, image).await.well(), "app:1");
}

async fn rollout_pauses_resumes_and_restarts(world: World) {
    needs_kubectl!();
    deployed(&world, 1).await;
    let said = kubectl(&world, "rollout pause deployment/a").await.well();
    assert_eq!(said, "deployment.apps/a paused\n");
    let said = kubectl(&world, "rollout resume deployment/a").await.well();
    assert_eq!(said, "deployment.apps/a resumed\n");
    let said = kubectl(&world, "rollout restart deployment/a").await.well();
    assert_eq!(said, "deployment.apps/a restarted\n");
    kubectl(&world, "rollout status deployment/a --timeout=60s")
        .await
        .well();
    let revision =
        r"get deployment a -o jsonpath={.metadata.annotations.deployment\.kubernetes\.io/revision}";
    assert_eq!(kubectl(&world, revision).await.well(), "2");
}

async fn label_and_annotate_add_and_refuse_to_overwrite(world: World) {
    needs_kubectl!();
    world.post("configmaps", &config_map("a")).await.is(201);
    assert_eq!(
        kubectl(&world, "label cm a k=v").await.well(),
        "configmap/a labeled\n"
    );
    let said = kubectl(&world, "label cm a k=w").await.badly();
    assert!(
        said.contains("already has a value (v), and --overwrite is false"),
        "{said}"
    );
    kubectl(&world, "label cm a k=w --overwrite").await.well();
    assert_eq!(
        kubectl(&world, "label cm a k-").await.well(),
        "configmap/a unlabeled\n"
    );
    // Up to 1.27 it said "annotate".
    let said = kubectl(&world, "annotate cm a n=m").await.well();
    assert!(said.starts_with("configmap/a annotate"), "{said}");
    let object = world.get("configmaps/a").await.is(200);
    object.has(json!({"metadata": {"labels": null, "annotations": {"n": "m"}}}));
}

async fn wait_for_a_condition_a_path_and_a_deletion(world: World) {
    needs_kubectl!();
    world.takes_pods().await;
    feed(&world, "apply -f -", &deployment("a", 1)).await.well();
    let said = kubectl(
        &world,
        "wait --for=condition=Available deployment/a --timeout=60s",
    )
    .await
    .well();
    assert_eq!(said, "deployment.apps/a condition met\n");
    let path = "wait --for=jsonpath={.status.readyReplicas}=1 deployment/a --timeout=60s";
    kubectl(&world, path).await.well();
    let said = kubectl(
        &world,
        "wait --for=condition=Never deployment/a --timeout=1s",
    )
    .await
    .badly();
    assert!(
        said.contains("timed out waiting for the condition on deployments/a"),
        "{said}"
    );
    kubectl(&world, "delete deployment a --wait=false")
        .await
        .well();
    kubectl(&world, "wait --for=delete pod -l app=a --timeout=60s")
        .await
        .well();
}

async fn delete_by_name_file_and_label(world: World) {
    needs_kubectl!();
    for name in ["a", "b", "c"] {
        let body = crate::manifests::labelled(name, json!({"k": name}));
        world.post("configmaps", &body).await.is(201);
    }
    // Newer versions name the namespace as well.
    let said = kubectl(&world, "delete configmap a").await.well();
    assert!(said.starts_with("configmap \"a\" deleted"), "{said}");
    let said = feed(&world, "delete -f -", &config_map("b")).await.well();
    assert!(said.starts_with("configmap \"b\" deleted"), "{said}");
    let said = kubectl(&world, "delete cm -l k=c").await.well();
    assert!(said.starts_with("configmap \"c\" deleted"), "{said}");
    let said = kubectl(&world, "delete configmap a").await.badly();
    assert_eq!(
        said,
        "Error from server (NotFound): configmaps \"a\" not found\n"
    );
    assert_eq!(
        kubectl(&world, "delete configmap a --ignore-not-found")
            .await
            .well(),
        ""
    );
}

async fn delete_can_orphan(world: World) {
    needs_kubectl!();
    deployed(&world, 1).await;
    kubectl(&world, "delete deployment a --cascade=orphan")
        .await
        .well();
    world.until_gone("apps/v1:deployments/a").await;
    let sets = world
        .get("apps/v1:replicasets?labelSelector=app%3Da")
        .await
        .is(200);
    sets["items"][0].has(json!({"metadata": {"ownerReferences": null}}));
    let said = kubectl(&world, "delete rs -l app=a --cascade=foreground")
        .await
        .well();
    assert!(said.starts_with("replicaset.apps \"a-"), "{said}");
    world
        .until_list("pods?labelSelector=app%3Da", <[Value]>::is_empty)
        .await;
}

async fn replace_and_create_say_what_they_did(world: World) {
    needs_kubectl!();
    let manifest = config_map_with("a", json!({"k": "v"}));
    assert_eq!(
        feed(&world, "create -f -", &manifest).await.well(),
        "configmap/a created\n"
    );
    let said = feed(&world, "create -f -", &manifest).await.badly();
    assert!(
        said.contains("(AlreadyExists)") && said.contains("configmaps \"a\" already exists"),
        "{said}"
    );
    let manifest = config_map_with("a", json!({"k": "w"}));
    assert_eq!(
        feed(&world, "replace -f -", &manifest).await.well(),
        "configmap/a replaced\n"
    );
}

async fn create_makes_objects_from_flags(world: World) {
    needs_kubectl!();
    for (arguments, said) in [
        (
            "create configmap a --from-literal=k=v",
            "configmap/a created\n",
        ),
        (
            "create secret generic a --from-literal=k=v",
            "secret/a created\n",
        ),
        ("create serviceaccount a", "serviceaccount/a created\n"),
        (
            "create deployment a --image=app:1 --replicas=0",
            "deployment.apps/a created\n",
        ),
        (
            "create service clusterip a --tcp=80:8080",
            "service/a created\n",
        ),
        (
            "create role a --verb=get --resource=pods",
            "role.rbac.authorization.k8s.io/a created\n",
        ),
        (
            "create rolebinding a --role=a --user=b",
            "rolebinding.rbac.authorization.k8s.io/a created\n",
        ),
        ("create job a --image=app:1", "job.batch/a created\n"),
    ] {
        assert_eq!(kubectl(&world, arguments).await.well(), said);
    }
}

async fn create_token_gives_one(world: World) {
    needs_kubectl!();
    kubectl(&world, "create serviceaccount robot").await.well();
    let token = kubectl(&world, "create token robot --duration=1h")
        .await
        .well();
    assert_eq!(token.trim().split('.').count(), 3);
}

async fn explain_describes_fields(world: World) {
    needs_kubectl!();
    let said = kubectl(&world, "explain deployment.spec.replicas")
        .await
        .well();
    tells(
        &said,
        "GROUP: … apps … KIND: … Deployment … VERSION: … v1 … FIELD: replicas <integer>",
    );
    let said = kubectl(&world, "explain pod.spec.containers").await.well();
    tells(
        &said,
        "FIELD: containers <[]Container> … FIELDS: … image\t<string>",
    );
    let said = kubectl(&world, "explain configmap --recursive")
        .await
        .well();
    tells(
        &said,
        "KIND: … ConfigMap … data\t<map[string]string> … metadata\t<ObjectMeta>",
    );
    let said = kubectl(&world, "explain pod.spec.nothing").await.badly();
    assert!(said.contains("field \"nothing\" does not exist"), "{said}");
}

async fn explain_describes_a_custom_kind(world: World) {
    needs_kubectl!();
    world.define(&widgets(&world.group)).await;
    world.until_described("widgets").await;
    let explain = format!(
        "explain widgets.{}.spec --api-version={}/v1",
        world.group, world.group
    );
    let explain = explain.replace(&format!("widgets.{}", world.group), "widgets");
    let said = kubectl(&world, &explain).await.well();
    tells(
        &said,
        "KIND: … Widget … FIELD: spec <Object> … size\t<integer>",
    );
}

async fn api_resources_and_versions_are_listed(world: World) {
    needs_kubectl!();
    let said = kubectl(&world, "api-resources").await.well();
    let lines = words(&said);
    assert_eq!(
        lines[0],
        ["NAME", "SHORTNAMES", "APIVERSION", "NAMESPACED", "KIND"]
    );
    for line in [
        vec!["configmaps", "cm", "v1", "true", "ConfigMap"],
        vec!["deployments", "deploy", "apps/v1", "true", "Deployment"],
        vec!["namespaces", "ns", "v1", "false", "Namespace"],
        vec!["leases", "coordination.k8s.io/v1", "true", "Lease"],
    ] {
        assert!(lines.contains(&line), "no {line:?} in {said}");
    }
    let said = kubectl(&world, "api-versions").await.well();
    assert!(said.lines().any(|line| line == "apps/v1"), "{said}");
}

async fn auth_can_i_answers(world: World) {
    needs_kubectl!();
    assert_eq!(
        kubectl(&world, "auth can-i create deployments.apps")
            .await
            .well(),
        "yes\n"
    );
    assert_eq!(
        kubectl(&world, "auth can-i delete pods --subresource=eviction")
            .await
            .well(),
        "yes\n"
    );
    let said = kubectl(&world, "auth can-i --list").await.well();
    assert!(said.starts_with("Resources"), "{said}");
    let said = kubectl(&world, "auth whoami -o jsonpath={.status.userInfo.groups}").await;
    // Up to 1.27 it asks in versions that servers no longer have.
    if !said.err.contains("API is not enabled in the cluster") {
        let said = said.well();
        assert!(said.contains("system:masters"), "{said}");
    }
}

async fn version_and_cluster_info_answer(world: World) {
    needs_kubectl!();
    let said = kubectl(&world, "version").await.well();
    // A server that nobody stamped when it was built has the version v0.0.0-master.
    tells(&said, "Client Version: … v1. … Server Version: … v");
    let said = kubectl(&world, "cluster-info").await.well();
    assert!(
        said.contains("is running at") && said.contains("https://127.0.0.1:"),
        "{said}"
    );
    assert_eq!(kubectl(&world, "get --raw /readyz").await.well(), "ok");
}

async fn run_and_delete_a_pod(world: World) {
    needs_kubectl!();
    world.takes_pods().await;
    assert_eq!(
        kubectl(&world, "run a --image=app:1").await.well(),
        "pod/a created\n"
    );
    kubectl(&world, "wait --for=condition=Ready pod/a --timeout=60s")
        .await
        .well();
    let said = kubectl(&world, "delete pod a --timeout=60s").await.well();
    assert!(said.starts_with("pod \"a\" deleted"), "{said}");
    world.get("pods/a").await.is(404);
    world.post("pods", &pod("b")).await.is(201);
    kubectl(&world, "wait --for=condition=Ready pod/b --timeout=60s")
        .await
        .well();
    kubectl(&world, "delete pod b --force --grace-period=0")
        .await
        .well();
}

async fn expose_makes_a_service(world: World) {
    needs_kubectl!();
    world
        .post("apps/v1:deployments", &deployment("a", 0))
        .await
        .is(201);
    let said = kubectl(&world, "expose deployment a --port=80 --target-port=8080")
        .await
        .well();
    assert_eq!(said, "service/a exposed\n");
    world.get("services/a").await.is(200).has(json!({
        "spec": {"selector": {"app": "a"}, "ports": [{"port": 80, "targetPort": 8080}]},
    }));
}

async fn events_are_listed(world: World) {
    needs_kubectl!();
    deployed(&world, 1).await;
    let said = kubectl(&world, "get events").await.well();
    assert_eq!(
        words(&said)[0],
        ["LAST", "SEEN", "TYPE", "REASON", "OBJECT", "MESSAGE"]
    );
    assert!(
        said.contains("ScalingReplicaSet") && said.contains("deployment/a"),
        "{said}"
    );
    let said = kubectl(&world, "events --for deployment/a").await.well();
    assert!(said.contains("Scaled up replica set"), "{said}");
}

async fn a_namespace_can_be_made_and_deleted(world: World) {
    needs_kubectl!();
    let name = format!("made-{}", world.group.replace('.', "-"));
    let said = kubectl(&world, &format!("create namespace {name}"))
        .await
        .well();
    assert_eq!(said, format!("namespace/{name} created\n"));
    let said = kubectl(&world, &format!("delete namespace {name} --timeout=60s"))
        .await
        .well();
    assert_eq!(said, format!("namespace \"{name}\" deleted\n"));
    world
        .get(&format!("/api/v1/namespaces/{name}"))
        .await
        .is(404);
}
