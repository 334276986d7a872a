//! What is looked at while everything fails: each request that a controller sends, and each write to
//! a member at the moment it arrives there.

use crate::world::SYSTEM;
use axum::Router;
use futures::FutureExt;
use futures::future::BoxFuture;
use http::{Method, Request, Response};
use kube::client::Body;
use pocketkube::Cluster;
use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::Instant;
use tower::Service;

/// A deletion is wrong when its object has been wanted for longer than any request may be on its
/// way.
const ON_ITS_WAY: Duration = Duration::from_secs(40);

/// Objects by resource and name, and since when each member is to hold them.
type Wanted = BTreeMap<(&'static str, String), BTreeMap<&'static str, Instant>>;

/// See the module.
pub(crate) struct Eyes {
    host: Cluster,
    members: BTreeMap<&'static str, Cluster>,
    began: Instant,
    state: Mutex<State>,
}

/// A request, as it was sent.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Asked {
    /// Virtual time since the story began.
    at: Duration,
    by: String,
    of: &'static str,
    /// Method, path and query.
    what: String,
    /// The body; of Secrets nothing, since keys are drawn by nobody's seed.
    body: String,
}

#[derive(Default)]
struct State {
    wanted: Wanted,
    /// Replicas of `web` that the preference asks for, and whether they were all asked for since.
    total: i64,
    reached: bool,
    wrong: Vec<String>,
    writes: usize,
    deletions: usize,
    asked: Vec<Asked>,
}

impl Asked {
    /// One that is known by who sent it.
    pub(crate) fn named(by: &str) -> Self {
        Self {
            at: Duration::ZERO,
            by: by.to_owned(),
            of: "host",
            what: "GET /".to_owned(),
            body: String::new(),
        }
    }
}

impl Eyes {
    pub(crate) fn new(host: &Cluster, members: &BTreeMap<&'static str, Cluster>) -> Arc<Self> {
        Arc::new(Self {
            host: host.clone(),
            members: members.clone(),
            began: Instant::now(),
            state: Mutex::default(),
        })
    }

    /// From now on these members are to hold an object.
    pub(crate) fn want(
        &self,
        resource: &'static str,
        name: &str,
        members: impl IntoIterator<Item = &'static str>,
    ) {
        let mut state = self.lock();
        let held = state.wanted.entry((resource, name.to_owned())).or_default();
        let members: BTreeSet<&'static str> = members.into_iter().collect();
        held.retain(|member, _| members.contains(member));
        for member in members {
            held.entry(member).or_insert_with(Instant::now);
        }
    }

    /// From now on `web` is to have so many replicas.
    pub(crate) fn want_replicas(&self, total: i64) {
        let mut state = self.lock();
        state.total = total;
        state.reached = false;
    }

    /// What was seen that must not be; how many writes were seen, and how many deletions.
    pub(crate) fn seen(&self) -> (Vec<String>, usize, usize) {
        let state = self.lock();
        (state.wrong.clone(), state.writes, state.deletions)
    }

