//! A value, and those who wait until it changes, woken in the order in which they began to wait.
//!
//! `tokio::sync::watch` spreads its receivers over eight lists by chance, so that many threads do not
//! meet at one lock; whoever is woken first then differs from run to run, and no seed of tokio's
//! stable interface says otherwise. Here there is one list. The names are tokio's.
//!
//! # Guarantees
//! A receiver sees the newest value; values between two looks are not kept. Receivers that wait are
//! woken in the order in which they began to. A future that is dropped loses no news.
//! # Assumptions
//! No guard of a value is held while a value is sent, nor across an await.
//! # Caveats
//! All receivers meet at one lock: for tens of them, or thousands that are woken seldom.

use std::fmt;
use std::ops::Deref;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use tokio::sync::Notify;

/// A value that nobody has been told of, and who is told when it changes.
pub fn channel<T>(value: T) -> (Sender<T>, Receiver<T>) {
    let sender = Sender::new(value);
    let receiver = sender.subscribe();
    (sender, receiver)
}

/// Changes the value.
pub struct Sender<T> {
    shared: Arc<Shared<T>>,
}

/// Sees the value.
pub struct Receiver<T> {
    shared: Arc<Shared<T>>,
    /// The version that was looked at last.
    seen: u64,
}

/// Every sender is gone: nothing changes any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closed;

/// The value, as long as somebody looks at it.
pub struct Ref<'a, T> {
    state: RwLockReadGuard<'a, State<T>>,
}

struct Shared<T> {
    state: RwLock<State<T>>,
    /// Its waiters are woken first come, first served.
    changed: Notify,
    senders: AtomicUsize,
    receivers: AtomicUsize,
}

struct State<T> {
    value: T,
    /// Grows with every change.
    version: u64,
}

impl<T> Sender<T> {
    /// A value that nobody waits for yet.
    pub fn new(value: T) -> Self {
        let shared = Shared {
            state: RwLock::new(State { value, version: 0 }),
            changed: Notify::new(),
            senders: AtomicUsize::new(1),
            receivers: AtomicUsize::new(0),
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// Somebody who waits for what comes after the value of now.
    pub fn subscribe(&self) -> Receiver<T> {
        self.shared.receivers.fetch_add(1, Ordering::SeqCst);
        Receiver {
            seen: self.shared.read().version,
            shared: Arc::clone(&self.shared),
        }
    }

    /// The value of now.
    pub fn borrow(&self) -> Ref<'_, T> {
        Ref {
            state: self.shared.read(),
        }
    }

    /// Another value, told to all; gives back the one before.
    pub fn send_replace(&self, value: T) -> T {
        let mut before = value;
        self.send_modify(|now| std::mem::swap(now, &mut before));
        before
    }

    /// Changes the value, and tells all.
    pub fn send_modify(&self, change: impl FnOnce(&mut T)) {
        self.send_if_modified(|value| {
            change(value);
            true
        });
    }

    /// Changes the value, and tells all where that says that it did; whether it did.
    pub fn send_if_modified(&self, change: impl FnOnce(&mut T) -> bool) -> bool {
        {
            let mut state = self.shared.write();
            if !change(&mut state.value) {
                return false;
            }
            state.version += 1;
        }
        self.shared.changed.notify_waiters();
        true
    }

    /// Whether nobody is there to be told.
    pub fn is_closed(&self) -> bool {
        self.shared.receivers.load(Ordering::SeqCst) == 0
    }
}

impl<T> Receiver<T> {
    /// The value of now, which stays unseen when it is.
    pub fn borrow(&self) -> Ref<'_, T> {
        Ref {
            state: self.shared.read(),
        }
    }

    /// The value of now; it counts as seen.
    pub fn borrow_and_update(&mut self) -> Ref<'_, T> {
        let state = self.shared.read();
        self.seen = state.version;
        Ref { state }
    }

    /// What there is now counts as seen.
    pub fn mark_unchanged(&mut self) {
        self.seen = self.shared.read().version;
    }

    /// Whether there is a value that was not seen.
    ///
    /// # Errors
    /// [`Closed`] when there is none and none will come.
    pub fn has_changed(&self) -> Result<bool, Closed> {
        // Asked first: the last value of a sender that goes is seen.
        let is_over = self.shared.is_over();
        let unseen = self.shared.read().version != self.seen;
        match unseen || !is_over {
            true => Ok(unseen),
            false => Err(Closed),
        }
    }

    /// Until there is a value that was not seen; it counts as seen then.
    ///
    /// # Errors
    /// [`Closed`] when none will come.
    pub async fn changed(&mut self) -> Result<(), Closed> {
        loop {
            // Whatever is told from here on wakes it.
            let told = self.shared.changed.notified();
            if self.has_changed()? {
                self.seen = self.shared.read().version;
                return Ok(());
            }
            told.await;
        }
    }

    /// Until the value is as it is wanted, which it may be now; it counts as seen then.
    ///
    /// # Errors
    /// [`Closed`] when it never will be.
    pub async fn wait_for(&mut self, mut wanted: impl FnMut(&T) -> bool) -> Result<(), Closed> {
        loop {
            // Asked first here too.
            let is_over = self.shared.is_over();
            if wanted(&self.borrow_and_update()) {
                return Ok(());
            }
            if is_over {
                return Err(Closed);
            }
            // An end is found by looking once more.
            let _ = self.changed().await;
        }
    }
}

