//! Schemas of custom resources: validation, defaults, pruning and CEL rules.

use serde_json::{Value, json};

use crate::answer::Look;
use crate::manifests::custom;
use crate::world::World;

cases! { ApiServer:
    a_value_of_another_type_is_invalid,
    a_required_field_must_be_there,
    numbers_keep_their_bounds,
    text_keeps_its_length_and_pattern,
    a_value_must_be_one_of_the_enumerated,
    lists_keep_their_lengths,
    sets_hold_each_value_once,
    list_maps_hold_each_key_once,
    maps_keep_the_type_of_their_values,
    formats_are_checked,
    every_fault_is_told,
    a_nullable_field_may_be_null,
    an_int_or_string_is_either,
    any_of_needs_one_match,
    one_of_needs_exactly_one_match,
    not_refuses_a_match,
    an_unknown_field_is_pruned,
    preserved_unknown_fields_stay,
    an_embedded_object_keeps_its_type_and_metadata,
    defaults_fill_in_what_is_missing,
    defaults_fill_in_items_of_lists,
    a_null_is_replaced_by_a_default,
    a_default_appears_in_stored_objects_that_lack_it,
    a_rule_refuses_with_its_message,
    a_rule_may_compose_its_message,
    a_rule_names_field_and_reason,
    a_transition_rule_compares_with_the_old_object,
    a_rule_over_a_list_tells_the_index,
    rules_know_the_library_of_lists_and_text,
    an_optional_field_is_tested_by_has,
    a_rule_gives_an_optional_another_value,
    a_rule_that_does_not_compile_is_refused_with_its_definition,
    lists_with_keys_hold_objects_that_have_them,
    a_set_of_objects_holds_them_whole,
    metadata_is_not_described,
    a_selectable_field_is_a_scalar_that_is_declared,
    a_rule_sees_name_of_the_object,
    an_unchanged_invalid_field_is_ratcheted,
    status_is_validated_too,
}

/// A `Widget` with these properties under `spec`, and a path for its objects.
async fn spec(world: &World, properties: Value) -> String {
    let spec = json!({"spec": {"type": "object", "properties": properties}});
    world.define(&custom(&world.group, spec)).await
}

/// Creates `a` with this `spec` and expects a refusal that says so.
async fn refuses(world: &World, path: &str, spec: Value, message: &str) {
    let answer = world
        .post(path, &world.custom("Widget", "a", json!({"spec": spec})))
        .await;
    let message = format!("Widget.{} \"a\" is invalid: {message}", world.group);
    answer.refused(422, "Invalid", &message);
}

/// Creates `name` with this `spec` and returns what became of it.
async fn takes(world: &World, path: &str, name: &str, spec: Value) -> Value {
    let body = world.custom("Widget", name, json!({"spec": spec}));
    world.post(path, &body).await.is(201)["spec"].take()
}

async fn a_value_of_another_type_is_invalid(world: World) {
    let path = spec(
        &world,
        json!({"size": {"type": "integer"}, "on": {"type": "boolean"}}),
    )
    .await;
    let message = "spec.size: Invalid value: \"string\": spec.size in body must be of type integer: \"string\"";
    refuses(&world, &path, json!({"size": "big"}), message).await;
    let message =
        "spec.on: Invalid value: \"integer\": spec.on in body must be of type boolean: \"integer\"";
    refuses(&world, &path, json!({"on": 1}), message).await;
    takes(&world, &path, "a", json!({"size": 3, "on": true})).await;
}

async fn a_required_field_must_be_there(world: World) {
    let mut definition = custom(
        &world.group,
        json!({"spec": {
            "type": "object", "required": ["size"], "properties": {"size": {"type": "integer"}},
        }}),
    );
    let schema = &mut definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
    schema["required"] = json!(["spec"]);
    let path = world.define(&definition).await;
    refuses(&world, &path, json!({}), "spec.size: Required value").await;
    let answer = world
        .post(&path, &world.custom("Widget", "a", json!({})))
        .await;
    let status = answer.refused_saying(422, "Invalid", "spec: Required value");
    status.has(
        json!({"details": {"name": "a", "group": world.group, "kind": "Widget", "causes": [
            {"reason": "FieldValueRequired", "message": "Required value", "field": "spec"},
        ]}}),
    );
}

