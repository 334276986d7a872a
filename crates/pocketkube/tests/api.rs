//! The API of a cluster in the process, through its router: versions, pages, watches, faults,
//! tokens and counts. Time is tokio's paused clock.

use axum::body::{Body, BodyDataStream};
use futures::StreamExt;
use http::{Request, Response};
use jiff::Timestamp;
use pocketkube::{ApiState, Clock, Cluster, ClusterOptions, Faults};
use serde_json::{Value, json};
use std::time::Duration;
use tower::ServiceExt;

const CONFIG_MAPS: &str = "/api/v1/namespaces/default/configmaps";

fn cluster(events_kept_max: usize) -> Cluster {
    let start: Timestamp = "2026-01-01T00:00:00Z".parse().expect("a time");
    Cluster::in_process(ClusterOptions {
        clock: Clock::following_tokio(start),
        seed: Some(1),
        events_kept_max,
        ..ClusterOptions::named("test")
    })
}

async fn send(cluster: &Cluster, request: Request<Body>) -> Response<Body> {
    cluster
        .router()
        .oneshot(request)
        .await
        .expect("routers do not fail")
}

fn request(method: &str, path: &str, body: &Value) -> Request<Body> {
    let body = if body.is_null() {
        Body::empty()
    } else {
        Body::from(body.to_string())
    };
    let media_type = match method {
        "PATCH" => "application/merge-patch+json",
        _ => "application/json",
    };
    let builder = Request::builder().method(method).uri(path);
    builder
        .header("content-type", media_type)
        .body(body)
        .expect("a request")
}

async fn call(cluster: &Cluster, method: &str, path: &str, body: Value) -> (u16, Value) {
    let response = send(cluster, request(method, path, &body)).await;
    let code = response.status().as_u16();
    let bytes = axum::body::to_bytes(response.into_body(), usize::MAX)
        .await
        .expect("a whole body");
    (code, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
}

async fn get(cluster: &Cluster, path: &str) -> Value {
    let (code, body) = call(cluster, "GET", path, Value::Null).await;
    assert_eq!(code, 200, "{path}: {body}");
    body
}

async fn add(cluster: &Cluster, name: &str) -> Value {
    let body = json!({"metadata": {"name": name, "labels": {"app": name}}});
    let (code, made) = call(cluster, "POST", CONFIG_MAPS, body).await;
    assert_eq!(code, 201, "{made}");
    made
}

struct Watch {
    chunks: BodyDataStream,
    read: Vec<u8>,
}

impl Watch {
    async fn open(cluster: &Cluster, query: &str) -> Self {
        let path = format!("{CONFIG_MAPS}?watch=true&{query}");
        let response = send(cluster, request("GET", &path, &Value::Null)).await;
        assert_eq!(response.status(), 200);
        Self {
            chunks: response.into_body().into_data_stream(),
            read: Vec::new(),
        }
    }

    /// The next event, none at the end, an error when the connection is cut.
    async fn next(&mut self) -> Option<Result<Value, axum::Error>> {
        loop {
            if let Some(end) = self.read.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.read.drain(..=end).collect();
                return Some(Ok(serde_json::from_slice(&line).expect("a line of JSON")));
            }
            match self.chunks.next().await? {
                Ok(chunk) => self.read.extend_from_slice(&chunk),
                Err(cut) => return Some(Err(cut)),
            }
        }
    }

    async fn sees(&mut self, kind: &str, name: &str) -> Value {
        let event = self.next().await.expect("an event").expect("no cut");
        assert_eq!(event["type"], kind, "{event}");
        assert_eq!(event["object"]["metadata"]["name"], name, "{event}");
        event["object"].clone()
    }
}

fn names(list: &Value) -> Vec<&str> {
    let items = list["items"].as_array().expect("a list").iter();
    items
        .map(|item| item["metadata"]["name"].as_str().expect("a name"))
        .collect()
}

