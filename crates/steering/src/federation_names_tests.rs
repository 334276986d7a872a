//! KubeFed's names: hierarchy, merging, fall-back, and what KubeFed had wrong.

use super::*;

fn target(text: &str) -> Target {
    text.parse()
        .map_or_else(|_| Target::Hostname(text.to_owned()), Target::Ip)
}

fn cluster(name: &str, region: &str, zones: &[&str], targets: &[&str]) -> ClusterBalancer {
    ClusterBalancer {
        cluster: name.into(),
        region: (!region.is_empty()).then(|| region.to_owned()),
        zones: zones.iter().map(ToString::to_string).collect(),
        targets: targets.iter().map(|text| target(text)).collect(),
    }
}

fn names() -> ServiceNames {
    ServiceNames {
        key: ObjectKey::new("shop", "front"),
        domain_ref: "fed".to_owned(),
        domain: "example.com".to_owned(),
        ttl_secs: USUAL_TTL_SECS,
        external_name: None,
        dns_prefix: None,
    }
}

fn lines(found: &NamedRecords) -> Vec<String> {
    let line = |it: &PublishedRecord| {
        let name = it.name.trim_end_matches(".example.com");
        format!("{name} {} {}", it.record_type, it.targets.join(" "))
    };
    found.records.iter().map(line).collect()
}

#[track_caller]
fn check(names: &ServiceNames, clusters: &[ClusterBalancer], expected: &[&str]) {
    let found = service_records(names, clusters, &Resolved::new());
    assert_eq!(lines(&found), expected);
    assert!(
        found
            .records
            .iter()
            .all(|it| it.ttl_secs == Some(names.ttl_secs))
    );
}

#[test]
fn a_name_has_three_levels_and_clusters_of_one_place_share_one_set() {
    let clusters = [
        cluster("a", "r1", &["z1"], &["192.0.2.1"]),
        cluster("b", "r1", &["z1", "z2"], &["192.0.2.2"]),
        cluster("c", "r2", &["z3"], &["192.0.2.3", "2001:db8::3"]),
    ];
    let p = "front.shop.fed.svc";
    check(
        &names(),
        &clusters,
        &[
            &format!("{p} A 192.0.2.1 192.0.2.2 192.0.2.3"),
            &format!("{p} AAAA 2001:db8::3"),
            &format!("{p}.r1 A 192.0.2.1 192.0.2.2"),
            &format!("{p}.r2 A 192.0.2.3"),
            &format!("{p}.r2 AAAA 2001:db8::3"),
            &format!("{p}.z1.r1 A 192.0.2.1 192.0.2.2"),
            &format!("{p}.z2.r1 A 192.0.2.2"),
            &format!("{p}.z3.r2 A 192.0.2.3"),
            &format!("{p}.z3.r2 AAAA 2001:db8::3"),
        ],
    );
}

#[test]
fn what_has_no_address_leads_to_the_level_above_unless_another_cluster_there_has_one() {
    let clusters = [
        cluster("a", "r1", &["z1"], &[]),
        cluster("b", "r1", &["z1"], &["192.0.2.2"]),
        cluster("c", "r2", &["z3"], &[]),
    ];
    let p = "front.shop.fed.svc";
    check(
        &names(),
        &clusters,
        &[
            &format!("{p} A 192.0.2.2"),
            &format!("{p}.r1 A 192.0.2.2"),
            &format!("{p}.r2 CNAME {p}.example.com"),
            &format!("{p}.z1.r1 A 192.0.2.2"),
            &format!("{p}.z3.r2 CNAME {p}.r2.example.com"),
        ],
    );
}

#[test]
fn an_external_name_stands_for_the_services_and_a_prefix_is_one_name_more() {
    let names = ServiceNames {
        external_name: Some("Web".to_owned()),
        dns_prefix: Some("www".to_owned()),
        ..names()
    };
    check(
        &names,
        &[cluster("a", "", &[], &["192.0.2.1"])],
        &[
            "web.shop.fed.svc A 192.0.2.1",
            "www CNAME web.shop.fed.svc.example.com",
        ],
    );
}