async fn numbers_keep_their_bounds(world: World) {
    let path = spec(
        &world,
        json!({
            "size": {"type": "integer", "minimum": 1, "maximum": 9},
            "share": {"type": "number", "exclusiveMinimum": true, "minimum": 0},
            "even": {"type": "integer", "multipleOf": 2},
        }),
    )
    .await;
    let message =
        "spec.size: Invalid value: 0: spec.size in body should be greater than or equal to 1";
    refuses(&world, &path, json!({"size": 0}), message).await;
    let message =
        "spec.size: Invalid value: 10: spec.size in body should be less than or equal to 9";
    refuses(&world, &path, json!({"size": 10}), message).await;
    let message = "spec.share: Invalid value: 0: spec.share in body should be greater than 0";
    refuses(&world, &path, json!({"share": 0}), message).await;
    let message = "spec.even: Invalid value: 3: spec.even in body should be a multiple of 2";
    refuses(&world, &path, json!({"even": 3}), message).await;
    takes(
        &world,
        &path,
        "a",
        json!({"size": 9, "share": 0.5, "even": 4}),
    )
    .await;
}

async fn text_keeps_its_length_and_pattern(world: World) {
    let path = spec(
        &world,
        json!({
            "name": {"type": "string", "minLength": 2, "maxLength": 4},
            "code": {"type": "string", "pattern": "^[a-z]+-[0-9]+$"},
        }),
    )
    .await;
    let message =
        "spec.name: Invalid value: \"a\": spec.name in body should be at least 2 chars long";
    refuses(&world, &path, json!({"name": "a"}), message).await;
    let message = "spec.name: Too long: may not be more than 4 bytes";
    refuses(&world, &path, json!({"name": "abcde"}), message).await;
    let message =
        "spec.code: Invalid value: \"x\": spec.code in body should match '^[a-z]+-[0-9]+$'";
    refuses(&world, &path, json!({"code": "x"}), message).await;
    takes(&world, &path, "a", json!({"name": "äöüß", "code": "a-1"})).await;
}

async fn a_value_must_be_one_of_the_enumerated(world: World) {
    let path = spec(
        &world,
        json!({"color": {"type": "string", "enum": ["red", "blue"]}}),
    )
    .await;
    let message = "spec.color: Unsupported value: \"green\": supported values: \"red\", \"blue\"";
    refuses(&world, &path, json!({"color": "green"}), message).await;
    takes(&world, &path, "a", json!({"color": "red"})).await;
}

async fn lists_keep_their_lengths(world: World) {
    let path = spec(
        &world,
        json!({"tags": {
            "type": "array", "minItems": 1, "maxItems": 2, "items": {"type": "string"},
        }}),
    )
    .await;
    let message = "spec.tags: Invalid value: 0: spec.tags in body should have at least 1 items";
    refuses(&world, &path, json!({"tags": []}), message).await;
    let message = "spec.tags: Too many: 3: must have at most 2 items";
    refuses(&world, &path, json!({"tags": ["a", "b", "c"]}), message).await;
    let message = "spec.tags[1]: Invalid value: \"integer\": spec.tags[1] in body must be of type \
                   string: \"integer\"";
    refuses(&world, &path, json!({"tags": ["a", 1]}), message).await;
}

async fn sets_hold_each_value_once(world: World) {
    let path = spec(
        &world,
        json!({"tags": {
            "type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"},
        }}),
    )
    .await;
    refuses(
        &world,
        &path,
        json!({"tags": ["a", "b", "a"]}),
        "spec.tags[2]: Duplicate value: \"a\"",
    )
    .await;
}

async fn list_maps_hold_each_key_once(world: World) {
    let path = spec(&world, json!({"ports": {
        "type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["port"],
        "items": {"type": "object", "required": ["port"],
            "properties": {"port": {"type": "integer"}}},
    }}))
    .await;
    let message = "spec.ports[1]: Duplicate value: {\"port\":1}";
    refuses(
        &world,
        &path,
        json!({"ports": [{"port": 1}, {"port": 1}]}),
        message,
    )
    .await;
}

