//! Faults of single requests and watch events, drawn from a seed, in tokio's paused clock.

use axum::body::Body;
use futures::StreamExt;
use http::{Request, Response};
use jiff::Timestamp;
use pocketkube::{
    ApiState, Clock, Cluster, ClusterOptions, Effect, FaultRule, Faults, Fleet, FleetOptions,
};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::Instant;
use tower::ServiceExt;

const CONFIG_MAPS: &str = "/api/v1/namespaces/default/configmaps";

fn cluster() -> Cluster {
    let start: Timestamp = "2026-01-01T00:00:00Z".parse().expect("a time");
    Cluster::in_process(ClusterOptions {
        clock: Clock::following_tokio(start),
        seed: Some(1),
        ..ClusterOptions::named("test")
    })
}

fn rule(verb: &str, probability: f64, effect: Effect) -> FaultRule {
    FaultRule {
        verbs: vec![verb.to_owned()],
        resources: vec!["configmaps".to_owned()],
        probability,
        effect,
    }
}

async fn send(cluster: &Cluster, method: &str, path: &str, body: &Value) -> Response<Body> {
    let body = match body {
        Value::Null => Body::empty(),
        body => Body::from(body.to_string()),
    };
    let media_type = match method {
        "PATCH" => "application/merge-patch+json",
        _ => "application/json",
    };
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("content-type", media_type)
        .body(body)
        .expect("a request");
    let routed = cluster.router().oneshot(request).await;
    routed.expect("routers do not fail")
}

async fn code(cluster: &Cluster, method: &str, path: &str, body: &Value) -> u16 {
    send(cluster, method, path, body).await.status().as_u16()
}

fn config_map(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}})
}

async fn add(cluster: &Cluster, name: &str) {
    assert_eq!(
        code(cluster, "POST", CONFIG_MAPS, &config_map(name)).await,
        201
    );
}

/// The codes of as many creations under a storm.
async fn storm(seed: u64) -> Vec<u16> {
    let cluster = cluster();
    cluster
        .faults()
        .set_rules(vec![rule("create", 0.5, Effect::Error)], seed);
    let mut codes = Vec::new();
    for number in 0..20 {
        let body = config_map(&format!("a{number}"));
        codes.push(code(&cluster, "POST", CONFIG_MAPS, &body).await);
    }
    codes
}

#[tokio::test(start_paused = true)]
async fn the_same_seed_strikes_the_same_requests() {
    let first = storm(3).await;
    assert_eq!(first, storm(3).await);
    assert_ne!(first, storm(4).await);
    assert!(first.contains(&500) && first.contains(&201));
}

#[tokio::test(start_paused = true)]
async fn requests_are_refused_with_the_wait_that_the_rule_says() {
    let cluster = cluster();
    let effect = Effect::TooManyRequests {
        retry_after_secs: 7,
    };
    cluster
        .faults()
        .set_rules(vec![rule("list", 1.0, effect)], 1);
    let response = send(&cluster, "GET", CONFIG_MAPS, &Value::Null).await;
    assert_eq!(response.status(), 429);
    assert_eq!(response.headers()["retry-after"], "7");
    // Others are not struck.
    let secrets = "/api/v1/namespaces/default/secrets";
    assert_eq!(code(&cluster, "GET", secrets, &Value::Null).await, 200);
}

#[tokio::test(start_paused = true)]
async fn changes_conflict_as_if_the_object_had_moved() {
    let cluster = cluster();
    add(&cluster, "a").await;
    cluster
        .faults()
        .set_rules(vec![rule("patch", 1.0, Effect::Conflict)], 1);
    let path = format!("{CONFIG_MAPS}/a");
    let response = send(&cluster, "PATCH", &path, &json!({"data": {"k": "v"}})).await;
    assert_eq!(response.status(), 409);
    let bytes = axum::body::to_bytes(response.into_body(), usize::MAX).await;
    let status: Value = serde_json::from_slice(&bytes.expect("a whole body")).expect("a Status");
    assert_eq!(status["reason"], "Conflict");
    assert!(
        status["message"]
            .as_str()
            .is_some_and(|message| message.contains("the object has been modified"))
    );
}

#[tokio::test(start_paused = true)]
async fn an_answer_is_cut_after_the_request_was_done() {
    let cluster = cluster();
    cluster
        .faults()
        .set_rules(vec![rule("create", 1.0, Effect::Cut)], 1);
    let response = send(&cluster, "POST", CONFIG_MAPS, &config_map("a")).await;
    assert_eq!(response.status(), 201);
    let mut body = response.into_body().into_data_stream();
    let half = body.next().await.expect("a part").expect("of the answer");
    assert!(serde_json::from_slice::<Value>(&half).is_err());
    assert!(body.next().await.expect("the end").is_err());
    let path = format!("{CONFIG_MAPS}/a");
    assert_eq!(code(&cluster, "GET", &path, &Value::Null).await, 200);
}

#[tokio::test(start_paused = true)]
async fn an_answer_is_late_or_never_comes() {
    let cluster = cluster();
    let slow = Effect::Slow {
        delay_millis: 1_500,
    };
    cluster.faults().set_rules(vec![rule("list", 1.0, slow)], 1);
    let begun = Instant::now();
    assert_eq!(code(&cluster, "GET", CONFIG_MAPS, &Value::Null).await, 200);
    assert_eq!(begun.elapsed().as_millis(), 1_500);
    cluster
        .faults()
        .set_rules(vec![rule("list", 1.0, Effect::Hung)], 1);
    let asked = send(&cluster, "GET", CONFIG_MAPS, &Value::Null);
    let waited = tokio::time::timeout(Duration::from_secs(3_600), asked).await;
    assert!(waited.is_err());
}

