//! Runs a scenario on one kind of clusters, as a test of its own.
//!
//! | scenario | pocketkube | real control planes |
//! |---|---|---|
//! | `shared` | one world for all of them, a namespace each | the same |
//! | `alone` | a world of its own | the one world, and nothing else meanwhile |
//! | `pocketkube only` | a world of its own | listed |

use futures::FutureExt;
use meridian_tests::control_plane::{self, Extent};
use meridian_tests::world::{Kind, Site, World, WorldOptions};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::io::Write;
use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{LazyLock, Mutex};
use std::time::Duration;
use tokio::runtime::Runtime;
use tokio::sync::{OnceCell, RwLock};

/// No scenario takes a quarter of this on an idle machine.
const SCENARIO_SECS_MAX: u64 = 300;

/// The members of every world. Each city is a failure domain of its own.
pub(crate) const SITES: [Site; 3] = [
    Site {
        name: "berlin",
        region: "eu-central",
        city: "berlin",
        location: "52.52,13.40",
    },
    Site {
        name: "lisbon",
        region: "eu-west",
        city: "lisbon",
        location: "38.72,-9.14",
    },
    Site {
        name: "osaka",
        region: "ap-east",
        city: "osaka",
        location: "34.69,135.50",
    },
];

/// All scenarios share it, so that connections outlive a scenario.
static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let builder = builder.worker_threads(2).enable_all();
    builder.build().expect("a runtime")
});

/// Makes two tests of each scenario of a file, `pocketkube::<scenario>` and `real::<scenario>`.
macro_rules! scenarios {
    (
        $(shared: $($shared:ident),+;)?
        $(alone: $($alone:ident),+;)?
        $(pocketkube only: $($only:ident),+;)?
    ) => {
        mod pocketkube {
            $($(scenario!(on_shared Pocketkube $shared);)+)?
            $($(scenario!(on_own Pocketkube $alone);)+)?
            $($(scenario!(on_own Pocketkube $only);)+)?
        }
        mod real {
            $($(scenario!(on_shared Real $shared);)+)?
            $($(scenario!(on_own Real $alone);)+)?
            $($(#[test]
            fn $only() {
                crate::run::list_as_left_out(stringify!($only));
            })+)?
        }
    };
}

/// One of them.
macro_rules! scenario {
    ($how:ident $kind:ident $scenario:ident) => {
        #[test]
        fn $scenario() {
            let kind = meridian_tests::world::Kind::$kind;
            crate::run::$how(kind, stringify!($scenario), async |world, namespace| {
                super::$scenario(world, namespace).await;
            });
        }
    };
}

/// Plays a scenario in the world that all of them share.
pub(crate) fn on_shared(
    kind: Kind,
    scenario: &str,
    steps: impl for<'a> AsyncFnOnce(&'a World, &'a str),
) {
    if is_left_out(kind) {
        return;
    }
    RUNTIME.block_on(async {
        let world = shared(kind).await.read().await;
        let namespace = namespace(scenario);
        world.federate_namespace(&namespace).await;
        let ended = bounded(steps(&world, &namespace)).await;
        conclude(&world, scenario, ended);
    });
}

/// Plays a scenario in a world that nobody else uses meanwhile.
pub(crate) fn on_own(
    kind: Kind,
    scenario: &str,
    steps: impl for<'a> AsyncFnOnce(&'a mut World, &'a str),
) {
    if is_left_out(kind) {
        return;
    }
    RUNTIME.block_on(async {
        let namespace = namespace(scenario);
        if kind == Kind::Pocketkube {
            let mut world = start(kind).await;
            world.federate_namespace(&namespace).await;
            let ended = bounded(steps(&mut world, &namespace)).await;
            return conclude(&world, scenario, ended);
        }
        let mut world = shared(kind).await.write().await;
        world.federate_namespace(&namespace).await;
        let ended = bounded(steps(&mut world, &namespace)).await;
        let restored = bounded(world.restore()).await;
        conclude(&world, scenario, ended.and(restored));
    });
}

