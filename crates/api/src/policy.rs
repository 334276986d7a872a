//! The policy tree of a GlobalService, and its schema unrolled to a fixed depth.
//!
//! Structural schemas cannot recurse, so the tree is written out [`DEPTH_MAX`] nodes deep; the
//! innermost nodes are leaves.

use crate::{Error, config::duration_millis};
use kube::core::Duration;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use steering::{FailoverBranch, Policy, Pool, Transition, WeightedBranch};

/// How deep nodes nest. Four levels hold city → site → version → nearest, and keep the CRD small.
pub const DEPTH_MAX: usize = 4;

/// How many branches a node has; the cost of CEL rules grows with its power of the depth.
const BRANCHES_MAX: usize = 32;

/// A node: exactly one of its parts is given.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PolicyNode {
    /// The endpoints of these clusters or regions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pool: Option<PoolNode>,
    /// Those closest to the client.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nearest: Option<NearestNode>,
    /// By shares.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weighted: Option<Vec<WeightedNode>>,
    /// By order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failover: Option<Vec<FailoverNode>>,
}

/// Which endpoints: those that match every part that is given.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PoolNode {
    /// In one of these clusters.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub clusters: Vec<String>,
    /// In one of these regions.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub regions: Vec<String>,
    /// In a cluster with all of these labels.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub selector: BTreeMap<String, String>,
}

/// By distance.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct NearestNode {
    /// Over these endpoints; all when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pool: Option<PoolNode>,
    /// Percent by cluster or region, -99 to 99; a positive bias makes it seem nearer.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub bias: BTreeMap<String, i8>,
}

/// A branch that has a share.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct WeightedNode {
    /// Its share, relative to its siblings'.
    pub weight: u32,
    /// What answers.
    #[serde(flatten)]
    pub node: PolicyNode,
}

/// A branch that has a turn.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FailoverNode {
    /// Its name, unique in the tree.
    pub name: String,
    /// What answers.
    #[serde(flatten)]
    pub node: PolicyNode,
    /// Clusters with a usable endpoint that it needs; 1 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_healthy: Option<u32>,
    /// How it takes over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub takeover: Option<TakeoverNode>,
    /// How it gives back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failback: Option<FailbackNode>,
}

/// How a branch takes over.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TakeoverNode {
    /// `Auto`, or `Manual`: by an override on the branch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<Transition>,
    /// How long every earlier branch must have been unable.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delay: Option<Duration>,
}

/// How a branch gives back.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct FailbackNode {
    /// `Auto` or `Manual`; as the takeover when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<Transition>,
    /// How long the earlier branch must have been able.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hold_down: Option<Duration>,
}

impl PolicyNode {
    /// The tree as steering takes it.
    ///
    /// # Errors
    /// [`Error`] with the path of the node.
    pub fn read(&self, path: &str) -> Result<Policy, Error> {
        match (&self.pool, &self.nearest, &self.weighted, &self.failover) {
            (Some(pool), None, None, None) => Ok(Policy::Pool(pool.read())),
            (None, Some(nearest), None, None) => Ok(Policy::Nearest(nearest.read())),
            (None, None, Some(branches), None) => {
                let branches = branches.iter().enumerate();
                let read = branches.map(|(i, branch)| {
                    Ok(WeightedBranch {
                        weight: branch.weight,
                        policy: branch.node.read(&format!("{path}.weighted[{i}]"))?,
                    })
                });
                Ok(Policy::Weighted(read.collect::<Result<_, Error>>()?))
            }
            (None, None, None, Some(branches)) => {
                let branches = branches.iter().enumerate();
                let read =
                    branches.map(|(i, branch)| branch.read(&format!("{path}.failover[{i}]")));
                Ok(Policy::Failover(read.collect::<Result<_, Error>>()?))
            }
            _ => Err(Error::invalid(path, ONE_OF)),
        }
    }
}

const ONE_OF: &str = "give exactly one of pool, nearest, weighted, failover";

impl PoolNode {
    fn read(&self) -> Pool {
        Pool {
            clusters: self
                .clusters
                .iter()
                .map(|name| name.as_str().into())
                .collect(),
            regions: self
                .regions
                .iter()
                .map(|name| name.as_str().into())
                .collect(),
            selector: self.selector.clone(),
        }
    }
}

impl NearestNode {
    fn read(&self) -> steering::Nearest {
        steering::Nearest {
            pool: self.pool.as_ref().map(PoolNode::read).unwrap_or_default(),
            bias: self.bias.clone(),
        }
    }
}

impl FailoverNode {
    fn read(&self, path: &str) -> Result<FailoverBranch, Error> {
        let takeover = self.takeover.clone().unwrap_or_default();
        let failback = self.failback.clone().unwrap_or_default();
        let delay = duration_millis(takeover.delay.as_ref(), &format!("{path}.takeover.delay"))?;
        let hold_down = duration_millis(
            failback.hold_down.as_ref(),
            &format!("{path}.failback.holdDown"),
        )?;
        Ok(FailoverBranch {
            name: self.name.clone(),
            policy: self.node.read(path)?,
            min_healthy: self.min_healthy.unwrap_or(1),
            takeover: steering::Takeover {
                mode: takeover.mode.unwrap_or_default(),
                delay_millis: delay.unwrap_or(0),
            },
            failback: steering::Failback {
                mode: failback.mode,
                hold_down_millis: hold_down.unwrap_or(0),
            },
        })
    }
}