async fn maps_keep_the_type_of_their_values(world: World) {
    let path = spec(
        &world,
        json!({"counts": {
            "type": "object", "maxProperties": 2, "additionalProperties": {"type": "integer"},
        }}),
    )
    .await;
    let message = "spec.counts.a: Invalid value: \"string\": spec.counts.a in body must be of type \
                   integer: \"string\"";
    refuses(&world, &path, json!({"counts": {"a": "b"}}), message).await;
    let message = "spec.counts: Too many: 3: must have at most 2 items";
    refuses(
        &world,
        &path,
        json!({"counts": {"a": 1, "b": 2, "c": 3}}),
        message,
    )
    .await;
    takes(&world, &path, "a", json!({"counts": {"a": 1}})).await;
}

async fn formats_are_checked(world: World) {
    let path = spec(
        &world,
        json!({
            "at": {"type": "string", "format": "date-time"},
            "raw": {"type": "string", "format": "byte"},
            "small": {"type": "integer", "format": "int32"},
            "address": {"type": "string", "format": "ipv4"},
        }),
    )
    .await;
    let message =
        "spec.at: Invalid value: \"noon\": spec.at in body must be of type date-time: \"noon\"";
    refuses(&world, &path, json!({"at": "noon"}), message).await;
    let message = "spec.address: Invalid value: \"1.2.3\": spec.address in body must be of type \
                   ipv4: \"1.2.3\"";
    refuses(&world, &path, json!({"address": "1.2.3"}), message).await;
    takes(
        &world,
        &path,
        "a",
        json!({"at": "2026-01-01T00:00:00Z", "address": "1.2.3.4"}),
    )
    .await;
}

async fn every_fault_is_told(world: World) {
    let path = spec(
        &world,
        json!({"a": {"type": "integer"}, "b": {"type": "integer"}}),
    )
    .await;
    let body = world.custom("Widget", "a", json!({"spec": {"a": "x", "b": "y"}}));
    let status = world
        .post(&path, &body)
        .await
        .refused_saying(422, "Invalid", "is invalid: [");
    // The real server tells them in no order.
    let causes = status.list("/details/causes").iter();
    let mut fields: Vec<&str> = causes.map(|cause| cause.text("/field")).collect();
    fields.sort_unstable();
    assert_eq!(fields, ["spec.a", "spec.b"]);
}

async fn a_nullable_field_may_be_null(world: World) {
    let path = spec(
        &world,
        json!({
            "may": {"type": "string", "nullable": true}, "not": {"type": "string"},
        }),
    )
    .await;
    let stored = takes(&world, &path, "a", json!({"may": null})).await;
    assert_eq!(stored, json!({"may": null}));
    // Elsewhere a null is dropped.
    assert_eq!(
        takes(&world, &path, "b", json!({"not": null})).await,
        json!({})
    );
}

async fn an_int_or_string_is_either(world: World) {
    let path = spec(
        &world,
        json!({"port": {"x-kubernetes-int-or-string": true}}),
    )
    .await;
    takes(&world, &path, "a", json!({"port": 80})).await;
    takes(&world, &path, "b", json!({"port": "http"})).await;
    let body = world.custom("Widget", "c", json!({"spec": {"port": true}}));
    let answer = world.post(&path, &body).await;
    answer.refused_saying(
        422,
        "Invalid",
        "spec.port in body must be of type integer,string: \"boolean\"",
    );
}

async fn any_of_needs_one_match(world: World) {
    let path = spec(
        &world,
        json!({"value": {
            "type": "string", "anyOf": [{"minLength": 5}, {"pattern": "^a"}],
        }}),
    )
    .await;
    takes(&world, &path, "b", json!({"value": "a"})).await;
    let body = world.custom("Widget", "c", json!({"spec": {"value": "b"}}));
    let answer = world.post(&path, &body).await;
    answer.refused_saying(
        422,
        "Invalid",
        "\"spec.value\" must validate at least one schema (anyOf)",
    );
}

async fn one_of_needs_exactly_one_match(world: World) {
    let path = spec(
        &world,
        json!({"choice": {
            "type": "object",
            "properties": {"a": {"type": "string"}, "b": {"type": "string"}},
            "oneOf": [{"required": ["a"]}, {"required": ["b"]}],
        }}),
    )
    .await;
    takes(&world, &path, "b", json!({"choice": {"a": "x"}})).await;
    for choice in [json!({}), json!({"a": "x", "b": "y"})] {
        let body = world.custom("Widget", "c", json!({"spec": {"choice": choice}}));
        let answer = world.post(&path, &body).await;
        answer.refused_saying(
            422,
            "Invalid",
            "\"spec.choice\" must validate one and only one schema (oneOf)",
        );
    }
}

