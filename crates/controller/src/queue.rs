//! A queue of keys: each at most once, some of them later, none worked on twice at a time.
//!
//! # Guarantees
//! A key that is added while it is worked on comes again afterwards. Its memory is one entry per
//! distinct key, however often that is added. Spare keys come when nothing more urgent is to be
//! done, and however busy the queue is, one turn in [`SPARE_EVERY`] is theirs.
//! # Assumptions
//! Whoever took a key calls [`Queue::done`].
//! # Caveats
//! There is no order between keys beyond first come, first served.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

/// Spare keys that are worked on while others are: one, so that these have the host's time.
const SPARE_BESIDE_MAX: usize = 1;
/// Spare keys that are worked on when nothing else is: whoever comes next finds the host at leisure.
const SPARE_MAX: usize = 16;
/// With more keys than that under way, what is not urgent waits.
const QUIET_MAX: usize = 4;
/// One turn in so many is a spare key's, so that none waits for ever.
const SPARE_EVERY: u64 = 64;

/// See the module.
pub(crate) struct Queue<K> {
    state: Mutex<State<K>>,
    changed: Notify,
}

struct State<K> {
    ready: VecDeque<K>,
    queued: HashSet<K>,
    /// What waits until there is time.
    spare: VecDeque<K>,
    spared: HashSet<K>,
    running: HashMap<K, Urgency>,
    /// How many of those are urgent.
    urgent: usize,
    /// How many keys were taken.
    taken: u64,
    again: HashSet<K>,
    /// When each delayed key is due.
    due: HashMap<K, Instant>,
    agenda: BTreeMap<Instant, BTreeSet<K>>,
}

/// Why a key was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Urgency {
    Asked,
    Spare,
}

impl<K: Clone + Eq + Hash + Ord> Queue<K> {
    pub(crate) fn new() -> Self {
        Self {
            state: Mutex::new(State {
                ready: VecDeque::new(),
                queued: HashSet::new(),
                spare: VecDeque::new(),
                spared: HashSet::new(),
                running: HashMap::new(),
                urgent: 0,
                taken: 0,
                again: HashSet::new(),
                due: HashMap::new(),
                agenda: BTreeMap::new(),
            }),
            changed: Notify::new(),
        }
    }

    /// To be worked on as soon as possible.
    pub(crate) fn add(&self, key: K) {
        self.lock().add(key);
        self.changed.notify_one();
    }

    /// To be worked on at a time, or earlier if somebody asks for that.
    pub(crate) fn add_at(&self, key: K, at: Instant) {
        self.lock().delay(key, at);
        self.changed.notify_one();
    }

    /// To be worked on when there is time, or earlier if somebody asks for that.
    pub(crate) fn add_spare(&self, key: K) {
        let mut state = self.lock();
        if !state.queued.contains(&key) && state.spared.insert(key.clone()) {
            state.spare.push_back(key);
        }
        drop(state);
        self.changed.notify_one();
    }

    /// Whether a key that was taken may leave to [`Queue::add_spare`] what is not urgent: others
    /// are being worked on, and it was asked for itself.
    pub(crate) fn may_wait(&self, key: &K) -> bool {
        let state = self.lock();
        state.running.get(key) == Some(&Urgency::Asked) && state.is_busy()
    }

    /// Whether there is so much to do that what is not urgent should wait.
    pub(crate) fn is_busy(&self) -> bool {
        self.lock().is_busy()
    }

    /// The next key; waits for one.
    pub(crate) async fn next(&self) -> K {
        loop {
            let due = {
                let mut state = self.lock();
                state.advance(Instant::now());
                if let Some(key) = state.take() {
                    return key;
                }
                state.agenda.keys().next().copied()
            };
            match due {
                None => self.changed.notified().await,
                Some(due) => tokio::select! {
                    biased;
                    () = self.changed.notified() => {}
                    () = sleep_until(due) => {}
                },
            }
        }
    }

