//! Somebody stands on the way to a member: answers for it, counts, or changes it while a request is on
//! its way.

use crate::world::World;
use axum::Router;
use axum::body::Body as AnswerBody;
use futures::future::BoxFuture;
use http::{Method, Request, Response, StatusCode};
use kube::client::Body;
use meridian_controller::{Access, InProcess, WallClock, connect};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::Instant;
use tower::Service;

/// What is done with a request before the member sees it; an answer, where the member does not.
pub(crate) type Meet =
    Arc<dyn Fn(Met) -> BoxFuture<'static, Option<Response<AnswerBody>>> + Send + Sync>;

/// A request as it is met.
#[derive(Clone)]
pub(crate) struct Met {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) query: String,
}

/// Who stands on the way.
#[derive(Clone)]
pub(crate) struct Between {
    pub(crate) member: Router,
    pub(crate) meet: Meet,
}

impl Service<Request<Body>> for Between {
    type Response = Response<AnswerBody>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Service::<Request<Body>>::poll_ready(&mut self.member, context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let met = (self.meet)(Met {
            method: request.method().clone(),
            path: request.uri().path().to_owned(),
            query: request.uri().query().unwrap_or_default().to_owned(),
        });
        let mut member = self.member.clone();
        Box::pin(async move {
            match met.await {
                Some(answer) => Ok(answer),
                None => Service::call(&mut member, request).await,
            }
        })
    }
}

/// An answer of a member's own.
pub(crate) fn answer(code: StatusCode, body: impl Into<String>) -> Response<AnswerBody> {
    let answer = Response::builder().status(code);
    let answer = answer.body(AnswerBody::from(body.into()));
    answer.expect("an answer")
}

async fn is_ready(world: &World, member: &str) -> bool {
    let version = "core.kubefed.io/v1beta1";
    let found = world
        .find("host", version, "KubeFedCluster", crate::SYSTEM, member)
        .await
        .unwrap_or_default();
    let conditions = found["status"]["conditions"].as_array().cloned();
    let mut conditions = conditions.unwrap_or_default().into_iter();
    conditions.any(|it| it["type"] == "Ready" && it["status"] == "True")
}

