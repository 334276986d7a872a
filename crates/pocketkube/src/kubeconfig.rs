//! Kubeconfig files.

use crate::certificates::ClientCertificate;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// How a kubeconfig's user proves who it is.
pub(crate) enum User<'a> {
    /// By a bearer token.
    Token(&'a str),
    /// By a client certificate.
    Certificate(&'a ClientCertificate),
}

/// A kubeconfig for one cluster and one user.
pub(crate) fn yaml(name: &str, url: &str, authority_pem: &str, user: &User<'_>) -> String {
    let authority = STANDARD.encode(authority_pem);
    let proof = match user {
        User::Token(token) => format!("token: {token}\n"),
        User::Certificate(certificate) => format!(
            "client-certificate-data: {}\n    client-key-data: {}\n",
            STANDARD.encode(&certificate.certificate_pem),
            STANDARD.encode(&certificate.key_pem)
        ),
    };
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
             {proof}\
         contexts:\n\
         - name: {name}\n  \
           context:\n    \
             cluster: {name}\n    \
             user: {name}\n\
         current-context: {name}\n"
    )
}
