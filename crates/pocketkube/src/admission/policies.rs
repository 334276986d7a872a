//! ValidatingAdmissionPolicies (KEP-3488): expressions that refuse, through bindings that say where
//! and with which parameters.

use super::expression::{Expressions, Found, OutOfBudget, POLICY_COST_MAX, all_hold};
use super::{Attempt, Opinion, matching};
use crate::cluster::Cluster;
use crate::object::{self, Object};
use crate::resource::Resource;
use crate::selector::LabelSelector;
use crate::status::{Cause, Status};
use serde_json::Value;
use std::sync::Arc;

const POLICIES: &str = "validatingadmissionpolicies.admissionregistration.k8s.io";
const BINDINGS: &str = "validatingadmissionpolicybindings.admissionregistration.k8s.io";

/// The longest message that an expression may make.
const MESSAGE_BYTES_MAX: usize = 5 * 1024;

/// A validation that does not hold.
struct Denial {
    message: String,
    reason: &'static str,
}

/// Lets policies refuse an object; none is a deletion.
pub(super) fn refuse(
    cluster: &Cluster,
    attempt: &Attempt<'_>,
    object: Option<&Value>,
) -> Result<Opinion, Status> {
    let mut opinion = Opinion::default();
    let bindings = all(cluster, BINDINGS, "");
    if bindings.is_empty() {
        return Ok(opinion);
    }
    let mut refusal = None;
    for policy in all(cluster, POLICIES, "") {
        let name = object::name(&policy);
        let Some(told) = concerns(
            cluster,
            attempt,
            object,
            &policy["spec"]["matchConstraints"],
        ) else {
            continue;
        };
        let own = bindings
            .iter()
            .filter(|binding| binding["spec"]["policyName"] == name);
        for binding in own {
            let place = &binding["spec"]["matchResources"];
            if !place.is_null() && concerns(cluster, attempt, object, place).is_none() {
                continue;
            }
            let denials = denials(cluster, attempt, object, &told, &policy, binding);
            let actions = object::list(&binding["spec"]["validationActions"]);
            let by = format!("'{name}' with binding '{}'", object::name(binding));
            for denial in denials {
                let message = &denial.message;
                if actions.iter().any(|action| action == "Warn") {
                    let start = "Validation failed for ValidatingAdmissionPolicy";
                    opinion.warnings.push(format!("{start} {by}: {message}"));
                }
                if actions.iter().any(|action| action == "Deny") && refusal.is_none() {
                    let why = format!("ValidatingAdmissionPolicy {by} denied request: {message}");
                    refusal = Some(refused(attempt, &why, denial.reason));
                }
            }
        }
    }
    match refusal {
        Some(status) => Err(status),
        None => Ok(opinion),
    }
}

/// The resource as which a policy or binding sees a write, where it concerns it.
fn concerns(
    cluster: &Cluster,
    attempt: &Attempt<'_>,
    object: Option<&Value>,
    constraints: &Value,
) -> Option<Arc<Resource>> {
    let excluded = object::list(&constraints["excludeResourceRules"]);
    if excluded
        .iter()
        .any(|rule| matching::fits(rule, attempt, attempt.resource))
    {
        return None;
    }
    let everything = [serde_json::json!({
        "operations": ["*"], "apiGroups": ["*"], "apiVersions": ["*"], "resources": ["*/*"],
    })];
    let rules = match object::list(&constraints["resourceRules"]) {
        // A binding may narrow by selectors alone.
        [] => &everything,
        rules => rules,
    };
    matching::told_as(cluster, attempt, object, constraints, rules)
}

/// What one policy says through one binding.
fn denials(
    cluster: &Cluster,
    attempt: &Attempt<'_>,
    object: Option<&Value>,
    told: &Resource,
    policy: &Object,
    binding: &Object,
) -> Vec<Denial> {
    let spec = &policy["spec"];
    let forgives = spec["failurePolicy"] == "Ignore";
    let failed = |message: String| match forgives {
        true => Vec::new(),
        false => vec![Denial {
            message,
            reason: "Invalid",
        }],
    };
    let parameters = match parameters(cluster, attempt, &spec["paramKind"], binding) {
        Ok(parameters) => parameters,
        Err(problem) => return failed(problem),
    };
    let request = attempt.request("", told, object);
    let namespace = cluster.kept("namespaces", "", attempt.namespace);
    let namespace = namespace.map_or(Value::Null, |namespace| namespace.value().clone());
    let mut denials = Vec::new();
    for parameter in parameters {
        let names = [
            ("object", &request["object"]),
            ("oldObject", &request["oldObject"]),
            ("request", &request),
            ("params", &parameter),
            ("namespaceObject", &namespace),
        ];
        match all_hold(&names, object::list(&spec["matchConditions"])) {
            Ok(true) => {}
            Ok(false) => continue,
            Err(problem) => {
                denials.extend(failed(problem));
                continue;
            }
        }
        let mut expressions = Expressions::new(&names, POLICY_COST_MAX);
        let named = object::list(&spec["variables"]).iter();
        expressions.define(named.map(|named| (text(&named["name"]), text(&named["expression"]))));
        match judged(&mut expressions, object::list(&spec["validations"])) {
            Ok(verdicts) => {
                for verdict in verdicts {
                    match verdict {
                        Ok(None) => {}
                        Ok(Some(denial)) => denials.push(denial),
                        Err(problem) => denials.extend(failed(problem)),
                    }
                }
            }
            Err(OutOfBudget(why)) => denials.extend(failed(why.to_owned())),
        }
    }
    denials
}

