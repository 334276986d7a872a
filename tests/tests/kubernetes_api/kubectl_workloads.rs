//! Stories told with the real kubectl about workloads: rollouts, jobs, autoscalers, drains, volumes.

use serde_json::{Value, json};

use crate::answer::Look;
use crate::kubectl::{available, feed, kubectl, tells as tells_exactly, words};
use crate::manifests::{claim, deployment, pod, stateful_set};
use crate::world::World;

cases! { Workloads:
    a_stateful_set_rolls_out_and_back,
    a_daemon_set_rolls_out_and_back,
    a_deployment_rolls_back_to_a_revision,
    rollouts_restart,
    a_stateful_set_is_scaled,
    a_job_is_made_from_a_cron_job_and_waited_for,
    a_cron_job_is_made_from_flags,
    a_deployment_is_autoscaled,
    a_node_is_drained_as_budgets_allow,
    wide_tables_of_workloads,
    wide_tables_of_jobs,
    wide_tables_of_autoscalers_and_budgets,
    wide_tables_of_claims,
    wide_tables_of_volumes_and_classes,
    describe_tells_of_a_stateful_set,
    describe_tells_of_a_daemon_set,
    describe_tells_of_a_job,
    describe_tells_of_a_cron_job,
    describe_tells_of_an_autoscaler,
    describe_tells_of_a_budget,
    describe_tells_of_volumes,
}

/// Of the first node, which is labelled for this case alone.
async fn daemon_set(world: &World) -> Value {
    let patch = json!({"metadata": {"labels": {world.group.clone(): "yes"}}});
    world
        .strategic_patch("/api/v1/nodes/node-1", &patch)
        .await
        .is(200);
    let mut set = deployment("a", 0);
    set["kind"] = json!("DaemonSet");
    set["spec"].as_object_mut().unwrap().remove("replicas");
    set["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] = json!(1);
    set["spec"]["template"]["spec"]["nodeSelector"] = json!({world.group.clone(): "yes"});
    set
}

fn job(name: &str) -> Value {
    json!({
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name},
        "spec": {"template": {"spec": {
            "restartPolicy": "Never",
            "containers": [{"name": "main", "image": "app:1"}],
        }}},
    })
}

fn cron_job(schedule: &str) -> Value {
    json!({
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": {"name": "a"},
        "spec": {"schedule": schedule, "jobTemplate": {"spec": job("a")["spec"]}},
    })
}

/// A claim bound to a volume, both of a class named after this case.
async fn bound(world: &World) {
    let class = &world.namespace;
    let storage_class = json!({
        "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": class},
        "provisioner": "kubernetes.io/no-provisioner", "reclaimPolicy": "Retain",
    });
    feed(world, "apply -f -", &storage_class).await.well();
    let volume = json!({
        "apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": class},
        "spec": {
            "accessModes": ["ReadWriteOnce"], "capacity": {"storage": "3Gi"},
            "hostPath": {"path": "/tmp/none"}, "storageClassName": class,
        },
    });
    feed(world, "apply -f -", &volume).await.well();
    feed(world, "apply -f -", &claim(class)).await.well();
    kubectl(
        world,
        "wait --for=jsonpath={.status.phase}=Bound pvc/a --timeout=60s",
    )
    .await
    .well();
}

async fn rolled_out(world: &World, what: &str) -> String {
    kubectl(world, &format!("rollout status {what} --timeout=90s"))
        .await
        .well()
}

/// Asserts that `text`, one space between words, has each of the parts that ` … ` separates.
#[track_caller]
fn tells(text: &str, parts: &str) {
    let words: Vec<&str> = text.split_whitespace().collect();
    tells_exactly(&words.join(" "), parts);
}

/// A Deployment without replicas, and an autoscaler that was looked at.
async fn autoscaled(world: &World) {
    feed(world, "apply -f -", &deployment("a", 0)).await.well();
    kubectl(
        world,
        "autoscale deployment a --min=1 --max=3 --cpu-percent=50",
    )
    .await
    .well();
    world
        .until("autoscaling/v2:horizontalpodautoscalers/a", |object| {
            !object.condition("ScalingActive").is_null()
        })
        .await;
}

fn last_line(text: &str) -> &str {
    text.trim_end().lines().last().unwrap_or_default()
}