async fn not_refuses_a_match(world: World) {
    let path = spec(
        &world,
        json!({"value": {"type": "string", "not": {"enum": ["forbidden"]}}}),
    )
    .await;
    takes(&world, &path, "b", json!({"value": "fine"})).await;
    let body = world.custom("Widget", "c", json!({"spec": {"value": "forbidden"}}));
    let answer = world.post(&path, &body).await;
    answer.refused_saying(
        422,
        "Invalid",
        "\"spec.value\" must not validate the schema (not)",
    );
}

async fn an_unknown_field_is_pruned(world: World) {
    let path = spec(&world, json!({"size": {"type": "integer"}})).await;
    let body = world.custom(
        "Widget",
        "a",
        json!({
            "spec": {"size": 1, "unknown": {"deep": true}}, "other": 1,
        }),
    );
    let created = world.post(&path, &body).await.is(201);
    created.has(json!({"spec": {"size": 1, "unknown": null}, "other": null}));
}

async fn preserved_unknown_fields_stay(world: World) {
    let path = spec(&world, json!({
        "open": {"type": "object", "x-kubernetes-preserve-unknown-fields": true,
            "properties": {"shut": {"type": "object", "properties": {"a": {"type": "integer"}}}}},
    }))
    .await;
    let given = json!({"open": {"any": [1, {"b": 2}], "shut": {"a": 1, "gone": 2}}});
    let stored = takes(&world, &path, "a", given).await;
    assert_eq!(
        stored,
        json!({"open": {"any": [1, {"b": 2}], "shut": {"a": 1}}})
    );
}

async fn an_embedded_object_keeps_its_type_and_metadata(world: World) {
    let path = spec(
        &world,
        json!({"inner": {
            "type": "object", "x-kubernetes-embedded-resource": true,
            "properties": {"spec": {"type": "object", "properties": {"a": {"type": "integer"}}}},
        }}),
    )
    .await;
    let inner = json!({
        "apiVersion": "v1", "kind": "Thing", "metadata": {"name": "b"}, "spec": {"a": 1},
    });
    let stored = takes(&world, &path, "a", json!({"inner": inner})).await;
    assert_eq!(stored["inner"], inner);
    let body = world.custom(
        "Widget",
        "c",
        json!({"spec": {"inner": {"spec": {"a": 1}}}}),
    );
    let answer = world.post(&path, &body).await;
    answer.refused_saying(422, "Invalid", "spec.inner.apiVersion: Required value");
}

async fn defaults_fill_in_what_is_missing(world: World) {
    let path = spec(
        &world,
        json!({
            "size": {"type": "integer", "default": 3},
            "inner": {"type": "object", "default": {}, "properties": {
                "color": {"type": "string", "default": "red"},
            }},
            "absent": {"type": "object", "properties": {"a": {"type": "string", "default": "b"}}},
        }),
    )
    .await;
    let stored = takes(&world, &path, "a", json!({})).await;
    assert_eq!(stored, json!({"size": 3, "inner": {"color": "red"}}));
    let stored = takes(&world, &path, "b", json!({"size": 0, "absent": {}})).await;
    assert_eq!(
        stored,
        json!({"size": 0, "inner": {"color": "red"}, "absent": {"a": "b"}})
    );
}

async fn defaults_fill_in_items_of_lists(world: World) {
    let path = spec(
        &world,
        json!({"ports": {"type": "array", "items": {
            "type": "object", "properties": {
                "port": {"type": "integer"}, "protocol": {"type": "string", "default": "TCP"},
            },
        }}}),
    )
    .await;
    let stored = takes(&world, &path, "a", json!({"ports": [{"port": 1}]})).await;
    assert_eq!(stored, json!({"ports": [{"port": 1, "protocol": "TCP"}]}));
}

async fn a_null_is_replaced_by_a_default(world: World) {
    let path = spec(&world, json!({"size": {"type": "integer", "default": 3}})).await;
    assert_eq!(
        takes(&world, &path, "a", json!({"size": null})).await,
        json!({"size": 3})
    );
}