    /// A key that was taken is finished.
    pub(crate) fn done(&self, key: &K) {
        let mut state = self.lock();
        if state.running.remove(key) == Some(Urgency::Asked) {
            state.urgent -= 1;
        }
        if state.again.remove(key) {
            state.add(key.clone());
        }
        drop(state);
        self.changed.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, State<K>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Clone + Eq + Hash + Ord> State<K> {
    fn is_busy(&self) -> bool {
        !self.ready.is_empty() || self.urgent > QUIET_MAX
    }

    fn add(&mut self, key: K) {
        self.forget_delay(&key);
        if self.running.contains_key(&key) {
            self.again.insert(key);
        } else if self.queued.insert(key.clone()) {
            self.ready.push_back(key);
        }
    }

    fn delay(&mut self, key: K, at: Instant) {
        if self.queued.contains(&key) || self.due.get(&key).is_some_and(|due| *due <= at) {
            return;
        }
        self.forget_delay(&key);
        self.agenda.entry(at).or_default().insert(key.clone());
        self.due.insert(key, at);
    }

    fn forget_delay(&mut self, key: &K) {
        let Some(due) = self.due.remove(key) else {
            return;
        };
        if let Some(keys) = self.agenda.get_mut(&due) {
            keys.remove(key);
            if keys.is_empty() {
                self.agenda.remove(&due);
            }
        }
    }

    /// Moves what is due to the ready keys.
    fn advance(&mut self, now: Instant) {
        while let Some(entry) = self.agenda.first_entry()
            && *entry.key() <= now
        {
            for key in entry.remove() {
                self.due.remove(&key);
                self.add(key);
            }
        }
    }

    fn take(&mut self) -> Option<K> {
        let (key, urgency) = match self.take_spare() {
            Some(key) => (key, Urgency::Spare),
            None => (self.ready.pop_front()?, Urgency::Asked),
        };
        self.queued.remove(&key);
        self.running.insert(key.clone(), urgency);
        self.urgent += usize::from(urgency == Urgency::Asked);
        self.taken += 1;
        Some(key)
    }

    /// A spare key, when it is its turn.
    fn take_spare(&mut self) -> Option<K> {
        let beside = self.running.len() - self.urgent;
        let room = match self.urgent {
            0 => SPARE_MAX,
            1..=QUIET_MAX => SPARE_BESIDE_MAX,
            _ => 0,
        };
        let has_time = self.ready.is_empty() && beside < room;
        if !has_time && !self.taken.is_multiple_of(SPARE_EVERY) {
            return None;
        }
        // Whoever works on one that was asked for in the meantime sees to all of it.
        while let Some(key) = self.spare.pop_front() {
            self.spared.remove(&key);
            if !self.queued.contains(&key) && !self.running.contains_key(&key) {
                self.forget_delay(&key);
                return Some(key);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[tokio::test(start_paused = true)]
    async fn a_key_is_queued_once_and_comes_again_when_added_while_it_runs() {
        let queue = Queue::new();
        queue.add("a");
        queue.add("a");
        assert_eq!(queue.next().await, "a");
        queue.add("a");
        queue.done(&"a");
        assert_eq!(queue.next().await, "a");
        queue.done(&"a");
        let next = tokio::time::timeout(Duration::from_secs(60), queue.next());
        assert!(next.await.is_err(), "nothing is left");
    }

    #[tokio::test(start_paused = true)]
    async fn what_can_wait_comes_when_nothing_is_asked_for_and_one_turn_in_so_many_before() {
        let queue = Queue::new();
        let turns = SPARE_EVERY;
        (0..2 * turns).for_each(|key| queue.add(key));
        assert_eq!(queue.next().await, 0);
        assert!(queue.may_wait(&0), "others are asked for");
        queue.done(&0);
        queue.add_spare(0);
        queue.add_spare(0);
        let mut taken = Vec::new();
        for _ in 0..2 * turns {
            let key = queue.next().await;
            queue.done(&key);
            taken.push(key);
        }
        let turn = usize::try_from(turns).unwrap() - 1;
        assert_eq!(taken[turn], 0, "{taken:?}");
        assert_eq!(taken[turn + 1], turns);

        queue.add_spare(7);
        assert_eq!(queue.next().await, 7);
        assert!(!queue.may_wait(&7), "its time has come");
        queue.add(7);
        queue.done(&7);
        assert_eq!(queue.next().await, 7, "it was asked for meanwhile");
        assert!(!queue.may_wait(&7), "it is alone");
    }

    #[tokio::test(start_paused = true)]
    async fn spare_keys_wait_while_many_urgent_ones_are_worked_on() {
        let queue = Queue::new();
        for key in 0..=QUIET_MAX {
            queue.add(key);
            assert_eq!(queue.next().await, key);
        }
        queue.add_spare(100);
        let next = tokio::time::timeout(Duration::from_secs(60), queue.next());
        assert!(next.await.is_err(), "the system is not quiet");
        queue.done(&0);
        assert_eq!(queue.next().await, 100);
    }

    #[tokio::test(start_paused = true)]
    async fn few_spare_keys_are_worked_on_beside_urgent_ones() {
        let queue = Queue::new();
        queue.add(100);
        assert_eq!(queue.next().await, 100);
        (0..10).for_each(|key| queue.add_spare(key));
        for key in 0..SPARE_BESIDE_MAX {
            assert_eq!(queue.next().await, key);
        }
        let next = tokio::time::timeout(Duration::from_secs(60), queue.next());
        assert!(next.await.is_err(), "an urgent one is being worked on");
        queue.done(&100);
        assert_eq!(queue.next().await, SPARE_BESIDE_MAX);
    }

    #[tokio::test(start_paused = true)]
    async fn many_spare_keys_are_worked_on_alone_and_not_all() {
        let queue = Queue::new();
        (0..=SPARE_MAX).for_each(|key| queue.add_spare(key));
        for key in 0..SPARE_MAX {
            assert_eq!(queue.next().await, key);
        }
        let next = tokio::time::timeout(Duration::from_secs(60), queue.next());
        assert!(next.await.is_err(), "enough are being worked on");
        queue.done(&0);
        assert_eq!(queue.next().await, SPARE_MAX);
    }

    #[tokio::test(start_paused = true)]
    async fn a_delayed_key_comes_at_its_time_and_earlier_when_asked() {
        let queue = Queue::new();
        let began = Instant::now();
        queue.add_at("late", began + Duration::from_secs(60));
        queue.add_at("late", began + Duration::from_secs(5));
        queue.add_at("late", began + Duration::from_secs(30));
        assert_eq!(queue.next().await, "late");
        assert_eq!(began.elapsed(), Duration::from_secs(5));
        queue.done(&"late");
        queue.add_at("late", began + Duration::from_secs(60));
        queue.add("late");
        assert_eq!(queue.next().await, "late");
        assert_eq!(began.elapsed(), Duration::from_secs(5));
    }
}
