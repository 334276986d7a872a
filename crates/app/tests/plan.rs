//! `meridian plan` as a user has it: the real binary, a host and members over HTTPS, a controller.
//!
//! What a plan says is held against what then happens.

use meridian_tests::control_plane;
use meridian_tests::world::{ApiFault, Kind, ObjectRef, Site, World, WorldOptions, condition};
use serde_json::{Value, json};
use std::io::Write;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// The binary.
const MERIDIAN: &str = env!("CARGO_BIN_EXE_meridian");
/// The manifests of the demo.
const DEMO: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/demo");
/// The value that no output may hold.
const SECRET: &str = "hunter2";
/// The namespace of the demo.
const SHOP: &str = "shop";

/// The members that the demo's manifests name.
const SITES: [Site; 3] = [
    Site {
        name: "beijing-a",
        region: "cn-north",
        city: "beijing",
        location: "39.90,116.40",
    },
    Site {
        name: "beijing-b",
        region: "cn-north",
        city: "beijing",
        location: "39.80,116.50",
    },
    Site {
        name: "frankfurt",
        region: "eu-central",
        city: "frankfurt",
        location: "50.11,8.68",
    },
];

/// A federation whose controller runs and whose members are Ready.
async fn start() -> World {
    start_on(Kind::Pocketkube).await
}

async fn start_on(kind: Kind) -> World {
    let mut world = World::furnished(WorldOptions {
        kind,
        binary: MERIDIAN.into(),
        sites: SITES.to_vec(),
        settings: json!({}),
    })
    .await;
    world.restore().await;
    world
}

/// What the command printed, and how it ended.
#[derive(Debug)]
struct Printed {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Printed {
    fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|why| panic!("{why}: {self:#?}"))
    }

    fn ended(&self, code: i32) -> &Self {
        assert_eq!(self.code, Some(code), "{self:#?}");
        self
    }

    fn last_line(&self) -> &str {
        self.out.lines().last().unwrap_or_default()
    }
}

/// Runs `meridian plan` against a host, with this on its standard input.
fn plan(host: &Path, arguments: &[&str], input: &str) -> Printed {
    let mut running = Command::new(MERIDIAN)
        .args(["plan", "--kubeconfig"])
        .arg(host)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    let mut stdin = running.stdin.take().expect("it is piped");
    stdin.write_all(input.as_bytes()).expect("it is read");
    drop(stdin);
    let ended = running.wait_with_output().expect("it ends");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    Printed {
        code: ended.status.code(),
        out: text(ended.stdout),
        err: text(ended.stderr),
    }
}

/// Documents of the demo's manifests, in their order.
fn demo() -> Vec<Value> {
    let entries = std::fs::read_dir(DEMO).expect("the demo's manifests");
    let mut files: Vec<_> = entries.map(|entry| entry.expect("a file").path()).collect();
    files.sort();
    let read = |file: &std::path::PathBuf| -> Vec<Value> {
        let text = std::fs::read_to_string(file).expect("a readable file");
        serde_saphyr::from_multiple(&text).expect("YAML")
    };
    files.iter().flat_map(read).collect()
}

fn federated(kind: &str, name: &str, spec: Value) -> Value {
    json!({"apiVersion": "types.kubefed.io/v1beta1", "kind": kind,
        "metadata": {"namespace": SHOP, "name": name}, "spec": spec})
}

/// Waits until the controller has propagated a federated object as it is now.
async fn until_propagated(world: &World, object: &Value) {
    let at = ObjectRef::of(object);
    let generation = world.host().get(&at).await["metadata"]["generation"].clone();
    world
        .host()
        .until(&at, "it is propagated", |object| {
            condition(object, "Propagation")["status"] == "True"
                && object["status"]["observedGeneration"] == generation
        })
        .await;
}

/// The objects that a plan writes: cluster, federated kind, and what is sent.
fn writes(report: &Value) -> Vec<(String, Value)> {
    let objects = report["objects"].as_array().expect("objects").iter();
    let steps = objects.flat_map(|object| {
        let steps = object["plan"]["steps"].as_object();
        steps.into_iter().flatten()
    });
    let writes = steps.filter_map(|(cluster, step)| {
        let action = &step["action"];
        let write = ["create", "apply"]
            .iter()
            .find_map(|verb| action.get(verb))?;
        Some((cluster.clone(), write["object"].clone()))
    });
    writes.collect()
}

