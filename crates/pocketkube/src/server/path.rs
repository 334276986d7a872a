//! What a request is about, read from its path.
//!
//! | path | resource |
//! |---|---|
//! | `/api/v1/nodes[/NAME[/PART]]` | of the core group, in no namespace or in all |
//! | `/api/v1/namespaces/NS/pods[/NAME[/PART]]` | in one namespace |
//! | `/api/v1/namespaces[/NAME[/status or /finalize]]` | namespaces themselves |
//! | `/apis/GROUP/VERSION/...` | the same for other groups |

/// A resource path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ResourcePath {
    /// API group; empty for core.
    pub(crate) group: String,
    /// Version.
    pub(crate) version: String,
    /// Namespace; empty when the path has none.
    pub(crate) namespace: String,
    /// Plural.
    pub(crate) plural: String,
    /// Name; empty for a collection.
    pub(crate) name: String,
    /// Subresource; empty for the object itself.
    pub(crate) part: String,
}

impl ResourcePath {
    /// None when the path is not one of a resource.
    pub(crate) fn parse(path: &str) -> Option<Self> {
        let segments: Vec<String> = path
            .trim_matches('/')
            .split('/')
            .map(percent_decoded)
            .collect();
        let texts: Vec<&str> = segments.iter().map(String::as_str).collect();
        let (group, version, rest) = match texts.as_slice() {
            ["api", version, rest @ ..] => ("", *version, rest),
            ["apis", group, version, rest @ ..] => (*group, *version, rest),
            _ => return None,
        };
        let (namespace, rest) = match rest {
            ["namespaces", _] | ["namespaces", _, "status" | "finalize"] => ("", rest),
            ["namespaces", namespace, rest @ ..] if !rest.is_empty() => (*namespace, rest),
            rest => ("", rest),
        };
        let (plural, name, part) = match rest {
            [plural] => (*plural, "", String::new()),
            [plural, name] => (*plural, *name, String::new()),
            [plural, name, part @ ..] => (*plural, *name, part.join("/")),
            [] => return None,
        };
        Some(Self {
            group: group.to_owned(),
            version: version.to_owned(),
            namespace: namespace.to_owned(),
            plural: plural.to_owned(),
            name: name.to_owned(),
            part,
        })
    }
}

/// `%2F` and the like as the characters that they stand for; broken ones stay.
pub(crate) fn percent_decoded(text: &str) -> String {
    if !text.contains('%') {
        return text.to_owned();
    }
    let bytes = text.as_bytes();
    let mut plain = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = bytes
            .get(at + 1..at + 3)
            .and_then(|hex| std::str::from_utf8(hex).ok());
        match hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) if bytes[at] == b'%' => {
                plain.push(byte);
                at += 3;
            }
            _ => {
                plain.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&plain).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(path: &str, expected: [&str; 6]) {
        let path = ResourcePath::parse(path).unwrap();
        let found = [
            path.group.as_str(),
            &path.version,
            &path.namespace,
            &path.plural,
            &path.name,
            &path.part,
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn paths_name_their_resource() {
        check("/api/v1/nodes", ["", "v1", "", "nodes", "", ""]);
        check("/api/v1/namespaces", ["", "v1", "", "namespaces", "", ""]);
        check(
            "/api/v1/namespaces/a/status",
            ["", "v1", "", "namespaces", "a", "status"],
        );
        check(
            "/api/v1/namespaces/a/pods/b/log",
            ["", "v1", "a", "pods", "b", "log"],
        );
        check(
            "/apis/apps/v1/deployments",
            ["apps", "v1", "", "deployments", "", ""],
        );
        check(
            "/apis/g/v1/namespaces/a/xs/n",
            ["g", "v1", "a", "xs", "n", ""],
        );
        let escaped = "/apis/rbac.authorization.k8s.io/v1/clusterroles/system%3Anode";
        let expected = [
            "rbac.authorization.k8s.io",
            "v1",
            "",
            "clusterroles",
            "system:node",
            "",
        ];
        check(escaped, expected);
        assert_eq!(ResourcePath::parse("/version"), None);
        assert_eq!(ResourcePath::parse("/apis/apps/v1"), None);
    }
}