async fn a_default_appears_in_stored_objects_that_lack_it(world: World) {
    let path = spec(&world, json!({"size": {"type": "integer"}})).await;
    let before = world
        .post(&path, &world.custom("Widget", "a", json!({"spec": {}})))
        .await
        .is(201);
    let pointer = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/size/default";
    let patch = json!([{"op": "add", "path": pointer, "value": 4}]);
    let definition = format!(
        "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/widgets.{}",
        world.group,
    );
    world.json_patch(&definition, &patch).await.is(200);
    let path = format!("{path}/a");
    let after = world
        .until_answer(&path, |object| object["spec"]["size"] == 4)
        .await;
    // Nothing was written.
    assert_eq!(
        after["metadata"]["resourceVersion"],
        before["metadata"]["resourceVersion"]
    );
}

fn rule(rule: &str, message: &str) -> Value {
    json!([{"rule": rule, "message": message}])
}

async fn a_rule_refuses_with_its_message(world: World) {
    let path = spec(
        &world,
        json!({"range": {
            "type": "object",
            "properties": {"min": {"type": "integer"}, "max": {"type": "integer"}},
            "x-kubernetes-validations": rule("self.min <= self.max", "min must not exceed max"),
        }}),
    )
    .await;
    takes(&world, &path, "b", json!({"range": {"min": 1, "max": 2}})).await;
    let body = world.custom(
        "Widget",
        "a",
        json!({"spec": {"range": {"min": 3, "max": 2}}}),
    );
    let status = world.post(&path, &body).await.refused_saying(
        422,
        "Invalid",
        "spec.range: Invalid value: ",
    );
    assert!(
        status.text("/message").ends_with("min must not exceed max"),
        "{status:#}"
    );
    status.has(json!({"details": {"causes": [
        {"reason": "FieldValueInvalid", "field": "spec.range"},
    ]}}));
}

async fn a_rule_may_compose_its_message(world: World) {
    let path = spec(
        &world,
        json!({"size": {
            "type": "integer",
            "x-kubernetes-validations": [{
                "rule": "self < 5", "messageExpression": "self > 6 ? 'far too large' : 'too large'",
            }],
        }}),
    )
    .await;
    let body = world.custom("Widget", "a", json!({"spec": {"size": 7}}));
    let answer = world.post(&path, &body).await;
    answer.refused_saying(422, "Invalid", "spec.size: Invalid value: 7: far too large");
}

async fn a_rule_names_field_and_reason(world: World) {
    let path = spec(
        &world,
        json!({"inner": {
            "type": "object", "properties": {"a": {"type": "string"}},
            "x-kubernetes-validations": [{
                "rule": "has(self.a)", "message": "a is needed",
                "fieldPath": ".a", "reason": "FieldValueRequired",
            }],
        }}),
    )
    .await;
    let body = world.custom("Widget", "a", json!({"spec": {"inner": {}}}));
    let status = world
        .post(&path, &body)
        .await
        .refused_saying(422, "Invalid", "a is needed");
    status.has(json!({"details": {"causes": [
        {"reason": "FieldValueRequired", "field": "spec.inner.a"},
    ]}}));
}

async fn a_transition_rule_compares_with_the_old_object(world: World) {
    let path = spec(
        &world,
        json!({"name": {
            "type": "string",
            "x-kubernetes-validations": rule("self == oldSelf", "name is immutable"),
        }}),
    )
    .await;
    takes(&world, &path, "a", json!({"name": "x"})).await;
    let path = format!("{path}/a");
    world
        .merge_patch(&path, &json!({"metadata": {"labels": {"k": "v"}}}))
        .await
        .is(200);
    let answer = world
        .merge_patch(&path, &json!({"spec": {"name": "y"}}))
        .await;
    answer.refused_saying(
        422,
        "Invalid",
        "spec.name: Invalid value: \"y\": name is immutable",
    );
}

