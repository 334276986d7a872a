//! Lists: order, selectors, pages, versions, and what is shown of the items.

use serde_json::{Value, json};

use crate::answer::Look;
use crate::manifests::{config_map, config_map_with, labelled, secret, widgets};
use crate::world::World;

cases! { ApiServer:
    a_list_has_a_version_and_items_without_type,
    an_empty_list_has_an_empty_array,
    items_of_a_custom_list_carry_their_type,
    a_list_is_sorted_by_name,
    a_list_of_all_namespaces_is_sorted_by_namespace,
    label_selectors_compare_and_test_membership,
    a_malformed_label_selector_is_a_bad_request,
    field_selectors_choose_by_name_and_namespace,
    field_selectors_choose_secrets_by_type,
    a_field_that_cannot_be_selected_is_a_bad_request,
    custom_objects_are_selected_by_name_only,
    pages_follow_each_other_by_continue_tokens,
    pages_show_the_state_at_the_first_page,
    a_page_with_a_selector_does_not_count_what_remains,
    a_malformed_continue_token_is_a_bad_request,
    a_list_at_version_zero_is_answered,
    a_list_at_an_exact_version_shows_that_version,
    a_list_no_older_than_a_version_is_at_least_as_new,
    a_version_match_needs_a_version,
    a_version_of_the_future_is_too_large,
    a_malformed_version_is_invalid,
    a_collection_can_be_deleted_by_selector,
    metadata_alone_can_be_listed,
    metadata_alone_can_be_read,
    a_large_list_is_compressed_when_the_client_takes_gzip,
}

async fn create(world: &World, names: &[&str]) {
    for name in names {
        world.post("configmaps", &config_map(name)).await.is(201);
    }
}

/// Only what the case made: controllers publish certificates into each namespace.
fn own(list: &Value) -> Vec<&str> {
    list.names()
        .into_iter()
        .filter(|name| !name.ends_with(".crt"))
        .collect()
}

async fn a_list_has_a_version_and_items_without_type(world: World) {
    create(&world, &["a"]).await;
    let list = world
        .get("configmaps")
        .query("fieldSelector", "metadata.name=a")
        .await
        .is(200);
    list.has(json!({"kind": "ConfigMapList", "apiVersion": "v1"}));
    assert!(
        list.text("/metadata/resourceVersion")
            .parse::<u64>()
            .unwrap()
            > 0
    );
    list["items"][0].has(json!({"kind": null, "apiVersion": null, "metadata": {"name": "a"}}));
}

async fn an_empty_list_has_an_empty_array(world: World) {
    let list = world.get("secrets").await.is(200);
    assert_eq!(list["items"], json!([]));
}

async fn items_of_a_custom_list_carry_their_type(world: World) {
    let widgets = world.define(&widgets(&world.group)).await;
    world
        .post(&widgets, &world.custom("Widget", "a", json!({})))
        .await
        .is(201);
    let version = format!("{}/v1", world.group);
    let list = world.get(&widgets).await.is(200);
    list.has(json!({"kind": "WidgetList", "apiVersion": version}));
    list["items"][0].has(json!({"kind": "Widget", "apiVersion": version}));
}

async fn a_list_is_sorted_by_name(world: World) {
    create(&world, &["b", "a.b", "c", "a-b", "a"]).await;
    assert_eq!(
        own(&world.get("configmaps").await.is(200)),
        ["a", "a-b", "a.b", "b", "c"]
    );
}

async fn a_list_of_all_namespaces_is_sorted_by_namespace(world: World) {
    let other = format!("a{}", world.namespace);
    let body = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": other}});
    world.post("/api/v1/namespaces", &body).await.is(201);
    let label = json!({"case": world.namespace});
    world
        .post("configmaps", &labelled("a", label.clone()))
        .await
        .is(201);
    let path = format!("/api/v1/namespaces/{other}/configmaps");
    world.post(&path, &labelled("b", label)).await.is(201);
    let selector = format!("case={}", world.namespace);
    let list = world
        .get("/api/v1/configmaps")
        .query("labelSelector", &selector)
        .await
        .is(200);
    // "a-…" comes before "aa-…" and so does any other first letter but "a".
    let mut namespaces = vec![other.as_str(), world.namespace.as_str()];
    namespaces.sort_unstable();
    let listed: Vec<&str> = list
        .list("/items")
        .iter()
        .map(|item| item.text("/metadata/namespace"))
        .collect();
    assert_eq!(listed, namespaces);
}

async fn label_selectors_compare_and_test_membership(world: World) {
    for (name, labels) in [
        ("a", json!({"tier": "web", "env": "prod"})),
        ("b", json!({"tier": "web", "env": "test"})),
        ("c", json!({"tier": "db"})),
        ("d", json!({"tier": ""})),
    ] {
        world
            .post("configmaps", &labelled(name, labels))
            .await
            .is(201);
    }
    for (selector, expected) in [
        ("tier=web", vec!["a", "b"]),
        ("tier==web,env!=prod", vec!["b"]),
        ("tier in (web,db)", vec!["a", "b", "c"]),
        ("tier notin (web),tier", vec!["c", "d"]),
        ("env", vec!["a", "b"]),
        ("!env,tier", vec!["c", "d"]),
        ("tier=", vec!["d"]),
        ("tier,env!=prod", vec!["b", "c", "d"]),
        ("env in (prod, test),tier=web", vec!["a", "b"]),
        ("tier=web,tier=db", vec![]),
    ] {
        let list = world
            .get("configmaps")
            .query("labelSelector", selector)
            .await
            .is(200);
        assert_eq!(own(&list), expected, "{selector}");
    }
}

