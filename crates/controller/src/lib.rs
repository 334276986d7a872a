//! The host controller: watches, member connections, reconcilers, leases.