async fn a_rule_over_a_list_tells_the_index(world: World) {
    let path = spec(
        &world,
        json!({"ports": {"type": "array", "maxItems": 10, "items": {
            "type": "integer", "x-kubernetes-validations": rule("self > 0", "must be positive"),
        }}}),
    )
    .await;
    let body = world.custom("Widget", "a", json!({"spec": {"ports": [1, 0]}}));
    let answer = world.post(&path, &body).await;
    answer.refused_saying(
        422,
        "Invalid",
        "spec.ports[1]: Invalid value: 0: must be positive",
    );
}

async fn rules_know_the_library_of_lists_and_text(world: World) {
    let path = spec(
        &world,
        json!({
            "tags": {
                "type": "array", "maxItems": 10, "items": {"type": "string", "maxLength": 20},
                "x-kubernetes-validations": [
                    {"rule": "self.all(tag, tag.matches('^[a-z]+$'))", "message": "letters only"},
                    {"rule": "self.isSorted()", "message": "sorted"},
                    {"rule": "self.exists_one(tag, tag.startsWith('main'))", "message": "one main"},
                ],
            },
            "text": {
                "type": "string", "maxLength": 50,
                "x-kubernetes-validations":
                    rule("self.lowerAscii() == self && self.split(',').size() <= 2", "at most two"),
            },
        }),
    )
    .await;
    takes(
        &world,
        &path,
        "b",
        json!({"tags": ["b", "main"], "text": "a,b"}),
    )
    .await;
    for (spec, message) in [
        (json!({"tags": ["main", "n1"]}), "letters only"),
        (json!({"tags": ["main", "b"]}), "sorted"),
        (json!({"tags": ["a"]}), "one main"),
        (json!({"text": "a,b,c"}), "at most two"),
        (json!({"text": "A"}), "at most two"),
    ] {
        let answer = world
            .post(&path, &world.custom("Widget", "a", json!({"spec": spec})))
            .await;
        answer.refused_saying(422, "Invalid", message);
    }
}

async fn an_optional_field_is_tested_by_has(world: World) {
    let path = spec(
        &world,
        json!({"pair": {
            "type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "string"}},
            "x-kubernetes-validations": rule("has(self.a) == has(self.b)", "both or neither"),
        }}),
    )
    .await;
    takes(&world, &path, "b", json!({"pair": {}})).await;
    takes(&world, &path, "c", json!({"pair": {"a": "x", "b": "y"}})).await;
    let body = world.custom("Widget", "a", json!({"spec": {"pair": {"a": "x"}}}));
    world
        .post(&path, &body)
        .await
        .refused_saying(422, "Invalid", "both or neither");
}

async fn a_rule_gives_an_optional_another_value(world: World) {
    let size = "(has(self.size) ? optional.of(self.size) : optional.none()).orValue(3)";
    let path = spec(
        &world,
        json!({"box": {
            "type": "object", "properties": {"size": {"type": "integer"}},
            "x-kubernetes-validations": rule(&format!("{size} < 10 && {size} != 4"), "small"),
        }}),
    )
    .await;
    takes(&world, &path, "b", json!({"box": {}})).await;
    takes(&world, &path, "c", json!({"box": {"size": 9}})).await;
    for size in [4, 10] {
        let body = world.custom("Widget", "a", json!({"spec": {"box": {"size": size}}}));
        let answer = world.post(&path, &body).await;
        answer.refused_saying(422, "Invalid", "small");
    }
}

async fn a_rule_that_does_not_compile_is_refused_with_its_definition(world: World) {
    let definition = custom(
        &world.group,
        json!({"spec": {
            "type": "object", "properties": {"size": {"type": "integer"}},
            "x-kubernetes-validations": rule("self.size >", "never"),
        }}),
    );
    let definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    let answer = world.post(definitions, &definition).await;
    answer.refused_saying(422, "Invalid", "compilation failed");
}

async fn a_rule_sees_name_of_the_object(world: World) {
    let mut definition = custom(&world.group, json!({"spec": {"type": "object"}}));
    definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["x-kubernetes-validations"] =
        rule("self.metadata.name.startsWith('w-')", "must be named w-");
    let path = world.define(&definition).await;
    world
        .post(&path, &world.custom("Widget", "w-1", json!({})))
        .await
        .is(201);
    let answer = world
        .post(&path, &world.custom("Widget", "a", json!({})))
        .await;
    answer.refused_saying(422, "Invalid", "must be named w-");
}

