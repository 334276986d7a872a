//! The six steps: what is done to the world, and what must then be seen from outside.

use super::pace::Pace;
use super::samples::{Now, Replicas, Samples, Viewer};
use super::timeline::{Check, Step, Timeline};
use super::view::{View, describe};
use super::world::{Fault, World};
use anyhow::{Result, bail};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// An address that no answer named for this long has left.
const GONE_AFTER: Duration = Duration::from_millis(1_000);
/// How long after a promise's bound the story still waits, so that a miss shows by how much.
const GRACE: Duration = Duration::from_secs(20);
/// The member that fails.
const FAILING: &str = "beijing-a";
/// The member whose API hangs.
const HANGING: &str = "frankfurt";

/// Tells the story; everything it needs.
pub(crate) struct Story<'a> {
    pub(crate) world: &'a World,
    pub(crate) samples: &'a Samples,
    pub(crate) view: &'a mut View,
    pub(crate) viewers: &'a [Viewer],
    pub(crate) pace: &'a Pace,
    pub(crate) began: Instant,
    pub(crate) timeline: Timeline,
}

/// How things stood before anything failed.
struct Baseline {
    replicas: BTreeMap<String, Option<Replicas>>,
    total: i32,
}

impl Story<'_> {
    /// All steps in order.
    ///
    /// # Errors
    /// The world could not be driven; a promise that is not kept is no error but a check.
    pub(crate) async fn tell(&mut self) -> Result<()> {
        self.served().await?;
        let baseline = self.baseline();
        self.hung_api(&baseline).await?;
        self.site_fails(&baseline).await?;
        self.site_returns(&baseline).await?;
        self.host_dies(&baseline).await
    }

    /// Step 1: everything is served.
    async fn served(&mut self) -> Result<()> {
        self.view.doing("waiting until everything is served");
        let total = self.pace.total_replicas;
        let (viewers, far) = (self.viewers, self.world.address_of(HANGING));
        let (samples, sites) = (self.samples.clone(), self.world.addresses());
        // Every site must have been named before its absence means anything.
        let all = |now: &Now| {
            now.ready_in_all() == total
                && all_nearest(now, viewers, far)
                && sites.iter().all(|site| samples.last_named(*site).is_some())
        };
        let took = self.wait(self.began, self.pace.served_within, &all).await;
        if took.is_none() {
            let now = self.samples.now();
            bail!(
                "not served in time: replicas {:?}, answers {:?}",
                now.replicas,
                now.answers
            );
        }
        let settle = self.samples.throughout(self.pace.settle, &all).await;
        let now = self.samples.now();
        let mut lines = self.replica_lines(&now);
        lines.extend(self.viewers.iter().map(|viewer| {
            let said = describe(&now, viewer, |address| self.world.name_of(address));
            format!("{} ({}) is answered {said}", viewer.city, viewer.address)
        }));
        let check = Check::within("everything served", took, self.pace.served_within);
        let settled = Check::holds("and it stays so", settle.is_ok());
        self.end(
            1,
            "An application over three members, and DNS by where the client is",
            lines,
            vec![check, settled],
        );
        Ok(())
    }

    fn baseline(&self) -> Baseline {
        let replicas = self.samples.now().replicas;
        Baseline {
            replicas,
            total: self.pace.total_replicas,
        }
    }

    /// Step 2: an API that hangs is no failed site.
    async fn hung_api(&mut self, baseline: &Baseline) -> Result<()> {
        let hang = self.pace.hang;
        self.view.doing(&format!(
            "the API of {HANGING} hangs for {} s",
            hang.as_secs()
        ));
        self.world.fault(HANGING, Fault::ApiHung).await?;
        let (viewers, far) = (self.viewers, self.world.address_of(HANGING));
        let still = |now: &Now| {
            let moved = now.replicas.iter().any(|(cluster, seen)| {
                seen.is_some_and(|seen| {
                    baseline.replicas.get(cluster).copied().flatten() != Some(seen)
                })
            });
            !moved && all_nearest(now, viewers, far)
        };
        let held = self.samples.throughout(hang, still).await;
        self.world.fault(HANGING, Fault::None).await?;
        let back = |now: &Now| matches!(now.replicas.get(HANGING), Some(Some(_)));
        let returned = self
            .wait(Instant::now(), Duration::from_secs(10), back)
            .await;
        let after = self.samples.throughout(self.pace.settle, still).await;
        let mut lines = vec![format!("hung for {} s, then let go", hang.as_secs())];
        if let Err(seen) = held.and(after) {
            lines.push(format!("seen: {:?} {:?}", seen.replicas, seen.answers));
            self.end(
                2,
                &format!("The API of {HANGING} hangs"),
                lines,
                vec![Check::holds(
                    "no replica moved and no answer changed",
                    false,
                )],
            );
            return Ok(());
        }
        let checks = vec![
            Check::holds("no replica moved and no answer changed", true),
            Check::within("its API is heard again", returned, Duration::from_secs(10)),
        ];
        self.end(2, &format!("The API of {HANGING} hangs"), lines, checks);
        Ok(())
    }

    /// Steps 3 and 4: a site fails, and something is deleted meanwhile.
    async fn site_fails(&mut self, baseline: &Baseline) -> Result<()> {
        self.view
            .doing(&format!("{FAILING} fails, API and data plane"));
        let address = self.world.address_of(FAILING);
        self.world.fault(FAILING, Fault::SiteDown).await?;
        let fault = Instant::now();
        let left = self
            .address_leaves(address, fault, self.pace.answer_within)
            .await;
        let total = baseline.total;
        let elsewhere = |now: &Now| now.ready_in_all() - now.ready(FAILING) == total;
        let ready = self.wait(fault, self.pace.ready_within, elsewhere).await;
        let now = self.samples.now();
        let checks = vec![
            Check::within("no answer names it any more", left, self.pace.answer_within),
            Check::within(
                "all replicas ready elsewhere",
                ready,
                self.pace.ready_within,
            ),
        ];
        let lines = self.replica_lines(&now);
        self.end(
            3,
            &format!("{FAILING} fails, API and data plane"),
            lines,
            checks,
        );

        let config = self.world.deleted_config;
        self.view.doing(&format!(
            "FederatedConfigMap {config} is deleted while {FAILING} is away"
        ));
        let deleted = Instant::now();
        self.world.delete_config().await?;
        let gone = |now: &Now| {
            now.configs
                .iter()
                .all(|(cluster, present)| cluster == FAILING || *present == Some(false))
        };
        let elsewhere = self.wait(deleted, self.pace.deleted_within, gone).await;
        let bound = self.pace.deleted_within;
        let ended = self.world.config_deletion_ends(bound + GRACE).await;
        let checks = vec![
            Check::within(
                "gone from the members that can be reached",
                elsewhere,
                bound,
            ),
            Check::within(
                "the deletion ends on the host",
                ended.map(|at| at - deleted),
                bound,
            ),
        ];
        let lines = vec![format!(
            "what {FAILING} still owes is kept in a MemberTombstone"
        )];
        self.end(
            4,
            &format!("A deletion while {FAILING} is away"),
            lines,
            checks,
        );
        Ok(())
    }

    /// Step 5, and the end of step 4: the site comes back.
    async fn site_returns(&mut self, baseline: &Baseline) -> Result<()> {
        self.view.doing(&format!("{FAILING} comes back"));
        let address = self.world.address_of(FAILING);
        self.world.fault(FAILING, Fault::None).await?;
        let back = Instant::now();
        let total = baseline.total;
        let before = baseline.replicas.clone();
        let whole = self.samples.clone();
        let never_less = tokio::spawn(async move {
            let served = |now: &Now| {
                now.ready_in_all() >= total || now.replicas.values().any(Option::is_none)
            };
            whole.throughout(Duration::from_secs(3_600), served).await
        });
        let named = self
            .wait(back, self.pace.returned_within, |now| {
                now.answers
                    .values()
                    .flatten()
                    .any(|answer| answer.addresses.contains(&address))
            })
            .await;
        let same = |now: &Now| now.replicas == before;
        let done = self.wait(back, self.pace.returned_within, same).await;
        let kept = !never_less.is_finished();
        never_less.abort();
        let owed = |now: &Now| now.configs.get(FAILING) == Some(&Some(false));
        let paid = self.wait(back, self.pace.returned_within, owed).await;
        let bound = self.pace.returned_within;
        let lines = self.replica_lines(&self.samples.now());
        let checks = vec![
            Check::within("answers name it again", named, bound),
            Check::within("replicas as before", done, bound),
            Check::holds("never fewer ready than asked for: made before broken", kept),
            Check::within("the deletion is made good there", paid, bound),
        ];
        self.end(5, &format!("{FAILING} comes back"), lines, checks);
        Ok(())
    }

    /// Step 6: the host dies, answers go on.
    async fn host_dies(&mut self, baseline: &Baseline) -> Result<()> {
        self.view.doing("the API of the host is killed");
        self.world.fault_host(Fault::ApiDown).await?;
        let dead = Instant::now();
        let cities: Vec<&str> = self.viewers.iter().map(|viewer| viewer.city).collect();
        let stale = |now: &Now| {
            now.answers
                .values()
                .all(|answer| answer.as_ref().is_some_and(super::dig::Answer::is_stale))
        };
        let marked = self.wait(dead, self.pace.stale_within, stale).await;
        let answered = |now: &Now| cities.iter().all(|city| !now.addresses(city).is_empty());
        let held = self
            .samples
            .throughout(self.pace.settle, answered)
            .await
            .is_ok();
        let replicas = self.samples.now().replicas == baseline.replicas;
        self.world.fault_host(Fault::None).await?;
        let healed = Instant::now();
        let fresh = |now: &Now| {
            now.answers
                .values()
                .all(|answer| answer.as_ref().is_some_and(|answer| !answer.is_stale()))
        };
        let unmarked = self.wait(healed, self.pace.stale_within, fresh).await;
        let (viewers, far) = (self.viewers, self.world.address_of(HANGING));
        let as_before = |now: &Now| all_nearest(now, viewers, far);
        let geography = self
            .samples
            .throughout(self.pace.settle, as_before)
            .await
            .is_ok();
        let checks = vec![
            Check::within(
                "answers are marked stale (EDE 3)",
                marked,
                self.pace.stale_within,
            ),
            Check::holds("every client is still answered", held),
            Check::holds("replicas stay where they are", replicas),
            Check::within(
                "the mark goes when the host is back",
                unmarked,
                self.pace.stale_within,
            ),
            Check::holds(
                "every client is answered with its nearest site, as before",
                geography,
            ),
        ];
        self.end(
            6,
            "The host's API is killed, and comes back",
            vec![],
            checks,
        );
        Ok(())
    }

    /// Waits until no answer names an address; the time from the fault to its last sight.
    async fn address_leaves(
        &mut self,
        address: IpAddr,
        fault: Instant,
        bound: Duration,
    ) -> Option<Duration> {
        let give_up = fault + bound + GRACE;
        loop {
            let last = self.samples.last_named(address).unwrap_or(fault).max(fault);
            let gone_at = last + GONE_AFTER;
            if Instant::now() >= gone_at {
                return Some(last - fault);
            }
            if Instant::now() >= give_up {
                return None;
            }
            self.draw();
            tokio::time::sleep((gone_at - Instant::now()).min(Duration::from_millis(200))).await;
        }
    }

    /// Waits for a condition, drawing meanwhile; gives up some time after the bound.
    async fn wait(
        &mut self,
        since: Instant,
        bound: Duration,
        condition: impl Fn(&Now) -> bool,
    ) -> Option<Duration> {
        let samples = self.samples.clone();
        let patience = (since + bound + GRACE).saturating_duration_since(Instant::now());
        let waiting = samples.until(since, patience, condition);
        tokio::pin!(waiting);
        let every = self
            .view
            .redraw_every()
            .unwrap_or(Duration::from_secs(3_600));
        let mut redraw = tokio::time::interval(every);
        loop {
            tokio::select! {
                took = &mut waiting => return took,
                _ = redraw.tick() => self.draw(),
            }
        }
    }

    fn draw(&mut self) {
        let now = self.samples.now();
        let world = self.world;
        self.view.draw(&now, |address| world.name_of(address));
    }

    fn replica_lines(&self, now: &Now) -> Vec<String> {
        let line = |(cluster, seen): (&String, &Option<Replicas>)| match seen {
            Some(seen) => format!(
                "{cluster}: {} of {} replicas ready",
                seen.ready, seen.desired
            ),
            None => format!("{cluster}: no answer"),
        };
        now.replicas.iter().map(line).collect()
    }

    fn end(&mut self, number: u32, title: &str, lines: Vec<String>, checks: Vec<Check>) {
        let at_secs = self.began.elapsed().as_secs_f64();
        self.view.heading(&format!("{number}. {title}"));
        for line in &lines {
            self.view.line(line);
        }
        for check in &checks {
            self.view.line(&check.line());
        }
        let title = title.to_owned();
        self.timeline.steps.push(Step {
            number,
            title,
            at_secs,
            lines,
            checks,
        });
    }
}

/// Whether all viewers are answered with a site that is nearest to them: two sites of one city share
/// its clients, and `far` is the third.
fn all_nearest(now: &Now, viewers: &[Viewer], far: IpAddr) -> bool {
    viewers.iter().all(|viewer| {
        let named = now.addresses(viewer.city);
        match viewer.near_failing {
            true => !named.is_empty() && !named.contains(&far),
            false => named == [far],
        }
    })
}
