//! The way to a member's API server: straight, or through a proxy.
//!
//! | scheme of the proxy | what it is asked |
//! |---|---|
//! | `http`, `https` | `CONNECT host:port` (RFC 9110, section 9.3.6) |
//! | `socks5`, `socks5h` | to connect to a name (RFC 1928), which it resolves itself |
//!
//! TLS to the member is spoken through the tunnel: the proxy sees neither credentials nor objects.

use super::tls;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderValue, Uri};
use hyper_rustls::{HttpsConnector, MaybeHttpsStream};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::proxy::{SocksV5, Tunnel};
use hyper_util::rt::TokioIo;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tower::{BoxError, Service};

/// A proxy, as `spec.proxyURL` or a kubeconfig's `proxy-url` names it.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Proxy {
    kind: ProxyKind,
    /// As it was said.
    url: String,
    /// Without user and password.
    address: Uri,
    user: Option<(String, String)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ProxyKind {
    Connect,
    Socks5,
}

/// Its password is nobody's business.
impl std::fmt::Debug for Proxy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Proxy")
            .field("kind", &self.kind)
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

impl Proxy {
    /// Reads a URL such as `http://user:password@proxy.example:3128`. What is wrong is told without
    /// the URL, which may hold a password.
    pub(super) fn parse(url: &str) -> Result<Self, String> {
        let wanted = "a URL such as http://proxy.example:3128 is wanted";
        let read: Uri = url.trim().parse().map_err(|_| wanted.to_owned())?;
        let (Some(scheme), Some(authority)) = (read.scheme_str(), read.authority()) else {
            return Err(wanted.to_owned());
        };
        let (kind, dialled, port) = match scheme {
            "http" => (ProxyKind::Connect, "http", 80),
            "https" => (ProxyKind::Connect, "https", 443),
            "socks5" | "socks5h" => (ProxyKind::Socks5, "http", 1080),
            other => {
                return Err(format!(
                    "the scheme {other} is none of http, https, socks5 and socks5h"
                ));
            }
        };
        let port = authority.port_u16().unwrap_or(port);
        let address = format!("{dialled}://{}:{port}", authority.host());
        let user = match authority.as_str().rsplit_once('@') {
            None => None,
            Some((user, _)) => {
                let (name, password) = user.split_once(':').unwrap_or((user, ""));
                Some((decoded(name)?, decoded(password)?))
            }
        };
        Ok(Self {
            kind,
            url: url.trim().to_owned(),
            address: address.parse().map_err(|_| wanted.to_owned())?,
            user,
        })
    }

    /// As it was said, its password too.
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    fn authorization(&self) -> Option<HeaderValue> {
        let (name, password) = self.user.as_ref()?;
        let value = format!("Basic {}", STANDARD.encode(format!("{name}:{password}")));
        HeaderValue::from_str(&value).ok()
    }
}

/// Percent-encoding (RFC 3986, section 2.1) taken off.
fn decoded(text: &str) -> Result<String, String> {
    let wrong = || "user or password is not percent-encoded as a URL wants it".to_owned();
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digits = [rest.next(), rest.next()].map(|digit| char::from(digit.unwrap_or(b'?')));
        let [Some(high), Some(low)] = digits.map(|digit| digit.to_digit(16)) else {
            return Err(wrong());
        };
        bytes.push(u8::try_from(high * 16 + low).map_err(|_| wrong())?);
    }
    String::from_utf8(bytes).map_err(|_| wrong())
}

/// What carries the bytes to a member: the proxy's TLS, where it has one, is inside.
type Carrier = MaybeHttpsStream<TokioIo<TcpStream>>;
type Dialling<T> = Pin<Box<dyn Future<Output = Result<T, BoxError>> + Send>>;

/// Makes connections, straight or through a proxy.
#[derive(Clone)]
pub(super) enum Dialler {
    Straight(HttpConnector),
    Connect(Tunnel<HttpsConnector<HttpConnector>>),
    Socks5(SocksV5<HttpsConnector<HttpConnector>>),
}

