//! HTTP views: metrics, liveness, readiness, JSON.
