//! Runs a case on one of the two servers, as a test of its own.

use std::collections::BTreeSet;
use std::io::Write;
use std::sync::{LazyLock, Mutex};
use std::time::Duration;

use meridian_tests::control_plane::Extent;
use tokio::runtime::Runtime;

use crate::server::{self, Server};
use crate::world::World;

/// No case takes a tenth of this on an idle machine.
const CASE_SECS_MAX: u64 = 120;

/// All cases share it, so that connections outlive a case.
pub(crate) static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(2).enable_all().build().unwrap()
});

/// Makes tests of each case of a group, `pocketkube::<case>`, `real::<case>` and, of workloads,
/// `controllers::<case>`. The first word is the [`Extent`] of the control plane that the group needs.
macro_rules! cases {
    ($extent:ident: $($case:ident),+ $(,)?) => {
        mod pocketkube {
            $(#[test]
            fn $case() {
                crate::run::on_pocketkube(stringify!($case), super::$case);
            })+
        }
        mod real {
            $(#[test]
            fn $case() {
                let extent = meridian_tests::control_plane::Extent::$extent;
                crate::run::on_real(extent, stringify!($case), super::$case);
            })+
        }
        controllers! { $extent: $($case),+ }
    };
}

/// Tests on pocketkube under the real controllers, where there is something for them to do.
macro_rules! controllers {
    (ApiServer: $($case:ident),+) => {};
    (Workloads: $($case:ident),+) => {
        mod controllers {
            $(#[test]
            fn $case() {
                crate::run::under_controllers(stringify!($case), super::$case);
            })+
        }
    };
}

pub(crate) fn on_pocketkube<F: Future<Output = ()>>(case: &str, steps: impl FnOnce(World) -> F) {
    play(server::pocketkube(), case, steps);
}

pub(crate) fn on_real<F: Future<Output = ()>>(
    extent: Extent,
    case: &str,
    steps: impl FnOnce(World) -> F,
) {
    match server::real(extent) {
        Ok(server) => play(server, case, steps),
        Err(reason) => say_once(reason),
    }
}

pub(crate) fn under_controllers<F: Future<Output = ()>>(
    case: &str,
    steps: impl FnOnce(World) -> F,
) {
    match server::under_controllers() {
        Ok(server) => play(server, case, steps),
        Err(reason) => say_once(reason),
    }
}

fn say_once(line: String) {
    static SAID: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    let mut said = SAID.lock().unwrap();
    if !said.contains(&line) {
        say(&line);
        said.insert(line);
    }
}

/// Prints past the test runner, which shows nothing that a passing test prints.
pub(crate) fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "kubernetes_api: {line}");
}

fn play<F: Future<Output = ()>>(
    server: &'static Server,
    case: &str,
    steps: impl FnOnce(World) -> F,
) {
    RUNTIME.block_on(async {
        let world = World::new(server, case).await;
        let limit = Duration::from_secs(CASE_SECS_MAX);
        let played = tokio::time::timeout(limit, Box::pin(steps(world))).await;
        assert!(
            played.is_ok(),
            "the case did not end within {CASE_SECS_MAX} s"
        );
    });
}
