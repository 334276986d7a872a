//! What one member holds of one type, as far as it carries our label.
//!
//! # Guarantees
//! An answer of the member to our own write is known at once, and an older event of the watch does
//! not take it back: versions are compared as numbers (KEP-5504). An answer that comes after the
//! event that tells that the object went does not bring it back either.
//! # Assumptions
//! One lane fills it; writers add what they were answered.
//! # Caveats
//! An object without our label is known only if a write met it, and for [`MET_FOR`] only: no watch
//! tells when it goes.

use super::sighting::{Sighting, version};
use federation::{Observed, Origin, Running};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use model::ObjectKey;
use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// How long an object that somebody else made is believed to be there.
pub(crate) const MET_FOR: Duration = Duration::from_secs(30);

/// How long an object's going is remembered at least: no answer takes that long.
const GONE_FOR: Duration = Duration::from_secs(30);
/// So many are kept without looking how old they are.
const GONE_MAX: usize = 1024;

/// See the module.
#[derive(Default)]
pub(crate) struct Cache {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Whether a first list is complete, so that what is not here is not there.
    synced: bool,
    /// Whether the member does not serve the type at all.
    not_served: bool,
    /// Why it lets us not read the type.
    denied: Option<String>,
    objects: HashMap<ObjectKey, Sighting>,
    /// Objects without our label, met by a write, and until when they are believed.
    met: HashMap<ObjectKey, (Sighting, Instant)>,
    /// Keys of the list that is under way.
    listed: Option<BTreeSet<ObjectKey>>,
    /// At which version objects went, and when that was told: an answer to our own write may come
    /// after the event that tells of what became of it since.
    gone: HashMap<ObjectKey, (u64, Instant)>,
    /// With so many, old ones are forgotten.
    gone_max: usize,
}

/// Whether a member holds an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Presence {
    Present,
    /// It is being deleted.
    Leaving,
    Absent,
    /// The first list is not complete.
    Unknown,
}

/// What an event changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// Nothing that was not known.
    None,
    /// An object that was there.
    Changed,
    /// The status of an object that was there, and hardly more: others follow while a workload
    /// rolls out.
    Progress,
    /// An object that was not.
    Appeared,
}

impl Cache {
    /// What the member holds under a key.
    pub(crate) fn observe(&self, key: &ObjectKey) -> Observed {
        match self.lock().find(key) {
            Found::Present(sighting) => Observed::Present(Box::new(sighting.live())),
            Found::Absent => Observed::Absent,
            Found::Unknown => Observed::Unknown,
        }
    }

    /// Whether the member holds something under a key.
    pub(crate) fn presence(&self, key: &ObjectKey) -> Presence {
        match self.lock().find(key) {
            Found::Present(sighting) if sighting.is_deleting() => Presence::Leaving,
            Found::Present(_) => Presence::Present,
            Found::Absent => Presence::Absent,
            Found::Unknown => Presence::Unknown,
        }
    }

    /// What the member runs under a key; an object that is not there runs none.
    pub(crate) fn running(&self, key: &ObjectKey) -> Running {
        let state = self.lock();
        match state.objects.get(key) {
            Some(sighting) => sighting.running(),
            None if state.synced => Running::Known {
                replicas: 0,
                ready: 0,
            },
            None => Running::Unknown,
        }
    }

    /// How many objects with our label there are.
    pub(crate) fn held(&self) -> usize {
        self.lock().objects.len()
    }

    /// How many objects count, by their origin, once a list is complete.
    pub(crate) fn count(&self, counts: impl Fn(&ObjectKey, &Origin) -> bool) -> usize {
        let state = self.lock();
        if !state.synced {
            return 0;
        }
        let origins = state
            .objects
            .iter()
            .filter_map(|(key, sighting)| Some((key, sighting.origin()?)));
        origins.filter(|(key, origin)| counts(key, origin)).count()
    }

    /// Whether the member was found not to serve the type.
    pub(crate) fn is_not_served(&self) -> bool {
        self.lock().not_served
    }

    /// Why the member lets us not read the type.
    pub(crate) fn denied(&self) -> Option<String> {
        self.lock().denied.clone()
    }

    /// A plan found the object of this version to be exactly what was rendered. What was seen since
    /// is not what was planned.
    pub(crate) fn settle(&self, key: &ObjectKey, version: &str) {
        if let Some(sighting) = self.lock().objects.get_mut(key)
            && sighting.is_of_version(version)
        {
            sighting.settle();
        }
    }

