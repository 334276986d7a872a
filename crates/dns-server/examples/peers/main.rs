//! This server beside those that others wrote: `peers [QUERIES]`, started by `tests/peers/dns`.
//!
//! | part | whom | what holds |
//! |---|---|---|
//! | compare | knotd, nsd, named | the same zones and queries give the same answers |
//! | resolver | unbound | clients of two networks get two answers through it, and its cache obeys scopes |
//! | kdig | kdig | UDP, TCP, TLS, HTTPS and QUIC, the certificate verified |
//! | load | dnsperf | no query over UDP, TCP and TLS is lost or fails |

mod compare;
mod kdig;
mod load;
mod ours;
mod resolver;
mod servers;
#[path = "../../src/split_mix.rs"]
mod split_mix;
mod zones;

use std::error::Error;
use std::path::PathBuf;

/// Whatever goes wrong ends the run.
pub(crate) type Fallible<T> = Result<T, Box<dyn Error>>;

/// The seed of zones and queries: the same run everywhere.
const SEED: u64 = 20_261_129;
/// Queries to each server, unless told otherwise.
const QUERIES: usize = 100_000;

#[tokio::main]
async fn main() -> Fallible<()> {
    let queries = match std::env::args().nth(1) {
        Some(text) => text.parse()?,
        None => QUERIES,
    };
    let folder = PathBuf::from(std::env::var_os("WORK").ok_or("WORK names no folder to write in")?);
    let made = zones::make(SEED);
    let ours = ours::start(&made, &folder)?;
    let plain = ours.plain();
    let (at, zones) = (folder.clone(), made.clone());
    let compared = tokio::task::spawn_blocking(move || {
        compare::run(&zones, queries, plain, &at).map_err(|why| why.to_string())
    });
    compared.await??;
    let at = folder.clone();
    let asked = ours.counter();
    let resolved = tokio::task::spawn_blocking(move || {
        resolver::run(plain, &at, &asked).map_err(|why| why.to_string())
    });
    resolved.await??;
    let (served, asked, at) = (kdig::served(&ours), ours.counter(), folder.clone());
    let dug = tokio::task::spawn_blocking(move || {
        kdig::run(&served, &at, &asked).map_err(|why| why.to_string())
    });
    dug.await??;
    let (tls, asked) = (ours.tls(), ours.counter());
    let loaded = tokio::task::spawn_blocking(move || {
        load::run(&made, plain, tls, &folder, &asked).map_err(|why| why.to_string())
    });
    loaded.await??;
    Ok(())
}

/// Says what holds.
pub(crate) fn say(what: &str) {
    eprintln!("  {what}");
}
