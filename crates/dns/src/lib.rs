//! The DNS engine: names, zones, precompiled answers, bytes to bytes.