    /// The member answered a write of ours with this: it is exact, and so is what was seen since
    /// while our entry in it is the same.
    pub(crate) fn take_answer(&self, key: &ObjectKey, mut written: Sighting) -> Change {
        written.settle();
        self.take(key, written)
    }

    /// Whether an event tells nothing: the object is known so, or as it became since.
    pub(crate) fn knows(&self, key: &ObjectKey, metadata: &ObjectMeta) -> bool {
        let mut state = self.lock();
        let known = state.objects.get(key);
        let knows = known.is_some_and(|known| {
            known.uid() == metadata.uid.as_deref().unwrap_or_default()
                && known.version() >= version(metadata)
        });
        if knows && let Some(listed) = &mut state.listed {
            listed.insert(key.clone());
        }
        knows
    }

    /// The watch, or an answer, shows an object with our label.
    pub(crate) fn take(&self, key: &ObjectKey, mut seen: Sighting) -> Change {
        let mut state = self.lock();
        if state.has_gone(key, seen.version()) {
            return Change::None;
        }
        if let Some(listed) = &mut state.listed {
            listed.insert(key.clone());
        }
        state.met.remove(key);
        match state.objects.get_mut(key) {
            None => {
                state.objects.insert(key.clone(), seen);
                Change::Appeared
            }
            Some(known) if known.uid() == seen.uid() && known.version() >= seen.version() => {
                known.learn_from(&seen);
                Change::None
            }
            Some(known) => {
                seen.learn_from(known);
                let change = match seen.is_progress_of(known) {
                    true => Change::Progress,
                    false => Change::Changed,
                };
                state.objects.insert(key.clone(), seen);
                change
            }
        }
    }

    /// A write met an object without our label.
    pub(crate) fn meet(&self, key: &ObjectKey, seen: Sighting) {
        let mut state = self.lock();
        state.objects.remove(key);
        state
            .met
            .insert(key.clone(), (seen, Instant::now() + MET_FOR));
    }

    /// The object is gone, or has lost our label. An event that is older than what is known of a
    /// new object of that name takes nothing away.
    pub(crate) fn remove(&self, key: &ObjectKey, version: u64) -> Change {
        let mut state = self.lock();
        state.met.remove(key);
        state.note_gone(key, version);
        match state.objects.get(key) {
            Some(known) if known.version() <= version || version == 0 => {
                state.objects.remove(key);
                Change::Changed
            }
            _ => Change::None,
        }
    }

    /// A list begins.
    pub(crate) fn begin_list(&self) {
        self.lock().listed = Some(BTreeSet::new());
    }

    /// A list is complete: what was not in it is gone. The keys of what went.
    pub(crate) fn end_list(&self) -> Vec<ObjectKey> {
        let mut state = self.lock();
        state.synced = true;
        state.not_served = false;
        state.denied = None;
        let listed = state.listed.take().unwrap_or_default();
        let gone: Vec<ObjectKey> = state
            .objects
            .keys()
            .filter(|key| !listed.contains(*key))
            .cloned()
            .collect();
        for key in &gone {
            state.objects.remove(key);
        }
        gone
    }

    /// The member does not serve the type: nothing of it is there.
    pub(crate) fn not_served(&self) {
        let mut state = self.lock();
        state.not_served = true;
        state.denied = None;
        state.synced = true;
        state.objects.clear();
    }

