//! A clock that is set while the engine waits.

use crate::harness::*;
use meridian_steering::*;

#[test]
fn a_tick_that_comes_too_early_is_asked_for_again() {
    let mut replica = Replica::with(service(), three());
    let at = replica.wake.take().expect("something is due");
    assert!(at > replica.now);
    // The clock was set back: by it, the time has not come.
    replica.tell([Event::Tick]);
    assert_eq!(replica.wake, Some(at));
}
