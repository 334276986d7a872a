//! Plans and inputs fit to be shown: a Secret's values become keyed digests.

use crate::{
    digest,
    input::PlanInput,
    step::{Action, Plan},
};
use serde_json::Value;
use std::sync::Arc;

/// Fields of a Secret that hold values.
const SECRET_FIELDS: [&str; 2] = ["data", "stringData"];

impl PlanInput {
    /// The same without a Secret's values and without the digests' key. Another type's is as it is.
    pub fn redacted(&self) -> Self {
        let mut shown = self.clone();
        shown.host.digest_key = String::new();
        if self.target.is_secret() {
            hide(&mut shown.intent.template, self.host.key());
            let changes = shown.intent.overrides.iter_mut();
            for change in changes.flat_map(|item| &mut item.cluster_overrides) {
                if let Some(value) = &mut change.value {
                    *value = digest_of(value, self.host.key());
                }
            }
        }
        shown
    }
}

impl Plan {
    /// The same without a Secret's values; `input` is what it was made from.
    pub fn redacted(&self, input: &PlanInput) -> Self {
        let mut shown = self.clone();
        if input.target.is_secret() {
            for step in shown.steps.values_mut() {
                if let Action::Create(write) | Action::Apply(write) = &mut step.action {
                    hide(Arc::make_mut(&mut write.object), input.host.key());
                }
            }
        }
        shown
    }
}

fn hide(object: &mut Value, key: &str) {
    for field in SECRET_FIELDS {
        match object.get_mut(field) {
            Some(Value::Object(values)) => {
                for value in values.values_mut() {
                    *value = digest_of(value, key);
                }
            }
            Some(other) => *other = digest_of(other, key),
            None => {}
        }
    }
}

fn digest_of(value: &Value, key: &str) -> Value {
    Value::String(format!("hmac:{}", digest::keyed(key, value)))
}

#[cfg(test)]
mod tests {
    use crate::test_world::World;
    use serde_json::json;

    #[test]
    fn a_secrets_values_are_shown_as_digests_only() {
        let mut world = World::new(&["a"]);
        world.input.target.kind = "Secret".to_owned();
        world.input.host.digest_key = "sesame".to_owned();
        world.input.intent.template =
            json!({"data": {"p": "aHVudGVyMg=="}, "stringData": {"q": "hunter2"}});
        world.input.intent.overrides = serde_json::from_value(json!([{"clusterName": "a",
            "clusterOverrides": [{"op": "add", "path": "/stringData/r", "value": "hunter2"}]}]))
        .unwrap();
        let plan = world.plan().redacted(&world.input);
        let text = serde_json::to_string(&(world.input.redacted(), &plan)).unwrap();
        for secret in ["hunter2", "aHVudGVyMg", "sesame"] {
            assert!(!text.contains(secret), "{text}");
        }
        assert!(text.contains("\"p\":\"hmac:"), "{text}");
    }

    #[test]
    fn another_types_plan_is_shown_as_it_is() {
        let world = World::new(&["a"]);
        assert_eq!(world.plan().redacted(&world.input), world.plan());
        assert_eq!(world.input.redacted(), world.input);
    }
}