impl JsonSchema for PolicyNode {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "PolicyNode".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let mut node = node_schema(DEPTH_MAX);
        node["description"] = json!("A node of the policy tree: exactly one of its parts.");
        Schema::try_from(node).expect("an object is a schema")
    }
}

/// A node that may hold `depth - 1` more below it.
fn node_schema(depth: usize) -> Value {
    let mut properties = json!({
        "pool": pool_schema(),
        "nearest": {
            "type": "object",
            "properties": {
                "pool": pool_schema(),
                "bias": {
                    "type": "object",
                    "maxProperties": 1000,
                    "additionalProperties": {"type": "integer", "minimum": -99, "maximum": 99}
                }
            }
        }
    });
    if depth > 1 {
        properties["weighted"] = branches_schema(weighted_schema(depth - 1));
        properties["failover"] = branches_schema(failover_schema(depth - 1));
    }
    let parts: Vec<String> = parts(depth)
        .map(|part| format!("has(self.{part})"))
        .collect();
    let names: Vec<&str> = parts_named(depth);
    json!({
        "type": "object",
        "properties": properties,
        "x-kubernetes-validations": [{
            "rule": format!("[{}].exists_one(given, given)", parts.join(", ")),
            "message": format!("give exactly one of {}", names.join(", ")),
        }]
    })
}

fn parts(depth: usize) -> impl Iterator<Item = &'static str> {
    parts_named(depth).into_iter()
}

fn parts_named(depth: usize) -> Vec<&'static str> {
    match depth {
        1 => vec!["pool", "nearest"],
        _ => vec!["pool", "nearest", "weighted", "failover"],
    }
}

fn branches_schema(item: Value) -> Value {
    json!({"type": "array", "minItems": 1, "maxItems": BRANCHES_MAX, "items": item})
}

fn weighted_schema(depth: usize) -> Value {
    let mut node = node_schema(depth);
    node["properties"]["weight"] = json!({"type": "integer", "minimum": 0, "maximum": 65535});
    node["required"] = json!(["weight"]);
    node
}

fn failover_schema(depth: usize) -> Value {
    let mode = json!({"type": "string", "enum": ["Auto", "Manual"]});
    let duration = json!({
        "type": "string", "maxLength": 32,
        "pattern": r"^([0-9]+(\.[0-9]+)?(ns|us|µs|ms|s|m|h))+$"
    });
    let mut node = node_schema(depth);
    let properties = &mut node["properties"];
    properties["name"] = json!({"type": "string", "minLength": 1, "maxLength": 63});
    properties["minHealthy"] = json!({"type": "integer", "minimum": 1, "maximum": 1000});
    properties["takeover"] =
        json!({"type": "object", "properties": {"mode": mode, "delay": duration}});
    properties["failback"] =
        json!({"type": "object", "properties": {"mode": mode, "holdDown": duration}});
    node["required"] = json!(["name"]);
    node
}

fn pool_schema() -> Value {
    let names = json!({
        "type": "array", "maxItems": 1000,
        "items": {"type": "string", "minLength": 1, "maxLength": 253}
    });
    json!({
        "type": "object",
        "properties": {
            "clusters": names,
            "regions": names,
            "selector": {
                "type": "object", "maxProperties": 64,
                "additionalProperties": {"type": "string", "maxLength": 63}
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(yaml: Value) -> Result<Policy, Error> {
        let node: PolicyNode = serde_json::from_value(yaml).unwrap();
        node.read("spec.policy")
    }

    #[test]
    fn two_sites_and_a_standby_read_as_a_failover_of_a_weighted_pair() {
        let policy = read(json!({"failover": [
            {"name": "city-a", "minHealthy": 1, "weighted": [
                {"weight": 50, "pool": {"clusters": ["dc1"]}},
                {"weight": 50, "pool": {"clusters": ["dc2"]}}]},
            {"name": "city-b", "pool": {"clusters": ["dc3"]},
                "takeover": {"mode": "Manual"}, "failback": {"holdDown": "5m"}}
        ]}))
        .unwrap();
        let Policy::Failover(branches) = policy else {
            panic!("{policy:?}");
        };
        assert!(matches!(&branches[0].policy, Policy::Weighted(pair) if pair.len() == 2));
        assert_eq!(branches[1].takeover.mode, Transition::Manual);
        assert_eq!(branches[1].failback.hold_down_millis, 300_000);
    }

    #[test]
    fn a_node_with_two_parts_is_refused_with_its_path() {
        let problem = read(json!({"weighted": [{"weight": 1, "pool": {}, "nearest": {}}]}));
        assert_eq!(
            problem.unwrap_err().to_string(),
            "spec.policy.weighted[0]: give exactly one of pool, nearest, weighted, failover"
        );
    }
}
