//! Who may do what: role based access control as the real server evaluates it.
//!
//! | what | where |
//! |---|---|
//! | one rule: what it allows, what it covers, how it is told | `rule` |
//! | the rules that a user has, through bindings and roles | `roles` |
//! | nobody grants what they do not hold | `escalation` |
//! | ClusterRoles that gather the rules of others | `aggregation` |
//! | the roles that every cluster starts with | `defaults` |
//!
//! A cluster enforces this only when asked to ([`Authorization::Rbac`]).

mod aggregation;
mod defaults;
mod escalation;
mod roles;
mod rule;

pub(crate) use roles::Bindings;
pub(crate) use rule::Rule;

use crate::cluster::{Cluster, User};
use crate::resource::Resource;
use crate::status::{Details, Status};

/// The group whose members may do everything, whatever roles say.
pub(crate) const MASTERS: &str = "system:masters";

/// The API group of roles.
pub(crate) const GROUP: &str = "rbac.authorization.k8s.io";

/// Whether a cluster looks at what callers may do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Authorization {
    /// It does not: who has credentials may do everything, who has none gets 401.
    #[default]
    AlwaysAllow,
    /// Roles and bindings decide; who has no credentials is `system:anonymous`.
    Rbac,
}

/// What somebody wants to do.
#[derive(Debug, Clone)]
pub(crate) struct Attributes<'a> {
    /// Who.
    pub(crate) user: &'a User,
    /// The verb: `get`, `escalate`, or the method in small letters for a path.
    pub(crate) verb: &'a str,
    /// To what.
    pub(crate) object: Objective<'a>,
}

/// What something is done to.
#[derive(Debug, Clone)]
pub(crate) enum Objective<'a> {
    /// Objects of a resource.
    Resource(ResourceAttributes<'a>),
    /// A path that is no resource.
    Path(&'a str),
}

/// Objects of a resource; texts are empty where nothing is said.
#[derive(Debug, Clone, Default)]
pub(crate) struct ResourceAttributes<'a> {
    pub(crate) group: &'a str,
    pub(crate) resource: &'a str,
    pub(crate) subresource: &'a str,
    pub(crate) namespace: &'a str,
    pub(crate) name: &'a str,
}

/// What became of a question.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Decision {
    /// Whether it is allowed.
    pub(crate) allowed: bool,
    /// Why, where there is something to say.
    pub(crate) reason: String,
}

/// All that a user may do in a namespace.
#[derive(Debug, Default)]
pub(crate) struct Rules {
    /// The rules.
    pub(crate) rules: Vec<Rule>,
    /// Roles that could not be found; the rules are then not complete.
    pub(crate) problems: Vec<String>,
}

impl Cluster {
    /// Whether this cluster enforces roles.
    pub(crate) fn enforces_roles(&self) -> bool {
        self.authorization() == Authorization::Rbac
    }

    /// Whether something may be done.
    pub(crate) fn authorize(&self, wanted: &Attributes<'_>) -> Decision {
        if self.may_all(wanted.user) {
            return Decision {
                allowed: true,
                reason: String::new(),
            };
        }
        roles::decide(self, wanted)
    }

    /// Refuses what may not be done.
    pub(crate) fn check(&self, wanted: &Attributes<'_>) -> Result<(), Status> {
        if self.may_all(wanted.user) {
            return Ok(());
        }
        roles::check(self, wanted).map_err(|reason| wanted.refused(&reason))
    }

    /// Whether nobody asks what a user may do.
    fn may_all(&self, user: &User) -> bool {
        !self.enforces_roles() || user.groups.iter().any(|group| group == MASTERS)
    }

    /// Refuses an update or an apply that would create, where its sender may not create.
    pub(crate) fn check_may_create(
        &self,
        user: &User,
        resource: &Resource,
        (namespace, name): (&str, &str),
    ) -> Result<(), Status> {
        let wanted = ResourceAttributes {
            group: &resource.group,
            resource: &resource.plural,
            namespace,
            name,
            ..ResourceAttributes::default()
        };
        let attributes = Attributes {
            user,
            verb: "create",
            object: Objective::Resource(wanted),
        };
        self.check(&attributes)
    }

    /// All that a user may do in a namespace, or with an empty one in the cluster.
    pub(crate) fn rules_of(&self, user: &User, namespace: &str) -> Rules {
        let mut all = match self.enforces_roles() {
            true => roles::rules(self, user, namespace),
            false => Rules::default(),
        };
        let is_master = user.groups.iter().any(|group| group == MASTERS);
        if !self.enforces_roles() || (is_master && all.rules.is_empty()) {
            all.rules.extend(Rule::everything());
        }
        all
    }
}

impl Attributes<'_> {
    /// The 403 of a denial.
    pub(crate) fn refused(&self, reason: &str) -> Status {
        let mut why = self.refusal();
        if !reason.is_empty() {
            why = format!("{why}: {reason}");
        }
        let Objective::Resource(wanted) = &self.object else {
            let mut status = Status::plain(403, "Forbidden", format!("forbidden: {why}"));
            status.details = Some(Box::default());
            return status;
        };
        let qualified = match wanted.group {
            "" => wanted.resource.to_owned(),
            group => format!("{}.{group}", wanted.resource),
        };
        let message = match wanted.name {
            "" => format!("{qualified} is forbidden: {why}"),
            name => format!("{qualified} {name:?} is forbidden: {why}"),
        };
        let details = Details {
            name: wanted.name.to_owned(),
            group: wanted.group.to_owned(),
            kind: wanted.resource.to_owned(),
            ..Details::default()
        };
        let mut status = Status::plain(403, "Forbidden", message);
        status.details = Some(Box::new(details));
        status
    }

    /// `User "x" cannot list resource "pods" …`.
    fn refusal(&self) -> String {
        let (user, verb) = (&self.user.name, self.verb);
        let wanted = match &self.object {
            Objective::Path(path) => return format!("User {user:?} cannot {verb} path {path:?}"),
            Objective::Resource(wanted) => wanted,
        };
        let resource = match wanted.subresource {
            "" => wanted.resource.to_owned(),
            part => format!("{}/{part}", wanted.resource),
        };
        let place = match wanted.namespace {
            "" => "at the cluster scope".to_owned(),
            namespace => format!("in the namespace {namespace:?}"),
        };
        format!(
            "User {user:?} cannot {verb} resource {resource:?} in API group {:?} {place}",
            wanted.group
        )
    }
}
