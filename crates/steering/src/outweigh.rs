//! Overrides that contradict each other: which counts.
//!
//! | about | counts |
//! |---|---|
//! | the same endpoints | the most cautious: `Down` before `Draining` before `Up` |
//! | the same branch | the newest |

use crate::spec::{Force, OnExpiry, OverrideScope, OverrideSpec};

impl Force {
    /// The lower, the more cautious.
    pub(crate) fn rank(self) -> u8 {
        match self {
            Self::Down => 0,
            Self::Draining => 1,
            Self::Up => 2,
        }
    }
}

impl OverrideSpec {
    /// Whether it has its force now, as far as its own time says.
    pub(crate) fn is_in_time(&self, now: u64) -> bool {
        now < self.expires_at_millis || self.on_expiry == OnExpiry::Keep
    }

    /// The one of these that leaves this one no force at all, forcing something else on all that it is about.
    pub fn outweighed_by<'a>(
        &self,
        others: impl IntoIterator<Item = &'a Self>,
        now: u64,
    ) -> Option<&'a Self> {
        let counts_before = |other: &Self| match self.scope {
            OverrideScope::Branch { .. } => {
                (self.created_millis, &self.key) < (other.created_millis, &other.key)
            }
            _ => other.force.rank() < self.force.rank(),
        };
        let mut others = others.into_iter().filter(|other| {
            other.key != self.key
                && other.force != self.force
                && other.is_in_time(now)
                && other.scope.covers(&self.scope)
                && counts_before(other)
        });
        others.next()
    }
}

impl OverrideScope {
    /// Whether it is about everything that another is about.
    fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (
                Self::Service { service, cluster },
                Self::Service {
                    service: same,
                    cluster: part,
                },
            ) => service == same && (cluster.is_none() || cluster == part),
            (
                Self::Cluster(cluster),
                Self::Service {
                    cluster: Some(part),
                    ..
                },
            ) => cluster == part,
            _ => self == other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::ObjectKey;

    fn of(name: &str, scope: OverrideScope, force: Force, created_millis: u64) -> OverrideSpec {
        OverrideSpec {
            key: ObjectKey::new("shop", name),
            scope,
            force,
            reason: String::new(),
            owner: String::new(),
            expires_at_millis: 1_000,
            on_expiry: OnExpiry::Release,
            created_millis,
        }
    }

    fn check(one: &OverrideSpec, other: &OverrideSpec, expected: bool) {
        assert_eq!(one.outweighed_by([one, other], 999).is_some(), expected);
        assert_eq!(one.outweighed_by([one, other], 1_000), None, "it is over");
    }

    #[test]
    fn the_more_cautious_counts_where_it_is_about_all_that_the_other_is_about() {
        let service = |cluster: Option<&str>| OverrideScope::Service {
            service: ObjectKey::new("shop", "shop"),
            cluster: cluster.map(Into::into),
        };
        let up = of("up", service(Some("a")), Force::Up, 0);
        check(&up, &of("x", service(Some("a")), Force::Down, 0), true);
        check(&up, &of("x", service(None), Force::Draining, 0), true);
        let cluster = OverrideScope::Cluster("a".into());
        check(&up, &of("x", cluster, Force::Down, 0), true);
        check(&up, &of("x", service(Some("b")), Force::Down, 0), false);
        check(&up, &of("x", service(Some("a")), Force::Up, 0), false);
        let whole = of("up", service(None), Force::Up, 0);
        check(&whole, &of("x", service(Some("a")), Force::Down, 0), false);
        let down = of("down", service(Some("a")), Force::Down, 0);
        check(&down, &up, false);
    }

    #[test]
    fn of_a_branch_the_newest_counts() {
        let branch = || OverrideScope::Branch {
            service: ObjectKey::new("shop", "shop"),
            branch: "city-b".into(),
        };
        let old = of("old", branch(), Force::Down, 1);
        let new = of("new", branch(), Force::Up, 2);
        check(&old, &new, true);
        check(&new, &old, false);
    }
}
