//! Choices: shares by chance and by prefix, and what is refused.

use super::*;

fn set(choice: Choice) -> Set {
    let records = SteeredRecords::per_view(RecordType::A, [choice]);
    let origin = Name::parse("example.org").unwrap();
    compile_set(&records, 1, &origin, &mut Interned::default()).unwrap()
}

fn shares(weights: &[(u8, u32)]) -> Vec<Share> {
    let share = |(last, weight): &(u8, u32)| {
        let content = Content::Addresses(vec![[192, 0, 2, *last].into()]);
        Share {
            weight: *weight,
            answer: Answer {
                ttl_secs: 20,
                content,
            },
        }
    };
    weights.iter().map(share).collect()
}

/// The last byte of the address that was picked.
fn picked(set: &Set, client: u32, entropy: u64) -> u8 {
    match set.pick(0, Address::v4(client), entropy).0 {
        Pick::Records(encoded) => *encoded.bytes.last().unwrap(),
        other => panic!("{other:?}"),
    }
}

/// How often each of the numbers below 10 comes.
fn histogram(numbers: impl Iterator<Item = u8>) -> [usize; 10] {
    let mut counts = [0; 10];
    numbers.for_each(|number| counts[usize::from(number)] += 1);
    counts
}

#[test]
fn chance_gives_each_share_its_part() {
    let set = set(Choice::Weighted(shares(&[(1, 1), (2, 0), (3, 3)])));
    let entropies = (0..10_000u64).map(mix);
    let counts = histogram(entropies.map(|entropy| picked(&set, 0, entropy)));
    assert_eq!(counts[2], 0);
    assert!((2300..2700).contains(&counts[1]), "{counts:?}");
}

#[test]
fn a_prefix_always_gets_the_same_and_shares_follow_the_weights() {
    let by_prefix = |weights: &[(u8, u32)]| {
        set(Choice::ByPrefix {
            bits_v4: 24,
            bits_v6: 56,
            shares: shares(weights),
        })
    };
    let three = by_prefix(&[(1, 10), (2, 20), (3, 70)]);
    let clients = || (0..20_000u32).map(|index| index << 8);
    let counts = histogram(clients().map(|client| picked(&three, client, 0)));
    for (number, expected) in [(1, 2000), (2, 4000), (3, 14_000)] {
        assert!(counts[number].abs_diff(expected) < 250, "{counts:?}");
    }
    for client in clients().take(1000) {
        assert_eq!(picked(&three, client, 1), picked(&three, client | 0xff, 2));
    }
    // When a share goes, only its own prefixes move.
    let two = by_prefix(&[(1, 10), (3, 70)]);
    for client in clients().take(5000) {
        let before = picked(&three, client, 0);
        assert!(before == 2 || picked(&two, client, 0) == before);
    }
}

#[test]
fn the_logarithm_is_as_good_as_it_says() {
    for bits in (0..2000u64).map(mix).chain([0, 1, u64::MAX, 1 << 63]) {
        let exact = -((((bits >> 11) | 1) as f64) / 2f64.powi(53)).log2();
        let got = minus_log2(bits);
        assert!(
            got > 0.0 && (got - exact).abs() < 2e-5,
            "{bits}: {got} {exact}"
        );
    }
}

#[test]
fn malformed_choices_are_refused_and_say_why() {
    let origin = Name::parse("example.org").unwrap();
    let views = Arc::new(ViewTable::uniform());
    let one = |content: Content| {
        Choice::One(Answer {
            ttl_secs: 1,
            content,
        })
    };
    let v6 = || Content::Addresses(vec!["2001:db8::1".parse().unwrap()]);
    let records = |record_type, choice| vec![SteeredRecords::per_view(record_type, [choice])];
    for (records, problem) in [
        (vec![], "it has no record type: give A or AAAA"),
        (
            records(RecordType::A, one(v6())),
            "A: 2001:db8::1 is no address of this type",
        ),
        (
            records(RecordType::A, one(Content::Addresses(vec![]))),
            "A: an answer with 0 records: 1 to 64 can be",
        ),
        (
            records(RecordType::A, Choice::Weighted(shares(&[(1, 0)]))),
            "A: no answer with a weight above 0",
        ),
        (
            records(
                RecordType::A,
                Choice::ByPrefix {
                    bits_v4: 33,
                    bits_v6: 0,
                    shares: shares(&[(1, 1)]),
                },
            ),
            "A: a prefix length is longer than an address",
        ),
        (
            records(RecordType::NS, one(Content::NoData)),
            "NS: this type cannot be steered",
        ),
        (
            [
                records(RecordType::A, one(Content::NoData)),
                records(RecordType::A, one(Content::NoData)),
            ]
            .concat(),
            "A is given twice",
        ),
        (
            vec![SteeredRecords::per_view(RecordType::A, [])],
            "A: 0 choices for 1 views",
        ),
    ] {
        let steered = Steered {
            views: Arc::clone(&views),
            records,
            freshness: Freshness::Fresh,
        };
        let error = compile(&steered, &origin, &mut Interned::default()).unwrap_err();
        assert_eq!(error, problem);
    }
}
