//! DNS replicas know each other's cookies.
//!
//! The leader keeps the keys in a Secret of the host, and every replica takes them from there: a
//! client that meets another replica behind the same address is known there (RFC 9018).

use crate::resolver::cookie;
use meridian_tests::control_plane::free_ports;
use meridian_tests::world::{PATIENCE, Run, World};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

scenarios! {
    shared: a_cookie_of_one_replica_is_good_at_another;
}

/// DNS gives no sign when keys change.
const ASK_AGAIN: Duration = Duration::from_millis(50);
const CLIENT: [u8; 8] = *b"a client";

async fn a_cookie_of_one_replica_is_good_at_another(world: &World, _: &str) {
    let replicas = free_ports::<2>().map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
    let one = world.run(&Run::dns("dns-one", replicas[0])).await;
    let two = world.run(&Run::dns("dns-two", replicas[1])).await;
    let deadline = Instant::now() + PATIENCE;
    loop {
        // A replica that does not know a cookie gives another.
        let given = cookie(replicas[0], &CLIENT).await;
        let kept = match &given {
            Some(given) => cookie(replicas[1], given).await,
            None => None,
        };
        if given.is_some() && given == kept {
            break;
        }
        assert!(Instant::now() < deadline, "{given:02x?} became {kept:02x?}");
        tokio::time::sleep(ASK_AGAIN).await;
    }
    one.stop();
    two.stop();
}
