//! Facts about the types of built-in kinds that their OpenAPI definitions do not say here: how
//! their lists and maps merge, and what their zero values become.
//!
//! The facts are those of the Kubernetes API reference, one line for each field that differs from
//! the rule. `lists.txt` is read by [`lists`], `zeros.txt` by [`zeros`].

use crate::schema::{ListKey, Merge, PatchStrategy, Zero};
use std::collections::HashMap;
use std::sync::OnceLock;

/// How one field, or one type as a whole, merges.
#[derive(Debug, Clone, Default)]
pub(super) struct ListFact {
    /// For apply.
    pub(super) merge: Merge,
    /// For strategic merge patches.
    pub(super) patch: PatchStrategy,
}

/// How fields (`core.v1.PodSpec.containers`) and types (`core.v1.ObjectReference`) merge.
pub(super) fn lists() -> &'static HashMap<&'static str, ListFact> {
    static FACTS: OnceLock<HashMap<&'static str, ListFact>> = OnceLock::new();
    FACTS.get_or_init(|| {
        let lines = include_str!("lists.txt").lines();
        lines
            .filter_map(|line| line.split_once(' '))
            .map(|(n, w)| (n, list_fact(w)))
            .collect()
    })
}

/// What the zero values of a type's fields become: fields by type (`core.v1.PodSpec`).
pub(super) fn zeros() -> &'static HashMap<&'static str, HashMap<&'static str, Zero>> {
    static FACTS: OnceLock<HashMap<&'static str, HashMap<&'static str, Zero>>> = OnceLock::new();
    FACTS.get_or_init(|| {
        let lines = include_str!("zeros.txt").lines();
        lines
            .filter_map(|line| line.split_once(' '))
            .map(|(n, w)| (n, zero_fact(w)))
            .collect()
    })
}

/// The name that facts use for an OpenAPI definition.
pub(super) fn short_name(definition: &str) -> &str {
    const PREFIXES: [&str; 4] = [
        "io.k8s.api.",
        "io.k8s.apimachinery.pkg.apis.",
        "io.k8s.apiextensions-apiserver.pkg.apis.",
        "io.k8s.kube-aggregator.pkg.apis.",
    ];
    PREFIXES
        .iter()
        .find_map(|prefix| definition.strip_prefix(prefix))
        .unwrap_or(definition)
}

fn list_fact(words: &str) -> ListFact {
    let mut fact = ListFact::default();
    for word in words.split(' ') {
        match word.split_once('=') {
            None if word == "atomic" => fact.merge = Merge::Atomic,
            None if word == "set" => fact.merge = Merge::Set,
            None if word == "merge" => fact.patch = PatchStrategy::Merge(None),
            None if word == "retain" => fact.patch = PatchStrategy::RetainKeys,
            None => fact.patch = PatchStrategy::Replace,
            Some(("map", keys)) => fact.merge = Merge::Map(keys.split(',').map(list_key).collect()),
            Some(("merge", key)) => fact.patch = PatchStrategy::Merge(Some(key.to_owned())),
            Some((_, key)) => fact.patch = PatchStrategy::MergeRetainKeys(key.to_owned()),
        }
    }
    fact
}

fn list_key(word: &str) -> ListKey {
    match word.split_once(':') {
        None => ListKey {
            name: word.to_owned(),
            default: None,
        },
        Some((name, default)) => ListKey {
            name: name.to_owned(),
            default: Some(default.into()),
        },
    }
}

fn zero_fact(words: &'static str) -> HashMap<&'static str, Zero> {
    let mut fields = HashMap::new();
    for (what, names) in words.split(' ').filter_map(|word| word.split_once('=')) {
        let zero = match what {
            "write" => Zero::Write,
            "null" => Zero::WriteNull,
            "omit" => Zero::Omit,
            _ => Zero::Keep,
        };
        fields.extend(names.split(',').map(|name| (name, zero)));
    }
    fields
}