impl Dialler {
    pub(super) fn new(connector: HttpConnector, proxy: Option<&Proxy>) -> Result<Self, BoxError> {
        let Some(proxy) = proxy else {
            return Ok(Self::Straight(connector));
        };
        // Who vouches for a proxy are the authorities that this machine trusts.
        let connector = hyper_rustls::HttpsConnectorBuilder::new()
            .with_tls_config(tls::of_this_machine()?)
            .https_or_http()
            .enable_http1()
            .wrap_connector(connector);
        let address = proxy.address.clone();
        Ok(match proxy.kind {
            ProxyKind::Connect => {
                let tunnel = Tunnel::new(address, connector);
                Self::Connect(match proxy.authorization() {
                    Some(authorization) => tunnel.with_auth(authorization),
                    None => tunnel,
                })
            }
            ProxyKind::Socks5 => {
                let socks = SocksV5::new(address, connector);
                Self::Socks5(match proxy.user.clone() {
                    Some((name, password)) => socks.with_auth(name, password),
                    None => socks,
                })
            }
        })
    }
}

impl Service<Uri> for Dialler {
    type Response = Carrier;
    type Error = BoxError;
    type Future = Dialling<Carrier>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        match self {
            Self::Straight(connector) => connector.poll_ready(context).map_err(Into::into),
            Self::Connect(tunnel) => tunnel.poll_ready(context).map_err(Into::into),
            Self::Socks5(socks) => socks.poll_ready(context).map_err(Into::into),
        }
    }

    fn call(&mut self, member: Uri) -> Self::Future {
        match self {
            Self::Straight(connector) => {
                let dialling = connector.call(member);
                Box::pin(async move { Ok(MaybeHttpsStream::Http(dialling.await?)) })
            }
            Self::Connect(tunnel) => {
                let dialling = tunnel.call(member);
                Box::pin(async move { dialling.await.map_err(through_the_proxy) })
            }
            Self::Socks5(socks) => {
                let dialling = socks.call(member);
                Box::pin(async move { dialling.await.map_err(through_the_proxy) })
            }
        }
    }
}

fn through_the_proxy(error: impl Into<BoxError>) -> BoxError {
    ProxyError(error.into()).into()
}

/// That it was the proxy that failed.
#[derive(Debug, thiserror::Error)]
#[error("the proxy on the way")]
struct ProxyError(#[source] BoxError);

/// Gives a connection up that is not whole in time, whoever of those on the way is silent.
#[derive(Clone)]
pub(super) struct Within<S> {
    pub(super) inner: S,
    pub(super) limit: Duration,
}

impl<S> Service<Uri> for Within<S>
where
    S: Service<Uri>,
    S::Future: Send + 'static,
    S::Error: Into<BoxError>,
    S::Response: 'static,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = Dialling<S::Response>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, member: Uri) -> Self::Future {
        let (dialling, limit) = (self.inner.call(member), self.limit);
        Box::pin(async move {
            match timeout(limit, dialling).await {
                Ok(dialled) => dialled.map_err(Into::into),
                Err(_) => Err(format!("no connection within {} s", limit.as_secs()).into()),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_is_read_with_its_user_and_told_without_the_password() {
        let proxy = Proxy::parse("http://meridian:p%40ss@proxy.example:3128").unwrap();
        assert_eq!(proxy.address, "http://proxy.example:3128");
        assert_eq!(proxy.user, Some(("meridian".into(), "p@ss".into())));
        assert_eq!(proxy.authorization().unwrap(), "Basic bWVyaWRpYW46cEBzcw==");
        assert!(!format!("{proxy:?}").contains("p@ss"));
        for (url, address) in [
            ("http://proxy", "http://proxy:80"),
            ("https://proxy", "https://proxy:443"),
            ("socks5://[::1]", "http://[::1]:1080"),
        ] {
            assert_eq!(Proxy::parse(url).unwrap().address, address);
        }
    }

    #[test]
    fn what_is_no_proxy_is_told_without_what_it_says() {
        for url in [
            "proxy",
            "proxy:3128",
            "ftp://u:secret@proxy",
            "http://u:%zz@proxy",
            "",
        ] {
            let said = Proxy::parse(url).unwrap_err();
            assert!(!said.contains("secret"), "{said}");
        }
        let said = Proxy::parse("ftp://proxy").unwrap_err();
        assert!(said.starts_with("the scheme ftp is none of"), "{said}");
    }
}