#[test]
fn a_cluster_without_a_region_has_the_global_name_and_holds_up_nobody() {
    let clusters = [
        cluster("a", "", &["z1"], &["192.0.2.1"]),
        cluster("b", "no.label", &["z1"], &["192.0.2.2"]),
        cluster("c", "r1", &["z1"], &["192.0.2.3"]),
    ];
    let p = "front.shop.fed.svc";
    check(
        &names(),
        &clusters,
        &[
            &format!("{p} A 192.0.2.1 192.0.2.2 192.0.2.3"),
            &format!("{p}.r1 A 192.0.2.3"),
            &format!("{p}.z1.r1 A 192.0.2.3"),
        ],
    );
}

#[test]
fn host_names_are_the_addresses_that_they_resolve_to() {
    let clusters = [cluster("a", "r1", &[], &["lb.example", "other.example"])];
    let addresses = ["192.0.2.9", "2001:db8::9"].map(|ip| ip.parse().expect("an address"));
    let resolved = Resolved::from([("lb.example".to_owned(), BTreeSet::from(addresses))]);
    let found = service_records(&names(), &clusters, &resolved);
    let p = "front.shop.fed.svc";
    assert_eq!(
        lines(&found),
        [
            format!("{p} A 192.0.2.9"),
            format!("{p} AAAA 2001:db8::9"),
            format!("{p}.r1 A 192.0.2.9"),
            format!("{p}.r1 AAAA 2001:db8::9"),
        ]
    );
}

#[test]
fn hosts_of_an_ingress_have_the_addresses_of_all_clusters_and_none_without() {
    let clusters = [
        cluster("a", "r1", &[], &["192.0.2.1"]),
        cluster("b", "r1", &[], &["192.0.2.2"]),
    ];
    let hosts = ["shop.example.com.".to_owned(), "-a-..b".to_owned()];
    let found = ingress_records(&hosts, 60, &clusters, &Resolved::new());
    assert_eq!(lines(&found), ["shop A 192.0.2.1 192.0.2.2"]);
    assert_eq!(found.refused.len(), 1, "{:?}", found.refused);
    let none = ingress_records(&hosts, 60, &[cluster("a", "", &[], &[])], &Resolved::new());
    assert!(none.records.is_empty());
}

fn sight(name: &str, sight: Sight) -> ClusterSight {
    ClusterSight {
        cluster: name.into(),
        region: None,
        zones: vec![],
        sight,
    }
}

#[test]
fn a_cluster_that_is_away_keeps_its_place_and_loses_its_addresses_to_the_others() {
    let before = [
        cluster("a", "r1", &["z1"], &["192.0.2.1"]),
        cluster("b", "r2", &["z2"], &["192.0.2.2"]),
    ];
    let offers = |ip: &str| Sight::Offers(vec![target(ip)]);
    let now = standing(
        vec![sight("b", offers("192.0.2.2")), sight("a", Sight::Away)],
        &before,
    );
    assert_eq!(
        now,
        [cluster("a", "r1", &["z1"], &[]), before[1].clone()],
        "by name, and where it was"
    );
    // Nothing was heard yet of b: what it offered last is not taken away.
    let unknown = vec![sight("a", Sight::Away), sight("b", Sight::Unknown)];
    assert_eq!(standing(unknown, &before), now);
}

#[test]
fn when_every_cluster_is_away_the_last_addresses_stay() {
    let before = [
        cluster("a", "r1", &[], &["192.0.2.1"]),
        cluster("b", "r2", &[], &[]),
    ];
    let away = || vec![sight("a", Sight::Away), sight("b", Sight::Away)];
    assert_eq!(standing(away(), &before), before);
    let nothing = vec![sight("a", Sight::Away), sight("b", Sight::Offers(vec![]))];
    assert_eq!(standing(nothing, &before), before);
    let other = vec![
        sight("a", Sight::Away),
        sight("b", Sight::Offers(vec![target("192.0.2.7")])),
    ];
    assert!(standing(other, &before)[0].targets.is_empty());
}
