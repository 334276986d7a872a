//! Who sends a request.

use crate::cluster::{Caller, Cluster, User};
use crate::object;
use crate::status::Status;
use http::HeaderMap;
use http::header::{AUTHORIZATION, USER_AGENT};

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

/// The sender of a request.
pub(crate) fn user(cluster: &Cluster, access: Access, headers: &HeaderMap) -> Result<User, Status> {
    let Some(header) = headers.get(AUTHORIZATION) else {
        return match access {
            Access::Trusted => Ok(User::admin()),
            Access::Authenticated => Err(Status::unauthorized()),
        };
    };
    let text = header.to_str().unwrap_or_default();
    let token = match text.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => token.trim(),
        _ => return Err(Status::unauthorized()),
    };
    user_of_token(cluster, token).ok_or_else(Status::unauthorized)
}

/// The user whom a token stands for.
pub(crate) fn user_of_token(cluster: &Cluster, token: &str) -> Option<User> {
    if cluster.tokens().is_admin(token) {
        return Some(User::admin());
    }
    let claims = cluster
        .tokens()
        .verify(token, cluster.clock().now().as_second())?;
    let account = cluster.kept("serviceaccounts", claims.namespace(), claims.account())?;
    if object::uid(&account) != claims.account_uid() {
        return None;
    }
    if let Some((kind, name, uid)) = claims.bound_to() {
        let (table, namespace) = match kind {
            "pod" => ("pods", claims.namespace()),
            "secret" => ("secrets", claims.namespace()),
            _ => ("nodes", ""),
        };
        let bound = cluster.kept(table, namespace, name)?;
        if !uid.is_empty() && object::uid(&bound) != uid {
            return None;
        }
    }
    Some(claims.user())
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
