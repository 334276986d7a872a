//! Who calls, and under which name its writes are tracked.

use std::collections::BTreeMap;

/// Who calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The authenticated user.
    pub user: User,
    /// Field manager of its writes: `fieldManager`, or the start of the user agent.
    pub manager: String,
}

/// An authenticated user.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct User {
    /// Name, for instance `system:serviceaccount:default:default`.
    pub name: String,
    /// Uid; often empty.
    pub uid: String,
    /// Groups.
    pub groups: Vec<String>,
    /// What else the authenticator said.
    pub extra: BTreeMap<String, Vec<String>>,
}

impl Caller {
    /// A controller of the control plane itself, for instance `kube-controller-manager`.
    pub fn system(manager: &str) -> Self {
        let user = User {
            name: format!("system:{manager}"),
            groups: vec![
                "system:masters".to_owned(),
                "system:authenticated".to_owned(),
            ],
            ..User::default()
        };
        Self {
            user,
            manager: manager.to_owned(),
        }
    }
}

impl User {
    /// The cluster's administrator.
    pub fn admin() -> Self {
        Self {
            name: "kubernetes-admin".to_owned(),
            groups: vec![
                "system:masters".to_owned(),
                "system:authenticated".to_owned(),
            ],
            ..Self::default()
        }
    }

    /// A user nobody authenticated.
    pub fn anonymous() -> Self {
        Self {
            name: "system:anonymous".to_owned(),
            groups: vec!["system:unauthenticated".to_owned()],
            ..Self::default()
        }
    }
}