async fn image_of(world: &World, what: &str) -> String {
    let path = "jsonpath={.spec.template.spec.containers[0].image}";
    kubectl(world, &format!("get {what} -o {path}"))
        .await
        .well()
}

async fn a_stateful_set_rolls_out_and_back(world: World) {
    if !available() {
        return;
    }
    world.takes_pods().await;
    feed(&world, "apply -f -", &stateful_set(2)).await.well();
    let said = rolled_out(&world, "statefulset/a").await;
    assert_eq!(
        last_line(&said),
        "partitioned roll out complete: 2 new pods have been updated..."
    );
    kubectl(&world, "set image statefulset/a main=app:2")
        .await
        .well();
    rolled_out(&world, "statefulset/a").await;
    let history = kubectl(&world, "rollout history statefulset/a")
        .await
        .well();
    assert_eq!(
        words(&history),
        [
            vec!["statefulset.apps/a"],
            vec!["REVISION", "CHANGE-CAUSE"],
            vec!["1", "<none>"],
            vec!["2", "<none>"],
            vec![],
        ]
    );
    let said = kubectl(&world, "rollout undo statefulset/a").await.well();
    assert_eq!(said, "statefulset.apps/a rolled back\n");
    rolled_out(&world, "statefulset/a").await;
    assert_eq!(image_of(&world, "statefulset/a").await, "app:1");
    let history = kubectl(&world, "rollout history statefulset/a --revision=3")
        .await
        .well();
    tells(
        &history,
        "statefulset.apps/a with revision #3 … Pod Template: … Image: app:1",
    );
}

async fn a_daemon_set_rolls_out_and_back(world: World) {
    if !available() {
        return;
    }
    world.takes_pods().await;
    let set = daemon_set(&world).await;
    feed(&world, "apply -f -", &set).await.well();
    let said = rolled_out(&world, "daemonset/a").await;
    assert_eq!(last_line(&said), "daemon set \"a\" successfully rolled out");
    kubectl(&world, "set image daemonset/a main=app:2")
        .await
        .well();
    rolled_out(&world, "daemonset/a").await;
    let said = kubectl(&world, "rollout undo daemonset/a --to-revision=1")
        .await
        .well();
    assert_eq!(said, "daemonset.apps/a rolled back\n");
    rolled_out(&world, "daemonset/a").await;
    assert_eq!(image_of(&world, "daemonset/a").await, "app:1");
    let history = kubectl(&world, "rollout history daemonset/a").await.well();
    assert_eq!(
        words(&history)[2..4],
        [vec!["2", "<none>"], vec!["3", "<none>"]]
    );
}

async fn a_deployment_rolls_back_to_a_revision(world: World) {
    if !available() {
        return;
    }
    world.takes_pods().await;
    feed(&world, "apply -f -", &deployment("a", 1)).await.well();
    rolled_out(&world, "deployment/a").await;
    for image in ["app:2", "app:3"] {
        kubectl(&world, &format!("set image deployment/a main={image}"))
            .await
            .well();
        rolled_out(&world, "deployment/a").await;
    }
    let cause = "annotate deployment/a kubernetes.io/change-cause=third";
    kubectl(&world, cause).await.well();
    let third = |set: &[Value]| {
        set.iter()
            .any(|set| set["metadata"]["annotations"]["kubernetes.io/change-cause"] == "third")
    };
    world.until_list("apps/v1:replicasets", third).await;
    let said = kubectl(&world, "rollout undo deployment/a --to-revision=1")
        .await
        .well();
    assert_eq!(said, "deployment.apps/a rolled back\n");
    rolled_out(&world, "deployment/a").await;
    assert_eq!(image_of(&world, "deployment/a").await, "app:1");
    let history = kubectl(&world, "rollout history deployment/a").await.well();
    assert_eq!(
        words(&history)[2..5],
        [vec!["2", "<none>"], vec!["3", "third"], vec!["4", "<none>"]]
    );
    let said = kubectl(&world, "rollout undo deployment/a --to-revision=9")
        .await
        .badly();
    assert_eq!(
        said,
        "error: unable to find specified revision 9 in history\n"
    );
}

