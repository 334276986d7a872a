//! Plays drawn sequences on a real control plane and writes down what it answers.

use futures::StreamExt as _;
use kube::config::{KubeConfigOptions, Kubeconfig};
use meridian_tests::control_plane::{self, ControlPlane, Extent};
use pocketkube::Clock;

use crate::play::{ABORTED, Player};
use crate::recording::{KINDS, Sequence, Step};
use crate::{kinds, recording, say};

/// Played at once: what two cores answer within a second.
const AT_ONCE: usize = 24;
/// A sequence that was too slow once is played again.
const TRIES_MAX: usize = 8;

/// All kinds, anew.
pub(crate) fn all() {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let runtime = builder.worker_threads(2).enable_all().build();
    runtime.expect("a runtime").block_on(record());
}

async fn record() {
    let assets = control_plane::assets()
        .expect("KUBEBUILDER_ASSETS names a folder with etcd and kube-apiserver");
    if let Err(missing) = control_plane::complete(&assets, Extent::ApiServer) {
        panic!("{} has no {missing}", assets.display());
    }
    let plane = ControlPlane::start("ownership", Extent::ApiServer, &assets).await;
    let parsed = Kubeconfig::from_yaml(plane.kubeconfig()).expect("a kubeconfig");
    let options = KubeConfigOptions::default();
    let config = kube::Config::from_custom_kubeconfig(parsed, &options).await;
    let client = kube::Client::try_from(config.expect("a configuration")).expect("a client");
    let player = Player::prepared(client, Clock::system()).await;
    for kind in KINDS {
        let drawn = kinds::sequences(kind);
        let mut played: Vec<Sequence> = futures::stream::iter(drawn)
            .map(|(name, steps)| played(&player, name, steps))
            .buffered(AT_ONCE)
            .collect()
            .await;
        played.iter_mut().for_each(end_before_aborted);
        recording::write(kind, &played);
        say(&format!("{} sequences of {kind} recorded", played.len()));
    }
}

/// What the real server does not survive, nobody need repeat.
fn end_before_aborted(sequence: &mut Sequence) {
    let aborted = sequence.answers.iter().position(|one| one.code == ABORTED);
    if let Some(number) = aborted {
        let line = sequence.steps[number].line();
        say(&format!("{}: no answer to {line}", sequence.name));
        sequence.steps.truncate(number);
        sequence.answers.truncate(number);
    }
}

async fn played(player: &Player, name: String, steps: Vec<Step>) -> Sequence {
    for attempt in 0..TRIES_MAX {
        let namespace = format!("{name}-{attempt}");
        if let Ok(mut answers) = player.play(&namespace, &steps).await {
            for answer in &mut answers {
                // Played again, a sequence has the namespace of its name.
                let text = serde_json::to_string(answer).expect("answers are JSON");
                let text = text.replace(&namespace, &name);
                *answer = serde_json::from_str(&text).expect("answers are JSON");
            }
            return Sequence {
                name,
                steps,
                answers,
            };
        }
    }
    panic!("{name}: no try was fast enough, the machine is too busy");
}
