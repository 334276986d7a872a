//! Options of lists and watches together: versions, pages, tokens and what goes with what.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::answer::Look;
use crate::manifests::config_map;
use crate::watch::Watch;
use crate::world::World;

cases! { ApiServer:
    a_list_of_any_version_comes_whole,
    a_list_not_older_than_a_version_comes_in_pages,
    a_list_that_goes_on_takes_no_version,
    a_list_that_goes_on_takes_no_version_match,
    a_list_may_go_on_at_the_latest_version,
    a_continue_token_is_read_with_care,
    a_token_of_the_future_is_too_large,
    a_limit_has_to_be_a_number,
    an_exact_version_of_the_future_is_not_waited_for,
    every_fault_of_list_options_is_told,
    every_fault_of_watch_options_is_told,
    a_watch_without_initial_events_begins_now,
    initial_events_may_come_without_a_bookmark,
    initial_events_of_the_future_are_refused,
    a_watch_of_a_malformed_version_is_a_server_error,
    an_object_of_a_malformed_version_is_a_server_error,
    an_object_may_be_read_at_any_version,
    switches_are_on_unless_they_say_false,
}

async fn fill(world: &World) -> String {
    for name in ["a", "b", "c", "d", "e"] {
        world.post("configmaps", &config_map(name)).await.is(201);
    }
    let list = world.get("configmaps").await.is(200);
    list.text("/metadata/resourceVersion").to_owned()
}

fn names(list: &Value) -> Vec<&str> {
    let items = list["items"].as_array().unwrap();
    let all = items.iter().map(|item| item.text("/metadata/name"));
    all.filter(|name| is_own(name)).collect()
}

/// Whether it is none of those that a control plane puts into every namespace.
fn is_own(name: &str) -> bool {
    !name.ends_with(".crt")
}

fn token(version: i64, start: &str) -> String {
    let token = json!({"v": "meta.k8s.io/v1", "rv": version, "start": start});
    URL_SAFE_NO_PAD.encode(token.to_string())
}

async fn a_list_of_any_version_comes_whole(world: World) {
    fill(&world).await;
    let path = "configmaps?resourceVersion=0&limit=2";
    let list = world
        .until_answer(path, |list| names(list).len() == 5)
        .await;
    assert_eq!(list.text("/metadata/continue"), "");
}

async fn a_list_not_older_than_a_version_comes_in_pages(world: World) {
    let version = fill(&world).await;
    let path =
        format!("configmaps?resourceVersion={version}&resourceVersionMatch=NotOlderThan&limit=2");
    let list = world.get(&path).await.is(200);
    assert_eq!(names(&list), ["a", "b"]);
    let path = format!(
        "configmaps?limit=9&continue={}",
        list.text("/metadata/continue")
    );
    let rest = world.get(&path).await.is(200);
    assert_eq!(names(&rest), ["c", "d", "e"]);
}

async fn a_list_that_goes_on_takes_no_version(world: World) {
    let version = fill(&world).await;
    let list = world.get("configmaps?limit=2").await.is(200);
    let go_on = format!("configmaps?continue={}", list.text("/metadata/continue"));
    for wrong in [version.as_str(), "abc"] {
        let path = format!("{go_on}&resourceVersion={wrong}");
        let message = "specifying resource version is not allowed when using continue";
        world.get(&path).await.refused(400, "BadRequest", message);
    }
    let rest = world
        .get(&format!("{go_on}&resourceVersion=0"))
        .await
        .is(200);
    assert_eq!(names(&rest), ["c", "d", "e"]);
}

async fn a_list_that_goes_on_takes_no_version_match(world: World) {
    let version = fill(&world).await;
    let list = world.get("configmaps?limit=2").await.is(200);
    let path = format!(
        "configmaps?continue={}&resourceVersion={version}&resourceVersionMatch=Exact",
        list.text("/metadata/continue"),
    );
    let message = "ListOptions.meta.k8s.io \"\" is invalid: resourceVersionMatch: Forbidden: \
                   resourceVersionMatch is forbidden when continue is provided";
    world.get(&path).await.refused(422, "Invalid", message);
}

async fn a_list_may_go_on_at_the_latest_version(world: World) {
    fill(&world).await;
    let list = world.get("configmaps?limit=2").await.is(200);
    world.delete("configmaps/c").await.is(200);
    let consistent = format!("configmaps?continue={}", list.text("/metadata/continue"));
    let rest = world.get(&consistent).await.is(200);
    assert_eq!(names(&rest), ["c", "d", "e"]);
    let latest = format!("configmaps?limit=1&continue={}", token(-1, "b\0"));
    let page = world.get(&latest).await.is(200);
    assert_eq!(names(&page), ["d"]);
    let path = format!("configmaps?continue={}", page.text("/metadata/continue"));
    let rest = world.get(&path).await.is(200);
    assert_eq!(names(&rest), ["e"]);
}

