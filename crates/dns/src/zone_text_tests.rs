//! Zone text: what is read, and what is refused with its line.

use super::*;

fn origin() -> Name {
    Name::parse("example.org").unwrap()
}

/// Records as lines, data in hexadecimal.
fn check(text: &str, expected: &[&str]) {
    let records = read_records(text, &origin(), 300).unwrap_or_else(|error| panic!("{error}"));
    let lines: Vec<_> = records
        .iter()
        .map(|record| {
            let data: String = record
                .data
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect();
            format!(
                "{} {} {} {data}",
                record.owner, record.ttl_secs, record.record_type
            )
        })
        .collect();
    assert_eq!(lines, expected);
}

fn refused(text: &str, expected: &str) {
    let error = read_records(text, &origin(), 300).unwrap_err();
    assert_eq!(error.to_string(), expected, "{text:?}");
}

#[test]
fn owners_ttls_and_classes_are_read_as_rfc_1035_says() {
    check(
        "www A 192.0.2.1\n  600 IN AAAA ::1\n IN 1h30m TXT a\n@ NS www\nfar.away. A 192.0.2.2\n",
        &[
            "www.example.org. 300 A c0000201",
            "www.example.org. 600 AAAA 00000000000000000000000000000001",
            "www.example.org. 5400 TXT 0161",
            "example.org. 300 NS 03777777076578616d706c65036f726700",
            "far.away. 300 A c0000202",
        ],
    );
}

#[test]
fn directives_change_the_origin_and_the_ttl() {
    check(
        "$TTL 60\n$ORIGIN sub\na A 192.0.2.1\n$ORIGIN org.\n$ttl 1d\nb A 192.0.2.2",
        &[
            "a.sub.example.org. 60 A c0000201",
            "b.org. 86400 A c0000202",
        ],
    );
}

#[test]
fn parentheses_comments_and_quotes() {
    check(
        "; nothing\n\n   \n@ SOA ns. host. ( 1 ; serial\n 2\n 3 4 5 ) ; end\nt TXT \"a;b(\" c\\;d \"\\065\\\"\" \"\"\nu A 192.0.2.1 ; after",
        &[
            "example.org. 300 SOA 026e730004686f737400\
             0000000100000002000000030000000400000005",
            "t.example.org. 300 TXT 04613b622803633b6402412200",
            "u.example.org. 300 A c0000201",
        ],
    );
}

#[test]
fn data_of_many_types() {
    check(
        "m MX 10 mail\ns SRV 1 2 80 t.\nc CAA 128 issue \"ca\"\nd DS 1 13 2 aa bb\n\
         n DNAME other.\nx TYPE65280 \\# 3 0102 03\ny A \\# 4 c0000201\nz HTTPS 1 . alpn=h2\n\
         l TLSA 3 1 1 aabb\nf SSHFP 4 2 aabb\nk HTTPS 0 svc\n",
        &[
            "m.example.org. 300 MX 000a046d61696c076578616d706c65036f726700",
            "s.example.org. 300 SRV 000100020050017400",
            "c.example.org. 300 CAA 800569737375656361",
            "d.example.org. 300 DS 00010d02aabb",
            "n.example.org. 300 DNAME 056f7468657200",
            "x.example.org. 300 TYPE65280 010203",
            "y.example.org. 300 A c0000201",
            "z.example.org. 300 HTTPS 00010000010003026832",
            "l.example.org. 300 TLSA 030101aabb",
            "f.example.org. 300 SSHFP 0402aabb",
            "k.example.org. 300 HTTPS 000003737663076578616d706c65036f726700",
        ],
    );
}

#[test]
fn what_cannot_be_read_is_refused_with_its_line() {
    for (text, expected) in [
        (
            "\n\nwww A 192.0.2.256",
            "line 3: www.example.org. A: \"192.0.2.256\" is not an IPv4 address",
        ),
        (
            "www A",
            "line 1: www.example.org. A: 0 words are not what this type takes",
        ),
        (
            "www NOPE x",
            "line 1: \"NOPE\" is no record type: write TYPEnnn for one that has no name (RFC 3597)",
        ),
        ("www", "line 1: a record type is missing"),
        (
            "  A 192.0.2.1",
            "line 1: the first record has no owner name",
        ),
        ("www CH A 192.0.2.1", "line 1: class CH: only IN is served"),
        (
            "www 3000000000 A 192.0.2.1",
            "line 1: \"3000000000\" is no TTL: seconds up to 2³¹-1, or as in 1h30m",
        ),
        (
            "$INCLUDE /etc/passwd",
            "line 1: $INCLUDE is refused: no files are opened; put the text here",
        ),
        (
            "$GENERATE 1-2 a",
            "line 1: $GENERATE is no directive: $ORIGIN and $TTL are",
        ),
        (
            "a..b A 192.0.2.1",
            "line 1: \"a..b\" is not a domain name: it has an empty label",
        ),
        ("t TXT \"open", "line 1: a quote is never closed"),
        (
            "t TXT \"open\nb A 192.0.2.1",
            "line 1: a quote is not closed on its line",
        ),
        ("@ SOA a. b. (\n1 2 3 4", "line 1: ( is never closed"),
        ("a A ) 192.0.2.1", "line 1: ) without ("),
        (
            "x TYPE65280 \\# 2 01",
            "line 1: x.example.org. TYPE65280: 1 bytes where 2 were announced",
        ),
        (
            "x TYPE65280 \\# 1 0g",
            "line 1: x.example.org. TYPE65280: hexadecimal digits are expected",
        ),
        ("x TYPE41 a", "line 1: OPT is not a type of data"),
        ("x ANY a", "line 1: ANY is not a type of data"),
    ] {
        refused(text, expected);
    }
    let long = format!("t TXT {}", "a".repeat(256));
    refused(
        &long,
        "line 1: t.example.org. TXT: a string of 256 bytes: at most 255 fit",
    );
}

#[test]
fn times_have_units() {
    for (text, secs) in [
        ("0", 0),
        ("90", 90),
        ("1h30m", 5400),
        ("1W", 604_800),
        ("2d3", 172_803),
    ] {
        assert_eq!(read_secs(text), Some(secs), "{text}");
    }
    for text in ["", "h", "1x", "99999999999", "9999999w", "-1"] {
        assert_eq!(read_secs(text), None, "{text}");
    }
}

proptest::proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "[ -~\n\t]{0,200}", words in proptest::collection::vec(
        proptest::sample::select(vec![
            "@", "a", "A", "TXT", "SOA", "(", ")", "\n", "\"", "\\", ";", "1", "IN", "MX", "SVCB",
            "HTTPS", "NAPTR", "TLSA", "CERT", "\\#", "$TTL", "$ORIGIN", "LOC", "alpn=", "mandatory=",
            "ipv4hint=1.2.3.4", "CSYNC", "SSHFP", "OPENPGPKEY", "ff",
        ]), 0..14,
    )) {
        drop(read_records(&text, &origin(), 300));
        drop(read_records(&words.join(" "), &origin(), 300));
    }
}
