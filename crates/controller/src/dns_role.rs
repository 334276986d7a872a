//! What a DNS replica reads from the host and writes to it: objects only, no member credentials.

pub(crate) mod contact;
mod feed;
mod observer;

pub use feed::{Feed, FeedOptions, run_feed};
pub use observer::{ObserverOptions, run_observer};
