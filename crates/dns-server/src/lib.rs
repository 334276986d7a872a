//! Sockets for the DNS engine.