#[tokio::test(start_paused = true)]
async fn a_watch_resumes_where_it_was_and_is_told_when_that_is_forgotten() {
    let cluster = cluster(64);
    let first = add(&cluster, "a").await;
    let version = first["metadata"]["resourceVersion"].as_str().unwrap();
    add(&cluster, "b").await;
    let mut watch = Watch::open(&cluster, &format!("resourceVersion={version}")).await;
    watch.sees("ADDED", "b").await;

    cluster.compact();
    let mut late = Watch::open(&cluster, &format!("resourceVersion={version}")).await;
    let event = late.next().await.unwrap().unwrap();
    assert_eq!(event["type"], "ERROR");
    assert_eq!(event["object"]["code"], 410);
    assert_eq!(event["object"]["reason"], "Expired");
    assert!(
        late.next().await.is_none(),
        "the stream ends after the error"
    );
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_falls_behind_the_ring_is_told_so() {
    let cluster = cluster(4);
    let mut watch = Watch::open(&cluster, &format!("resourceVersion={}", cluster.version())).await;
    for index in 0..6 {
        add(&cluster, &format!("c{index}")).await;
    }
    let event = watch.next().await.unwrap().unwrap();
    assert_eq!(
        (&event["type"], &event["object"]["code"]),
        (&json!("ERROR"), &json!(410))
    );
}

#[tokio::test(start_paused = true)]
async fn initial_events_end_with_a_mark_and_quiet_watches_get_bookmarks() {
    let cluster = cluster(64);
    add(&cluster, "a").await;
    let query = "sendInitialEvents=true&resourceVersionMatch=NotOlderThan&\
                 allowWatchBookmarks=true";
    let mut watch = Watch::open(&cluster, query).await;
    watch.sees("ADDED", "a").await;
    let mark = watch.next().await.unwrap().unwrap();
    assert_eq!(mark["type"], "BOOKMARK");
    let annotations = &mark["object"]["metadata"]["annotations"];
    assert_eq!(annotations["k8s.io/initial-events-end"], "true");

    // Writes to other kinds move the bookmark.
    let body = json!({"metadata": {"name": "other"}});
    call(&cluster, "POST", "/api/v1/namespaces", body).await;
    let bookmark = watch.next().await.unwrap().unwrap();
    assert_eq!(bookmark["type"], "BOOKMARK");
    let version = bookmark["object"]["metadata"]["resourceVersion"]
        .as_str()
        .unwrap();
    assert_eq!(version.parse::<u64>().unwrap(), cluster.version());
}

#[tokio::test(start_paused = true)]
async fn a_selection_sees_objects_enter_and_leave_it() {
    let cluster = cluster(64);
    let mut watch = Watch::open(&cluster, "labelSelector=app%3Dx").await;
    add(&cluster, "a").await;
    let path = format!("{CONFIG_MAPS}/a");
    call(
        &cluster,
        "PATCH",
        &path,
        json!({"metadata": {"labels": {"app": "x"}}}),
    )
    .await;
    watch.sees("ADDED", "a").await;
    call(&cluster, "PATCH", &path, json!({"data": {"k": "v"}})).await;
    watch.sees("MODIFIED", "a").await;
    call(
        &cluster,
        "PATCH",
        &path,
        json!({"metadata": {"labels": {"app": "y"}}}),
    )
    .await;
    let left = watch.sees("DELETED", "a").await;
    assert_eq!(
        left["metadata"]["labels"]["app"], "x",
        "its last state in the selection"
    );
}

#[tokio::test(start_paused = true)]
async fn a_watch_ends_when_its_time_is_over() {
    let cluster = cluster(64);
    let mut watch = Watch::open(&cluster, "timeoutSeconds=5").await;
    let begun = tokio::time::Instant::now();
    // What is there is told first; then nothing, until the time is over.
    while watch.next().await.is_some() {}
    assert_eq!(begun.elapsed().as_secs(), 5);
}

#[tokio::test(start_paused = true)]
async fn pages_are_of_one_version_or_expire() {
    let cluster = cluster(64);
    for name in ["a", "b", "c", "d"] {
        add(&cluster, name).await;
    }
    let first = get(&cluster, &format!("{CONFIG_MAPS}?limit=2")).await;
    assert_eq!(names(&first), ["a", "b"]);
    assert_eq!(first["metadata"]["remainingItemCount"], 2);
    let token = first["metadata"]["continue"].as_str().unwrap().to_owned();

    call(&cluster, "DELETE", &format!("{CONFIG_MAPS}/c"), Value::Null).await;
    add(&cluster, "cc").await;
    let next = format!("{CONFIG_MAPS}?limit=2&continue={token}");
    let second = get(&cluster, &next).await;
    assert_eq!(names(&second), ["c", "d"], "as it was at the first page");
    assert_eq!(
        second["metadata"]["resourceVersion"],
        first["metadata"]["resourceVersion"]
    );

    cluster.compact();
    let (code, status) = call(&cluster, "GET", &next, Value::Null).await;
    assert_eq!((code, &status["reason"]), (410, &json!("Expired")));
    let onward = status["metadata"]["continue"].as_str().unwrap();
    let rest = get(&cluster, &format!("{CONFIG_MAPS}?continue={onward}")).await;
    assert_eq!(
        names(&rest),
        ["cc", "d"],
        "inconsistent, from the same place"
    );
}

#[tokio::test(start_paused = true)]
async fn a_list_of_an_old_version_shows_what_was_there() {
    let cluster = cluster(64);
    let first = add(&cluster, "a").await;
    let version = first["metadata"]["resourceVersion"].as_str().unwrap();
    call(
        &cluster,
        "PATCH",
        &format!("{CONFIG_MAPS}/a"),
        json!({"data": {"k": "v"}}),
    )
    .await;
    add(&cluster, "b").await;
    let exact = format!("{CONFIG_MAPS}?resourceVersion={version}&resourceVersionMatch=Exact");
    let list = get(&cluster, &exact).await;
    assert_eq!(names(&list), ["a"]);
    assert!(list["items"][0]["data"].is_null());
    assert_eq!(list["metadata"]["resourceVersion"], *version);
}

#[tokio::test(start_paused = true)]
async fn an_api_that_hangs_answers_when_it_is_let_go() {
    let cluster = cluster(64);
    let mut watch = Watch::open(&cluster, "").await;
    cluster.faults().set_api(ApiState::Hung);
    let patience = Duration::from_secs(60);
    let pending = call(&cluster, "GET", CONFIG_MAPS, Value::Null);
    assert!(
        tokio::time::timeout(patience, pending).await.is_err(),
        "no answer while it hangs"
    );
    assert!(
        tokio::time::timeout(patience, watch.next()).await.is_err(),
        "watches stall"
    );

    let waiting = tokio::spawn({
        let cluster = cluster.clone();
        async move { call(&cluster, "GET", CONFIG_MAPS, Value::Null).await.0 }
    });
    tokio::task::yield_now().await;
    cluster.faults().set_api(ApiState::Up);
    assert_eq!(waiting.await.unwrap(), 200);
    add(&cluster, "a").await;
    watch.sees("ADDED", "a").await;
}

#[tokio::test(start_paused = true)]
async fn an_api_that_goes_down_cuts_its_watches() {
    let cluster = cluster(64);
    let mut watch = Watch::open(&cluster, "").await;
    cluster.faults().set_api(ApiState::Down);
    cluster.faults().set_api(ApiState::Up);
    assert!(
        watch.next().await.unwrap().is_err(),
        "cut, though it came back at once"
    );
    assert!(watch.next().await.is_none());
    cluster.faults().set_api(ApiState::Down);
    let response = send(&cluster, request("GET", CONFIG_MAPS, &Value::Null)).await;
    assert!(
        axum::body::to_bytes(response.into_body(), usize::MAX)
            .await
            .is_err()
    );
}

#[tokio::test(start_paused = true)]
async fn slow_and_refusing_apis_say_so() {
    let cluster = cluster(64);
    let slow = Faults {
        api: ApiState::Slow,
        delay_millis: 700,
        ..Faults::default()
    };
    cluster.faults().set(slow);
    let begun = tokio::time::Instant::now();
    get(&cluster, CONFIG_MAPS).await;
    assert_eq!(begun.elapsed().as_millis(), 700);

    cluster.faults().set_api(ApiState::TooManyRequests);
    let response = send(&cluster, request("GET", CONFIG_MAPS, &Value::Null)).await;
    assert_eq!(response.status(), 429);
    assert_eq!(response.headers()["retry-after"], "1");
}

#[tokio::test(start_paused = true)]
async fn faults_and_counts_are_reached_over_http_while_the_api_is_down() {
    let cluster = cluster(64);
    add(&cluster, "a").await;
    let (code, faults) = call(
        &cluster,
        "PUT",
        "/pocketkube/faults",
        json!({"api": "down"}),
    )
    .await;
    assert_eq!((code, &faults["api"]), (200, &json!("down")));
    assert_eq!(faults["dataPlane"], "up");
    let (code, problem) = call(
        &cluster,
        "PUT",
        "/pocketkube/faults",
        json!({"api": "sideways"}),
    )
    .await;
    assert_eq!(code, 400, "{problem}");
    let (_, requests) = call(&cluster, "GET", "/pocketkube/requests", Value::Null).await;
    let created = &requests["requests"][0];
    assert_eq!(created["verb"], "create");
    assert_eq!(created["resource"], "configmaps");
    assert_eq!(created["count"], 1);
}

#[tokio::test(start_paused = true)]
async fn a_service_account_token_holds_until_it_expires() {
    let cluster = cluster(64);
    let accounts = "/api/v1/namespaces/default/serviceaccounts";
    call(
        &cluster,
        "POST",
        accounts,
        json!({"metadata": {"name": "robot"}}),
    )
    .await;
    let path = format!("{accounts}/robot/token");
    let (code, made) = call(
        &cluster,
        "POST",
        &path,
        json!({"spec": {"expirationSeconds": 600}}),
    )
    .await;
    assert_eq!(code, 201, "{made}");
    assert_eq!(
        made["status"]["expirationTimestamp"],
        "2026-01-01T00:10:00Z"
    );
    let token = made["status"]["token"].as_str().unwrap().to_owned();
    let ask = || {
        let body = json!({"kind": "SelfSubjectReview"}).to_string();
        Request::post("/apis/authentication.k8s.io/v1/selfsubjectreviews")
            .header("authorization", format!("Bearer {token}"))
            .body(Body::from(body))
            .unwrap()
    };
    let response = send(&cluster, ask()).await;
    let bytes = axum::body::to_bytes(response.into_body(), usize::MAX)
        .await
        .unwrap();
    let who: Value = serde_json::from_slice(&bytes).unwrap();
    let user = &who["status"]["userInfo"]["username"];
    assert_eq!(user, "system:serviceaccount:default:robot");

    tokio::time::advance(Duration::from_secs(600)).await;
    assert_eq!(send(&cluster, ask()).await.status(), 401);
}

#[tokio::test(start_paused = true)]
async fn a_secret_for_a_service_account_gets_a_token_that_ends_with_it() {
    let cluster = cluster(64);
    let base = "/api/v1/namespaces/default";
    let account = json!({"metadata": {"name": "robot"}});
    call(
        &cluster,
        "POST",
        &format!("{base}/serviceaccounts"),
        account,
    )
    .await;
    let secret = json!({
        "metadata": {
            "name": "key",
            "annotations": {"kubernetes.io/service-account.name": "robot"},
        },
        "type": "kubernetes.io/service-account-token",
    });
    call(&cluster, "POST", &format!("{base}/secrets"), secret).await;
    let filled = get(&cluster, &format!("{base}/secrets/key")).await;
    let encoded = filled["data"]["token"].as_str().expect("a token");
    use base64::Engine;
    let token = base64::engine::general_purpose::STANDARD
        .decode(encoded)
        .unwrap();
    let token = String::from_utf8(token).unwrap();
    let ask = || {
        let builder = Request::get(CONFIG_MAPS);
        builder
            .header("authorization", format!("Bearer {token}"))
            .body(Body::empty())
            .unwrap()
    };
    assert_eq!(send(&cluster, ask()).await.status(), 200);
    call(
        &cluster,
        "DELETE",
        &format!("{base}/secrets/key"),
        Value::Null,
    )
    .await;
    assert_eq!(send(&cluster, ask()).await.status(), 401);
}

#[tokio::test(start_paused = true)]
async fn the_same_seed_gives_the_same_cluster() {
    let (left, right) = (cluster(64), cluster(64));
    let body = || json!({"metadata": {"generateName": "x-"}});
    let one = call(&left, "POST", CONFIG_MAPS, body()).await;
    let other = call(&right, "POST", CONFIG_MAPS, body()).await;
    assert_eq!(one, other);
}

#[tokio::test(start_paused = true)]
async fn services_get_addresses_and_ports_that_are_free_again_later() {
    let cluster = cluster(64);
    let path = "/api/v1/namespaces/default/services";
    let service = |name: &str, ip: &str| {
        json!({
            "metadata": {"name": name},
            "spec": {"type": "NodePort", "clusterIP": ip, "ports": [{"port": 80, "nodePort": 30080}]},
        })
    };
    let (code, made) = call(&cluster, "POST", path, service("a", "10.96.7.7")).await;
    assert_eq!(code, 201, "{made}");
    let (code, refused) = call(&cluster, "POST", path, service("b", "10.96.7.7")).await;
    assert_eq!(code, 422);
    let causes = refused["details"]["causes"].as_array().unwrap();
    let fields: Vec<&str> = causes
        .iter()
        .map(|cause| cause["field"].as_str().unwrap())
        .collect();
    assert_eq!(fields, ["spec.clusterIPs", "spec.ports[0].nodePort"]);
    call(&cluster, "DELETE", &format!("{path}/a"), Value::Null).await;
    let (code, made) = call(&cluster, "POST", path, service("b", "10.96.7.7")).await;
    assert_eq!(code, 201, "{made}");
}
