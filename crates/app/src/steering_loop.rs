//! The owner of the steering engine: events in, effects carried out.
//!
//! # Guarantees
//! One thread owns the engine; everything else sends it events or holds a snapshot. A checkpoint is
//! written after answers changed, and now and then, so that a restart answers at once.
//! # Assumptions
//! Wall time goes forward; when it jumps back, the engine is told the last time again.
//! # Caveats
//! Compiling a geographic table takes up to a second; queries are answered meanwhile, events wait.

use crate::checkpoint::CheckpointFile;
use crate::given::Given;
use crate::lookups;
use crate::own_state::OwnState;
use console::{Part, Question, Readiness};
use dns_server::Handle;
use model::ProbeResult;
use prober::{Prober, Resolver};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use steering::{Effect, Engine, Event, Peers, ProbeReportValue};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

/// Events that wait for the engine; the feed's watches slow down when it is full.
pub(crate) const EVENTS_MAX: usize = 4_096;
/// Events handled together: a watch's first list becomes one snapshot.
const BATCH_MAX: usize = 1_024;
/// Between two checkpoints while answers change; a write costs an fsync.
const CHECKPOINT_PERIOD: Duration = Duration::from_secs(5);
/// Between two checkpoints while nothing changes: the age of the last contact is in it.
const CHECKPOINT_PERIOD_IDLE: Duration = Duration::from_secs(60);

/// Where events come from.
pub(crate) struct Inputs {
    pub(crate) events: mpsc::Receiver<Event>,
    pub(crate) probed: mpsc::Receiver<ProbeResult>,
    pub(crate) resolved: mpsc::Receiver<prober::Resolved>,
    pub(crate) questions: mpsc::Receiver<Question>,
    /// What people tell this replica itself.
    pub(crate) given: mpsc::Receiver<Given>,
    /// Who asks is told when a checkpoint is written.
    pub(crate) checkpoints: mpsc::Receiver<oneshot::Sender<()>>,
}

/// Where effects go.
pub(crate) struct Outputs {
    /// Nobody is answered by a witness.
    pub(crate) answers: Option<Arc<Handle>>,
    pub(crate) prober: Prober,
    pub(crate) resolver: Resolver,
    pub(crate) report: watch::Sender<Option<ProbeReportValue>>,
    pub(crate) own_state: OwnState,
    pub(crate) peers: watch::Sender<Option<Peers>>,
    /// The revision of challenges that every replica serves that is heard.
    pub(crate) challenges: watch::Sender<u64>,
    pub(crate) readiness: watch::Sender<Readiness>,
    pub(crate) checkpoint: CheckpointFile,
    /// Cancelled when a successor has the checkpoint's file.
    pub(crate) replaced: CancellationToken,
}

/// The engine with its inputs and outputs.
pub(crate) struct SteeringLoop {
    pub(crate) engine: Engine,
    pub(crate) inputs: Inputs,
    pub(crate) outputs: Outputs,
    wake: Option<Instant>,
    last_millis: u64,
    /// When the last checkpoint was written, and whether answers changed since.
    checkpointed: Instant,
    changed: Changed,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Changed {
    No,
    Yes,
}

impl SteeringLoop {
    /// A loop that has not begun; `first` are the effects of a restored engine.
    pub(crate) fn new(
        engine: Engine,
        inputs: Inputs,
        outputs: Outputs,
        first: Vec<Effect>,
    ) -> Self {
        let mut this = Self {
            engine,
            inputs,
            outputs,
            wake: None,
            last_millis: 0,
            checkpointed: Instant::now(),
            changed: Changed::No,
        };
        this.carry_out(first);
        this
    }

    /// Runs until nobody sends events any more; writes a last checkpoint then.
    pub(crate) async fn run(mut self) {
        loop {
            let mut batch = Vec::new();
            let due = self.checkpoint_due();
            tokio::select! {
                received = self.inputs.events.recv_many(&mut batch, BATCH_MAX) => {
                    if received == 0 {
                        break;
                    }
                }
                Some(result) = self.inputs.probed.recv() => {
                    batch.push(Event::Probed(result));
                    while batch.len() < BATCH_MAX && let Ok(result) = self.inputs.probed.try_recv() {
                        batch.push(Event::Probed(result));
                    }
                }
                Some(resolved) = self.inputs.resolved.recv() => {
                    batch.push(Event::Resolved(Box::new(lookups::read(resolved))));
                },
                Some(question) = self.inputs.questions.recv() => self.explain(question),
                Some(given) = self.inputs.given.recv() => self.take(given),
                Some(asked) = self.inputs.checkpoints.recv() => {
                    self.write_checkpoint();
                    // Nobody waits for it any more: nothing is lost.
                    let _ = asked.send(());
                }
                () = until(self.wake) => {
                    self.wake = None;
                    batch.push(Event::Tick);
                }
                () = sleep_until(due) => self.write_checkpoint(),
            }
            if !batch.is_empty() {
                let now = self.now();
                let batch = self.with_asked(batch);
                let effects = self.engine.handle_all(batch, now);
                self.carry_out(effects);
            }
        }
        if !self.outputs.replaced.is_cancelled() {
            self.write_checkpoint();
        }
    }

