//! Replies for one connection: the engine over the current snapshot, and the counters.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use dns::{Client, ReplyClass, Transport};

use crate::chance::Chance;
use crate::metrics::Counters;
use crate::server::{Shared, unix_secs};
use crate::update;

/// The first size of the buffer; it grows to the largest once that is needed.
const BYTES_FIRST: usize = 4096;

/// What one connection has for itself.
pub(crate) struct Replier {
    shared: Arc<Shared>,
    counters: Arc<Counters>,
    transport: Transport,
    peer: SocketAddr,
    chance: Chance,
    out: Vec<u8>,
}

impl Replier {
    /// One for a connection from `peer`, which counts as open until it is dropped.
    pub(crate) fn new(
        shared: &Arc<Shared>,
        counters: &Arc<Counters>,
        transport: Transport,
        peer: SocketAddr,
    ) -> Self {
        counters.connections.fetch_add(1, Ordering::Relaxed);
        Self {
            shared: Arc::clone(shared),
            counters: Arc::clone(counters),
            transport,
            peer,
            chance: Chance::new(),
            out: vec![0; BYTES_FIRST],
        }
    }

    /// Who is at the other end.
    pub(crate) fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// The messages of a zone's transfer, if that is what is asked for and allowed. They hold what
    /// they are made from, and are made one by one.
    pub(crate) fn transfer(&mut self, query: &[u8]) -> Option<dns::Messages> {
        let snapshot = self.shared.snapshots.load();
        let server = self.shared.server.load();
        let messages = dns::transfer(&snapshot, query, &self.client(), &server)?;
        self.counters.count_class(ReplyClass::Transfer);
        Some(messages)
    }

    /// The reply to an UPDATE, once it is known what became of it; `None` for anything else.
    pub(crate) async fn update(&mut self, query: &[u8]) -> Option<Vec<u8>> {
        if !dns::is_update(query) {
            return None;
        }
        let client = self.client();
        match update::stream(&self.shared, query, &client, &mut self.out) {
            Ok(reply) => {
                self.counters.count(&reply);
                (reply.len > 0).then(|| self.out[..reply.len].to_vec())
            }
            Err(answered) => {
                self.counters.count_class(ReplyClass::Update);
                answered.await.ok()
            }
        }
    }

    fn client(&mut self) -> Client {
        Client {
            source: self.peer.ip(),
            transport: self.transport,
            now_secs: unix_secs(),
            entropy: self.chance.next(),
        }
    }

    /// The bytes of a reply; `None` for what is no query.
    pub(crate) fn reply(&mut self, query: &[u8]) -> Option<Vec<u8>> {
        let client = self.client();
        let snapshot = self.shared.snapshots.load();
        let server = self.shared.server.load();
        let mut reply = dns::answer(&snapshot, query, &client, &server, &mut self.out);
        if reply.class == ReplyClass::Truncated && self.out.len() < dns::REPLY_BYTES_MAX {
            self.out.resize(dns::REPLY_BYTES_MAX, 0);
            reply = dns::answer(&snapshot, query, &client, &server, &mut self.out);
        }
        self.counters.count(&reply);
        if let Some(tap) = &self.shared.tap {
            tap.tell(&client, || self.peer, query, &self.out[..reply.len]);
        }
        (reply.len > 0).then(|| self.out[..reply.len].to_vec())
    }
}

impl Drop for Replier {
    fn drop(&mut self) {
        self.counters.connections.fetch_sub(1, Ordering::Relaxed);
    }
}