async fn a_continue_token_is_read_with_care(world: World) {
    let unknown = json!({"v": "meta.k8s.io/v2", "rv": 5, "start": "a"});
    let unknown = URL_SAFE_NO_PAD.encode(unknown.to_string());
    for (token, why) in [
        (
            token(0, "a"),
            "incorrect encoded start resourceVersion (version meta.k8s.io/v1)",
        ),
        (
            token(5, ""),
            "encoded start key empty (version meta.k8s.io/v1)",
        ),
        (token(5, "../a"), "../a"),
        (token(5, "a//b"), "a//b"),
        (
            unknown,
            "server does not recognize this encoded version meta.k8s.io/v2",
        ),
        (
            "YWJj".to_owned(),
            "invalid character 'a' looking for beginning of value",
        ),
        ("!!!".to_owned(), "illegal base64 data at input byte 0"),
    ] {
        let answer = world.get(&format!("configmaps?continue={token}")).await;
        let message = format!("invalid continue token: continue key is not valid: {why}");
        answer.refused(400, "BadRequest", &message);
    }
}

async fn a_token_of_the_future_is_too_large(world: World) {
    fill(&world).await;
    let future = token(900_000_000, "a\0");
    let answer = world.get(&format!("configmaps?continue={future}")).await;
    answer.refused_saying(
        504,
        "Timeout",
        "Too large resource version: 900000000, current: ",
    );
}

async fn a_limit_has_to_be_a_number(world: World) {
    fill(&world).await;
    for (limit, why) in [
        ("abc", "\"abc\": invalid syntax"),
        ("", "\"\": invalid syntax"),
        (
            "99999999999999999999",
            "\"99999999999999999999\": value out of range",
        ),
    ] {
        let answer = world.get(&format!("configmaps?limit={limit}")).await;
        let message = format!("strconv.ParseInt: parsing {why}");
        answer.refused(400, "BadRequest", &message);
    }
    for unlimited in ["0", "-1"] {
        let list = world
            .get(&format!("configmaps?limit={unlimited}"))
            .await
            .is(200);
        assert_eq!(names(&list).len(), 5, "{unlimited}");
    }
}

async fn an_exact_version_of_the_future_is_not_waited_for(world: World) {
    for options in ["resourceVersionMatch=Exact", "limit=2"] {
        let path = format!("configmaps?resourceVersion=900000000&{options}");
        let status = world.get(&path).await.refused_saying(
            504,
            "Timeout",
            "Timeout: Too large resource version: 900000000, current: ",
        );
        assert!(status["details"]["retryAfterSeconds"].is_null(), "{status}");
    }
    let path = "configmaps?resourceVersion=900000000&resourceVersionMatch=NotOlderThan";
    let status = world.get(path).await.refusal_of(504, "Timeout");
    assert_eq!(status["details"]["retryAfterSeconds"], 1);
}

async fn every_fault_of_list_options_is_told(world: World) {
    let path = "configmaps?resourceVersionMatch=Bad&continue=x&sendInitialEvents=x";
    let message = "ListOptions.meta.k8s.io \"\" is invalid: [resourceVersionMatch: Forbidden: \
                   resourceVersionMatch is forbidden unless resourceVersion is provided, \
                   resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden when continue \
                   is provided, resourceVersionMatch: Unsupported value: \"Bad\": supported values: \
                   \"Exact\", \"NotOlderThan\", \"\", sendInitialEvents: Forbidden: \
                   sendInitialEvents is forbidden for list]";
    world.get(path).await.refused(422, "Invalid", message);
    let path = "configmaps?resourceVersion=0&resourceVersionMatch=Exact";
    let message = "ListOptions.meta.k8s.io \"\" is invalid: resourceVersionMatch: Forbidden: \
                   resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"";
    world.get(path).await.refused(422, "Invalid", message);
}

