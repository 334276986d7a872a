//! The server of targets that ask: one key, `k`.

use meridian_dns::{Key, Keys, Secrets, Server};

/// See the module.
pub fn server() -> Server {
    let key = Key::parse("k", "hmac-sha256:AAAAAAAAAAAAAAAAAAAAAA==").expect("a key");
    let secrets = Secrets {
        current: [7; 16],
        other: None,
    };
    Server {
        keys: Keys::new(vec![key]),
        ..Server::from(secrets)
    }
}
