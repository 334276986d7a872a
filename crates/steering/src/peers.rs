//! Whom an observer exchanges reports with when the host does not carry them.
//!
//! | the host | reports travel | who dials |
//! |---|---|---|
//! | answers | over it | nobody |
//! | does not answer this observer | directly, both ways on one line | this observer, everybody that it knows |
//!
//! Who still reaches the host dials nobody and is dialled: both ends tell their newest report. So those
//! who are cut off from the host hear those who are not, and are heard by them.

use crate::{
    engine::{Engine, Part},
    event::{Effect, HostContact},
    report::Observer,
};
use serde::{Deserialize, Serialize};

/// Where an observer takes reports directly, and how it is known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Contact {
    /// Its address or host name, and port, as others reach it; nowhere when it only dials.
    pub address: Option<String>,
    /// The SHA-256 of its certificate, in hex.
    pub certificate: String,
}

/// The others, and whether they have to be dialled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peers {
    /// Those that are registered, as far as the host last said.
    pub known: Vec<Observer>,
    /// Whether the host answers this observer: while it does not, they are dialled.
    pub host: HostContact,
}

impl Engine {
    /// Tells whom to exchange reports with, when that changed.
    pub(crate) fn tell_peers(&mut self, effects: &mut Vec<Effect>) {
        if self.options.part == Part::Listens {
            return;
        }
        let peers = Peers {
            known: self.others.values().cloned().collect(),
            host: self.host.contact,
        };
        if self.sent.peers.as_ref() != Some(&peers) {
            effects.push(Effect::Peers(peers.clone()));
            self.sent.peers = Some(peers);
        }
    }
}