async fn rollouts_restart(world: World) {
    if !available() {
        return;
    }
    world.takes_pods().await;
    feed(&world, "apply -f -", &stateful_set(1)).await.well();
    rolled_out(&world, "statefulset/a").await;
    let said = kubectl(&world, "rollout restart statefulset/a")
        .await
        .well();
    assert_eq!(said, "statefulset.apps/a restarted\n");
    rolled_out(&world, "statefulset/a").await;
    let pod = world.get("pods/a-0").await.is(200);
    assert!(pod["metadata"]["annotations"]["kubectl.kubernetes.io/restartedAt"].is_string());
}

async fn a_stateful_set_is_scaled(world: World) {
    if !available() {
        return;
    }
    world.takes_pods().await;
    feed(&world, "apply -f -", &stateful_set(1)).await.well();
    let said = kubectl(&world, "scale statefulset/a --replicas=2")
        .await
        .well();
    assert_eq!(said, "statefulset.apps/a scaled\n");
    rolled_out(&world, "statefulset/a").await;
    let names = kubectl(&world, "get pods -o name").await.well();
    assert_eq!(names, "pod/a-0\npod/a-1\n");
}

async fn a_job_is_made_from_a_cron_job_and_waited_for(world: World) {
    if !available() {
        return;
    }
    world.takes_pods().await;
    feed(&world, "apply -f -", &cron_job("0 0 1 1 *"))
        .await
        .well();
    let said = kubectl(&world, "create job b --from=cronjob/a")
        .await
        .well();
    assert_eq!(said, "job.batch/b created\n");
    let said = kubectl(&world, "wait --for=condition=complete job/b --timeout=60s")
        .await
        .well();
    assert_eq!(said, "job.batch/b condition met\n");
    let job = world.get("batch/v1:jobs/b").await.is(200);
    job.has(json!({"metadata": {
        "annotations": {"cronjob.kubernetes.io/instantiate": "manual"},
        "ownerReferences": [{"kind": "CronJob", "name": "a"}],
    }}));
    let said = kubectl(&world, "delete cronjob/a").await.well();
    assert!(said.starts_with("cronjob.batch \"a\" deleted"), "{said}");
    world.until_list("batch/v1:jobs", <[Value]>::is_empty).await;
}

async fn a_cron_job_is_made_from_flags(world: World) {
    if !available() {
        return;
    }
    let said = kubectl(
        &world,
        "create cronjob a --image=app:1 --schedule=*/5_*_*_*_*",
    )
    .await;
    let said = said.badly();
    assert!(
        said.contains("spec.schedule: Invalid value: \"*/5_*_*_*_*\""),
        "{said}"
    );
    let said = kubectl(&world, "create cronjob a --image=app:1 --schedule=@hourly")
        .await
        .well();
    assert_eq!(said, "cronjob.batch/a created\n");
    let patch = "patch cronjob a -p {\"spec\":{\"suspend\":true}}";
    assert_eq!(
        kubectl(&world, patch).await.well(),
        "cronjob.batch/a patched\n"
    );
}

async fn a_deployment_is_autoscaled(world: World) {
    if !available() {
        return;
    }
    feed(&world, "apply -f -", &deployment("a", 1)).await.well();
    let autoscale = "autoscale deployment a --min=2 --max=3 --cpu-percent=50";
    let said = kubectl(&world, autoscale).await.well();
    assert_eq!(said, "horizontalpodautoscaler.autoscaling/a autoscaled\n");
    world
        .until("apps/v1:deployments/a", |object| {
            object["spec"]["replicas"] == 2
        })
        .await;
}

