//! Options of requests that are read with care: selectors, limits, deletions.

use serde_json::json;

use crate::answer::Look;
use crate::manifests::{config_map, labelled};
use crate::world::World;

cases! { ApiServer:
    a_label_selector_names_values_that_labels_can_have,
    a_label_selector_compares_numbers_with_numbers,
    a_label_selector_that_breaks_off_says_what_was_expected,
    a_timeout_has_to_be_a_number,
    a_collection_is_deleted_in_pages,
    a_deletion_has_a_number_of_seconds,
    a_deletion_orphans_in_one_way,
    a_deletion_takes_its_own_options_alone,
    a_name_that_exists_says_that_another_could_have_been_drawn,
}

async fn refuses(world: &World, selector: &str, why: &str) {
    let list = world.get("configmaps").query("labelSelector", selector);
    list.await.refused_saying(400, "BadRequest", why);
}

async fn a_label_selector_names_values_that_labels_can_have(world: World) {
    let why = "unable to parse requirement: values[0][a]: Invalid value: \"-b\": a valid label must \
               be an empty string or consist of alphanumeric characters";
    refuses(&world, "a=-b", why).await;
    refuses(&world, "a in (b,-c)", "Invalid value: \"-c\"").await;
}

async fn a_label_selector_compares_numbers_with_numbers(world: World) {
    let why = "unable to parse requirement: values[0]: Invalid value: \"b\": for 'Gt', 'Lt' \
               operators, the value must be an integer";
    refuses(&world, "a>b", why).await;
    world
        .post("configmaps", &labelled("five", json!({"a": "5"})))
        .await
        .is(201);
    let found = world
        .get("configmaps")
        .query("labelSelector", "a>4,a<6")
        .await
        .is(200);
    assert_eq!(found.list("/items").len(), 1);
}

async fn a_label_selector_that_breaks_off_says_what_was_expected(world: World) {
    let start = "unable to parse requirement: ";
    refuses(
        &world,
        "a in (b",
        &format!("{start}found '', expected: ',' or ')'"),
    )
    .await;
    refuses(&world, "a in b", &format!("{start}found 'b' expected: '('")).await;
    refuses(&world, "a=b,,", "found ',', expected: identifier after ','").await;
    let why = format!("{start}found 'exists', expected: in, notin, =, ==, !=, gt, lt");
    refuses(&world, "a exists", &why).await;
}

async fn a_timeout_has_to_be_a_number(world: World) {
    let answer = world
        .get("configmaps")
        .query("timeoutSeconds", "soon")
        .await;
    let why = "strconv.ParseInt: parsing \"soon\": invalid syntax";
    answer.refused(400, "BadRequest", why);
}

async fn a_collection_is_deleted_in_pages(world: World) {
    for name in ["a", "b", "c"] {
        world
            .post("configmaps", &labelled(name, json!({"of": "case"})))
            .await
            .is(201);
    }
    let path = "configmaps?labelSelector=of%3Dcase";
    let page = || world.delete(path).query("limit", "2");
    let gone = page().await.is(200);
    assert_eq!(gone.names(), ["a", "b"]);
    let left = world.get(path).await.is(200);
    assert_eq!(left.names(), ["c"]);
    let token = gone.text("/metadata/continue");
    assert!(!token.is_empty(), "{gone}");
    let gone = page().query("continue", token).await.is(200);
    assert_eq!(gone.names(), ["c"]);
    let left = world.get(path).await.is(200);
    assert_eq!(left.names(), [""; 0]);
}

async fn a_deletion_has_a_number_of_seconds(world: World) {
    world.post("configmaps", &config_map("a")).await.is(201);
    let answer = world
        .delete("configmaps/a")
        .query("gracePeriodSeconds", "soon")
        .await;
    let why = "strconv.ParseInt: parsing \"soon\": invalid syntax";
    answer.refused(400, "BadRequest", why);
    world.get("configmaps/a").await.is(200);
}

async fn a_deletion_orphans_in_one_way(world: World) {
    world.post("configmaps", &config_map("a")).await.is(201);
    let request = world
        .delete("configmaps/a")
        .query("orphanDependents", "true");
    let answer = request.query("propagationPolicy", "Foreground").await;
    let why = "DeleteOptions.meta.k8s.io \"\" is invalid: propagationPolicy: Invalid value: \
               \"Foreground\": orphanDependents and deletionPropagation cannot be both set";
    answer.refused(422, "Invalid", why);
}

async fn a_deletion_takes_its_own_options_alone(world: World) {
    world.post("configmaps", &config_map("a")).await.is(201);
    let body = json!({"apiVersion": "v1", "kind": "Pod"});
    let answer = world.delete_with("configmaps/a", &body).await;
    let why = "no kind \"Pod\" is registered for version \"v1\"";
    answer.refused_saying(400, "BadRequest", why);
}

async fn a_name_that_exists_says_that_another_could_have_been_drawn(world: World) {
    world.post("configmaps", &config_map("a")).await.is(201);
    let mut body = config_map("a");
    body["metadata"]["generateName"] = json!("b-");
    let answer = world.post("configmaps", &body).await;
    assert_eq!(answer.header("retry-after"), "1");
    let why = "configmaps \"a\" already exists, the server was not able to generate a unique name \
               for the object";
    answer.refused(409, "AlreadyExists", why);
}