/// Says that a scenario runs on pocketkube only.
pub(crate) fn list_as_left_out(scenario: &str) {
    if !is_left_out(Kind::Real) {
        say(&format!(
            "on pocketkube only, since it needs load balancers that listen: {scenario}"
        ));
    }
}

type Ended = Result<(), Box<dyn std::any::Any + Send>>;

async fn bounded(steps: impl Future<Output = ()>) -> Ended {
    let limit = Duration::from_secs(SCENARIO_SECS_MAX);
    let steps = async {
        let ended = tokio::time::timeout(limit, Box::pin(steps)).await;
        assert!(ended.is_ok(), "it did not end within {limit:?}");
    };
    AssertUnwindSafe(steps).catch_unwind().await
}

/// A scenario that failed shows what the product wrote meanwhile.
fn conclude(world: &World, scenario: &str, ended: Ended) {
    if let Err(panic) = ended {
        say(&format!(
            "{scenario} failed; the logs:\n{}",
            world.log_tails()
        ));
        std::panic::resume_unwind(panic);
    }
}

async fn shared(kind: Kind) -> &'static RwLock<World> {
    // They live as long as the process, and their processes end with us.
    static POCKETKUBE: OnceCell<RwLock<World>> = OnceCell::const_new();
    static REAL: OnceCell<RwLock<World>> = OnceCell::const_new();
    let cell = match kind {
        Kind::Pocketkube => &POCKETKUBE,
        Kind::Real => &REAL,
    };
    cell.get_or_init(async || RwLock::new(start(kind).await))
        .await
}

async fn start(kind: Kind) -> World {
    let mut world = World::furnished(options(kind)).await;
    let ready = bounded(world.restore()).await;
    conclude(&world, "the world", ready);
    world
}

fn options(kind: Kind) -> WorldOptions {
    WorldOptions {
        kind,
        binary: PathBuf::from(env!("CARGO_BIN_EXE_meridian")),
        sites: SITES.to_vec(),
        settings: settings(),
    }
}

/// Seconds where the product's own thresholds are minutes, so that a run takes less than two.
fn settings() -> Value {
    json!({
        "clusterHealthCheck": {
            "period": "1s", "timeout": "2s", "failureThreshold": 2, "successThreshold": 2,
        },
        "leaderElect": {"leaseDuration": "9s"},
        "failover": {"afterSeconds": 2, "unknownAfterSeconds": 2},
        "failback": {"stableSeconds": 3, "stepPercent": 50},
        "brake": {"windowSeconds": 5},
        "deletionGrace": "3s",
    })
}

/// A namespace that no other scenario uses, which still tells whose it is.
fn namespace(scenario: &str) -> String {
    static SCENARIOS: AtomicU32 = AtomicU32::new(1);
    let number = SCENARIOS.fetch_add(1, Ordering::Relaxed);
    // A label of at most 63 characters (RFC 1123).
    let words: String = scenario.replace('_', "-").chars().take(48).collect();
    format!("{}-{number}", words.trim_end_matches('-'))
}

/// Whether clusters of this kind are not to be had; says why, once.
fn is_left_out(kind: Kind) -> bool {
    if kind == Kind::Pocketkube {
        return false;
    }
    let Some(assets) = control_plane::assets() else {
        say_once("skipped on real control planes: KUBEBUILDER_ASSETS is not set");
        return true;
    };
    let Err(missing) = control_plane::complete(&assets, Extent::Workloads) else {
        return false;
    };
    say_once(&format!(
        "skipped on real control planes: {} has no {missing}",
        assets.display()
    ));
    true
}

fn say_once(line: &str) {
    static SAID: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    let mut said = SAID.lock().expect("nobody panics with it");
    if said.insert(line.to_owned()) {
        say(line);
    }
}

/// Prints past the test runner, which shows nothing that a passing test prints.
fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "scenarios: {line}");
}
