//! A queue of keys: each at most once, some of them later, none worked on twice at a time.
//!
//! # Guarantees
//! A key that is added while it is worked on comes again afterwards. Its memory is one entry per
//! distinct key, however often that is added.
//! # Assumptions
//! Whoever took a key calls [`Queue::done`].
//! # Caveats
//! There is no order between keys beyond first come, first served.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

/// See the module.
pub(crate) struct Queue<K> {
    state: Mutex<State<K>>,
    changed: Notify,
}

struct State<K> {
    ready: VecDeque<K>,
    queued: HashSet<K>,
    running: HashSet<K>,
    again: HashSet<K>,
    /// When each delayed key is due.
    due: HashMap<K, Instant>,
    agenda: BTreeMap<Instant, BTreeSet<K>>,
}

impl<K: Clone + Eq + Hash + Ord> Queue<K> {
    pub(crate) fn new() -> Self {
        Self {
            state: Mutex::new(State {
                ready: VecDeque::new(),
                queued: HashSet::new(),
                running: HashSet::new(),
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
                    () = self.changed.notified() => {}
                    () = sleep_until(due) => {}
                },
            }
        }
    }

    /// A key that was taken is finished.
    pub(crate) fn done(&self, key: &K) {
        let mut state = self.lock();
        state.running.remove(key);
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
    fn add(&mut self, key: K) {
        self.forget_delay(&key);
        if self.running.contains(&key) {
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
        let key = self.ready.pop_front()?;
        self.queued.remove(&key);
        self.running.insert(key.clone());
        Some(key)
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