    /// Every request, in the order in which they were sent.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.lock().asked.clone()
    }

    fn note(&self, asked: Asked) {
        self.lock().asked.push(asked);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn arrives(&self, by: &str, member: &'static str, path: &str) {
        let mut state = self.lock();
        state.writes += 1;
        let holder = self.holder();
        if holder.as_deref() != Some(by) {
            let what = format!("{by} wrote {path} in {member} while {holder:?} held the Lease");
            state.wrong.push(what);
        }
    }

    /// A deletion was done: nothing can hold it back any more.
    fn deleted(&self, by: &str, member: &'static str, path: &str) {
        let mut state = self.lock();
        state.deletions += 1;
        let gone: Vec<&str> = path.rsplit('/').take(2).collect();
        let wanted = state.wanted.iter().find_map(|((resource, name), members)| {
            let same = gone == [name.as_str(), *resource];
            members.get(member).filter(|_| same).copied()
        });
        if let Some(since) = wanted.filter(|since| since.elapsed() > ON_ITS_WAY) {
            let secs = since.elapsed().as_secs();
            let what = format!("{by} deleted {path} in {member}, which is wanted for {secs} s");
            state.wrong.push(what);
        }
    }

    fn holder(&self) -> Option<String> {
        let resource = self.host.resource("coordination.k8s.io/v1", "Lease").ok()?;
        let leases = self.host.list(&resource, Some(SYSTEM));
        let mut holders = leases.iter().filter_map(|lease| {
            let holder = lease.value()["spec"]["holderIdentity"].as_str()?;
            holder.starts_with("controller-").then(|| holder.to_owned())
        });
        holders.next()
    }

    /// Replicas of `web` in every member, asked for.
    pub(crate) fn replicas(&self) -> BTreeMap<&'static str, i64> {
        let asked = self.members.iter().map(|(name, member)| {
            let found = member.resource("apps/v1", "Deployment");
            let found = found.and_then(|resource| member.get(&resource, "shop", "web"));
            let replicas = found
                .ok()
                .and_then(|it| it.value()["spec"]["replicas"].as_i64());
            (*name, replicas.unwrap_or(0))
        });
        asked.collect()
    }

    fn scaled(&self, member: &'static str, path: &str, before: i64) {
        let now = self.replicas();
        let sum: i64 = now.values().sum();
        let mut state = self.lock();
        if now[member] < before && state.reached && sum < state.total {
            let total = state.total;
            let what = format!(
                "{path} in {member}: {before} replicas became {}, which leaves {sum} of {total} in all",
                now[member]
            );
            state.wrong.push(what);
        }
        state.reached |= sum >= state.total;
    }
}

/// One controller's way to one cluster.
#[derive(Clone)]
pub(crate) struct Wire {
    pub(crate) inner: Router,
    pub(crate) eyes: Arc<Eyes>,
    /// Who is at this end.
    pub(crate) by: String,
    /// Who is at the other; without, the host.
    pub(crate) member: Option<&'static str>,
    /// Nothing gets through any more.
    pub(crate) cut: Arc<AtomicBool>,
}

impl Wire {
    /// Writes a request down and gives it back.
    fn note(&self, request: Request<Body>) -> Request<Body> {
        let (parts, body) = request.into_parts();
        let body = body.collect_bytes().now_or_never();
        let body = body.expect("all of it is there").expect("it is a body");
        let what = format!("{} {}", parts.method, parts.uri);
        self.eyes.note(Asked {
            at: self.eyes.began.elapsed(),
            by: self.by.clone(),
            of: self.member.unwrap_or("host"),
            body: match what.contains("/secrets") {
                true => String::new(),
                false => String::from_utf8_lossy(&body).into_owned(),
            },
            what,
        });
        Request::from_parts(parts, Body::from(body))
    }
}

impl Service<Request<Body>> for Wire {
    type Response = Response<axum::body::Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Service::<Request<Body>>::poll_ready(&mut self.inner, context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let request = self.note(request);
        if self.cut.load(Ordering::SeqCst) {
            return Box::pin(std::future::pending());
        }
        let path = request.uri().path().to_owned();
        let method = request.method().clone();
        let writes = ["/configmaps/", "/deployments/", "/namespaces/"];
        let looked_at = self
            .member
            .filter(|_| method != Method::GET && writes.iter().any(|part| path.contains(part)));
        let Some(member) = looked_at else {
            return Box::pin(Service::call(&mut self.inner, request));
        };
        self.eyes.arrives(&self.by, member, &path);
        let before = self.eyes.replicas()[member];
        let answer = Service::call(&mut self.inner, request);
        let (eyes, by) = (Arc::clone(&self.eyes), self.by.clone());
        Box::pin(async move {
            let answer = answer.await;
            let done = answer
                .as_ref()
                .is_ok_and(|answer| answer.status().is_success());
            if method == Method::DELETE && done {
                eyes.deleted(&by, member, &path);
            }
            if path.ends_with("/deployments/web") {
                eyes.scaled(member, &path, before);
            }
            answer
        })
    }
}
