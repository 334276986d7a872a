//! How long a division takes: `cargo bench -p meridian-federation --bench divide`.
//!
//! A table for people, and one line of JSON. Beside each division stands the sorting of as many
//! names, which no division can do without: the ratio compares on any machine.

use meridian_federation::{
    Candidate, ClusterPreference, Preference, SpreadBy, SpreadConstraint, SpreadPlace, divide,
    divide_spread,
};
use model::ClusterName;
use std::collections::BTreeMap;
use std::hint::black_box;
use std::io::{self, Write};
use std::time::{Duration, Instant};

/// How long each number is measured.
const MEASURED: Duration = Duration::from_millis(500);

fn main() -> io::Result<()> {
    let mut out = io::stdout().lock();
    let mut figures = Vec::new();
    writeln!(
        out,
        "{:>9}{:>14}{:>14}{:>14}",
        "clusters", "divide", "spread", "sort"
    )?;
    for clusters in [10, 100, 1_000] {
        let (preference, candidates, places) = world(clusters);
        let divided = micros(|| divide(&preference, &candidates, "shop/web"));
        let spread = micros(|| divide_spread(&preference, &candidates, &places, "shop/web"));
        let names: Vec<&ClusterName> = candidates.keys().collect();
        let sorted = micros(|| {
            let mut names = names.clone();
            names.sort_by_key(|name| std::cmp::Reverse(name.as_str()));
            names.len()
        });
        writeln!(
            out,
            "{clusters:>9}{divided:>11.1} µs{spread:>11.1} µs{sorted:>11.1} µs"
        )?;
        figures.push(format!(
            "\"{clusters}\":{{\"divide\":{divided:.1},\"spread\":{spread:.1},\"sort\":{sorted:.1}}}"
        ));
    }
    writeln!(
        out,
        "{{\"bench\":\"divide\",\"us\":{{{}}}}}",
        figures.join(",")
    )
}

/// Microseconds of a call, the least of all.
fn micros<T>(mut call: impl FnMut() -> T) -> f64 {
    let (began, mut best) = (Instant::now(), Duration::MAX);
    while began.elapsed() < MEASURED {
        let at = Instant::now();
        black_box(call());
        best = best.min(at.elapsed());
    }
    best.as_secs_f64() * 1e6
}

type World = (
    Preference,
    BTreeMap<ClusterName, Candidate>,
    BTreeMap<ClusterName, SpreadPlace>,
);

/// Clusters of different weights and bounds in ten regions, every third of which runs too many.
fn world(clusters: i64) -> World {
    let mut preference = Preference {
        total_replicas: clusters * 7,
        spread: vec![SpreadConstraint {
            by: SpreadBy::Region,
            min_groups: 3,
            max_skew: Some(5),
        }],
        ..Preference::default()
    };
    let (mut candidates, mut places) = (BTreeMap::new(), BTreeMap::new());
    for index in 0..clusters {
        let name = format!("cluster-{index:04}");
        let bounds = ClusterPreference {
            min_replicas: index % 3,
            max_replicas: (index % 5 == 0).then_some(9),
            weight: 1 + index % 7,
        };
        preference.clusters.insert(name.clone(), bounds);
        let candidate = Candidate {
            current: if index % 3 == 0 { 12 } else { 4 },
            capacity: (index % 11 == 0).then_some(6),
        };
        candidates.insert(name.clone().into(), candidate);
        let place = SpreadPlace {
            region: Some(format!("region-{}", index % 10)),
            zones: Vec::new(),
        };
        places.insert(name.into(), place);
    }
    (preference, candidates, places)
}