/// Whether all that was planned is there; what the host makes with an object is not planned.
fn assert_holds(live: &Value, planned: &Value, path: &str) {
    match (live, planned) {
        (Value::Object(live), Value::Object(planned)) => {
            for (name, value) in planned {
                let there = live.get(name).unwrap_or(&Value::Null);
                assert_holds(there, value, &format!("{path}.{name}"));
            }
        }
        (Value::Array(live), Value::Array(planned)) => {
            assert_eq!(live.len(), planned.len(), "{path}");
            for (there, value) in live.iter().zip(planned) {
                assert_holds(there, value, path);
            }
        }
        (_, Value::String(text)) if text.contains("(known after apply)") => {}
        _ => assert_eq!(live, planned, "{path}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_is_planned_is_what_then_happens_and_then_nothing_would_change() {
    plan_the_demo(&start().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_change_is_shown_field_by_field_and_is_exactly_what_the_controller_applies() {
    plan_a_change(&start().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn real_control_planes_hold_what_was_planned_for_them() {
    if control_plane::assets().is_none() {
        eprintln!("left out: KUBEBUILDER_ASSETS names no folder with a control plane");
        return;
    }
    let world = start_on(Kind::Real).await;
    plan_the_demo(&world).await;
    plan_a_change(&world).await;
}

async fn plan_the_demo(world: &World) {
    let host = world.host().kubeconfig();
    let before = plan(host, &["-f", DEMO, "-o", "json"], "");
    let report = before.ended(2).json();
    assert_eq!(report["totals"]["create"], 15, "{report:#}");
    let planned = writes(&report);
    assert_eq!(planned.len(), 15);

    let objects = demo();
    for object in &objects {
        world.host().apply(object.clone()).await;
    }
    for object in &objects {
        if object["kind"]
            .as_str()
            .is_some_and(|kind| kind.starts_with("Federated"))
        {
            until_propagated(world, object).await;
        }
    }
    for (cluster, object) in &planned {
        let live = world.member(cluster).get(&ObjectRef::of(object)).await;
        assert_holds(&live, object, &format!("{cluster} {}", object["kind"]));
    }
    let after = plan(host, &["-f", DEMO], "");
    assert_eq!(
        after.ended(0).last_line(),
        "Nothing would change in any member."
    );
    let lines = after.out.lines();
    let parts: Vec<&str> = lines.filter(|line| line.starts_with("  = ")).collect();
    assert_eq!(
        parts,
        ["  = keep     beijing-a, beijing-b, frankfurt: the member holds what was rendered"; 5],
        "{}",
        after.out
    );
}

async fn plan_a_change(world: &World) {
    world.federate_namespace(SHOP).await;
    let host = world.host().kubeconfig();
    let everywhere = json!({"clusterSelector": {}});
    let spec = |data: Value, placement: Value| {
        json!({"template": {"data": data},
        "placement": placement, "overrides": [{"clusterName": "frankfurt", "clusterOverrides": [
            {"path": "/data/currency", "value": "EUR"}]}]})
    };
    let first = json!({"currency": "CNY", "sale": "spring"});
    let first = federated("FederatedConfigMap", "web", spec(first, everywhere));
    world.host().apply(first.clone()).await;
    until_propagated(world, &first).await;

    let beijing = json!({"clusters": [{"name": "beijing-a"}, {"name": "frankfurt"}]});
    let data = json!({"currency": "USD", "greeting": "Hello"});
    let second = federated("FederatedConfigMap", "web", spec(data, beijing));
    let shown = plan(host, &["-f", "-"], &second.to_string());
    assert_eq!(
        shown.ended(2).out,
        "FederatedConfigMap shop/web   (standard input, document 1; changes on the host)\n  \
         ~ update   beijing-a: what is rendered has changed\n      \
         .data.currency  \"CNY\" → \"USD\"\n      \
         .data.greeting  \"Hello\"\n      \
         .data.sale      \"spring\" → gone\n  \
         ~ update   frankfurt: what is rendered has changed\n      \
         .data.greeting  \"Hello\"\n      \
         .data.sale      \"spring\" → gone\n  \
         - delete   beijing-b: it left the placement\n\n\
         0 to create, 2 to update, 1 to delete in 3 clusters.\n"
    );

    let report = plan(host, &["-f", "-", "-o", "json"], &second.to_string());
    let planned = writes(&report.ended(2).json());
    world.host().apply(second.clone()).await;
    until_propagated(world, &second).await;
    let copy = ObjectRef::new("v1", "ConfigMap", SHOP, "web");
    world.member("beijing-b").until_gone(&copy).await;
    for (cluster, object) in &planned {
        // The hash is of all that was rendered: equal, the controller rendered the same.
        let live = world.member(cluster).get(&copy).await;
        assert_holds(&live, object, cluster);
    }
    let after = plan(host, &["-f", "-"], &second.to_string());
    after.ended(0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn values_of_secrets_are_in_no_output() {
    let world = start().await;
    world.federate_namespace(SHOP).await;
    let host = world.host().kubeconfig();
    let placement = json!({"clusters": [{"name": "frankfurt"}]});
    let spec = |value: &str| {
        json!({"template": {"stringData": {"key": value}},
        "placement": placement})
    };
    let first = federated("FederatedSecret", "payment", spec("before"));
    world.host().apply(first.clone()).await;
    until_propagated(&world, &first).await;
    let second = federated("FederatedSecret", "payment", spec(SECRET)).to_string();
    let new = second.replace("payment", "another");
    for output in ["table", "json", "yaml"] {
        for manifest in [&second, &new] {
            let printed = plan(host, &["-f", "-", "-o", output], manifest);
            let all = printed.ended(2).out.clone() + &printed.err;
            for value in [SECRET, "before", "aHVudGVyMg", "YmVmb3Jl"] {
                assert!(!all.contains(value), "{output}: {all}");
            }
        }
    }
    let shown = plan(host, &["-f", "-"], &second);
    assert!(
        shown
            .out
            .contains(".data.key  changes (values are not shown)"),
        "{}",
        shown.out
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_member_that_hangs_is_named_and_the_others_are_planned() {
    let mut world = start().await;
    world.federate_namespace(SHOP).await;
    // Without a controller nobody has noticed yet.
    world.take_controller().stop();
    world.break_api("frankfurt", ApiFault::Hung);
    let everywhere =
        json!({"template": {"data": {"a": "b"}}, "placement": {"clusterSelector": {}}});
    let object = federated("FederatedConfigMap", "web", everywhere).to_string();
    let began = Instant::now();
    let shown = plan(world.host().kubeconfig(), &["-f", "-"], &object);
    assert!(began.elapsed() < Duration::from_secs(30), "{began:?}");
    assert_eq!(
        shown.ended(2).out,
        "FederatedConfigMap shop/web   (standard input, document 1; new on the host)\n  \
         + create   beijing-a, beijing-b: it is not there\n      \
         .data.a  \"b\"\n  \
         ? unknown  frankfurt: it does not answer: no answer within 5 s\n\n\
         ! frankfurt does not answer, so what it holds is not known: no answer within 5 s\n\n\
         2 to create, 0 to update, 0 to delete in 2 clusters; 1 cluster unknown.\n"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_cannot_be_planned_is_an_error_that_names_file_document_and_field() {
    let world = start().await;
    world.federate_namespace(SHOP).await;
    let host = world.host().kubeconfig();
    let check = |manifest: Value, expected: &str| {
        let printed = plan(host, &["-f", "-"], &manifest.to_string());
        assert_eq!(printed.ended(1).err, expected);
    };
    check(
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}}),
        "error: standard input, document 1: Deployment web: Deployment is not federated: put it \
         into the spec.template of a FederatedDeployment (types.kubefed.io/v1beta1), or leave it \
         out\n",
    );
    check(
        federated("FederatedLimitRange", "web", json!({})),
        "error: standard input, document 1: FederatedLimitRange shop/web: FederatedLimitRange is \
         not federated: no FederatedTypeConfig is for FederatedLimitRange; meridian enable \
         federates a type, and kubectl get federatedtypeconfigs -A lists those that are\n",
    );
    let overrides = json!([{"clusterName": "frankfurt",
        "clusterOverrides": [{"path": "/data/colour", "value": "red"}]}]);
    check(
        federated(
            "FederatedConfigMap",
            "web",
            json!({"template": {"data": {"color": "blue"}}, "overrides": overrides,
                "placement": {"clusterSelector": {}}}),
        ),
        "error: standard input, document 1: FederatedConfigMap shop/web: \
         overrides[0].clusterOverrides[0] at /data/colour: there is no such path in the template; \
         use op: add to create it (in frankfurt)\n",
    );
}

/// Runs the command on manifests that nobody has to be asked about.
fn check_files(files: &[(&str, &str)], arguments: &[&str], expected: &str) {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, text) in files {
        std::fs::write(folder.path().join(name), text).expect("written");
    }
    let ended = Command::new(MERIDIAN)
        .current_dir(folder.path())
        .env("KUBECONFIG", folder.path().join("none"))
        .arg("plan")
        .args(arguments)
        .output()
        .expect("the binary starts");
    let said = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(ended.status.code(), Some(1), "{said}");
    assert_eq!(said, expected);
    assert!(ended.stdout.is_empty());
}

#[test]
fn an_unknown_field_is_named_with_the_spelling_that_was_meant() {
    let text = "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n---\n\
                apiVersion: types.kubefed.io/v1beta1\nkind: FederatedConfigMap\n\
                metadata: {name: web, namespace: shop}\n\
                spec: {placement: {clusterSelector: {matchLabel: {tier: edge}}}}\n";
    check_files(
        &[("web.yaml", text)],
        &["-f", "web.yaml"],
        "error: web.yaml, document 2: FederatedConfigMap shop/web: \
         spec.placement.clusterSelector.matchLabel: unknown field, did you mean matchLabels? known \
         are matchExpressions, matchLabels\n",
    );
}

#[test]
fn a_file_that_does_not_parse_is_named_with_the_line() {
    check_files(
        &[("web.yaml", "apiVersion: v1\nkind: Namespace\n  name: [\n")],
        &["-f", "web.yaml"],
        "error: web.yaml is not YAML that can be read: mapping values are not allowed in this \
         context at line 3, column 7\n",
    );
}

#[test]
fn what_holds_no_object_is_said_to_hold_none() {
    check_files(
        &[("notes.txt", "nothing")],
        &["-f", "."],
        "error: . holds no .yaml, .yml or .json file; -R reads the folders below it as well\n",
    );
    check_files(
        &[("empty.yaml", "# nothing yet\n")],
        &["-f", "."],
        "error: ./empty.yaml holds no object\n",
    );
    check_files(
        &[],
        &["-f", "absent.yaml"],
        "error: absent.yaml: No such file or directory (os error 2)\n",
    );
}

#[test]
fn an_object_that_is_given_twice_is_named_with_both_places() {
    let text = "apiVersion: types.kubefed.io/v1beta1\nkind: FederatedConfigMap\n\
                metadata: {name: web, namespace: shop}\nspec: {}\n";
    check_files(
        &[("1.yaml", text), ("2.yaml", text)],
        &["-f", "1.yaml", "-f", "2.yaml"],
        "error: 2.yaml, document 1: FederatedConfigMap shop/web: it is in 1.yaml, document 1 as \
         well: leave one of them out\n",
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_global_service_says_which_share_of_the_address_space_it_moves() {
    let world = start().await;
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SHOP}});
    world.host().apply(namespace).await;
    let service = |name: &str, weight: u32| {
        let endpoint =
            |at: usize| json!({"cluster": SITES[at].name, "addresses": [format!("192.0.2.{at}")]});
        let branch = |at: usize, weight: u32| json!({"weight": weight, "pool": {"clusters": [SITES[at].name]}});
        json!({"apiVersion": "gslb.meridian.dev/v1alpha1", "kind": "GlobalService",
            "metadata": {"name": name, "namespace": SHOP},
            "spec": {"hosts": [format!("{name}.example.org")],
                "endpoints": {"static": [endpoint(0), endpoint(2)]},
                "policy": {"weighted": [branch(0, weight), branch(2, 1)]}}})
    };
    world.host().apply(service("web", 1)).await;
    let host = world.host().kubeconfig();
    let more = service("web", 3).to_string();
    let printed = plan(host, &["-f", "-"], &more);
    let flow = "25.00 %  frankfurt -> beijing-a";
    assert!(printed.out.contains(flow), "{printed:#?}");
    assert!(
        printed.out.contains("Nothing would change in any member")
            && !printed.out.contains("ot planned"),
        "{printed:#?}"
    );
    let read = plan(host, &["-f", "-", "-o", "json"], &more).json();
    assert!(
        !read["notes"].to_string().contains("GlobalService"),
        "{read:#}"
    );
    let moved = &read["names"][0]["moved"];
    for family in ["v4", "v6"] {
        let part = moved[family]["moved"].as_f64().expect("a number");
        assert!((part - 0.25).abs() < 1e-9, "{read:#}");
    }
    let same = plan(host, &["-f", "-"], &service("web", 1).to_string());
    assert!(same.out.contains("0.00 % of public IPv4"), "{same:#?}");
    let new = plan(host, &["-f", "-"], &service("new", 1).to_string());
    assert!(new.out.contains("it is new"), "{new:#?}");
}

#[test]
fn a_host_that_does_not_answer_is_given_up() {
    // It takes connections, and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = silent.local_addr().expect("an address");
    let kubeconfig = json!({"apiVersion": "v1", "kind": "Config", "current-context": "host",
        "clusters": [{"name": "host", "cluster": {"server": format!("http://{address}")}}],
        "contexts": [{"name": "host", "context": {"cluster": "host", "user": "me"}}],
        "users": [{"name": "me", "user": {}}]});
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), kubeconfig.to_string()).expect("written");
    let object = federated("FederatedConfigMap", "web", json!({})).to_string();
    let began = Instant::now();
    let printed = plan(file.path(), &["-f", "-"], &object);
    assert!(began.elapsed() < Duration::from_secs(20), "{began:?}");
    assert_eq!(
        printed.ended(1).err,
        format!(
            "error: the host http://{address}/ does not answer in time; --kubeconfig and --context \
             choose the host\n"
        )
    );
    drop(silent);
    let printed = plan(file.path(), &["-f", "-"], &object);
    assert_eq!(
        printed.ended(1).err,
        format!(
            "error: the host http://{address}/ cannot be reached: Connection refused (os error \
             111); --kubeconfig and --context choose the host\n"
        )
    );
}