async fn a_node_is_drained_as_budgets_allow(world: World) {
    if !available() {
        return;
    }
    world.takes_pods().await;
    // A node of this case alone, whose kubelet nobody plays.
    let node = world.namespace.clone();
    let body = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": node}});
    world.post("/api/v1/nodes", &body).await.is(201);
    for name in ["a-1", "a-2"] {
        let mut body = pod("a");
        body["metadata"]["name"] = json!(name);
        body["spec"]["nodeName"] = json!(node);
        body["spec"]["terminationGracePeriodSeconds"] = json!(0);
        world.post("pods", &body).await.is(201);
        let ready = json!({"status": {"phase": "Running", "conditions": [
            {"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}]}});
        world
            .strategic_patch(&format!("pods/{name}/status"), &ready)
            .await
            .is(200);
    }
    let create = "create pdb a --selector=app=a --min-available=1";
    assert_eq!(
        kubectl(&world, create).await.well(),
        "poddisruptionbudget.policy/a created\n"
    );
    world
        .until("policy/v1:poddisruptionbudgets/a", |budget| {
            budget["status"]["disruptionsAllowed"] == 1
        })
        .await;
    let drain = format!("drain {node} --force --timeout=8s");
    let said = kubectl(&world, &drain).await.badly();
    let refused = "Cannot evict pod as it would violate the pod's disruption budget.";
    assert!(said.contains(refused), "{said}");
    let left = world.get("pods").await.is(200);
    assert_eq!(left.names().len(), 1);
    kubectl(&world, "delete pdb a").await.well();
    let said = kubectl(&world, &drain).await.well();
    tells(
        &said,
        &format!("node/{node} already cordoned … node/{node} drained"),
    );
    assert_eq!(world.get("pods").await.is(200).names().len(), 0);
    let said = kubectl(&world, &format!("uncordon {node}")).await.well();
    assert_eq!(said, format!("node/{node} uncordoned\n"));
    world.delete(&format!("/api/v1/nodes/{node}")).await.is(200);
}

/// Header and rows of a wide table, words split where two spaces are, ages left out.
async fn wide(world: &World, what: &str) -> Vec<Vec<String>> {
    let said = kubectl(world, &format!("get {what} -o wide")).await.well();
    let header = said.lines().next().unwrap_or_default().to_owned();
    let mut starts: Vec<usize> = Vec::new();
    for (at, _) in header.char_indices() {
        let begins = !header[at..].starts_with(' ')
            && (at == 0 || header[..at].ends_with("   ") || header[..at].ends_with("  "));
        if begins {
            starts.push(at);
        }
    }
    let age = starts
        .iter()
        .position(|at| header[*at..].starts_with("AGE"));
    let cells = |line: &str| {
        let mut cells: Vec<String> = starts
            .iter()
            .enumerate()
            .map(|(number, at)| {
                let end = starts.get(number + 1).copied().unwrap_or(line.len());
                line.get(*at..end.min(line.len()))
                    .unwrap_or_default()
                    .trim()
                    .to_owned()
            })
            .collect();
        if let Some(age) = age {
            cells.remove(age);
        }
        cells
    };
    said.lines().map(cells).collect()
}

async fn wide_tables_of_workloads(world: World) {
    if !available() {
        return;
    }
    world.takes_pods().await;
    feed(&world, "apply -f -", &stateful_set(1)).await.well();
    rolled_out(&world, "statefulset/a").await;
    assert_eq!(
        wide(&world, "statefulsets").await,
        [
            vec!["NAME", "READY", "CONTAINERS", "IMAGES"],
            vec!["a", "1/1", "main", "app:1"]
        ]
    );
    kubectl(&world, "delete statefulset/a").await.well();
    let set = daemon_set(&world).await;
    feed(&world, "apply -f -", &set).await.well();
    rolled_out(&world, "daemonset/a").await;
    let selector = format!("{}=yes", world.group);
    assert_eq!(
        wide(&world, "daemonsets").await,
        [
            vec![
                "NAME",
                "DESIRED",
                "CURRENT",
                "READY",
                "UP-TO-DATE",
                "AVAILABLE",
                "NODE SELECTOR",
                "CONTAINERS",
                "IMAGES",
                "SELECTOR",
            ],
            vec![
                "a", "1", "1", "1", "1", "1", &selector, "main", "app:1", "app=a"
            ],
        ]
    );
    let revisions = wide(&world, "controllerrevisions -l app=a").await;
    assert_eq!(revisions[0], ["NAME", "CONTROLLER", "REVISION"]);
    assert!(
        revisions[1..]
            .iter()
            .any(|row| row[1..] == ["daemonset.apps/a", "1"])
    );
}

async fn wide_tables_of_jobs(world: World) {
    if !available() {
        return;
    }
    world.takes_pods().await;
    feed(&world, "apply -f -", &job("a")).await.well();
    kubectl(&world, "wait --for=condition=complete job/a --timeout=60s")
        .await
        .well();
    let jobs = wide(&world, "jobs").await;
    assert_eq!(
        jobs[0],
        [
            "NAME",
            "STATUS",
            "COMPLETIONS",
            "DURATION",
            "CONTAINERS",
            "IMAGES",
            "SELECTOR"
        ]
    );
    assert_eq!(jobs[1][..3], ["a", "Complete", "1/1"]);
    assert!(
        jobs[1][6].starts_with("batch.kubernetes.io/controller-uid="),
        "{jobs:?}"
    );
    feed(&world, "apply -f -", &cron_job("0 0 1 1 *"))
        .await
        .well();
    assert_eq!(
        wide(&world, "cronjobs").await,
        [
            vec![
                "NAME",
                "SCHEDULE",
                "TIMEZONE",
                "SUSPEND",
                "ACTIVE",
                "LAST SCHEDULE",
                "CONTAINERS",
                "IMAGES",
                "SELECTOR",
            ],
            vec![
                "a",
                "0 0 1 1 *",
                "<none>",
                "False",
                "0",
                "<none>",
                "main",
                "app:1",
                "<none>"
            ],
        ]
    );
}

async fn wide_tables_of_autoscalers_and_budgets(world: World) {
    if !available() {
        return;
    }
    autoscaled(&world).await;
    assert_eq!(
        wide(&world, "hpa").await,
        [
            vec![
                "NAME",
                "REFERENCE",
                "TARGETS",
                "MINPODS",
                "MAXPODS",
                "REPLICAS"
            ],
            vec!["a", "Deployment/a", "cpu: <unknown>/50%", "1", "3", "0"],
        ]
    );
    kubectl(&world, "create pdb a --selector=app=a --min-available=50%")
        .await
        .well();
    assert_eq!(
        wide(&world, "pdb").await,
        [
            vec![
                "NAME",
                "MIN AVAILABLE",
                "MAX UNAVAILABLE",
                "ALLOWED DISRUPTIONS"
            ],
            vec!["a", "50%", "N/A", "0"],
        ]
    );
}

async fn wide_tables_of_claims(world: World) {
    if !available() {
        return;
    }
    bound(&world).await;
    let own = world.namespace.as_str();
    assert_eq!(
        wide(&world, "pvc").await,
        [
            vec![
                "NAME",
                "STATUS",
                "VOLUME",
                "CAPACITY",
                "ACCESS MODES",
                "STORAGECLASS",
                "VOLUMEATTRIBUTESCLASS",
                "VOLUMEMODE",
            ],
            vec![
                "a",
                "Bound",
                own,
                "3Gi",
                "RWO",
                own,
                "<unset>",
                "Filesystem"
            ],
        ]
    );
}

async fn wide_tables_of_volumes_and_classes(world: World) {
    if !available() {
        return;
    }
    bound(&world).await;
    let own = world.namespace.as_str();
    let claim = format!("{own}/a");
    assert_eq!(
        wide(&world, &format!("pv {own}")).await,
        [
            vec![
                "NAME",
                "CAPACITY",
                "ACCESS MODES",
                "RECLAIM POLICY",
                "STATUS",
                "CLAIM",
                "STORAGECLASS",
                "VOLUMEATTRIBUTESCLASS",
                "REASON",
                "VOLUMEMODE",
            ],
            vec![
                own,
                "3Gi",
                "RWO",
                "Retain",
                "Bound",
                &claim,
                own,
                "<unset>",
                "",
                "Filesystem"
            ],
        ]
    );
    assert_eq!(
        wide(&world, &format!("sc {own}")).await,
        [
            vec![
                "NAME",
                "PROVISIONER",
                "RECLAIMPOLICY",
                "VOLUMEBINDINGMODE",
                "ALLOWVOLUMEEXPANSION",
            ],
            vec![
                own,
                "kubernetes.io/no-provisioner",
                "Retain",
                "Immediate",
                "false"
            ],
        ]
    );
}

async fn describe_tells_of_a_stateful_set(world: World) {
    if !available() {
        return;
    }
    world.takes_pods().await;
    feed(&world, "apply -f -", &stateful_set(1)).await.well();
    rolled_out(&world, "statefulset/a").await;
    let said = kubectl(&world, "describe statefulset/a").await.well();
    tells(
        &said,
        "Name: a … Selector: app=a … Replicas: 1 desired | 1 total … Update Strategy: RollingUpdate \
         … Partition: 0 … Pods Status: 1 Running / 0 Waiting / 0 Succeeded / 0 Failed … Pod Template: \
         … SuccessfulCreate … statefulset-controller … Create Pod a-0 in StatefulSet a successful",
    );
}

async fn describe_tells_of_a_daemon_set(world: World) {
    if !available() {
        return;
    }
    world.takes_pods().await;
    let set = daemon_set(&world).await;
    feed(&world, "apply -f -", &set).await.well();
    rolled_out(&world, "daemonset/a").await;
    let said = kubectl(&world, "describe daemonset/a").await.well();
    tells(
        &said,
        "Desired Number of Nodes Scheduled: 1 … Current Number of Nodes Scheduled: 1 … Number of \
         Nodes Scheduled with Up-to-date Pods: 1 … Number of Nodes Scheduled with Available Pods: 1 \
         … Number of Nodes Misscheduled: 0 … Pods Status: 1 Running … daemonset-controller … Created \
         pod: a-",
    );
}

async fn describe_tells_of_a_job(world: World) {
    if !available() {
        return;
    }
    world.takes_pods().await;
    feed(&world, "apply -f -", &job("a")).await.well();
    kubectl(&world, "wait --for=condition=complete job/a --timeout=60s")
        .await
        .well();
    let said = kubectl(&world, "describe job/a").await.well();
    tells(
        &said,
        "Parallelism: 1 … Completions: 1 … Completion Mode: NonIndexed … Suspend: false … Backoff \
         Limit: 6 … Start Time: … Completed At: … Pods Statuses: 0 Active (0 Ready) / 1 Succeeded / 0 \
         Failed … job-controller … Created pod: a- … Job completed",
    );
}

async fn describe_tells_of_a_cron_job(world: World) {
    if !available() {
        return;
    }
    feed(&world, "apply -f -", &cron_job("0 0 1 1 *"))
        .await
        .well();
    let said = kubectl(&world, "describe cronjob/a").await.well();
    tells(
        &said,
        "Schedule: 0 0 1 1 * … Concurrency Policy: Allow … Suspend: False … Successful Job History \
         Limit: 3 … Failed Job History Limit: 1 … Starting Deadline Seconds: <unset> … Last Schedule \
         Time: <unset> … Active Jobs: <none>",
    );
}

async fn describe_tells_of_an_autoscaler(world: World) {
    if !available() {
        return;
    }
    autoscaled(&world).await;
    let said = kubectl(&world, "describe hpa/a").await.well();
    tells(
        &said,
        "Reference: Deployment/a … resource cpu on pods (as a percentage of request): <unknown> / 50% \
         … Min replicas: 1 … Max replicas: 3 … Deployment pods: 0 current / 0 desired … AbleToScale \
         True … SucceededGetScale … ScalingActive False … ScalingDisabled",
    );
}

async fn describe_tells_of_a_budget(world: World) {
    if !available() {
        return;
    }
    kubectl(&world, "create pdb a --selector=app=a --min-available=1")
        .await
        .well();
    world
        .until("policy/v1:poddisruptionbudgets/a", |object| {
            object["status"]["observedGeneration"] == 1
        })
        .await;
    let said = kubectl(&world, "describe pdb/a").await.well();
    tells(
        &said,
        "Name: a … Min available: 1 … Selector: app=a … Allowed disruptions: 0 … Current: 0 … \
         Desired: 1 … Total: 0",
    );
}

async fn describe_tells_of_volumes(world: World) {
    if !available() {
        return;
    }
    bound(&world).await;
    let own = &world.namespace;
    let said = kubectl(&world, "describe pvc/a").await.well();
    let expected = format!(
        "Name: a … StorageClass: {own} … Status: Bound … Volume: {own} … pv.kubernetes.io/bind-completed: \
         yes … Finalizers: [kubernetes.io/pvc-protection] … Capacity: 3Gi … Access Modes: RWO … \
         VolumeMode: Filesystem … Used By: <none>"
    );
    tells(&said, &expected);
    let said = kubectl(&world, &format!("describe pv/{own}")).await.well();
    let expected = format!(
        "Finalizers: [kubernetes.io/pv-protection] … Status: Bound … Claim: {own}/a … Reclaim Policy: \
         Retain … Capacity: 3Gi … Type: HostPath"
    );
    tells(&said, &expected);
    let said = kubectl(&world, &format!("describe sc/{own}")).await.well();
    tells(
        &said,
        "IsDefaultClass: No … Provisioner: kubernetes.io/no-provisioner … ReclaimPolicy: Retain … \
         VolumeBindingMode: Immediate",
    );
}