async fn a_malformed_label_selector_is_a_bad_request(world: World) {
    for selector in ["=", "a in web", "a=b=c", "a=not a value"] {
        let answer = world
            .get("configmaps")
            .query("labelSelector", selector)
            .await;
        answer.refused_saying(400, "BadRequest", "");
    }
}

async fn field_selectors_choose_by_name_and_namespace(world: World) {
    create(&world, &["a", "b"]).await;
    let namespace = format!("metadata.namespace={},metadata.name!=a", world.namespace);
    for (selector, expected) in [
        ("metadata.name=a", "a"),
        ("metadata.name!=a", "b"),
        (&namespace, "b"),
    ] {
        let list = world
            .get("configmaps")
            .query("fieldSelector", selector)
            .await
            .is(200);
        assert_eq!(own(&list), [expected], "{selector}");
    }
}

async fn field_selectors_choose_secrets_by_type(world: World) {
    for (name, kind) in [("a", "Opaque"), ("b", "example.com/b")] {
        let body = json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "type": kind,
        });
        world.post("secrets", &body).await.is(201);
    }
    let list = world
        .get("secrets")
        .query("fieldSelector", "type=example.com/b")
        .await
        .is(200);
    assert_eq!(list.names(), ["b"]);
}

async fn a_field_that_cannot_be_selected_is_a_bad_request(world: World) {
    world
        .get("configmaps")
        .query("fieldSelector", "data.k=v")
        .await
        .refused_saying(400, "BadRequest", "data.k");
    let answer = world
        .get("configmaps")
        .query("fieldSelector", "metadata.name")
        .await;
    answer.refused_saying(400, "BadRequest", "invalid selector: 'metadata.name'");
}

async fn custom_objects_are_selected_by_name_only(world: World) {
    let widgets = world.define(&widgets(&world.group)).await;
    for name in ["a", "b"] {
        world
            .post(&widgets, &world.custom("Widget", name, json!({})))
            .await
            .is(201);
    }
    let list = world
        .get(&widgets)
        .query("fieldSelector", "metadata.name=b")
        .await
        .is(200);
    assert_eq!(list.names(), ["b"]);
    let answer = world
        .get(&widgets)
        .query("fieldSelector", "spec.size=1")
        .await;
    answer.refused_saying(400, "BadRequest", "field label not supported: spec.size");
}

async fn pages_follow_each_other_by_continue_tokens(world: World) {
    for name in ["a", "b", "c", "d", "e"] {
        world.post("secrets", &secret(name)).await.is(201);
    }
    let mut pages = Vec::new();
    let mut token = String::new();
    let mut versions = Vec::new();
    loop {
        let request = world
            .get("secrets")
            .query("limit", "2")
            .query("continue", &token);
        let page = request.await.is(200);
        pages.push((
            page.names().join(" "),
            page["metadata"]["remainingItemCount"].clone(),
        ));
        versions.push(page.text("/metadata/resourceVersion").to_owned());
        token = page.text("/metadata/continue").to_owned();
        if token.is_empty() {
            break;
        }
    }
    assert_eq!(
        pages,
        [
            ("a b".to_owned(), json!(3)),
            ("c d".to_owned(), json!(1)),
            ("e".to_owned(), Value::Null),
        ],
    );
    assert!(
        versions.iter().all(|version| *version == versions[0]),
        "{versions:?}"
    );
}

async fn pages_show_the_state_at_the_first_page(world: World) {
    for name in ["a", "b", "d"] {
        world.post("secrets", &secret(name)).await.is(201);
    }
    let page = world.get("secrets").query("limit", "1").await.is(200);
    assert_eq!(page.names(), ["a"]);
    world.post("secrets", &secret("c")).await.is(201);
    world.delete("secrets/d").await.is(200);
    let token = page.text("/metadata/continue");
    let rest = world.get("secrets").query("continue", token).await.is(200);
    assert_eq!(rest.names(), ["b", "d"]);
}

async fn a_page_with_a_selector_does_not_count_what_remains(world: World) {
    for name in ["a", "b"] {
        world
            .post("configmaps", &labelled(name, json!({"k": "v"})))
            .await
            .is(201);
    }
    let page = world
        .get("configmaps")
        .query("labelSelector", "k=v")
        .query("limit", "1")
        .await
        .is(200);
    assert_eq!(page.names(), ["a"]);
    page.has(json!({"metadata": {"remainingItemCount": null}}));
    assert!(!page.text("/metadata/continue").is_empty());
}

