//! The bound: the same writes by a plain client, with nothing between.

use crate::objects::{all, apply};
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

/// Seconds until watches have shown everything, with the best number of requests in flight.
pub(crate) async fn best(
    members: &[Api<DynamicObject>],
    names: &[String],
    distance: Distance,
    object: impl Fn(&str, usize) -> Value,
) -> Result<f64> {
    let mut best = f64::INFINITY;
    let tried: &[usize] = match distance {
        Distance::Near => &IN_FLIGHT,
        Distance::Far => &IN_FLIGHT_FAR,
    };
    for (round, in_flight) in tried.iter().enumerate() {
        let sighted = Sighted::written(members.to_vec(), names.len()).await?;
        let began = Instant::now();
        let requests = names.iter().flat_map(|name| {
            let object = object(name, round);
            let to = move |api: &Api<DynamicObject>| apply(api.clone(), object.clone());
            members.iter().map(to)
        });
        all(requests, *in_flight).await?;
        let seen = sighted.all().await?;
        best = best.min((seen.last - began).as_secs_f64());
    }
    Ok(best)
}