    /// The member does not let us read the type. What was seen of it before is still believed; whether
    /// that is news.
    pub(crate) fn deny(&self, why: String) -> bool {
        let mut state = self.lock();
        let is_news = state.denied.as_ref() != Some(&why);
        state.denied = Some(why);
        is_news
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An object in what is kept.
enum Found<'a> {
    Present(&'a Sighting),
    Absent,
    Unknown,
}

impl State {
    fn find(&self, key: &ObjectKey) -> Found<'_> {
        if let Some(sighting) = self.objects.get(key) {
            return Found::Present(sighting);
        }
        match self.met.get(key) {
            Some((sighting, until)) if Instant::now() < *until => Found::Present(sighting),
            _ if self.synced => Found::Absent,
            _ => Found::Unknown,
        }
    }

    /// Whether the object of that name is known to have gone after it had this version.
    fn has_gone(&self, key: &ObjectKey, version: u64) -> bool {
        let gone = self.gone.get(key);
        version != 0 && gone.is_some_and(|(at, _)| version <= *at)
    }

    fn note_gone(&mut self, key: &ObjectKey, version: u64) {
        if version == 0 {
            return;
        }
        let now = Instant::now();
        if self.gone.len() >= self.gone_max.max(GONE_MAX) {
            self.gone.retain(|_, (_, told)| now - *told < GONE_FOR);
            self.gone_max = self.gone.len() * 2;
        }
        let gone = self.gone.entry(key.clone()).or_insert((version, now));
        *gone = (version.max(gone.0), now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use federation::OwnedFields;
    use serde_json::json;

    fn sighting(uid: &str, version: u64) -> Sighting {
        let metadata = json!({"uid": uid, "resourceVersion": version.to_string()});
        Sighting::of(&serde_json::from_value(metadata).unwrap(), None)
    }

    fn version_of(cache: &Cache, key: &ObjectKey) -> Option<String> {
        match cache.observe(key) {
            Observed::Present(live) => Some(live.resource_version),
            _ => None,
        }
    }

    #[test]
    fn a_status_alone_is_progress_and_everything_else_is_a_change() {
        let cache = Cache::default();
        let key = ObjectKey::new("shop", "web");
        let seen = |version: u64, generation: Option<i64>, ready: i64| {
            let metadata = ObjectMeta {
                uid: Some("u".to_owned()),
                resource_version: Some(version.to_string()),
                generation,
                ..ObjectMeta::default()
            };
            Sighting::of(
                &metadata,
                Some(&json!({"status": {"readyReplicas": ready}})),
            )
        };
        assert_eq!(cache.take(&key, seen(1, Some(1), 0)), Change::Appeared);
        assert_eq!(cache.take(&key, seen(2, Some(1), 1)), Change::Progress);
        assert_eq!(cache.take(&key, seen(3, Some(2), 2)), Change::Changed);
        assert_eq!(
            cache.take(&key, seen(4, Some(2), 2)),
            Change::Changed,
            "a label may be gone"
        );
        cache.take(&key, seen(5, None, 2));
        assert_eq!(
            cache.take(&key, seen(6, None, 3)),
            Change::Changed,
            "its kind does not count its spec"
        );
    }

    #[test]
    fn an_older_event_does_not_take_an_answer_back() {
        let (cache, key) = (Cache::default(), ObjectKey::new("ns", "n"));
        assert_eq!(cache.observe(&key), Observed::Unknown);
        assert_eq!(cache.take(&key, sighting("u", 9)), Change::Appeared);
        assert_eq!(cache.take(&key, sighting("u", 7)), Change::None);
        assert_eq!(version_of(&cache, &key).as_deref(), Some("9"));
        assert_eq!(cache.take(&key, sighting("u", 10)), Change::Changed);
        assert_eq!(cache.remove(&key, 8), Change::None);
        assert_eq!(cache.remove(&key, 11), Change::Changed);
    }

    #[test]
    fn an_answer_that_comes_after_the_object_went_does_not_bring_it_back() {
        let (cache, key) = (Cache::default(), ObjectKey::new("ns", "n"));
        cache.begin_list();
        cache.take(&key, sighting("u", 7));
        cache.end_list();
        // The deletion is version 9 and what the watch tells first; its answer has version 8.
        assert_eq!(cache.remove(&key, 9), Change::Changed);
        assert_eq!(cache.take(&key, sighting("u", 8)), Change::None);
        assert_eq!(cache.observe(&key), Observed::Absent);
        // Another one of that name is news, and an older end of the first takes nothing from it.
        assert_eq!(cache.take(&key, sighting("v", 10)), Change::Appeared);
        assert_eq!(cache.remove(&key, 9), Change::None);
        assert_eq!(version_of(&cache, &key).as_deref(), Some("10"));
    }

    /// An object with our hash, and in our entry a label, unless somebody took that.
    fn owned(version: u64, label: Option<&str>) -> Sighting {
        rendered("h", version, label)
    }

    fn rendered(hash: &str, version: u64, label: Option<&str>) -> Sighting {
        let labels = label.map_or(json!({}), |label| json!({format!("f:{label}"): {}}));
        let metadata = json!({"uid": "u", "resourceVersion": version.to_string(),
            "annotations": {"meridian.dev/applied-hash": hash},
            "managedFields": [{"manager": "meridian", "operation": "Apply", "apiVersion": "v1",
                "fieldsV1": {"f:metadata": {"f:labels": labels}}}]});
        Sighting::of(&serde_json::from_value(metadata).unwrap(), None)
    }

    fn is_exact(cache: &Cache, key: &ObjectKey) -> bool {
        match cache.observe(key) {
            Observed::Present(live) => matches!(live.owned, OwnedFields::Exact { .. }),
            _ => false,
        }
    }

    #[test]
    fn what_changed_after_it_was_planned_is_not_settled_with_it() {
        let (cache, key) = (Cache::default(), ObjectKey::new("ns", "n"));
        cache.take(&key, owned(5, Some("app")));
        cache.take(&key, owned(6, None));
        cache.settle(&key, "5");
        assert!(!is_exact(&cache, &key), "somebody took the label meanwhile");
        cache.settle(&key, "6");
        assert!(is_exact(&cache, &key));
    }

    #[test]
    fn what_changed_before_a_write_was_answered_is_not_settled_with_it() {
        let (cache, key) = (Cache::default(), ObjectKey::new("ns", "n"));
        cache.take(&key, owned(6, None));
        cache.take_answer(&key, owned(5, Some("app")));
        assert!(!is_exact(&cache, &key), "somebody took the label meanwhile");
        cache.take(&key, owned(7, Some("app")));
        cache.take_answer(&key, owned(5, Some("app")));
        assert!(is_exact(&cache, &key), "only something else changed");
    }

    #[test]
    fn another_rendering_with_the_same_fields_is_exact_once_it_was_answered() {
        let (cache, key) = (Cache::default(), ObjectKey::new("ns", "n"));
        cache.take(&key, rendered("first", 5, Some("app")));
        cache.settle(&key, "5");
        // The watch may be faster than the answer.
        cache.take(&key, rendered("second", 6, Some("app")));
        assert!(!is_exact(&cache, &key), "nobody has planned it yet");
        cache.take_answer(&key, rendered("second", 6, Some("app")));
        let Observed::Present(live) = cache.observe(&key) else {
            panic!("it is there");
        };
        let rendered_hash = "second".to_owned();
        assert_eq!(live.owned, OwnedFields::Exact { rendered_hash });
    }

    #[test]
    fn an_event_of_what_is_known_tells_nothing_and_counts_as_listed() {
        let (cache, key) = (Cache::default(), ObjectKey::new("ns", "n"));
        let metadata = |uid: &str, version: u64| -> ObjectMeta {
            let metadata = json!({"uid": uid, "resourceVersion": version.to_string()});
            serde_json::from_value(metadata).unwrap()
        };
        assert!(!cache.knows(&key, &metadata("u", 5)), "nothing is known");
        cache.take_answer(&key, sighting("u", 6));
        cache.begin_list();
        assert!(cache.knows(&key, &metadata("u", 6)));
        assert!(cache.knows(&key, &metadata("u", 5)));
        assert!(!cache.knows(&key, &metadata("u", 7)));
        assert!(!cache.knows(&key, &metadata("v", 6)), "made anew");
        assert!(cache.end_list().is_empty());
        assert_eq!(cache.presence(&key), Presence::Present);
    }

    #[test]
    fn what_a_list_does_not_name_is_gone() {
        let cache = Cache::default();
        let (stays, goes) = (ObjectKey::new("ns", "stays"), ObjectKey::new("ns", "goes"));
        for key in [&stays, &goes] {
            cache.take(key, sighting("u", 1));
        }
        cache.begin_list();
        cache.take(&stays, sighting("u", 1));
        assert_eq!(cache.end_list().first(), Some(&goes));
        assert_eq!(cache.observe(&goes), Observed::Absent);
        assert!(version_of(&cache, &stays).is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn an_object_of_somebody_else_is_believed_for_a_while() {
        let (cache, key) = (Cache::default(), ObjectKey::new("ns", "n"));
        cache.begin_list();
        cache.end_list();
        cache.meet(&key, sighting("u", 1));
        assert!(version_of(&cache, &key).is_some());
        tokio::time::advance(MET_FOR).await;
        assert_eq!(cache.observe(&key), Observed::Absent);
    }
}
