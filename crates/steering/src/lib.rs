//! The steering engine: health, pools and policies to a DNS snapshot.
