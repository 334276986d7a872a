//! The CronJob controller: a Job whenever the schedule says so (`cronjob_controllerv2.go` of the
//! real one).

use super::claim::controller_reference;
use super::job;
use super::status::{differs, holds};
use super::step::{Creation, Deletion, Note, Severity, Step, Write, after_secs, time};
use crate::clock::seconds;
use crate::cron::Schedule;
use crate::object::{annotation, is_deleting, list, name, namespace, uid};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

/// Table of CronJobs.
pub(crate) const TABLE: &str = "cronjobs.batch";
/// Annotation of Jobs: the time that they were made for.
const SCHEDULED: &str = "batch.kubernetes.io/cronjob-scheduled-timestamp";
/// Missed times looked through at most to find the last one.
const MISSED_MAX: usize = 100;

/// What a look at one CronJob sees.
#[derive(Debug, Clone, Copy)]
pub(crate) struct View<'a> {
    /// The CronJob.
    pub(crate) cron_job: &'a Value,
    /// Jobs that it controls.
    pub(crate) jobs: &'a [&'a Value],
    /// The present.
    pub(crate) now: Timestamp,
}

/// One look.
pub(crate) fn step(view: View<'_>) -> Step {
    let mut turn = Turn {
        status: view.cron_job["status"].clone(),
        active: list(&view.cron_job["status"]["active"]).to_vec(),
        step: Step::default(),
        notes: Vec::new(),
        view,
    };
    if !turn.status.is_object() {
        turn.status = json!({});
    }
    turn.follow_jobs();
    if !is_deleting(view.cron_job) {
        turn.forget_old("successfulJobsHistoryLimit", "Complete");
        turn.forget_old("failedJobsHistoryLimit", "Failed");
        turn.run_when_due();
    }
    turn.finish()
}

struct Turn<'a> {
    view: View<'a>,
    status: Value,
    active: Vec<Value>,
    step: Step,
    notes: Vec<Note>,
}