async fn every_fault_of_watch_options_is_told(world: World) {
    let path = "configmaps?watch=true&resourceVersionMatch=Exact&continue=x";
    let message = "ListOptions.meta.k8s.io \"\" is invalid: [resourceVersionMatch: Forbidden: \
                   resourceVersionMatch is forbidden for watch unless sendInitialEvents is \
                   provided, resourceVersionMatch: Unsupported value: \"Exact\": supported values: \
                   \"NotOlderThan\", resourceVersionMatch: Forbidden: resourceVersionMatch is \
                   forbidden when continue is provided]";
    world.get(path).await.refused(422, "Invalid", message);
    let answer = world.get("configmaps?watch=true&timeoutSeconds=soon").await;
    answer.refused(
        400,
        "BadRequest",
        "strconv.ParseInt: parsing \"soon\": invalid syntax",
    );
}

/// What a watch with these options sends within its second, by type and name.
async fn told(world: &World, options: &str) -> Vec<(String, String)> {
    let path = format!("configmaps?watch=true&timeoutSeconds=1&{options}");
    let mut watch = Watch::open(world.get(&path)).await;
    let events = watch.rest().await.into_iter();
    let told = events.map(|event| {
        let name = event.object.text("/metadata/name").to_owned();
        (event.kind, name)
    });
    told.filter(|(_, name)| is_own(name)).collect()
}

async fn a_watch_without_initial_events_begins_now(world: World) {
    let version = fill(&world).await;
    for version in ["", "resourceVersion=0&"] {
        let options = format!(
            "{version}resourceVersionMatch=NotOlderThan&sendInitialEvents=false\
             &allowWatchBookmarks=true"
        );
        assert_eq!(told(&world, &options).await, []);
    }
    world.delete("configmaps/e").await.is(200);
    let options = format!(
        "resourceVersion={version}&resourceVersionMatch=NotOlderThan&sendInitialEvents=false"
    );
    let deleted = ("DELETED".to_owned(), "e".to_owned());
    assert_eq!(told(&world, &options).await, [deleted]);
}

async fn initial_events_may_come_without_a_bookmark(world: World) {
    let version = fill(&world).await;
    let options = format!(
        "resourceVersion={version}&resourceVersionMatch=NotOlderThan&sendInitialEvents=true"
    );
    let told = told(&world, &options).await;
    assert!(told.iter().all(|(kind, _)| kind == "ADDED"), "{told:?}");
    assert_eq!(told.len(), 5);
}

async fn initial_events_of_the_future_are_refused(world: World) {
    let path = "configmaps?watch=true&timeoutSeconds=9&resourceVersion=900000000\
                &sendInitialEvents=true&resourceVersionMatch=NotOlderThan";
    // The stream is this event and nothing else.
    let event = world.get(path).await.is(200);
    assert_eq!(event["type"], "ERROR");
    event["object"].has(json!({"code": 504, "reason": "Timeout", "details": {
        "causes": [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}],
        "retryAfterSeconds": 1,
    }}));
}

async fn a_watch_of_a_malformed_version_is_a_server_error(world: World) {
    for version in ["abc", "-1"] {
        let path = format!("configmaps?watch=true&resourceVersion={version}");
        let message = format!(
            "resourceVersion: Invalid value: {version:?}: strconv.ParseUint: parsing {version:?}: \
             invalid syntax"
        );
        world.get(&path).await.refused(500, "", &message);
    }
}

async fn an_object_of_a_malformed_version_is_a_server_error(world: World) {
    fill(&world).await;
    let message = "resourceVersion: Invalid value: \"abc\": strconv.ParseUint: parsing \"abc\": \
                   invalid syntax";
    let answer = world.get("configmaps/a?resourceVersion=abc").await;
    answer.refused(500, "", message);
}

async fn an_object_may_be_read_at_any_version(world: World) {
    let version = fill(&world).await;
    for version in ["0", version.as_str()] {
        let path = format!("configmaps/a?resourceVersion={version}");
        world.until_ok(&path).await;
    }
    let answer = world.get("configmaps/a?resourceVersion=900000000").await;
    answer.refused_saying(
        504,
        "Timeout",
        "Too large resource version: 900000000, current: ",
    );
}

async fn switches_are_on_unless_they_say_false(world: World) {
    fill(&world).await;
    for off in ["false", "0", "False"] {
        let list = world.get(&format!("configmaps?watch={off}")).await.is(200);
        assert_eq!(list.text("/kind"), "ConfigMapList", "{off}");
    }
    for on in ["yes", "1", "T"] {
        let path = format!("configmaps?resourceVersion=0&timeoutSeconds=1&watch={on}");
        let mut watch = Watch::open(world.get(&path)).await;
        assert_eq!(watch.next().await.kind, "ADDED", "{on}");
    }
}
