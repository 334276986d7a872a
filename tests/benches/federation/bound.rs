//! The bound: the same writes by a plain client, with nothing between.

use crate::objects::{all, apply};
use futures::FutureExt;
use futures::future::BoxFuture;
use kube::Api;
use kube::api::DynamicObject;
use meridian_tests::sighted::{Result, Sighted};
use serde_json::Value;
use std::time::Instant;

/// Requests in flight, to all members together.
const IN_FLIGHT: [usize; 4] = [8, 16, 32, 64];
/// The same where each answer takes long.
const IN_FLIGHT_FAR: [usize; 3] = [64, 128, 256];

/// How far away the members are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Distance {
    Near,
    Far,
}

impl Distance {
    /// The numbers of requests in flight that are tried.
    pub(crate) fn in_flight(self) -> &'static [usize] {
        match self {
            Self::Near => &IN_FLIGHT,
            Self::Far => &IN_FLIGHT_FAR,
        }
    }
}

/// A write of a plain client.
pub(crate) type Request = BoxFuture<'static, Result<()>>;

/// Seconds until watches have shown that so many objects were written in every member.
pub(crate) async fn seconds(
    members: &[Api<DynamicObject>],
    objects: usize,
    in_flight: usize,
    requests: Vec<Request>,
) -> Result<f64> {
    let sighted = Sighted::written(members.to_vec(), objects).await?;
    let began = Instant::now();
    all(requests.into_iter(), in_flight).await?;
    let seen = sighted.all().await?;
    Ok((seen.last - began).as_secs_f64())
}

/// A plain client's writes of every object to every member, each after a change on the host where
/// there is one.
pub(crate) fn requests(
    members: &[Api<DynamicObject>],
    names: &[String],
    object: impl Fn(&str) -> Value,
    on_host: impl Fn(&str) -> Option<Request>,
) -> Vec<Request> {
    let requests = names.iter().flat_map(|name| {
        let object = object(name);
        let to = move |api: &Api<DynamicObject>| apply(api.clone(), object.clone()).boxed();
        on_host(name).into_iter().chain(members.iter().map(to))
    });
    requests.collect()
}
