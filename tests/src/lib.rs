//! What system tests share.
