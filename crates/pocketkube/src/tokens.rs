//! Bearer tokens: the administrator's, and those of service accounts.
//!
//! Tokens of service accounts are JSON Web Tokens (RFC 7519) signed with the cluster's own key
//! (HS256), with the claims of the real server, so clients that look inside find what they expect.

use crate::chance::Chance;
use crate::cluster::User;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac};
use serde_json::{Value, json};
use sha2::Sha256;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Issuer and only audience of service account tokens.
pub(crate) const ISSUER: &str = "https://kubernetes.default.svc.cluster.local";

/// The keys of one cluster.
pub(crate) struct Tokens {
    admin: String,
    key: [u8; 32],
    /// Tokens whose signature was found to hold, with what they say.
    verified: Mutex<HashMap<String, Claims>>,
}

/// What a valid token of a service account says.
#[derive(Debug, Clone)]
pub(crate) struct Claims {
    /// All claims.
    pub(crate) claims: Arc<Value>,
}

/// Tokens that are remembered; with more, all are forgotten.
const VERIFIED_MAX: usize = 1024;

impl Tokens {
    pub(crate) fn new(chance: &Chance) -> Self {
        Self {
            admin: format!("pocket.{}", chance.secret(32)),
            key: chance.bytes(),
            verified: Mutex::default(),
        }
    }

    /// Keys that were kept.
    pub(crate) fn restored(admin: &str, key: [u8; 32]) -> Self {
        Self {
            admin: admin.to_owned(),
            key,
            verified: Mutex::default(),
        }
    }

    /// The key that signs.
    pub(crate) fn key(&self) -> &[u8; 32] {
        &self.key
    }

    /// The administrator's token.
    pub(crate) fn admin(&self) -> &str {
        &self.admin
    }

    /// Whether a token is the administrator's.
    pub(crate) fn is_admin(&self, token: &str) -> bool {
        // Loopback only and random per cluster: timing gives nothing away worth having.
        self.admin == token
    }

    /// A signed token.
    pub(crate) fn sign(&self, claims: &Value) -> String {
        let head = URL_SAFE_NO_PAD.encode(json!({"alg": "HS256", "kid": "pocket"}).to_string());
        let body = URL_SAFE_NO_PAD.encode(claims.to_string());
        let signature = self.signer(&head, &body).finalize().into_bytes();
        format!("{head}.{body}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    /// The claims of a token that this cluster signed and that holds at `now` (seconds).
    pub(crate) fn verify(&self, token: &str, now: i64) -> Option<Claims> {
        let known = self.verified().get(token).cloned();
        let claims = match known {
            Some(claims) => claims,
            None => self.signed(token)?,
        };
        let expires = claims.claims["exp"].as_i64();
        expires
            .is_none_or(|expires| expires > now)
            .then_some(claims)
    }

    /// The claims of a token that this cluster signed.
    fn signed(&self, token: &str) -> Option<Claims> {
        let mut parts = token.split('.');
        let (head, body, signature) = (parts.next()?, parts.next()?, parts.next()?);
        let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
        self.signer(head, body).verify_slice(&signature).ok()?;
        let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(body).ok()?).ok()?;
        let claims = Claims {
            claims: Arc::new(claims),
        };
        let mut verified = self.verified();
        if verified.len() >= VERIFIED_MAX {
            verified.clear();
        }
        verified.insert(token.to_owned(), claims.clone());
        Some(claims)
    }

    fn verified(&self) -> MutexGuard<'_, HashMap<String, Claims>> {
        self.verified.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn signer(&self, head: &str, body: &str) -> Hmac<Sha256> {
        let mut signer =
            Hmac::<Sha256>::new_from_slice(&self.key).expect("any length of key is taken");
        signer.update(head.as_bytes());
        signer.update(b".");
        signer.update(body.as_bytes());
        signer
    }
}

impl Claims {
    /// Namespace of the service account.
    pub(crate) fn namespace(&self) -> &str {
        self.text("/kubernetes.io/namespace")
    }

    /// Name of the service account.
    pub(crate) fn account(&self) -> &str {
        self.text("/kubernetes.io/serviceaccount/name")
    }

    /// Uid of the service account.
    pub(crate) fn account_uid(&self) -> &str {
        self.text("/kubernetes.io/serviceaccount/uid")
    }

    /// The audiences, where it names some.
    pub(crate) fn audiences(&self) -> Option<Vec<String>> {
        let named = self.claims["aud"].as_array()?;
        let named = named.iter().filter_map(Value::as_str);
        Some(named.map(str::to_owned).collect())
    }

    /// Kind (`pod`, `secret`, `node`), name and uid of the object that the token is bound to.
    pub(crate) fn bound_to(&self) -> Option<(&'static str, &str, &str)> {
        ["pod", "secret", "node"].into_iter().find_map(|kind| {
            let object = self.claims["kubernetes.io"].get(kind)?;
            Some((
                kind,
                object["name"].as_str()?,
                object["uid"].as_str().unwrap_or_default(),
            ))
        })
    }

    /// The user whom the token stands for.
    pub(crate) fn user(&self) -> User {
        let mut user = service_account(self.namespace(), self.account(), self.account_uid());
        let id = self.text("/jti");
        if !id.is_empty() {
            let key = "authentication.kubernetes.io/credential-id".to_owned();
            user.extra = BTreeMap::from([(key, vec![format!("JTI={id}")])]);
        }
        user
    }

    fn text(&self, pointer: &str) -> &str {
        // The claim `kubernetes.io` has no slash in it, so the pointer is unambiguous.
        self.claims
            .pointer(pointer)
            .and_then(Value::as_str)
            .unwrap_or_default()
    }
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Tokens")
    }
}

/// The user of a service account.
pub(crate) fn service_account(namespace: &str, name: &str, uid: &str) -> User {
    User {
        name: format!("system:serviceaccount:{namespace}:{name}"),
        uid: uid.to_owned(),
        groups: vec![
            "system:serviceaccounts".to_owned(),
            format!("system:serviceaccounts:{namespace}"),
            "system:authenticated".to_owned(),
        ],
        extra: BTreeMap::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claims() -> Value {
        json!({
            "exp": 100,
            "kubernetes.io": {
                "namespace": "ns",
                "serviceaccount": {"name": "robot", "uid": "u"},
                "pod": {"name": "p", "uid": "v"},
            },
        })
    }

    #[test]
    fn a_signed_token_holds_until_it_expires() {
        let tokens = Tokens::new(&Chance::new(Some(1)));
        let token = tokens.sign(&claims());
        let read = tokens.verify(&token, 99).unwrap();
        assert_eq!(read.user().name, "system:serviceaccount:ns:robot");
        assert_eq!(read.bound_to(), Some(("pod", "p", "v")));
        assert!(tokens.verify(&token, 100).is_none());
    }

    #[test]
    fn a_token_of_another_cluster_is_refused() {
        let token = Tokens::new(&Chance::new(Some(1))).sign(&claims());
        let other = Tokens::new(&Chance::new(Some(2)));
        assert!(other.verify(&token, 1).is_none());
        assert!(other.verify("a.b", 1).is_none());
    }
}
