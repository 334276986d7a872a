//! The binary `meridian`.
fn main() {}