async fn an_unchanged_invalid_field_is_ratcheted(world: World) {
    let properties = json!({"size": {"type": "integer"}, "color": {"type": "string"}});
    let path = spec(&world, properties).await;
    takes(&world, &path, "a", json!({"size": 1})).await;
    let pointer = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/size/minimum";
    let patch = json!([{"op": "add", "path": pointer, "value": 5}]);
    let definition = format!(
        "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/widgets.{}",
        world.group,
    );
    world.json_patch(&definition, &patch).await.is(200);
    let small = world.custom("Widget", "b", json!({"spec": {"size": 2}}));
    world
        .until_refused(&path, &small)
        .await
        .refused_saying(422, "Invalid", "spec.size");
    let path = format!("{path}/a");
    world
        .merge_patch(&path, &json!({"spec": {"color": "red"}}))
        .await
        .is(200);
    let answer = world
        .merge_patch(&path, &json!({"spec": {"size": 2}}))
        .await;
    answer.refused_saying(
        422,
        "Invalid",
        "spec.size in body should be greater than or equal to 5",
    );
}

async fn status_is_validated_too(world: World) {
    let definition = custom(
        &world.group,
        json!({
            "spec": {"type": "object"},
            "status": {"type": "object", "properties": {"ready": {"type": "integer", "maximum": 3}}},
        }),
    );
    let path = world.define(&definition).await;
    world
        .post(&path, &world.custom("Widget", "a", json!({})))
        .await
        .is(201);
    let answer = world
        .merge_patch(
            &format!("{path}/a/status"),
            &json!({"status": {"ready": 4}}),
        )
        .await;
    answer.refused_saying(422, "Invalid", "status.ready: Invalid value: 4: ");
}

/// Defines a kind of these properties, as a trial, and expects the words.
async fn refuses_definition(world: &World, definition: &Value, why: &str) {
    let definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions?dryRun=All";
    let answer = world.post(definitions, definition).await;
    answer.refused_saying(422, "Invalid", why);
}

async fn lists_with_keys_hold_objects_that_have_them(world: World) {
    let list = |items: Value, keys: Value| {
        let list = json!({
            "type": "array", "items": items,
            "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": keys,
        });
        custom(&world.group, json!({"list": list}))
    };
    let objects = json!({"type": "object", "properties": {"a": {"type": "string"}}});
    let why = "x-kubernetes-list-map-keys: Invalid value: [\"b\"]: entries must all be names of item \
               properties";
    refuses_definition(&world, &list(objects, json!(["b"])), why).await;
    let why = "items.type: Invalid value: \"string\": must be object if parent array's \
               x-kubernetes-list-type is map";
    refuses_definition(&world, &list(json!({"type": "string"}), json!(["a"])), why).await;
}

async fn a_set_of_objects_holds_them_whole(world: World) {
    let items = json!({"type": "object", "properties": {"a": {"type": "string"}}});
    let set = json!({"type": "array", "items": items, "x-kubernetes-list-type": "set"});
    let why = "items.x-kubernetes-map-type: Invalid value: null: must be atomic as item of a list \
               with x-kubernetes-list-type=set";
    refuses_definition(&world, &custom(&world.group, json!({"set": set})), why).await;
}

async fn metadata_is_not_described(world: World) {
    let labels = json!({"type": "object", "properties": {"labels": {"type": "object"}}});
    let why = "Forbidden: must not specify anything other than name and generateName, but metadata \
               is implicitly specified";
    refuses_definition(
        &world,
        &custom(&world.group, json!({"metadata": labels})),
        why,
    )
    .await;
}

async fn a_selectable_field_is_a_scalar_that_is_declared(world: World) {
    let spec = json!({"type": "object", "properties": {"part": {"type": "object"}}});
    let mut definition = custom(&world.group, json!({"spec": spec}));
    for (path, why) in [
        (
            ".spec.none",
            "is an invalid path: does not refer to a valid field",
        ),
        (
            ".spec.part",
            "must point to a field of type string, boolean or integer.",
        ),
    ] {
        definition["spec"]["versions"][0]["selectableFields"] = json!([{"jsonPath": path}]);
        let why = format!("spec.selectableFields[0].jsonPath: Invalid value: {path:?}: {why}");
        refuses_definition(&world, &definition, &why).await;
    }
}