async fn a_malformed_continue_token_is_a_bad_request(world: World) {
    let answer = world
        .get("configmaps")
        .query("limit", "1")
        .query("continue", "%%%")
        .await;
    answer.refused_saying(400, "BadRequest", "continue key is not valid");
}

async fn a_list_at_version_zero_is_answered(world: World) {
    let list = world
        .get("configmaps")
        .query("resourceVersion", "0")
        .await
        .is(200);
    assert!(
        list.text("/metadata/resourceVersion")
            .parse::<u64>()
            .unwrap()
            > 0
    );
}

async fn a_list_at_an_exact_version_shows_that_version(world: World) {
    let created = world.post("configmaps", &config_map("a")).await.is(201);
    create(&world, &["b"]).await;
    let version = created.text("/metadata/resourceVersion");
    let request = world.get("configmaps").query("resourceVersion", version);
    let list = request.query("resourceVersionMatch", "Exact").await.is(200);
    assert_eq!(own(&list), ["a"]);
    assert_eq!(list.text("/metadata/resourceVersion"), version);
}

async fn a_list_no_older_than_a_version_is_at_least_as_new(world: World) {
    create(&world, &["a"]).await;
    let created = world.post("configmaps", &config_map("b")).await.is(201);
    let version = created.text("/metadata/resourceVersion");
    let request = world.get("configmaps").query("resourceVersion", version);
    let list = request
        .query("resourceVersionMatch", "NotOlderThan")
        .await
        .is(200);
    assert_eq!(own(&list), ["a", "b"]);
    let listed = list
        .text("/metadata/resourceVersion")
        .parse::<u64>()
        .unwrap();
    assert!(listed >= version.parse().unwrap());
}

async fn a_version_match_needs_a_version(world: World) {
    let answer = world
        .get("configmaps")
        .query("resourceVersionMatch", "Exact")
        .await;
    answer.refused_saying(
        422,
        "Invalid",
        "resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden unless resourceVersion \
         is provided",
    );
    let request = world
        .get("configmaps")
        .query("resourceVersionMatch", "Exact");
    let answer = request.query("resourceVersion", "0").await;
    answer.refused_saying(
        422,
        "Invalid",
        "resourceVersionMatch \"exact\" is forbidden",
    );
}

async fn a_version_of_the_future_is_too_large(world: World) {
    let created = world.post("configmaps", &config_map("a")).await.is(201);
    let version = created
        .text("/metadata/resourceVersion")
        .parse::<u64>()
        .unwrap()
        + 100_000;
    let request = world
        .get("configmaps")
        .query("resourceVersion", &version.to_string());
    let status = request
        .await
        .refused_saying(504, "Timeout", "Too large resource version: ");
    status.has(json!({"details": {"causes": [
        {"reason": "ResourceVersionTooLarge", "message": "Too large resource version"},
    ]}}));
}

async fn a_malformed_version_is_invalid(world: World) {
    let answer = world
        .get("configmaps")
        .query("resourceVersion", "abc")
        .await;
    answer.refused_saying(400, "BadRequest", "resourceVersion: Invalid value: \"abc\"");
}

async fn a_collection_can_be_deleted_by_selector(world: World) {
    for (name, value) in [("a", "x"), ("b", "y"), ("c", "x")] {
        world
            .post("configmaps", &labelled(name, json!({"k": value})))
            .await
            .is(201);
    }
    let deleted = world
        .delete("configmaps")
        .query("labelSelector", "k=x")
        .await
        .is(200);
    deleted.has(json!({"kind": "ConfigMapList"}));
    assert_eq!(deleted.names(), ["a", "c"]);
    assert_eq!(own(&world.get("configmaps").await.is(200)), ["b"]);
}

async fn metadata_alone_can_be_listed(world: World) {
    world
        .post("configmaps", &config_map_with("a", json!({"k": "v"})))
        .await
        .is(201);
    let accept = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";
    let answer = world.get("configmaps").accept(accept).await;
    let list = answer.is(200);
    list.has(json!({"kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1"}));
    list["items"][0].has(json!({"metadata": {"name": "a"}, "data": null}));
}

async fn metadata_alone_can_be_read(world: World) {
    world
        .post("configmaps", &config_map_with("a", json!({"k": "v"})))
        .await
        .is(201);
    let accept = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";
    world
        .get("configmaps/a")
        .accept(accept)
        .await
        .is(200)
        .has(json!({
            "kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1",
            "metadata": {"name": "a", "namespace": world.namespace}, "data": null,
        }));
}

async fn a_large_list_is_compressed_when_the_client_takes_gzip(world: World) {
    let body = config_map_with("a", json!({"k": "x".repeat(300_000)}));
    world.post("configmaps", &body).await.is(201);
    let plain = world
        .get("configmaps")
        .header("Accept-Encoding", "identity")
        .await;
    assert_eq!(plain.header("Content-Encoding"), "");
    let answer = world
        .get("configmaps")
        .header("Accept-Encoding", "gzip")
        .await;
    assert_eq!(answer.header("Content-Encoding"), "gzip");
    assert!(answer.bytes.starts_with(&[0x1f, 0x8b]) && answer.bytes.len() < 100_000);
}
