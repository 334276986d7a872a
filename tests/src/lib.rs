//! What system tests share: real control planes, and the part of a kubelet that tests need.

pub mod control_plane;
pub mod kubelet;
