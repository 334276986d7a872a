//! The product's own server as the resolver that is asked.

use super::*;
use dns::{Name as Origin, Secrets, Snapshot, SnapshotBuilder, Zone, read_records};
use dns_server::{DnsMetrics, DnsServer, Handle, Options};
use prometheus_client::registry::Registry;

fn snapshot(zones: &[(&str, &str)]) -> Arc<Snapshot> {
    let mut builder = SnapshotBuilder::new();
    for (origin, text) in zones {
        let origin = Origin::parse(origin).expect("a name");
        let text = format!("@ SOA ns host 1 7200 3600 1209600 90\n@ NS ns\n{text}");
        let records = read_records(&text, &origin, 300).expect("a zone");
        builder
            .zone(&Zone { origin, records })
            .expect("it is right");
    }
    Arc::new(builder.build(1))
}

/// A server, and where it is.
fn serve(zones: &[(&str, &str)]) -> (Handle, SocketAddr) {
    let secrets = Secrets {
        current: [0; 16],
        other: None,
    };
    let options = Options::new(vec!["127.0.0.1:0".parse().expect("an address")], secrets);
    let metrics = DnsMetrics::new(&mut Registry::default());
    let handle = DnsServer::start(&options, snapshot(zones), &metrics).expect("it listens");
    let address = handle.local_addrs(dns::Transport::Udp)[0];
    (handle, address)
}

async fn check(
    servers: &[SocketAddr],
    hostname: &str,
    v4: (&[&str], u32),
    v6: (&[&str], u32),
) -> Resolved {
    let servers = Servers::These(servers.to_vec());
    let resolved = resolve(&servers, hostname.to_owned()).await;
    for (found, (expected, ttl_secs)) in [(&resolved.v4, v4), (&resolved.v6, v6)] {
        let (addresses, ttl) = found.as_ref().expect("an answer");
        let addresses: Vec<_> = addresses.iter().map(ToString::to_string).collect();
        assert_eq!(
            (addresses.as_slice(), *ttl),
            (
                &expected
                    .iter()
                    .map(|it| (*it).to_owned())
                    .collect::<Vec<_>>()[..],
                ttl_secs
            ),
            "{hostname}"
        );
    }
    resolved
}

#[tokio::test]
async fn both_families_come_with_the_least_ttl_of_the_chain() {
    let text = "lb 60 A 192.0.2.1\nlb 60 A 192.0.2.2\nlb 40 AAAA 2001:db8::1\n\
                a 20 CNAME b\nb 50 CNAME lb\n";
    let (_server, at) = serve(&[("example.net", text)]);
    let v4: &[&str] = &["192.0.2.1", "192.0.2.2"];
    check(&[at], "lb.example.net", (v4, 60), (&["2001:db8::1"], 40)).await;
    check(&[at], "A.example.net.", (v4, 20), (&["2001:db8::1"], 20)).await;
}

#[tokio::test]
async fn a_name_that_is_not_there_has_none_for_as_long_as_the_zone_says() {
    let (_server, at) = serve(&[("example.net", "lb 60 A 192.0.2.1\n")]);
    check(&[at], "lb.example.net", (&["192.0.2.1"], 60), (&[], 90)).await;
    check(&[at], "gone.example.net", (&[], 90), (&[], 90)).await;
}

#[tokio::test]
async fn a_chain_that_the_server_left_open_is_followed() {
    // An authoritative server does not follow an alias out of its zones; here it leads to the other
    // server's.
    let (_one, one) = serve(&[("example.net", "lb 30 CNAME lb.example.com.\n")]);
    let (_two, two) = serve(&[("example.com", "lb 60 A 192.0.2.7\n")]);
    check(
        &[one, two],
        "lb.example.net",
        (&["192.0.2.7"], 30),
        (&[], 30),
    )
    .await;
}

#[tokio::test]
async fn what_is_cut_comes_over_tcp() {
    let many: String = (0..200)
        .map(|at| format!("lb 60 A 192.0.2.{at}\n"))
        .collect();
    let (_server, at) = serve(&[("example.net", &many)]);
    let resolved = resolve(&Servers::These(vec![at]), "lb.example.net".into()).await;
    assert_eq!(resolved.v4.expect("an answer").0.len(), 200);
}

#[tokio::test]
async fn a_server_that_refuses_or_is_away_is_passed_over_and_named_when_all_are() {
    let closed = UdpSocket::bind("127.0.0.1:0").await.expect("a port");
    let away = closed.local_addr().expect("bound");
    drop(closed);
    let (_other, refuses) = serve(&[("example.com", "")]);
    let (_server, at) = serve(&[("example.net", "lb 60 A 192.0.2.1\n")]);
    let all = [away, refuses, at];
    check(&all, "lb.example.net", (&["192.0.2.1"], 60), (&[], 90)).await;
    let resolved = resolve(
        &Servers::These(vec![away, refuses]),
        "lb.example.net".into(),
    )
    .await;
    let why = resolved.v4.expect_err("nobody knows");
    assert!(why.ends_with(&format!("from {refuses}")), "{why}");
}

#[tokio::test]
async fn the_running_resolver_gives_one_word_for_each_name() {
    let (_server, at) = serve(&[("example.net", "a A 192.0.2.1\nb A 192.0.2.2\n")]);
    let (results, mut words) = mpsc::channel(RESOLVED_MAX);
    let resolver = Resolver::start(Servers::These(vec![at]), results);
    resolver.ask(vec!["a.example.net".into(), "b.example.net".into()]);
    let mut names = Vec::new();
    for _ in 0..2 {
        names.push(words.recv().await.expect("a word").hostname);
    }
    names.sort();
    assert_eq!(names, ["a.example.net", "b.example.net"]);
    drop(resolver);
    assert_eq!(words.recv().await, None);
}

#[test]
fn the_systems_file_names_at_most_three_servers() {
    let text = "# comment\nsearch a b\nnameserver 10.0.0.10\nnameserver fd00::10\n\
                nameserver what\noptions ndots:5\nnameserver 10.0.0.11\nnameserver 10.0.0.12\n";
    let path = Path::new("resolv.conf");
    let found = named_in(text, path).expect("some");
    let found: Vec<_> = found.iter().map(ToString::to_string).collect();
    assert_eq!(found, ["10.0.0.10:53", "[fd00::10]:53", "10.0.0.11:53"]);
    let why = named_in("search a\n", path).expect_err("none");
    assert!(why.contains("resolv.conf names no nameserver"), "{why}");
}
