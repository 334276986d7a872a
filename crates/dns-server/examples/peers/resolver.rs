//! unbound with client subnets (RFC 7871) between clients and us.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use dns::{ReplyClass, Transport};

use crate::ours::{Counter, STEERED};
use crate::servers::{free, spawn};
use crate::{Fallible, say};

const PATIENCE: Duration = Duration::from_secs(20);

/// Runs it.
pub(crate) fn run(ours: SocketAddr, folder: &Path, asked: &Counter) -> Fallible<()> {
    let address = free()?;
    let at = folder.join("unbound");
    fs::create_dir_all(&at)?;
    let config = format!(
        "server:\n  interface: 127.0.0.1\n  port: {}\n  username: \"\"\n  chroot: \"\"\n  \
         directory: \"{at}\"\n  pidfile: \"{at}/pid\"\n  use-syslog: no\n  num-threads: 1\n  \
         do-not-query-localhost: no\n  module-config: \"subnetcache iterator\"\n  \
         send-client-subnet: 127.0.0.1\n  client-subnet-always-forward: yes\n  \
         local-zone: \"test.\" nodefault\n\
         stub-zone:\n  name: \"{STEERED}\"\n  stub-addr: 127.0.0.1@{}\n",
        address.port(),
        ours.port(),
        at = at.display()
    );
    let _unbound = spawn("unbound", &["-d", "-p", "-c"], &at, &config, address)?;
    let start = Instant::now();
    let first = loop {
        let answer = dig(address, "10.1.2.0/24")?;
        if !answer.is_empty() || start.elapsed() > PATIENCE {
            break answer;
        }
    };
    expect("a client of 10.1.2.0/24", &first, "192.0.2.1")?;
    expect(
        "a client of 200.1.2.0/24",
        &dig(address, "200.1.2.0/24")?,
        "192.0.2.2",
    )?;
    say("unbound: clients of two networks get two answers");
    let before = asked(ReplyClass::Steered, Transport::Udp);
    // The scope is /1: other networks of the same half are answered from the cache.
    expect(
        "another of its half",
        &dig(address, "10.9.9.0/24")?,
        "192.0.2.1",
    )?;
    expect(
        "another of the other",
        &dig(address, "201.1.2.0/24")?,
        "192.0.2.2",
    )?;
    let again = asked(ReplyClass::Steered, Transport::Udp) - before;
    if again > 0 {
        return Err(format!("unbound asked {again} times for what scopes say it knows").into());
    }
    say("unbound: its cache obeys our scopes");
    Ok(())
}

fn dig(server: SocketAddr, subnet: &str) -> Fallible<String> {
    let output = Command::new("dig")
        .args([
            "@127.0.0.1",
            "-p",
            &server.port().to_string(),
            "+short",
            "+tries=1",
            "+time=2",
        ])
        .args([
            &format!("+subnet={subnet}"),
            &format!("shop.{STEERED}"),
            "A",
        ])
        .output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let answers = text.lines().filter(|line| !line.starts_with(';'));
    Ok(answers.collect::<Vec<_>>().join(" "))
}

fn expect(who: &str, found: &str, expected: &str) -> Fallible<()> {
    if found == expected {
        return Ok(());
    }
    Err(format!("{who} gets {found:?} through unbound, not {expected:?}").into())
}
