//! kdig over every transport, with the certificate verified.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use dns::{ReplyClass, Transport};

use crate::ours::{CERTIFICATE, Counter, NAME, Ours, STEERED};
use crate::{Fallible, say};

/// Where each transport is served.
pub(crate) type Served = [(Transport, SocketAddr); 5];

/// Of every transport.
pub(crate) fn served(ours: &Ours) -> Served {
    Transport::ALL.map(|transport| (transport, ours.address(transport)))
}

/// Runs it.
pub(crate) fn run(served: &Served, folder: &Path, asked: &Counter) -> Fallible<()> {
    let certificate = folder.join(CERTIFICATE);
    let authority = format!("+tls-ca={}", certificate.display());
    for (transport, address) in served {
        let words = match transport {
            Transport::Udp => "+notcp",
            Transport::Tcp => "+tcp",
            Transport::Tls => "+tls",
            Transport::Https => "+https=/dns-query",
            Transport::Quic => "+quic",
        };
        let encrypted = matches!(
            transport,
            Transport::Tls | Transport::Https | Transport::Quic
        );
        // The transport is said last: the others would make it TLS.
        let with = |name: &str| {
            let mut said = Vec::new();
            if encrypted {
                said.extend([authority.clone(), format!("+tls-hostname={name}")]);
            }
            said.push(words.to_owned());
            said
        };
        // The two halves of the addresses have an answer each.
        for (client, answer) in [("9.0.0.0/24", "192.0.2.1"), ("200.0.0.0/24", "192.0.2.2")] {
            let before = asked(ReplyClass::Steered, *transport);
            let verified = with(NAME);
            let said = ask(*address, &verified, client)?;
            let answered = said.contains(answer) && said.contains("NOERROR");
            if !answered || asked(ReplyClass::Steered, *transport) == before {
                return Err(
                    format!("kdig {verified:?} for {client}, not {answer}:\n{said}").into(),
                );
            }
        }
        if encrypted {
            let said = ask(*address, &with("other.example"), "9.0.0.0/24")?;
            if said.contains("192.0.2.1") {
                return Err(format!("kdig took a certificate of another name:\n{said}").into());
            }
        }
        let label = transport.label();
        let how = if encrypted {
            ", its certificate verified"
        } else {
            ""
        };
        say(&format!(
            "kdig over {label}: clients of two networks, two answers{how}"
        ));
    }
    Ok(())
}

/// What it prints; an exchange that fails is no failure of the program.
fn ask(server: SocketAddr, words: &[String], client: &str) -> Fallible<String> {
    let port = server.port().to_string();
    let subnet = format!("+subnet={client}");
    let name = format!("shop.{STEERED}");
    let output = Command::new("kdig")
        .args(["@127.0.0.1", "-p", &port, &name, "A", &subnet])
        .args(["+time=5", "+retry=0"])
        .args(words)
        .output()?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ok(text(&output.stdout) + &text(&output.stderr))
}
