//! A small proxy: CONNECT (RFC 9110) and SOCKS5 (RFC 1928) on one port, as the first byte says; with
//! TLS around both, where it is given a certificate.

use rustls::ServerConfig;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::{CancellationToken, DropGuard};

/// Of the user `meridian`, where one is wanted.
pub(crate) const PASSWORD: &str = "tunnel";
/// `Basic`, and base64 of `meridian:tunnel`.
const AUTHORIZATION: &str = "Basic bWVyaWRpYW46dHVubmVs";
/// The first byte of SOCKS5.
const SOCKS5: u8 = 5;

/// A running proxy; dropping it stops it.
pub(crate) struct Proxy {
    address: SocketAddr,
    seen: Arc<Mutex<Seen>>,
    _stop: DropGuard,
}

#[derive(Default)]
struct Seen {
    asked: Vec<String>,
    carried: Vec<u8>,
}

#[derive(Clone, Copy)]
enum Password {
    Wanted,
    NotAsked,
}

impl Proxy {
    pub(crate) async fn start() -> Self {
        Self::listen(Password::NotAsked, None).await
    }

    pub(crate) async fn start_with_password() -> Self {
        Self::listen(Password::Wanted, None).await
    }

    pub(crate) async fn start_with_tls(config: ServerConfig) -> Self {
        let acceptor = TlsAcceptor::from(Arc::new(config));
        Self::listen(Password::NotAsked, Some(acceptor)).await
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where clients wanted to go, as they said it.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.seen
            .lock()
            .expect("nobody panics with it")
            .asked
            .clone()
    }

    /// Whether clients sent these bytes in clear.
    pub(crate) fn carried(&self, text: &str) -> bool {
        let seen = self.seen.lock().expect("nobody panics with it");
        assert!(!seen.carried.is_empty(), "nothing went through it");
        seen.carried
            .windows(text.len())
            .any(|bytes| bytes == text.as_bytes())
    }

    async fn listen(password: Password, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let (seen, stop) = (Arc::new(Mutex::default()), CancellationToken::new());
        let proxy = Self {
            address: listener.local_addr().expect("it is bound"),
            seen: Arc::clone(&seen),
            _stop: stop.clone().drop_guard(),
        };
        tokio::spawn(stop.run_until_cancelled_owned(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (seen, tls) = (Arc::clone(&seen), tls.clone());
                tokio::spawn(async move {
                    match tls {
                        None => serve(stream, password, seen).await,
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                serve(stream, password, seen).await;
                            }
                        }
                    }
                });
            }
        }));
        proxy
    }
}

/// Who came, with or without TLS.
trait Client: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Client for S {}

async fn serve(mut client: impl Client, password: Password, seen: Arc<Mutex<Seen>>) {
    let mut first = [0];
    if client.read_exact(&mut first).await.is_err() {
        return;
    }
    let asked = match first[0] {
        SOCKS5 => socks5(&mut client).await,
        first => connect(&mut client, first, password).await,
    };
    let Some(asked) = asked else { return };
    seen.lock()
        .expect("nobody panics with it")
        .asked
        .push(asked.clone());
    let Ok(member) = TcpStream::connect(asked).await else {
        return;
    };
    let (mut from_client, mut to_client) = tokio::io::split(client);
    let (mut from_member, mut to_member) = member.into_split();
    let up = async {
        let mut bytes = [0; 4096];
        while let Ok(read @ 1..) = from_client.read(&mut bytes).await {
            seen.lock()
                .expect("nobody panics with it")
                .carried
                .extend_from_slice(&bytes[..read]);
            if to_member.write_all(&bytes[..read]).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = up => {}
        _ = tokio::io::copy(&mut from_member, &mut to_client) => {}
    }
}

/// Reads up to the empty line; where to.
async fn connect(client: &mut impl Client, first: u8, password: Password) -> Option<String> {
    let mut head = vec![first];
    while !head.ends_with(b"\r\n\r\n") {
        head.push(client.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).ok()?;
    let asked = head.strip_prefix("CONNECT ")?.split(' ').next()?.to_owned();
    if matches!(password, Password::Wanted) && !head.contains(AUTHORIZATION) {
        let refusal = b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n";
        client.write_all(refusal).await.ok()?;
        return None;
    }
    client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.ok()?;
    Some(asked)
}

/// Without authentication, to an IPv4 address.
async fn socks5(client: &mut impl Client) -> Option<String> {
    let mut methods = vec![0; usize::from(client.read_u8().await.ok()?)];
    client.read_exact(&mut methods).await.ok()?;
    client.write_all(&[SOCKS5, 0]).await.ok()?;
    // Version, CONNECT, reserved, IPv4, address, port.
    let mut request = [0; 10];
    client.read_exact(&mut request).await.ok()?;
    let [SOCKS5, 1, 0, 1, a, b, c, d, high, low] = request else {
        return None;
    };
    client
        .write_all(&[SOCKS5, 0, 0, 1, 0, 0, 0, 0, 0, 0])
        .await
        .ok()?;
    Some(format!(
        "{a}.{b}.{c}.{d}:{}",
        u16::from_be_bytes([high, low])
    ))
}
