//! ACME challenges: served beside what zones say, kept over a restart, and relied on only when every
//! replica that is heard serves them.

use crate::harness::*;
use dns::{Client, Secrets, Server, Transport};
use hickory_proto::op::Message;
use meridian_steering::*;

const NAME: &str = "_acme-challenge.shop.example.org";

fn challenges(revision: u64, name: &str, values: &[&str]) -> Event {
    let spec = ChallengeSpec {
        ttl_secs: 60,
        values: values.iter().map(|it| (*it).to_owned()).collect(),
    };
    Event::Challenges(Challenges {
        revision,
        names: [(name.to_owned(), spec)].into(),
    })
}

/// The code of a TXT query, and the texts.
fn texts(replica: &Replica, name: &str) -> String {
    let mut query = vec![0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    query.extend(dns::Name::parse(name).expect("a name").wire());
    query.extend([0, 16, 0, 1]);
    let client = Client {
        source: "192.0.2.53".parse().expect("an address"),
        transport: Transport::Tcp,
        now_secs: 0,
        entropy: 0,
    };
    let server = Server::from(Secrets {
        current: [0; 16],
        other: None,
    });
    let mut out = [0; 4096];
    let reply = dns::answer(&replica.snapshot, &query, &client, &server, &mut out);
    let message = Message::from_vec(&out[..reply.len]).expect("it parses");
    let texts = message.answers.iter().map(|it| it.data.to_string());
    let mut texts: Vec<String> = texts.collect();
    texts.sort();
    format!("{:?} {}", message.metadata.response_code, texts.join(" "))
}

/// Another replica's word.
fn heard(replica: &Replica, name: &str, revision: u64) -> Event {
    let mut report = replica.report.clone().expect("it has reported");
    report.observer = name.into();
    report.at_millis = replica.now;
    report.challenges = revision;
    Event::Reported(Box::new(report))
}

#[test]
fn challenges_come_and_go_beside_the_zone() {
    let mut replica = Replica::with(service(), three());
    assert_eq!(texts(&replica, NAME), "NXDomain ");
    replica.tell([challenges(1, NAME, &["a", "b"])]);
    assert_eq!(texts(&replica, NAME), "NoError a b");
    assert_eq!(
        replica.addresses(BERLIN),
        [F],
        "steered names are as before"
    );
    replica.tell([challenges(2, NAME, &["b"])]);
    assert_eq!(texts(&replica, NAME), "NoError b");
    replica.tell([Event::Challenges(Challenges {
        revision: 3,
        ..Challenges::default()
    })]);
    assert_eq!(texts(&replica, NAME), "NXDomain ");
}

#[test]
fn an_alias_of_the_zone_stands_and_other_zones_have_none() {
    let mut replica = Replica::with(service(), three());
    replica.tell([Event::ZoneApplied(Box::new(ZoneSpec {
        records: "_acme-challenge.shop CNAME elsewhere.example.net.\n".into(),
        ..zone()
    }))]);
    replica.tell([challenges(1, NAME, &["a"])]);
    assert_eq!(texts(&replica, NAME), "NoError elsewhere.example.net.");
    replica.tell([challenges(2, "_acme-challenge.example.net", &["a"])]);
    assert_eq!(texts(&replica, "_acme-challenge.example.net"), "Refused ");
    assert_eq!(replica.challenges, 2, "all that can be served is");
}

#[test]
fn a_revision_counts_when_every_replica_that_is_heard_serves_it() {
    let mut replica = Replica::with(service(), three());
    let names = ["replica-1", "replica-2", "replica-3"];
    let observers = names.map(|name| Observer {
        name: name.into(),
        domain: name.into(),
        contact: None,
    });
    replica.tell([Event::Observers(observers.to_vec())]);
    replica.tell([challenges(1, NAME, &["a"])]);
    assert_eq!(replica.challenges, 1, "nobody else is heard");
    let report = replica.report.as_ref().expect("it is told at once");
    assert_eq!(report.challenges, 1);
    replica.tell([
        heard(&replica, "replica-2", 1),
        heard(&replica, "replica-3", 1),
    ]);
    replica.pass(1);
    replica.tell([challenges(2, NAME, &["b"])]);
    assert_eq!(replica.challenges, 1);
    replica.tell([heard(&replica, "replica-2", 2)]);
    assert_eq!(replica.challenges, 1, "one is still to come");
    replica.tell([heard(&replica, "replica-3", 2)]);
    assert_eq!(replica.challenges, 2);
    // One that falls silent holds nobody up for ever.
    replica.tell([challenges(3, NAME, &["c"]), heard(&replica, "replica-2", 3)]);
    assert_eq!(replica.challenges, 2);
    for _ in 0..5 {
        replica.pass(REPORT_LIFE_MILLIS / 4);
        replica.tell([heard(&replica, "replica-2", 3)]);
    }
    assert_eq!(replica.challenges, 3);
}

#[test]
fn a_challenge_asks_for_another_serial_and_its_end_for_the_one_before() {
    let mut replica = Replica::with(service(), three());
    let digest = |replica: &Replica| replica.zones[&zone().key].digest;
    let before = digest(&replica);
    replica.tell([challenges(1, NAME, &["a"])]);
    assert_ne!(digest(&replica), before);
    replica.tell([Event::Challenges(Challenges::default())]);
    assert_eq!(digest(&replica), before);
}

#[test]
fn a_restart_keeps_challenges() {
    let mut replica = Replica::with(service(), three());
    replica.tell([challenges(1, NAME, &["a"])]);
    let checkpoint = replica.engine.checkpoint(replica.now);
    let text = serde_json::to_string(&checkpoint).expect("it serializes");
    let checkpoint = serde_json::from_str(&text).expect("it reads");
    let (engine, effects) =
        Engine::restore(options("replica-1"), checkpoint, replica.now).expect("a version");
    let mut replica = Replica::from_engine(engine);
    replica.take(effects);
    assert_eq!(texts(&replica, NAME), "NoError a");
}
