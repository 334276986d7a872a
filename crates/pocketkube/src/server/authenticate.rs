//! Who sends a request.

use super::Request;
use crate::cluster::{Caller, Cluster, User};
use crate::object;
use crate::status::Status;
use crate::tokens;
use http::HeaderMap;
use http::header::{AUTHORIZATION, USER_AGENT};
use rustls::pki_types::CertificateDer;

/// Field managers are cut to this length, as upstream does.
const MANAGER_BYTES_MAX: usize = 128;

/// Who is taken to send requests that carry no credentials.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// Nobody: they get 401. Over a socket.
    Authenticated,
    /// The administrator. Within the process.
    Trusted,
}

/// The certificates that a client showed when it connected.
#[derive(Debug)]
pub(crate) struct Peer(pub(crate) Vec<CertificateDer<'static>>);

/// The sender of a request: by certificate, by token, or `system:anonymous` where roles decide what
/// that may do.
pub(crate) fn user(cluster: &Cluster, access: Access, request: &Request) -> Result<User, Status> {
    let from_certificate = match &request.peer {
        Some(peer) => cluster
            .authority()
            .and_then(|authority| authority.user(&peer.0, cluster.clock().now())),
        None => None,
    };
    if let Some(user) = from_certificate {
        return Ok(user);
    }
    let Some(header) = request.headers.get(AUTHORIZATION) else {
        return match access {
            Access::Trusted => Ok(User::admin()),
            Access::Authenticated if request.peer.is_some() => Err(Status::unauthorized()),
            Access::Authenticated if cluster.enforces_roles() => Ok(User::anonymous()),
            Access::Authenticated => Err(Status::unauthorized()),
        };
    };
    let text = header.to_str().unwrap_or_default();
    let token = match text.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => token.trim(),
        // Other schemes are not looked at.
        _ if cluster.enforces_roles() => return Ok(User::anonymous()),
        _ => return Err(Status::unauthorized()),
    };
    user_of_token(cluster, token).ok_or_else(Status::unauthorized)
}

/// The user whom a token for this server stands for.
fn user_of_token(cluster: &Cluster, token: &str) -> Option<User> {
    let targets = [tokens::ISSUER.to_owned()];
    let found = user_of_token_for(cluster, token, &targets);
    found.map(|(user, _)| user).ok()
}

/// The user whom a token stands for, and those of the audiences asked for that it is meant for; or
/// why it stands for nobody.
pub(crate) fn user_of_token_for(
    cluster: &Cluster,
    token: &str,
    targets: &[String],
) -> Result<(User, Vec<String>), String> {
    const INVALID: &str = "invalid bearer token";
    let own = || vec![tokens::ISSUER.to_owned()];
    let both = |audiences: &[String]| -> Vec<String> {
        let is_target = |audience: &&String| targets.contains(audience);
        audiences.iter().filter(is_target).cloned().collect()
    };
    if cluster.tokens().is_admin(token) {
        return Ok((User::admin(), both(&own())));
    }
    let now = cluster.clock().now().as_second();
    let claims = cluster.tokens().verify(token, now).ok_or(INVALID)?;
    // Tokens of Secrets name no audience.
    let named = claims.audiences().unwrap_or_else(own);
    let audiences = both(&named);
    if audiences.is_empty() {
        let (named, targets) = (quoted(&named), quoted(targets));
        return Err(format!(
            "[{INVALID}, token audiences {named} is invalid for the target audiences {targets}]"
        ));
    }
    match holds(cluster, &claims) {
        true => Ok((claims.user(), audiences)),
        false => Err(INVALID.to_owned()),
    }
}

/// Whether the account of a token, and the object that it is bound to, are still there.
fn holds(cluster: &Cluster, claims: &tokens::Claims) -> bool {
    let account = cluster.kept("serviceaccounts", claims.namespace(), claims.account());
    if account.is_none_or(|account| object::uid(&account) != claims.account_uid()) {
        return false;
    }
    let Some((kind, name, uid)) = claims.bound_to() else {
        return true;
    };
    let (table, namespace) = match kind {
        "pod" => ("pods", claims.namespace()),
        "secret" => ("secrets", claims.namespace()),
        _ => ("nodes", ""),
    };
    cluster
        .kept(table, namespace, name)
        .is_some_and(|bound| uid.is_empty() || object::uid(&bound) == uid)
}

fn quoted(texts: &[String]) -> String {
    let texts: Vec<String> = texts.iter().map(|text| format!("{text:?}")).collect();
    format!("[{}]", texts.join(" "))
}

/// The caller of a write: who, and under which field manager.
pub(crate) fn caller(user: User, manager: &str, headers: &HeaderMap) -> Caller {
    let manager = match manager {
        "" => {
            let agent = user_agent(headers);
            let mut start = agent.split('/').next().unwrap_or_default().to_owned();
            start.retain(|character| !character.is_control());
            start.truncate(floor(&start, MANAGER_BYTES_MAX));
            start
        }
        given => given.to_owned(),
    };
    Caller { user, manager }
}

/// `User-Agent`, or empty.
pub(crate) fn user_agent(headers: &HeaderMap) -> &str {
    headers
        .get(USER_AGENT)
        .and_then(|agent| agent.to_str().ok())
        .unwrap_or_default()
}

fn floor(text: &str, at: usize) -> usize {
    (0..=at.min(text.len()))
        .rev()
        .find(|at| text.is_char_boundary(*at))
        .unwrap_or(0)
}