impl Turn<'_> {
    /// Brings `active`, `lastScheduleTime` and `lastSuccessfulTime` up to date.
    fn follow_jobs(&mut self) {
        for found in self.view.jobs {
            let is_listed = self.active.iter().any(|one| one["uid"] == *uid(found));
            let finished = job::is_finished(found);
            match (is_listed, self.scheduled(found)) {
                (true, _) if finished => {
                    self.active.retain(|one| one["uid"] != *uid(found));
                    let end = if holds(found, "Failed") {
                        "Failed"
                    } else {
                        "Complete"
                    };
                    let message = format!("Saw completed job: {}, condition: {end}", name(found));
                    self.note(Severity::Normal, "SawCompletedJob", message);
                }
                (false, Some(at)) if self.last().is_none_or(|last| last < at) => {
                    self.status["lastScheduleTime"] = json!(seconds(at));
                    if !finished {
                        self.active.push(reference(found));
                    }
                }
                (false, None) if !finished => {
                    let message = format!(
                        "Saw a job that the controller did not create or forgot: {}",
                        name(found)
                    );
                    self.note(Severity::Warning, "UnexpectedJob", message);
                }
                _ => {}
            }
            let completed = time(&found["status"]["completionTime"]);
            let known = time(&self.status["lastSuccessfulTime"]);
            if holds(found, "Complete") && completed > known {
                self.status["lastSuccessfulTime"] = found["status"]["completionTime"].clone();
            }
        }
        let jobs = self.view.jobs;
        let (there, missing): (Vec<Value>, Vec<Value>) = std::mem::take(&mut self.active)
            .into_iter()
            .partition(|one| jobs.iter().any(|job| one["uid"] == *uid(job)));
        self.active = there;
        for gone in missing {
            let gone = gone["name"].as_str().unwrap_or_default();
            let message = format!("Active job went missing: {gone}");
            self.note(Severity::Normal, "MissingJob", message);
        }
    }

    /// The time that one of the CronJob's own Jobs was made for.
    fn scheduled(&self, job: &Value) -> Option<Timestamp> {
        let at: Timestamp = annotation(job, SCHEDULED)?.parse().ok()?;
        (name(job) == job_name(self.view.cron_job, at)).then_some(at)
    }

    fn last(&self) -> Option<Timestamp> {
        time(&self.status["lastScheduleTime"])
    }

    /// Deletes finished Jobs beyond a limit, those that began first.
    fn forget_old(&mut self, limit: &str, end: &str) {
        let Some(limit) = self.view.cron_job["spec"][limit].as_u64() else {
            return;
        };
        let jobs = self.view.jobs.iter().copied();
        let mut ended: Vec<&Value> = jobs
            .filter(|job| holds(job, end) && !is_deleting(job))
            .collect();
        ended.sort_by_key(|job| (time(&job["status"]["startTime"]), name(job)));
        let surplus = ended
            .len()
            .saturating_sub(usize::try_from(limit).unwrap_or(usize::MAX));
        for job in ended.into_iter().take(surplus) {
            self.delete(job);
        }
    }

    fn delete(&mut self, job: &Value) {
        self.active.retain(|one| one["uid"] != *uid(job));
        self.step.push(Write::Delete(Deletion::of(job::TABLE, job)));
        let message = format!("Deleted job {}", name(job));
        self.note(Severity::Normal, "SuccessfulDelete", message);
    }

    fn run_when_due(&mut self) {
        let spec = &self.view.cron_job["spec"];
        if spec["suspend"] == true {
            return;
        }
        let text = spec["schedule"].as_str().unwrap_or_default();
        let zone = spec["timeZone"].as_str().unwrap_or("UTC");
        let zone = match TimeZone::get(zone) {
            Ok(found) => found,
            Err(_) => {
                let message = format!("invalid timeZone: {zone:?}: unknown time zone {zone}");
                self.note(Severity::Warning, "UnknownTimeZone", message);
                return;
            }
        };
        let schedule = match Schedule::parse(text) {
            Ok(schedule) => schedule,
            Err(why) => {
                let message = format!("unparseable schedule: {text:?} : {why}");
                self.note(Severity::Warning, "UnparseableSchedule", message);
                return;
            }
        };
        if let Some(next) = schedule.next(self.view.now, &zone) {
            self.step.wake(next);
        }
        if let Some(due) = self.due(&schedule, &zone) {
            self.run(due, &zone);
        }
    }

    /// The last time since the last run that passed, unless its deadline did too.
    fn due(&mut self, schedule: &Schedule, zone: &TimeZone) -> Option<Timestamp> {
        let created = time(&self.view.cron_job["metadata"]["creationTimestamp"]);
        let mut since = self.last().or(created)?;
        let deadline = self.view.cron_job["spec"]["startingDeadlineSeconds"].as_i64();
        if let Some(secs) = deadline {
            since = since.max(after_secs(self.view.now, -secs));
        }
        let mut due = None;
        for _ in 0..MISSED_MAX {
            match schedule
                .next(since, zone)
                .filter(|next| *next <= self.view.now)
            {
                Some(next) => (due, since) = (Some(next), next),
                None => return due,
            }
        }
        let message = format!(
            "too many missed start times. Set or decrease .spec.startingDeadlineSeconds or check \
             clock skew: more than {MISSED_MAX}"
        );
        self.note(Severity::Warning, "TooManyMissedTimes", message);
        // So many were missed that the schedule is looked at from a moment ago.
        let span = schedule.next(since, zone)?.duration_since(since);
        let recent = self.view.now.saturating_sub(span).ok()?;
        schedule
            .next(recent, zone)
            .filter(|next| *next <= self.view.now)
            .or(due)
    }

    fn run(&mut self, due: Timestamp, zone: &TimeZone) {
        let own = job_name(self.view.cron_job, due);
        let exists = self.view.jobs.iter().any(|job| name(job) == own);
        if exists || self.last() == Some(due) {
            return;
        }
        let policy = self.view.cron_job["spec"]["concurrencyPolicy"].as_str();
        if policy == Some("Forbid") && !self.active.is_empty() {
            let message = "Not starting job because prior execution is running and concurrency \
                           policy is Forbid";
            self.note(Severity::Normal, "JobAlreadyActive", message.to_owned());
            return;
        }
        if policy == Some("Replace") {
            let runs = |job: &&&Value| self.active.iter().any(|one| one["uid"] == *uid(job));
            let running: Vec<&Value> = self.view.jobs.iter().filter(runs).copied().collect();
            running.into_iter().for_each(|job| self.delete(job));
        }
        let announce = Note::new(
            COMPONENT,
            self.view.cron_job,
            Severity::Normal,
            "SuccessfulCreate",
            "Created job ".to_owned(),
        );
        self.step.push(Write::Create(Creation {
            table: job::TABLE,
            object: job_from_template(self.view.cron_job, due, zone),
            announce: Some(announce),
        }));
    }

    fn note(&mut self, severity: Severity, reason: &'static str, message: String) {
        let note = Note::new(COMPONENT, self.view.cron_job, severity, reason, message);
        self.notes.push(note);
    }

    fn finish(mut self) -> Step {
        match (self.active.is_empty(), self.status.as_object_mut()) {
            (true, Some(status)) => drop(status.shift_remove("active")),
            _ => self.status["active"] = Value::Array(self.active),
        }
        if differs(&self.status, &self.view.cron_job["status"]) {
            let mut object = self.view.cron_job.clone();
            object["status"] = self.status;
            // First, so that a Job that was followed is never followed again.
            self.step
                .writes
                .insert(0, Write::UpdateStatus(TABLE, object));
        }
        self.step
            .writes
            .extend(self.notes.into_iter().map(Write::Event));
        self.step
    }
}

