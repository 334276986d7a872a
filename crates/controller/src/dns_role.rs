//! What a DNS replica reads from the host and writes to it: objects only, no member credentials.

mod challenges;
pub(crate) mod contact;
mod contact_of;
mod cookies;
mod feed;
mod given;
mod observer;
mod tsig_keys;
mod watched;

pub use challenges::{CHALLENGES_SECRET_NAME, ChallengeStore, Kept, Outcome};
pub use cookies::follow_cookie_keys;
pub use feed::{Feed, FeedOptions, read_cluster, read_service, run_feed};
pub use given::write_back;
pub use observer::{ObserverOptions, run_observer};
pub use tsig_keys::{TSIG_SECRET_NAME, TsigKeys, follow_tsig_keys};
