//! UPDATE (RFC 2136): what may change something is handed to whoever keeps it; its reply goes back the
//! way it came, whenever it is known.
//!
//! # Guarantees
//! No thread and no other client waits for it. What is malformed, unsigned or not allowed is answered
//! at once, and handed to nobody.
//! # Caveats
//! With [`UPDATES_MAX`] under way another one gets SERVFAIL, and is to be tried again.

use std::net::UdpSocket;
use std::sync::Arc;

use dns::{Client, Reply, ReplyClass, Requested, UpdateCode};
use tokio::sync::{mpsc, oneshot};

use crate::batch::Back;
use crate::server::{Shared, unix_secs};

/// Changes that wait, at most.
pub const UPDATES_MAX: usize = 64;

/// A change that somebody with a key asks for.
pub struct UpdateRequest {
    update: Box<dns::Update>,
    way: Way,
}

/// Where the reply goes.
enum Way {
    Datagram(Arc<UdpSocket>, Box<Back>),
    Stream(oneshot::Sender<Vec<u8>>),
}

impl UpdateRequest {
    /// What is asked for.
    pub fn update(&self) -> &dns::Update {
        &self.update
    }

    /// Tells what became of it.
    pub fn answer(self, code: UpdateCode) {
        let reply = self.update.reply(code, unix_secs());
        match self.way {
            // What the socket has no room for is lost, as any reply: it is asked for again.
            Way::Datagram(socket, back) => back.send(&socket, &reply),
            // A client that has gone hears nothing.
            Way::Stream(sender) => drop(sender.send(reply)),
        }
    }
}

/// Answers an UPDATE that came as a datagram, or hands it on.
#[cold]
pub(crate) fn datagram(
    shared: &Shared,
    message: &[u8],
    client: &Client,
    socket: &Arc<UdpSocket>,
    back: Back,
    out: &mut [u8],
) -> Reply {
    match read(shared, message, client, out) {
        Asked::Answered(reply) => reply,
        Asked::HandOn(updates, update) => {
            let way = Way::Datagram(Arc::clone(socket), Box::new(back));
            hand_on(&updates, UpdateRequest { update, way });
            Reply {
                len: 0,
                class: ReplyClass::Update,
                origin: dns::Origin::Proven,
                rcode: 0,
                zone: 0,
            }
        }
    }
}

/// The same for one that came over a stream.
pub(crate) fn stream(
    shared: &Shared,
    message: &[u8],
    client: &Client,
    out: &mut [u8],
) -> Result<Reply, oneshot::Receiver<Vec<u8>>> {
    match read(shared, message, client, out) {
        Asked::Answered(reply) => Ok(reply),
        Asked::HandOn(updates, update) => {
            let (sender, receiver) = oneshot::channel();
            let way = Way::Stream(sender);
            hand_on(&updates, UpdateRequest { update, way });
            Err(receiver)
        }
    }
}

enum Asked {
    Answered(Reply),
    HandOn(mpsc::Sender<UpdateRequest>, Box<dns::Update>),
}

fn read(shared: &Shared, message: &[u8], client: &Client, out: &mut [u8]) -> Asked {
    let (snapshot, server) = (shared.snapshots.load(), shared.server.load());
    // Without anybody who keeps challenges, the opcode is not implemented.
    let Some(updates) = &shared.updates else {
        return Asked::Answered(dns::answer(&snapshot, message, client, &server, out));
    };
    match dns::update(&snapshot, message, client, &server, out) {
        Requested::Answered(reply) => Asked::Answered(reply),
        Requested::Asked(update) => Asked::HandOn(updates.clone(), update),
    }
}

fn hand_on(updates: &mpsc::Sender<UpdateRequest>, request: UpdateRequest) {
    if let Err(refused) = updates.try_send(request) {
        refused.into_inner().answer(UpdateCode::ServFail);
    }
}
