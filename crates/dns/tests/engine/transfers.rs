//! Transfers: what secondaries get, message by message, and who gets none.

use meridian_dns::{
    Client, Freshness, Record, RecordType, Secondary, Snapshot, SnapshotBuilder, Transfer,
    Transport, Zone, answer, read_records, transfer,
};

use crate::properties::{client, name, query, server};
use crate::reply::{Decoded, decode};

const SECONDARY: &str = "192.0.2.53";

fn records(serial: u32, text: &str) -> Vec<Record> {
    let text = format!("@ SOA ns host {serial} 2 3 4 5\n@ NS ns\n{text}");
    read_records(&text, &name("example.org"), 300).unwrap()
}

/// The zone with this text, after `before`.
fn publish(before: Option<&Snapshot>, serial: u32, text: &str) -> Snapshot {
    let mut builder = before.map_or_else(SnapshotBuilder::new, SnapshotBuilder::from);
    let origin = name("example.org");
    let records = records(serial, text);
    let zone = Zone {
        origin: origin.clone(),
        records: records.clone(),
    };
    builder.zone(&zone).unwrap();
    let secondary = Secondary {
        networks: vec![format!("{SECONDARY}/32").parse().unwrap()],
        key: None,
        notify: vec!["192.0.2.53:53".parse().unwrap()],
    };
    let given = Transfer {
        secondaries: vec![secondary],
        records,
    };
    builder.transfer(&origin, &given).unwrap();
    builder.build(u64::from(serial))
}

fn secondary(transport: Transport) -> Client {
    Client {
        source: SECONDARY.parse().unwrap(),
        transport,
        ..client()
    }
}

fn axfr() -> Vec<u8> {
    query(&name("example.org"), RecordType::AXFR)
}

fn ixfr(serial: u32) -> Vec<u8> {
    let mut query = query(&name("example.org"), RecordType::IXFR);
    query[9] = 1;
    query.extend([0xc0, 0x0c, 0, 6, 0, 1, 0, 0, 0, 0, 0, 22, 0, 0]);
    query.extend(serial.to_be_bytes());
    query.extend([0; 16]);
    query
}

/// All messages, taken apart; none when the transfer is not given.
fn messages(snapshot: &Snapshot, query: &[u8], client: &Client) -> Vec<Decoded> {
    let given = transfer(snapshot, query, client, &server());
    given.into_iter().flatten().map(|it| decode(&it)).collect()
}

/// Records as `name TYPE`, a SOA with its serial.
fn told(messages: &[Decoded]) -> Vec<String> {
    let tell = |record: &Record| match record.record_type {
        RecordType::SOA => {
            let serial = record.data[record.data.len() - 20..].first_chunk().unwrap();
            format!("SOA {}", u32::from_be_bytes(*serial))
        }
        other => format!("{} {other}", record.owner),
    };
    messages
        .iter()
        .flat_map(|it| &it.answer)
        .map(tell)
        .collect()
}

fn datagram(snapshot: &Snapshot, query: &[u8], client: &Client) -> Decoded {
    let mut out = [0; 1232];
    let reply = answer(snapshot, query, client, &server(), &mut out);
    decode(&out[..reply.len])
}

#[test]
fn a_whole_zone_begins_and_ends_with_its_soa_and_has_what_is_occluded() {
    let text = "sub NS ns.sub\nns.sub A 192.0.2.1\nhidden.sub TXT x\nwww A 192.0.2.2";
    let snapshot = publish(None, 1, text);
    let messages = messages(&snapshot, &axfr(), &secondary(Transport::Tcp));
    assert_eq!(
        told(&messages),
        [
            "SOA 1",
            "example.org. NS",
            "sub.example.org. NS",
            "hidden.sub.example.org. TXT",
            "ns.sub.example.org. A",
            "www.example.org. A",
            "SOA 1"
        ]
    );
    assert_eq!(messages[0].flags, ["QR", "AA", "RD"]);
    assert_eq!(messages[0].question, &axfr()[12..]);
}

#[test]
fn a_large_zone_comes_in_messages_that_lose_and_repeat_nothing() {
    let text: String = (0..3000)
        .map(|i| format!("n{i:04} TXT \"{}\"\n", "x".repeat(i % 200)))
        .collect();
    let snapshot = publish(None, 7, &text);
    let messages = messages(&snapshot, &axfr(), &secondary(Transport::Tls));
    assert!(messages.len() > 10, "{}", messages.len());
    let got: Vec<Record> = messages.into_iter().flat_map(|it| it.answer).collect();
    let mut expected = records(7, &text);
    expected.push(expected[0].clone());
    assert_eq!(got.len(), expected.len());
    assert_eq!(got.first(), expected.first());
    assert_eq!(got.last(), expected.first());
    let sorted = |mut records: Vec<Record>| {
        records.sort_by(|a, b| (&a.owner, &a.data).cmp(&(&b.owner, &b.data)));
        records
    };
    assert_eq!(sorted(got), sorted(expected));
}