/// Who reports Events.
const COMPONENT: &str = "cronjob-controller";

/// The same for the same time, so that none is made twice.
fn job_name(cron_job: &Value, at: Timestamp) -> String {
    format!("{}-{}", name(cron_job), at.as_second().div_euclid(60))
}

fn job_from_template(cron_job: &Value, at: Timestamp, zone: &TimeZone) -> Value {
    let template = &cron_job["spec"]["jobTemplate"];
    let local = at.to_zoned(zone.clone());
    let shown = match local.offset().seconds() {
        0 => seconds(at),
        _ => local.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string(),
    };
    let mut annotations = template["metadata"]["annotations"].clone();
    annotations[SCHEDULED] = json!(shown);
    let mut metadata = json!({
        "name": job_name(cron_job, at),
        "namespace": namespace(cron_job),
        "annotations": annotations,
        "ownerReferences": [controller_reference(cron_job)],
    });
    if template["metadata"]["labels"].is_object() {
        metadata["labels"] = template["metadata"]["labels"].clone();
    }
    json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": template["spec"]})
}

fn reference(job: &Value) -> Value {
    json!({
        "apiVersion": "batch/v1",
        "kind": "Job",
        "name": name(job),
        "namespace": namespace(job),
        "uid": uid(job),
        "resourceVersion": job["metadata"]["resourceVersion"],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cron_job(policy: &str) -> Value {
        json!({"apiVersion": "batch/v1", "kind": "CronJob",
            "metadata": {"name": "c", "namespace": "n", "uid": "c",
                "creationTimestamp": "2026-01-01T00:00:30Z"},
            "spec": {"schedule": "* * * * *", "concurrencyPolicy": policy,
                "successfulJobsHistoryLimit": 1, "failedJobsHistoryLimit": 1,
                "jobTemplate": {"metadata": {"labels": {"a": "b"}}, "spec": {"template": {}}}}})
    }

    fn look(cron_job: &Value, jobs: &[Value], now: &str) -> Step {
        let jobs: Vec<&Value> = jobs.iter().collect();
        step(View {
            cron_job,
            jobs: &jobs,
            now: now.parse().unwrap(),
        })
    }

    fn created(step: &Step) -> Option<Value> {
        step.writes.iter().find_map(|write| match write {
            Write::Create(creation) => {
                let mut job = creation.object.clone();
                job["metadata"]["uid"] = job["metadata"]["name"].clone();
                Some(job)
            }
            _ => None,
        })
    }

    fn status(step: &Step) -> Option<Value> {
        step.writes.iter().find_map(|write| match write {
            Write::UpdateStatus(_, object) => Some(object["status"].clone()),
            _ => None,
        })
    }

    #[test]
    fn a_job_is_made_at_its_minute_and_named_after_it() {
        let own = cron_job("Allow");
        let early = look(&own, &[], "2026-01-01T00:00:59Z");
        assert_eq!(created(&early), None);
        assert_eq!(early.wake_at, Some("2026-01-01T00:01:00Z".parse().unwrap()));
        let job = created(&look(&own, &[], "2026-01-01T00:01:00Z")).unwrap();
        assert_eq!(job["metadata"]["name"], "c-29453761");
        assert_eq!(job["metadata"]["labels"], json!({"a": "b"}));
        assert_eq!(
            job["metadata"]["annotations"][SCHEDULED],
            "2026-01-01T00:01:00Z"
        );
        let next = look(&own, std::slice::from_ref(&job), "2026-01-01T00:01:01Z");
        assert_eq!(created(&next), None);
        let status = status(&next).unwrap();
        assert_eq!(status["lastScheduleTime"], "2026-01-01T00:01:00Z");
        assert_eq!(status["active"][0]["name"], "c-29453761");
    }

    #[test]
    fn a_running_job_forbids_or_gives_way() {
        let running = created(&look(&cron_job("Allow"), &[], "2026-01-01T00:01:00Z")).unwrap();
        for (policy, creates, deletes) in [
            ("Allow", true, false),
            ("Forbid", false, false),
            ("Replace", true, true),
        ] {
            let own = cron_job(policy);
            let step = look(&own, std::slice::from_ref(&running), "2026-01-01T00:02:00Z");
            assert_eq!(created(&step).is_some(), creates, "{policy}");
            let is_delete = |write: &Write| matches!(write, Write::Delete(_));
            assert_eq!(step.writes.iter().any(is_delete), deletes, "{policy}");
        }
    }

    #[test]
    fn a_time_that_is_too_long_past_is_missed() {
        let mut own = cron_job("Allow");
        own["spec"]["schedule"] = json!("0 * * * *");
        own["spec"]["startingDeadlineSeconds"] = json!(30);
        assert_eq!(created(&look(&own, &[], "2026-01-01T01:00:31Z")), None);
        assert!(created(&look(&own, &[], "2026-01-01T01:00:29Z")).is_some());
        own["spec"]["suspend"] = json!(true);
        let suspended = look(&own, &[], "2026-01-01T01:00:30Z");
        assert_eq!((created(&suspended), suspended.wake_at), (None, None));
    }

    #[test]
    fn only_the_last_of_many_missed_times_is_made_good() {
        let own = cron_job("Allow");
        let step = look(&own, &[], "2026-01-02T00:00:10Z");
        let job = created(&step).unwrap();
        assert_eq!(
            job["metadata"]["annotations"][SCHEDULED],
            "2026-01-02T00:00:00Z"
        );
    }

    #[test]
    fn finished_jobs_beyond_the_limit_go() {
        let finished = |minute: u32| {
            json!({"metadata": {"name": format!("c-{minute}"), "uid": minute.to_string()},
                "status": {"startTime": format!("2026-01-01T00:{minute:02}:00Z"),
                    "conditions": [{"type": "Complete", "status": "True"}]}})
        };
        let mut own = cron_job("Allow");
        own["spec"]["suspend"] = json!(true);
        let step = look(
            &own,
            &[finished(3), finished(1), finished(2)],
            "2026-01-01T01:00:00Z",
        );
        let gone: Vec<&str> = step
            .writes
            .iter()
            .filter_map(|write| match write {
                Write::Delete(deletion) => Some(deletion.name.as_str()),
                _ => None,
            })
            .collect();
        assert_eq!(gone, ["c-1", "c-2"]);
    }
}