#[tokio::test(start_paused = true)]
async fn a_member_that_does_not_know_readyz_is_judged_by_healthz() {
    let mut world = World::furnished(&["a"], json!({})).await;
    let is_well = Arc::new(AtomicBool::new(true));
    let said = Arc::clone(&is_well);
    let meet: Meet = Arc::new(move |met: Met| {
        let answer = match (met.path.as_str(), said.load(Ordering::SeqCst)) {
            ("/readyz", _) => Some(answer(StatusCode::NOT_FOUND, "404 page not found")),
            ("/healthz", false) => Some(answer(StatusCode::INTERNAL_SERVER_ERROR, "etcd failed")),
            _ => None,
        };
        Box::pin(async move { answer })
    });
    let member = world.members["a"].router();
    world.reach_through("a", InProcess::new(Between { member, meet }));
    world.start_controller().await;
    world
        .until("it is Ready", async |world| is_ready(world, "a").await)
        .await;
    is_well.store(false, Ordering::SeqCst);
    world
        .until("it is no longer Ready", async |world| {
            !is_ready(world, "a").await
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn what_an_autoscaler_writes_while_an_apply_is_on_its_way_stays() {
    let mut world = World::furnished(&["a"], json!({})).await;
    let armed = Arc::new(AtomicBool::new(false));
    let (trap, cluster) = (Arc::clone(&armed), world.members["a"].clone());
    let meet: Meet = Arc::new(move |met: Met| {
        let is_ours = met.method == Method::PATCH
            && met.path.ends_with("/deployments/web")
            && met.query.contains("fieldManager=meridian");
        let cluster = cluster.clone();
        let springs = is_ours && trap.swap(false, Ordering::SeqCst);
        Box::pin(async move {
            if springs {
                scale(&cluster, 7).await;
            }
            None
        })
    });
    let member = world.members["a"].router();
    world.reach_through("a", InProcess::new(Between { member, meet }));
    world.start_controller().await;
    federate_web(&world, "web:1").await;
    let web = async |world: &World| {
        let found = world.find("a", "apps/v1", "Deployment", "shop", "web");
        let found = found.await.unwrap_or_default();
        let image = found["spec"]["template"]["spec"]["containers"][0]["image"].clone();
        (image, found["spec"]["replicas"].clone())
    };
    world
        .until("it is there", async |world| {
            web(world).await == (json!("web:1"), json!(2))
        })
        .await;
    world.pass(5).await;
    world.forget_requests();

    // meridian still owns the replicas: it sends what it has just read.
    armed.store(true, Ordering::SeqCst);
    federate_web(&world, "web:2").await;
    world
        .until("the new template is there", async |world| {
            web(world).await.0 == json!("web:2")
        })
        .await;
    assert!(!armed.load(Ordering::SeqCst), "it was written meanwhile");
    assert_eq!(web(&world).await.1, json!(7));
    world.pass(60).await;
    assert_eq!(web(&world).await, (json!("web:2"), json!(7)));
    let requests = world.members["a"].requests();
    let conflicts = requests.count(|it| it.resource == "deployments" && it.code == 409);
    assert!(conflicts > 0, "{:#?}", requests.counts());
}

async fn federate_web(world: &World, image: &str) {
    let labels = json!({"app": "web"});
    let spec = json!({"retainReplicas": true, "placement": {"clusterSelector": {}},
        "template": {"spec": {"replicas": 2, "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels},
                "spec": {"containers": [{"name": "web", "image": image}]}}}}});
    world.federate("FederatedDeployment", "web", spec).await;
}

/// As an autoscaler of the member does.
async fn scale(cluster: &pocketkube::Cluster, replicas: i64) {
    let client = kube::Client::new(cluster.router(), "shop");
    let api: kube::Api<k8s_openapi::api::apps::v1::Deployment> =
        kube::Api::namespaced(client, "shop");
    let parameters = kube::api::PatchParams {
        field_manager: Some("kube-controller-manager".to_owned()),
        ..Default::default()
    };
    let patch: Value = json!({"spec": {"replicas": replicas}});
    let patched = api
        .patch("web", &parameters, &kube::api::Patch::Merge(&patch))
        .await;
    patched.expect("scaled");
}

#[tokio::test(start_paused = true)]
async fn a_member_is_sent_two_thousand_requests_in_a_second_and_no_more() {
    const REQUESTS: usize = 5000;
    let world = World::furnished(&["a"], json!({})).await;
    let began = Instant::now();
    let seconds: Arc<Mutex<BTreeMap<u64, usize>>> = Arc::default();
    let counted = Arc::clone(&seconds);
    let meet: Meet = Arc::new(move |_| {
        let mut seconds = counted.lock().expect("nobody panicked");
        *seconds.entry(began.elapsed().as_secs()).or_default() += 1;
        Box::pin(async { Some(answer(StatusCode::OK, "ok")) })
    });
    let member = world.members["a"].router();
    let way = InProcess::new(Between { member, meet });
    let clock = WallClock::following_tokio(world.now());
    let connection = connect(Access::InProcess(way), clock).expect("a connection");
    let asked = (0..REQUESTS).map(|_| {
        let client = connection.requests.clone();
        async move {
            let request = Request::get("/readyz").body(Vec::new()).expect("a request");
            client.request_text(request).await.expect("an answer")
        }
    });
    futures::future::join_all(asked).await;
    let took = began.elapsed();
    assert!(took >= Duration::from_secs(2), "{took:?}");
    assert!(took < Duration::from_secs(4), "{took:?}");
    let seconds = seconds.lock().expect("nobody panicked").clone();
    assert_eq!(seconds.values().sum::<usize>(), REQUESTS);
    assert!(seconds.values().all(|sent| *sent <= 2000), "{seconds:?}");
}
