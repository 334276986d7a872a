//! Names: of clusters, regions, observers, and of namespaced objects.

use serde::{Deserialize, Serialize};
use std::{fmt, sync::Arc};

/// A name that is not a DNS label (RFC 1123), with the reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidName {
    /// The text that was given.
    pub given: String,
}

impl fmt::Display for InvalidName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:?} is not a name: use 1 to 253 of a-z, 0-9, '-' and '.', beginning and ending with a letter or digit",
            self.given
        )
    }
}

impl std::error::Error for InvalidName {}

macro_rules! text_name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.into())
            }
        }

        impl From<String> for $name {
            fn from(text: String) -> Self {
                Self(text.into())
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    };
}

text_name! {
    /// The name of a member: the `metadata.name` of its KubeFedCluster.
    ClusterName
}
text_name! {
    /// A region, as in the label `topology.kubernetes.io/region`.
    Region
}
text_name! {
    /// Who probes: a DNS replica or a witness; the name of its Lease and ProbeReport.
    ObserverName
}

impl ClusterName {
    /// Checks that the text is a DNS subdomain (RFC 1123), as Kubernetes asks of object names.
    ///
    /// # Errors
    /// [`InvalidName`] with what was given.
    pub fn parse(text: &str) -> Result<Self, InvalidName> {
        let edge = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        let fine = !text.is_empty()
            && text.len() <= 253
            && text.chars().all(|c| edge(c) || c == '-' || c == '.')
            && text.starts_with(edge)
            && text.ends_with(edge);
        if fine {
            Ok(text.into())
        } else {
            Err(InvalidName {
                given: text.to_owned(),
            })
        }
    }
}

/// Namespace and name of a Kubernetes object; the namespace is empty when it is cluster-scoped.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ObjectKey {
    /// The namespace, or the empty text.
    pub namespace: Arc<str>,
    /// The name.
    pub name: Arc<str>,
}

impl ObjectKey {
    /// A key from its two parts.
    pub fn new(namespace: &str, name: &str) -> Self {
        Self {
            namespace: namespace.into(),
            name: name.into(),
        }
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.namespace.is_empty() {
            f.write_str(&self.name)
        } else {
            write!(f, "{}/{}", self.namespace, self.name)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cluster_name_is_a_dns_subdomain() {
        for good in ["a", "beijing-a", "eu1.example", "0"] {
            assert!(ClusterName::parse(good).is_ok(), "{good}");
        }
        for bad in ["", "-a", "a-", "A", "a_b", "a b", &"x".repeat(254)] {
            assert!(ClusterName::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_key_prints_as_kubectl_does() {
        assert_eq!(ObjectKey::new("ns", "n").to_string(), "ns/n");
        assert_eq!(ObjectKey::new("", "n").to_string(), "n");
    }
}
