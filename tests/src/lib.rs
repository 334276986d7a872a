//! What system tests share: real control planes, the part of a kubelet that tests need, webhooks, and
//! whole federations with the binary that is tested.

pub mod control_plane;
pub mod kubelet;
pub mod process;
pub mod sighted;
pub mod webhook;
pub mod world;
