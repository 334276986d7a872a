//! What the console asks the owner of the steering engine.

use model::ClusterName;
use serde_json::Value;
use std::net::IpAddr;
use tokio::sync::oneshot;

/// Questions that may wait at a time; more are refused, since each costs the engine's owner time.
pub const QUESTIONS_MAX: usize = 16;

/// Why a client gets the answer that it gets.
#[derive(Debug)]
pub struct Question {
    /// The name asked for.
    pub name: String,
    /// The client, or the resolver that it uses.
    pub from: IpAddr,
    /// As if this cluster were down.
    pub when_down: Option<ClusterName>,
    /// Where the explanation goes, or the reason why there is none.
    pub reply: oneshot::Sender<Result<Value, String>>,
}
