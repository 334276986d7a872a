//! ACME challenges by UPDATE (RFC 2136), as cert-manager and others ask for them.
//!
//! `nsupdate` is the client. Its NOERROR means that every replica serves what it asked for: the next
//! query, to whichever replica, finds it.

use crate::resolver::texts;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use meridian_tests::control_plane::free_ports;
use meridian_tests::world::{PATIENCE, Run, World};
use serde_json::json;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

scenarios! {
    shared: a_challenge_is_served_everywhere_once_it_is_acknowledged;
}

const NSUPDATE: &str = "/usr/bin/nsupdate";
const SYSTEM: &str = "kube-federation-system";
const ZONE: &str = "acme.example.org";
const NAME: &str = "_acme-challenge.shop.acme.example.org";
const SECRET: &str = "c2VjcmV0IHNlY3JldCBzZWNyZXQgc2VjcmV0IQ==";
/// DNS gives no sign when a zone is served.
const ASK_AGAIN: Duration = Duration::from_millis(50);

async fn a_challenge_is_served_everywhere_once_it_is_acknowledged(world: &World, _: &str) {
    let installed = Path::new(NSUPDATE).exists();
    assert!(
        installed || std::env::var_os("CI").is_none(),
        "{NSUPDATE} is not installed: apt-get install bind9-dnsutils"
    );
    if !installed {
        println!("SKIPPED: {NSUPDATE} is not installed (apt-get install bind9-dnsutils)");
        return;
    }
    furnish(world).await;
    let replicas = free_ports::<2>().map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
    let one = world.run(&Run::dns("acme-one", replicas[0])).await;
    let two = world.run(&Run::dns("acme-two", replicas[1])).await;
    for replica in replicas {
        until_served(replica).await;
    }
    // What cert-manager sends: away with what was left over, then the new one.
    let put =
        |value: &str| format!("update delete {NAME}. TXT\nupdate add {NAME}. 60 TXT \"{value}\"");
    until_accepted(replicas[0], &put("first"), &[]).await;
    for replica in replicas {
        assert_eq!(texts(replica, NAME).await, Some(vec!["first".to_owned()]));
    }
    until_accepted(replicas[1], &put("second"), &["-v"]).await;
    for replica in replicas {
        assert_eq!(texts(replica, NAME).await, Some(vec!["second".to_owned()]));
    }
    // Twice is once.
    until_accepted(replicas[0], &put("second"), &[]).await;
    let wrong = format!("prereq nxrrset {NAME}. TXT\n{}", put("third"));
    let refused = update(replicas[0], "acme", &wrong, &[]).await.unwrap_err();
    assert!(refused.contains("YXRRSET"), "{refused}");
    let other = update(replicas[0], "other", &put("third"), &[])
        .await
        .unwrap_err();
    assert!(other.contains("REFUSED"), "{other}");
    let host = format!("update add shop.{ZONE}. 60 A 192.0.2.1");
    let host = update(replicas[0], "acme", &host, &[]).await.unwrap_err();
    assert!(host.contains("REFUSED"), "{host}");
    // A replica that comes anew has it from the host.
    one.stop();
    let three = free_ports::<1>().map(|port| SocketAddr::from(([127, 0, 0, 1], port)))[0];
    let third = world.run(&Run::dns("acme-three", three)).await;
    until_served(three).await;
    assert_eq!(texts(three, NAME).await, Some(vec!["second".to_owned()]));
    let take = format!("update delete {NAME}. TXT \"second\"");
    until_accepted(replicas[1], &take, &[]).await;
    for replica in [replicas[1], three] {
        assert_eq!(texts(replica, NAME).await, Some(Vec::new()));
    }
    two.stop();
    third.stop();
}

/// A zone whose challenges one key may change, and two keys.
async fn furnish(world: &World) {
    let key = STANDARD.encode(format!("hmac-sha256:{SECRET}"));
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret",
        "metadata": {"name": "meridian-tsig-keys", "namespace": SYSTEM},
        "data": {"acme": key, "other": key},
    });
    world.host().apply(secret).await;
    let zone = json!({
        "apiVersion": "gslb.meridian.dev/v1alpha1", "kind": "Zone",
        "metadata": {"name": "acme", "namespace": SYSTEM},
        "spec": {
            "domain": ZONE,
            "nameServers": [{"name": format!("ns1.{ZONE}"), "addresses": ["127.0.0.1"]}],
            "records": "@ TXT served\n",
            "update": {"keys": ["acme"]},
        },
    });
    world.host().apply(zone).await;
}

async fn until_served(replica: SocketAddr) {
    let deadline = Instant::now() + PATIENCE;
    while texts(replica, ZONE).await != Some(vec!["served".to_owned()]) {
        assert!(Instant::now() < deadline, "{replica} does not serve {ZONE}");
        tokio::time::sleep(ASK_AGAIN).await;
    }
}

/// Until it is acknowledged: the key comes with another watch than the zone, and replicas of other
/// scenarios that have just ended are heard for a while.
async fn until_accepted(replica: SocketAddr, lines: &str, arguments: &[&str]) {
    let deadline = Instant::now() + PATIENCE;
    while let Err(why) = update(replica, "acme", lines, arguments).await {
        assert!(Instant::now() < deadline, "{why}");
        tokio::time::sleep(ASK_AGAIN).await;
    }
}

/// One UPDATE; what nsupdate says when it fails.
async fn update(
    replica: SocketAddr,
    key: &str,
    lines: &str,
    arguments: &[&str],
) -> Result<(), String> {
    let script = format!(
        "server {} {}\nzone {ZONE}\n{lines}\nsend\n",
        replica.ip(),
        replica.port()
    );
    let mut child = Command::new(NSUPDATE)
        .args(["-y", &format!("hmac-sha256:{key}:{SECRET}")])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("nsupdate starts");
    let mut input = child.stdin.take().expect("it has an input");
    input.write_all(script.as_bytes()).await.expect("it reads");
    drop(input);
    let output = child.wait_with_output().await.expect("it ends");
    let said = [output.stdout, output.stderr].concat();
    match output.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&said).into_owned()),
    }
}