#[test]
fn an_incremental_transfer_has_each_step_since_the_serial() {
    let first = publish(None, 1, "a A 192.0.2.1\nb A 192.0.2.2");
    let second = publish(Some(&first), 2, "a A 192.0.2.1\nc A 192.0.2.3");
    let third = publish(Some(&second), 3, "a A 192.0.2.9\nc A 192.0.2.3");
    let steps = [
        "SOA 3",
        "SOA 1",
        "b.example.org. A",
        "SOA 2",
        "c.example.org. A",
        "SOA 2",
        "a.example.org. A",
        "SOA 3",
        "a.example.org. A",
        "SOA 3",
    ];
    let tcp = secondary(Transport::Tcp);
    assert_eq!(told(&messages(&third, &ixfr(1), &tcp)), steps);
    let udp = secondary(Transport::Udp);
    assert_eq!(told(&[datagram(&third, &ixfr(1), &udp)]), steps);
    for current in [3, 4] {
        assert_eq!(told(&messages(&third, &ixfr(current), &tcp)), ["SOA 3"]);
        assert_eq!(told(&[datagram(&third, &ixfr(current), &udp)]), ["SOA 3"]);
    }
    let whole = [
        "SOA 3",
        "example.org. NS",
        "a.example.org. A",
        "c.example.org. A",
        "SOA 3",
    ];
    assert_eq!(told(&messages(&third, &ixfr(0), &tcp)), whole);
}

#[test]
fn a_datagram_that_cannot_hold_a_transfer_has_the_newest_soa() {
    let text: String = (0..100).map(|i| format!("n{i} A 192.0.2.1\n")).collect();
    let snapshot = publish(None, 2, &text);
    let reply = datagram(&snapshot, &ixfr(1), &secondary(Transport::Udp));
    assert_eq!(told(std::slice::from_ref(&reply)), ["SOA 2"]);
    assert_eq!(reply.flags, ["QR", "AA", "RD"]);
}

#[test]
fn nobody_else_gets_a_transfer() {
    let snapshot = publish(None, 1, "www A 192.0.2.2");
    let refused = |snapshot: &Snapshot, query: &[u8], client: &Client| {
        assert!(transfer(snapshot, query, client, &server()).is_none());
        let reply = datagram(snapshot, query, client);
        assert_eq!((reply.rcode, reply.answer.len()), (5, 0));
    };
    refused(&snapshot, &axfr(), &client());
    refused(&snapshot, &ixfr(0), &client());
    // Neither in a datagram, nor below the origin, nor over HTTPS.
    refused(&snapshot, &axfr(), &secondary(Transport::Udp));
    refused(&snapshot, &axfr(), &secondary(Transport::Https));
    let below = query(&name("www.example.org"), RecordType::AXFR);
    refused(&snapshot, &below, &secondary(Transport::Tcp));
    // Nor when the zone has nobody to give it to any more, or is too old.
    let mut builder = SnapshotBuilder::from(&snapshot);
    builder.freshness(Freshness::Expired);
    refused(&builder.build(2), &axfr(), &secondary(Transport::Tcp));
    let mut builder = SnapshotBuilder::from(&snapshot);
    builder.end_transfer(&name("example.org"));
    refused(&builder.build(2), &axfr(), &secondary(Transport::Tcp));
}

#[test]
fn an_incremental_transfer_without_a_serial_is_refused() {
    let snapshot = publish(None, 1, "");
    let query = query(&name("example.org"), RecordType::IXFR);
    let secondary = secondary(Transport::Tcp);
    assert!(transfer(&snapshot, &query, &secondary, &server()).is_none());
}

#[test]
fn a_new_serial_is_news_for_each_secondary() {
    let first = publish(None, 1, "");
    let told: Vec<_> = publish(Some(&first), 2, "a A 192.0.2.1")
        .news()
        .map(|news| (news.origin.to_string(), news.to.to_string(), news.serial))
        .collect();
    let expected = ("example.org.".to_owned(), "192.0.2.53:53".to_owned(), 2);
    assert_eq!(told, [expected]);
}