/// The names that a watch tells within a second.
async fn told(cluster: &Cluster, rules: Vec<FaultRule>) -> Vec<String> {
    let path = format!("{CONFIG_MAPS}?watch=true");
    let response = send(cluster, "GET", &path, &Value::Null).await;
    let mut stream = response.into_body().into_data_stream();
    cluster.faults().set_rules(rules, 5);
    for name in ["a", "b", "c", "d"] {
        add(cluster, name).await;
    }
    let mut text = String::new();
    let second = Duration::from_secs(1);
    while let Ok(Some(Ok(chunk))) = tokio::time::timeout(second, stream.next()).await {
        text.push_str(&String::from_utf8_lossy(&chunk));
    }
    let event = |line: &str| -> Value { serde_json::from_str(line).expect("an event") };
    text.lines()
        .map(|line| event(line)["object"]["metadata"]["name"].to_string())
        .collect()
}

#[tokio::test(start_paused = true)]
async fn watch_events_are_lost_and_doubled_by_seed() {
    let all = told(&cluster(), Vec::new()).await;
    assert_eq!(all.len(), 4);
    let lost = vec![rule("watch", 0.5, Effect::DropEvents)];
    let fewer = told(&cluster(), lost.clone()).await;
    assert!(fewer.len() < 4);
    assert_eq!(fewer, told(&cluster(), lost).await);
    let doubled = vec![rule("watch", 1.0, Effect::DuplicateEvents)];
    assert_eq!(told(&cluster(), doubled).await.len(), 8);
}

#[tokio::test(start_paused = true)]
async fn watch_events_are_held_back() {
    let stale = Effect::StaleEvents {
        delay_millis: 60_000,
    };
    let cluster = cluster();
    assert!(
        told(&cluster, vec![rule("watch", 1.0, stale)])
            .await
            .is_empty()
    );
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_wrong_stamps_wrong_times() {
    let cluster = cluster();
    cluster.faults().set(Faults {
        clock_skew_secs: -3_600,
        ..Faults::default()
    });
    add(&cluster, "a").await;
    let path = format!("{CONFIG_MAPS}/a");
    let response = send(&cluster, "GET", &path, &Value::Null).await;
    let bytes = axum::body::to_bytes(response.into_body(), usize::MAX).await;
    let object: Value = serde_json::from_slice(&bytes.expect("a body")).expect("JSON");
    assert_eq!(
        object["metadata"]["creationTimestamp"],
        "2025-12-31T23:00:00Z"
    );
}

#[tokio::test(start_paused = true)]
async fn a_token_ends_when_the_clusters_clock_says_so() {
    let cluster = cluster();
    let account = json!({
        "apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "robot"},
    });
    let accounts = "/api/v1/namespaces/default/serviceaccounts";
    assert_eq!(code(&cluster, "POST", accounts, &account).await, 201);
    let wanted = json!({"spec": {"expirationSeconds": 600}});
    let path = format!("{accounts}/robot/token");
    let response = send(&cluster, "POST", &path, &wanted).await;
    let bytes = axum::body::to_bytes(response.into_body(), usize::MAX).await;
    let answer: Value = serde_json::from_slice(&bytes.expect("a body")).expect("JSON");
    let token = answer["status"]["token"].as_str().expect("a token");
    let ask = || {
        Request::builder()
            .uri(CONFIG_MAPS)
            .header("authorization", format!("Bearer {token}"))
            .body(Body::empty())
            .expect("a request")
    };
    tokio::time::advance(Duration::from_secs(599)).await;
    let answer = cluster.router().oneshot(ask()).await.expect("an answer");
    assert_eq!(answer.status(), 200);
    tokio::time::advance(Duration::from_secs(1)).await;
    let answer = cluster.router().oneshot(ask()).await.expect("an answer");
    assert_eq!(answer.status(), 401);
}

#[tokio::test(start_paused = true)]
async fn rules_are_set_and_taken_away_over_http() {
    let cluster = cluster();
    let sent = json!({"seed": 9, "rules": [{
        "verbs": ["list"], "resources": [], "probability": 1.0, "effect": {"kind": "error"},
    }]});
    assert_eq!(code(&cluster, "PUT", "/pocketkube/rules", &sent).await, 200);
    assert_eq!(cluster.faults().rules().1, 9);
    assert_eq!(code(&cluster, "GET", CONFIG_MAPS, &Value::Null).await, 500);
    let wrong = json!({"rules": [{"effect": {"kind": "unheard-of"}}]});
    assert_eq!(
        code(&cluster, "PUT", "/pocketkube/rules", &wrong).await,
        400
    );
    let gone = code(&cluster, "DELETE", "/pocketkube/rules", &Value::Null).await;
    assert_eq!(gone, 200);
    assert_eq!(code(&cluster, "GET", CONFIG_MAPS, &Value::Null).await, 200);
}

#[tokio::test]
async fn connections_are_refused_until_the_port_is_open_again() {
    let fleet = Fleet::start(FleetOptions::named(["one"]))
        .await
        .expect("a fleet");
    let one = fleet.cluster("one");
    let address = one.url().trim_start_matches("https://").to_owned();
    let connect = || tokio::net::TcpStream::connect(address.clone());
    connect().await.expect("it listens");
    one.faults().set_api(ApiState::Refused);
    let refused = async {
        while connect().await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    let patience = Duration::from_secs(10);
    tokio::time::timeout(patience, refused)
        .await
        .expect("the port closes");
    one.faults().set_api(ApiState::Up);
    let taken = async {
        while connect().await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(patience, taken)
        .await
        .expect("the port opens");
}