    /// Before a service's going, when its names were asked for last.
    fn with_asked(&self, batch: Vec<Event>) -> Vec<Event> {
        let before = |event: &Event| match event {
            Event::ServiceDeleted(service) => Some(Event::Asked {
                at_millis: self.engine.asked_millis(service)?,
                service: service.clone(),
            }),
            _ => None,
        };
        let told = batch.into_iter();
        told.flat_map(|event| before(&event).into_iter().chain([event]))
            .collect()
    }

    fn carry_out(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Publish(snapshot) => {
                    tracing::debug!(generation = snapshot.generation(), "answers changed");
                    if let Some(answers) = &self.outputs.answers {
                        answers.publish(snapshot);
                    }
                    self.changed = Changed::Yes;
                    self.outputs.readiness.send_if_modified(|readiness| {
                        let before = readiness.clone();
                        readiness.ready(Part::Snapshot);
                        *readiness != before
                    });
                }
                Effect::Probe(probes) => self.outputs.prober.set(probes),
                Effect::Resolve(hostnames) => self.outputs.resolver.ask(hostnames),
                Effect::Report(report) => {
                    self.outputs.own_state.note_report(&report);
                    self.outputs.report.send_replace(Some(report));
                }
                Effect::Peers(peers) => {
                    self.outputs.own_state.note_host(&peers);
                    self.outputs.peers.send_replace(Some(peers));
                }
                Effect::ChallengesServed(revision) => {
                    self.outputs.challenges.send_replace(revision);
                }
                Effect::Service(status) => {
                    for host in status.hosts.iter().filter(|host| host.problem.is_some()) {
                        let why = host.problem.as_ref().map(ToString::to_string);
                        tracing::warn!(service = %status.service, host = host.host, why, "not served");
                    }
                }
                Effect::Zone(status) => {
                    if let Some(why) = status.problem {
                        tracing::warn!(zone = %status.zone, why, "zone not served");
                    }
                }
                Effect::WakeAt(millis) => {
                    let wait = Duration::from_millis(millis.saturating_sub(self.now()));
                    self.wake = Some(Instant::now() + wait);
                }
            }
        }
    }

    /// Takes a person's word; the engine says whether it is in force.
    fn take(&mut self, given: Given) {
        let now = self.now();
        let became = self.engine.give(given.wanted, now);
        self.carry_out(became.effects);
        if became.answer.is_ok() {
            self.write_checkpoint();
        }
        // Nobody waits for it any more: nothing is lost.
        let _ = given.reply.send(became.answer);
    }

    fn explain(&mut self, asked: Question) {
        let question = steering::Question {
            host: asked.name,
            client: asked.from,
            when_down: asked.when_down.into_iter().collect(),
        };
        let now = self.now();
        let answer = match self.engine.explain(&question, now) {
            Ok(explanation) => {
                let text = explanation.to_string();
                serde_json::to_value(&explanation)
                    .map(
                        |explanation| serde_json::json!({"text": text, "explanation": explanation}),
                    )
                    .map_err(|why| why.to_string())
            }
            Err(why) => Err(why.to_string()),
        };
        // Nobody waits for it any more: nothing is lost.
        let _ = asked.reply.send(answer);
    }

    fn checkpoint_due(&self) -> Instant {
        let period = match self.changed {
            Changed::Yes => CHECKPOINT_PERIOD,
            Changed::No => CHECKPOINT_PERIOD_IDLE,
        };
        self.checkpointed + period
    }

    fn write_checkpoint(&mut self) {
        let now = self.now();
        let checkpoint = self.engine.checkpoint(now);
        if let Err(why) = self.outputs.checkpoint.write(&checkpoint) {
            tracing::error!("{why:#}: a restart without the host would not answer");
        }
        self.checkpointed = Instant::now();
        self.changed = Changed::No;
    }

    /// Milliseconds since 1970, never less than the last time.
    fn now(&mut self) -> u64 {
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let now = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
        self.last_millis = self.last_millis.max(now);
        self.last_millis
    }
}

async fn until(wake: Option<Instant>) {
    match wake {
        Some(wake) => sleep_until(wake).await,
        None => std::future::pending().await,
    }
}
