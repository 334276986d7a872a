//! What benchmarks have alike.

use meridian_steering::{EngineOptions, Observer, Part};

/// Where endpoints are.
pub(crate) const SITES: [&str; 3] = ["cn-beijing", "eu-central-1", "us-east-1"];

/// What a replica is told that knows where the usual regions are.
pub(crate) fn options() -> EngineOptions {
    let regions = include_str!("../../../../geo/regions.csv");
    EngineOptions {
        part: Part::Observes,
        observer: Observer {
            name: "bench".into(),
            domain: "bench".into(),
            contact: None,
        },
        regions: geo::RegionLocations::read("regions.csv", regions).expect("a right table"),
        max_stale_millis: EngineOptions::MAX_STALE_MILLIS,
    }
}