impl<T> Shared<T> {
    fn is_over(&self) -> bool {
        self.senders.load(Ordering::SeqCst) == 0
    }

    // A change that panicked has left the value as it had made it until then.
    fn read(&self) -> RwLockReadGuard<'_, State<T>> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State<T>> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Deref for Ref<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.state.value
    }
}

impl<T: Default> Default for Sender<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        self.shared.senders.fetch_add(1, Ordering::SeqCst);
        Self {
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<T> Clone for Receiver<T> {
    fn clone(&self) -> Self {
        self.shared.receivers.fetch_add(1, Ordering::SeqCst);
        Self {
            shared: Arc::clone(&self.shared),
            seen: self.seen,
        }
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        if self.shared.senders.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.shared.changed.notify_waiters();
        }
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        self.shared.receivers.fetch_sub(1, Ordering::SeqCst);
    }
}

impl<T: fmt::Debug> fmt::Debug for Sender<T> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_tuple("Sender").field(&*self.borrow()).finish()
    }
}

impl<T: fmt::Debug> fmt::Debug for Receiver<T> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_tuple("Receiver").field(&*self.borrow()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;
    use std::sync::Mutex;

    #[tokio::test]
    async fn whoever_began_to_wait_first_is_woken_first() {
        let (sender, first) = channel(0);
        let woken = Arc::new(Mutex::new(Vec::new()));
        let mut waiting = Vec::new();
        for number in 0..40 {
            let (mut receiver, woken) = (first.clone(), Arc::clone(&woken));
            waiting.push(tokio::spawn(async move {
                receiver.changed().await.expect("the sender is there");
                woken.lock().expect("nobody panics").push(number);
            }));
        }
        // All of them wait before the value changes.
        tokio::task::yield_now().await;
        sender.send_replace(1);
        for task in waiting {
            task.await.expect("it ends");
        }
        let woken = woken.lock().expect("nobody panics");
        assert_eq!(*woken, (0..40).collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn a_change_is_news_once_and_what_came_before_is_none() {
        let (sender, mut receiver) = channel(1);
        assert_eq!(receiver.changed().now_or_never(), None, "it knows of that");
        assert_eq!(sender.send_replace(2), 1);
        assert!(!sender.send_if_modified(|_| false));
        assert_eq!(receiver.has_changed(), Ok(true));
        assert_eq!(receiver.changed().now_or_never(), Some(Ok(())));
        assert_eq!(receiver.changed().now_or_never(), None);
        sender.send_modify(|value| *value += 1);
        assert_eq!(*receiver.borrow_and_update(), 3);
        assert_eq!(receiver.changed().now_or_never(), None, "it was seen");
        sender.send_modify(|value| *value += 1);
        receiver.mark_unchanged();
        assert_eq!(receiver.has_changed(), Ok(false));
        assert_eq!(sender.subscribe().changed().now_or_never(), None);
    }

    #[tokio::test]
    async fn a_future_that_is_dropped_loses_no_news() {
        let (sender, mut receiver) = channel(1);
        {
            let mut waits = Box::pin(receiver.changed());
            assert_eq!(waits.as_mut().now_or_never(), None);
            sender.send_replace(2);
        }
        assert_eq!(receiver.changed().now_or_never(), Some(Ok(())));
    }

    #[tokio::test]
    async fn the_last_value_is_seen_and_then_the_end() {
        let (sender, mut receiver) = channel(1);
        let mut other = receiver.clone();
        let waits = tokio::spawn(async move { other.wait_for(|value| *value == 9).await });
        tokio::task::yield_now().await;
        let second = sender.clone();
        drop(sender);
        second.send_replace(2);
        assert_eq!(receiver.changed().await, Ok(()));
        second.send_replace(3);
        drop(second);
        assert_eq!(receiver.changed().await, Ok(()), "the last value");
        assert_eq!(receiver.changed().await, Err(Closed));
        assert_eq!(receiver.has_changed(), Err(Closed));
        assert_eq!(receiver.wait_for(|value| *value == 3).await, Ok(()));
        assert_eq!(waits.await.expect("it ends"), Err(Closed));
    }

    #[tokio::test]
    async fn a_value_is_waited_for_and_nobody_need_be_there() {
        let (sender, mut receiver) = channel(1);
        assert_eq!(receiver.wait_for(|value| *value == 1).await, Ok(()));
        let waits = tokio::spawn(async move { receiver.wait_for(|value| *value == 3).await });
        tokio::task::yield_now().await;
        sender.send_replace(2);
        sender.send_replace(3);
        assert_eq!(waits.await.expect("it ends"), Ok(()));
        assert!(sender.is_closed());
        sender.send_replace(4);
        assert_eq!(*sender.borrow(), 4);
    }
}