/// What each validation says. All are evaluated before all their messages.
fn judged(
    expressions: &mut Expressions<'_>,
    validations: &[Value],
) -> Result<Vec<Result<Option<Denial>, String>>, OutOfBudget> {
    let texts = validations
        .iter()
        .map(|validation| text(&validation["expression"]));
    let found = expressions.find_all(texts)?;
    let told = validations
        .iter()
        .filter_map(|validation| validation["messageExpression"].as_str());
    let told = expressions.find_all(told);
    let mut messages = told.as_ref().map(|told| told.iter());
    let verdicts = validations.iter().zip(found).map(|(validation, found)| {
        let computed = match (&mut messages, &validation["messageExpression"]) {
            (Ok(messages), Value::String(_)) => messages.next(),
            _ => None,
        };
        match (found, &told) {
            (Err(problem), _) => Err(problem),
            (_, Err(OutOfBudget(why))) => Err(format!("failed messageExpression: {why}")),
            (Ok(Found::True), _) => Ok(None),
            (Ok(_), Ok(_)) => Ok(Some(denial(validation, computed))),
        }
    });
    Ok(verdicts.collect())
}

fn denial(validation: &Value, computed: Option<&Result<Found, String>>) -> Denial {
    let expression = text(&validation["expression"]).trim();
    let computed = match computed {
        Some(Ok(Found::Text(message))) => message.trim(),
        _ => "",
    };
    let is_good = computed.len() <= MESSAGE_BYTES_MAX && !computed.contains('\n');
    let message = match (computed, text(&validation["message"]).trim()) {
        (computed, _) if is_good && !computed.is_empty() => computed.to_owned(),
        (_, "") => format!("failed expression: {expression}"),
        (_, fixed) => fixed.to_owned(),
    };
    let reason = match text(&validation["reason"]) {
        "Unauthorized" => "Unauthorized",
        "Forbidden" => "Forbidden",
        "RequestEntityTooLarge" => "RequestEntityTooLarge",
        _ => "Invalid",
    };
    Denial { message, reason }
}

/// The parameters of a binding, one evaluation for each; null for a policy that takes none.
fn parameters(
    cluster: &Cluster,
    attempt: &Attempt<'_>,
    kind: &Value,
    binding: &Object,
) -> Result<Vec<Value>, String> {
    let reference = &binding["spec"]["paramRef"];
    if kind.is_null() || reference.is_null() {
        return Ok(vec![Value::Null]);
    }
    let (version, kind) = (text(&kind["apiVersion"]), text(&kind["kind"]));
    let resource = cluster.resource(version, kind).map_err(|_| {
        format!("failed to find resource referenced by paramKind: '{version}, Kind={kind}'")
    })?;
    let namespace = match (resource.is_namespaced(), text(&reference["namespace"])) {
        (false, _) => "",
        (true, "") => attempt.namespace,
        (true, own) => own,
    };
    let kept = all(cluster, &resource.table(), namespace);
    let name = text(&reference["name"]);
    let selector = LabelSelector::from_value(&reference["selector"]).unwrap_or_default();
    let found: Vec<Value> = kept
        .iter()
        .filter(|object| match name {
            "" => selector.matches(object::labels(object)),
            name => object::name(object) == name,
        })
        .map(|object| object.value().clone())
        .collect();
    match found.is_empty() && reference["parameterNotFoundAction"] != "Allow" {
        true => Err(
            "failed to configure binding: no params found for policy binding with \
                     `Deny` parameterNotFoundAction"
                .to_owned(),
        ),
        false => Ok(found),
    }
}

fn refused(attempt: &Attempt<'_>, why: &str, reason: &'static str) -> Status {
    let mut status = Status::forbidden(attempt.resource, attempt.name, why);
    status.reason = reason;
    status.code = match reason {
        "Unauthorized" => 401,
        "Forbidden" => 403,
        "RequestEntityTooLarge" => 413,
        _ => 422,
    };
    status.with_causes(vec![Cause::new("", "", why)])
}

/// All objects of a table, of one namespace where one is named, by name.
fn all(cluster: &Cluster, table: &str, namespace: &str) -> Vec<Arc<Object>> {
    let prefix = crate::cluster::prefix(Some(namespace));
    let store = cluster.store();
    let objects = store.range(table, &prefix, None);
    objects.map(|(_, object)| object).collect()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
