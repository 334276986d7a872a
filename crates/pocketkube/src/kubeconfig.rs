//! Kubeconfig files.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// A kubeconfig for one cluster and its administrator.
pub(crate) fn yaml(name: &str, url: &str, authority_pem: &str, token: &str) -> String {
    let authority = STANDARD.encode(authority_pem);
    // A JSON string is a YAML string, whatever the name holds.
    let name = serde_json::Value::from(name).to_string();
    format!(
        "apiVersion: v1\n\
         kind: Config\n\
         clusters:\n\
         - name: {name}\n  \
           cluster:\n    \
             server: {url}\n    \
             certificate-authority-data: {authority}\n\
         users:\n\
         - name: {name}\n  \
           user:\n    \
             token: {token}\n\
         contexts:\n\
         - name: {name}\n  \
           context:\n    \
             cluster: {name}\n    \
             user: {name}\n\
         current-context: {name}\n"
    )
}
