//! `/pocketkube/`: faults and request counts over HTTP, untouched by the faults themselves.
//!
//! | path | method | what |
//! |---|---|---|
//! | `/pocketkube/faults` | GET, PUT, PATCH | the cluster's faults |
//! | `/pocketkube/rules` | GET, PUT, DELETE | faults of single requests and watch events: `{"seed": 1, "rules": […]}` |
//! | `/pocketkube/requests` | GET, DELETE | the cluster's request counts |
//! | `/pocketkube/compact` | POST | forget all events: watches that resume get 410 |
//!
//! The fleet's control address serves `/pocketkube/clusters` and the same paths below
//! `/pocketkube/clusters/NAME/`; it works while a cluster's own port is down. `POST
//! /pocketkube/stop` there stops the fleet.

use super::Request;
use super::answer::Answer;
use super::query::Query;
use crate::cluster::Cluster;
use crate::faults::{FaultRule, Faults};
use axum::Router;
use axum::extract::State;
use axum::response::Response;
use http::Method;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

/// Routes of a fleet's control address.
pub(crate) fn router(clusters: Vec<Cluster>, stop: CancellationToken) -> Router {
    Router::new()
        .fallback(of_fleet)
        .with_state(Control { clusters, stop })
}

#[derive(Debug, Clone)]
struct Control {
    clusters: Vec<Cluster>,
    stop: CancellationToken,
}

/// Answers below `/pocketkube/` on a cluster's own port.
pub(crate) fn of_cluster(cluster: &Cluster, request: &Request) -> Answer {
    let rest = request
        .path
        .trim_start_matches("/pocketkube/")
        .trim_matches('/');
    answer(cluster, rest, request)
}

async fn of_fleet(State(control): State<Control>, request: axum::extract::Request) -> Response {
    let (parts, body) = request.into_parts();
    let query = Query::parse(parts.uri.query());
    match super::read(parts, body, query).await {
        Ok(request) => {
            let answer = fleet_answer(&control, &request);
            answer.into_response(&request.headers, request.query.text("pretty"))
        }
        Err(status) => Answer::from(status).into_response(&http::HeaderMap::new(), ""),
    }
}

fn fleet_answer(control: &Control, request: &Request) -> Answer {
    let clusters = &control.clusters;
    let segments: Vec<&str> = request.path.trim_matches('/').split('/').collect();
    match segments.as_slice() {
        ["pocketkube", "clusters"] => {
            let listed: Vec<Value> = clusters.iter().map(described).collect();
            Answer::value(200, &json!({"clusters": listed}))
        }
        ["pocketkube", "clusters", name, rest @ ..] => {
            match clusters.iter().find(|cluster| cluster.name() == *name) {
                Some(cluster) if rest.is_empty() => Answer::value(200, &described(cluster)),
                Some(cluster) => answer(cluster, &rest.join("/"), request),
                None => wrong(404, &format!("there is no cluster {name:?}")),
            }
        }
        ["pocketkube", "stop"] if request.method == Method::POST => {
            control.stop.cancel();
            Answer::value(200, &json!({"stopped": true}))
        }
        _ => wrong(
            404,
            "there are /pocketkube/clusters, the paths below it, and POST /pocketkube/stop",
        ),
    }
}

fn described(cluster: &Cluster) -> Value {
    json!({
        "name": cluster.name(),
        "url": cluster.url(),
        "kubeconfig": cluster.kubeconfig_path(),
        "faults": cluster.faults().get(),
    })
}

fn answer(cluster: &Cluster, what: &str, request: &Request) -> Answer {
    match (what, &request.method) {
        ("faults", &Method::GET) => faults(cluster),
        ("faults", &Method::PUT) => set_faults(cluster, json!({}), &request.body),
        ("faults", &Method::PATCH) => {
            set_faults(cluster, json!(cluster.faults().get()), &request.body)
        }
        ("rules", &Method::GET) => rules(cluster),
        ("rules", &Method::PUT) => set_rules(cluster, &request.body),
        ("rules", &Method::DELETE) => {
            cluster.faults().set_rules(Vec::new(), 0);
            rules(cluster)
        }
        ("requests", &Method::GET) => {
            let total = cluster.requests().count(|_| true);
            let counts = cluster.requests().counts();
            Answer::value(200, &json!({"total": total, "requests": counts}))
        }
        ("requests", &Method::DELETE) => {
            cluster.requests().reset();
            Answer::value(200, &json!({"total": 0, "requests": []}))
        }
        ("compact", &Method::POST) => {
            cluster.compact();
            Answer::value(200, &json!({"version": cluster.version()}))
        }
        ("faults" | "rules" | "requests" | "compact", _) => {
            wrong(405, "this method is not for this path")
        }
        _ => wrong(404, "there are faults, rules, requests and compact"),
    }
}

fn faults(cluster: &Cluster) -> Answer {
    Answer::value(200, &json!(cluster.faults().get()))
}

fn rules(cluster: &Cluster) -> Answer {
    let (rules, seed) = cluster.faults().rules();
    Answer::value(200, &json!({"seed": seed, "rules": rules}))
}

/// Rules as they are sent.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct SentRules {
    #[serde(default)]
    seed: u64,
    rules: Vec<FaultRule>,
}

fn set_rules(cluster: &Cluster, body: &[u8]) -> Answer {
    match serde_json::from_slice::<SentRules>(body) {
        Ok(sent) => {
            cluster.faults().set_rules(sent.rules, sent.seed);
            rules(cluster)
        }
        Err(cause) => wrong(400, &format!("the body is no set of rules: {cause}")),
    }
}

/// Sets faults to a base with the fields of a body on top.
fn set_faults(cluster: &Cluster, mut base: Value, body: &[u8]) -> Answer {
    let given: Value = match serde_json::from_slice(body) {
        Ok(given) => given,
        Err(cause) => return wrong(400, &format!("the body is no JSON: {cause}")),
    };
    json_patch::merge(&mut base, &given);
    match serde_json::from_value::<Faults>(base) {
        Ok(wanted) => {
            cluster.faults().set(wanted);
            faults(cluster)
        }
        Err(cause) => wrong(400, &format!("the body is no set of faults: {cause}")),
    }
}

fn wrong(code: u16, message: &str) -> Answer {
    Answer::value(code, &json!({"error": message}))
}
