//! Chance, and what is drawn from it: objects of some fields out of many, and ways to write them.

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::{Map, Value, json};

use crate::recording::{Step, Verb};

/// Who writes. `kubectl` is treated apart: what it applied on its own side it may take over.
const MANAGERS: [&str; 4] = ["ann", "ben", "cem", "kubectl"];
/// Names of keys of lists, by which elements are told apart.
const KEYS: [&str; 8] = [
    "name",
    "port",
    "containerPort",
    "mountPath",
    "type",
    "uid",
    "topologyKey",
    "ip",
];

/// Seeded chance.
pub(crate) struct Draw(StdRng);

/// What sequences of a kind are drawn from.
pub(crate) struct Garden {
    /// `apps/v1:deployments`.
    pub(crate) collection: &'static str,
    /// The same at another version, if there is one.
    pub(crate) other: Option<&'static str>,
    /// A new object that is taken.
    pub(crate) new: fn(&mut Draw) -> Value,
    /// Some fields of the object, below the top.
    pub(crate) some: fn(&mut Draw) -> Value,
    /// Some fields of its status, if it is a subresource.
    pub(crate) status: Option<fn(&mut Draw) -> Value>,
    pub(crate) has_scale: bool,
    pub(crate) has_strategic: bool,
}

impl Draw {
    pub(crate) fn new(seed: u64) -> Self {
        Self(StdRng::seed_from_u64(seed))
    }

    /// True so many times of a hundred.
    pub(crate) fn percent(&mut self, percent: u32) -> bool {
        self.0.random_range(0..100) < percent
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0.random_range(0..bound)
    }

    pub(crate) fn one<T: Clone>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())].clone()
    }

    /// Some of a few, in some order.
    pub(crate) fn some<T: Clone>(&mut self, of: &[T]) -> Vec<T> {
        let mut left = of.to_vec();
        let count = self.below(of.len() + 1);
        let mut drawn = Vec::new();
        for _ in 0..count {
            let at = self.below(left.len());
            drawn.push(left.remove(at));
        }
        drawn
    }

    /// Sets a field of `object` to one of `values`, now and then.
    pub(crate) fn maybe(&mut self, object: &mut Value, pointer: &str, percent: u32, value: Value) {
        if !self.percent(percent) {
            return;
        }
        let mut place = object;
        for name in pointer.split('/').skip(1) {
            place = &mut place[name.replace("~1", "/")];
        }
        *place = value;
    }

    /// Labels, annotations, finalizers and owners, some of them.
    pub(crate) fn metadata(&mut self, object: &mut Value) {
        for name in ["la", "lb", "lc"] {
            let value = json!(self.one(&["1", "2"]));
            self.maybe(object, &format!("/metadata/labels/{name}"), 20, value);
        }
        let value = json!(self.one(&["1", "2"]));
        self.maybe(object, "/metadata/annotations/na", 15, value);
        let finalizers = self.some(&["example.com/fa", "example.com/fb", "example.com/fc"]);
        // The real server keeps an empty list of custom objects, and its next write drops it.
        let percent = if finalizers.is_empty() { 0 } else { 12 };
        self.maybe(object, "/metadata/finalizers", percent, json!(finalizers));
        let owner = |name: &str| json!({"apiVersion": "v1", "kind": "Node", "name": name, "uid": format!("uid-{name}")});
        let owners = self.some(&[owner("oa"), owner("ob")]);
        let percent = if owners.is_empty() { 0 } else { 10 };
        self.maybe(object, "/metadata/ownerReferences", percent, json!(owners));
    }

    fn manager(&mut self) -> String {
        match self.percent(5) {
            true => String::new(),
            false => format!("fieldManager={}", self.one(&MANAGERS)),
        }
    }

    /// One write to the object `a`.
    fn step(&mut self, garden: &Garden) -> Step {
        let mut collection = garden.collection;
        if let Some(other) = garden.other
            && self.percent(25)
        {
            collection = other;
        }
        let object = format!("{collection}/a");
        let mut options = vec![self.manager()];
        if self.percent(4) {
            options.push("dryRun=All".to_owned());
        }
        let status = garden.status.filter(|_| self.percent(22));
        let on_scale = garden.has_scale && status.is_none() && self.percent(12);
        let (part, some) = match status {
            Some(status) => ("/status", status(self)),
            None if on_scale => ("/scale", json!({"spec": {"replicas": self.below(4)}})),
            None => ("", (garden.some)(self)),
        };
        let verb = self.verb(garden, part);
        if verb == Verb::Apply {
            options.retain(|option| !option.is_empty());
            if !options.iter().any(|option| option.starts_with("field")) {
                options.push("fieldManager=ann".to_owned());
            }
            if self.percent(50) {
                options.push("force=true".to_owned());
            }
        }
        options.retain(|option| !option.is_empty());
        let place = match verb {
            Verb::Create => collection.to_owned(),
            _ => format!("{object}{part}"),
        };
        let query = match options.is_empty() {
            true => String::new(),
            false => format!("?{}", options.join("&")),
        };
        let body = self.body(garden, verb, (collection, part), some);
        Step {
            verb,
            path: format!("{place}{query}"),
            body,
        }
    }

    fn verb(&mut self, garden: &Garden, part: &str) -> Verb {
        match self.below(100) {
            0..40 => Verb::Apply,
            40..60 => Verb::Update,
            60..72 => Verb::Merge,
            72..82 => Verb::Json,
            82..94 if garden.has_strategic && part != "/scale" => Verb::Strategic,
            82..94 => Verb::Merge,
            94..97 if part.is_empty() => Verb::Create,
            97..100 if part.is_empty() => Verb::Delete,
            _ => Verb::Update,
        }
    }

    fn body(
        &mut self,
        garden: &Garden,
        verb: Verb,
        (collection, part): (&str, &str),
        some: Value,
    ) -> Value {
        let whole = |some: Value| typed((garden.new)(&mut Self::new(0)), collection, part, some);
        match verb {
            Verb::Create => typed((garden.new)(self), collection, "", json!({})),
            Verb::Apply => whole(some),
            Verb::Update => {
                let change = match self.percent(50) {
                    true => self.with_nulls(some),
                    false => some,
                };
                let version = self.one(&["read", "read", "read", "none", "first"]);
                let managers = self.one(&["read", "read", "read", "none", "cleared", "first"]);
                json!({"change": change, "version": version, "managers": managers})
            }
            Verb::Merge => self.with_nulls(some),
            Verb::Strategic => self.with_directives(some),
            Verb::Json => self.operations(&some),
            Verb::Delete => Value::Null,
        }
    }

    /// Some leaves are null: they are to go.
    fn with_nulls(&mut self, mut value: Value) -> Value {
        if let Value::Object(fields) = &mut value {
            for (_, field) in fields.iter_mut() {
                let is_deep = field.as_object().is_some_and(|inner| !inner.is_empty());
                if is_deep && !self.percent(3) {
                    *field = self.with_nulls(field.take());
                } else if self.percent(25) {
                    *field = Value::Null;
                }
            }
        }
        value
    }

    /// As [`Self::with_nulls`], with the directives of strategic patches.
    fn with_directives(&mut self, mut value: Value) -> Value {
        let Value::Object(fields) = &mut value else {
            return value;
        };
        let mut more = Map::new();
        for (name, field) in fields.iter_mut() {
            match field {
                Value::Object(inner) if !inner.is_empty() => {
                    *field = self.with_directives(field.take());
                    if self.percent(5) {
                        field["$patch"] = json!(self.one(&["replace", "delete"]));
                    }
                }
                Value::Array(elements) => self.directed(name, elements, &mut more),
                _ if self.percent(15) => *field = Value::Null,
                _ => {}
            }
        }
        fields.extend(more);
        value
    }

    fn directed(&mut self, name: &str, elements: &mut Vec<Value>, more: &mut Map<String, Value>) {
        let key = |element: &Value| KEYS.into_iter().find(|key| element.get(*key).is_some());
        for element in elements.iter_mut() {
            let Some(key) = key(element) else { continue };
            if self.percent(25) {
                *element = json!({key: element[key], "$patch": "delete"});
            } else {
                *element = self.with_directives_below(element.take());
            }
        }
        let Some(first) = elements.first().cloned() else {
            return;
        };
        if let Some(key) = key(&first) {
            if self.percent(10) {
                elements.push(json!({"$patch": "replace"}));
            } else if self.percent(15) {
                let order: Vec<Value> = elements.iter().map(|e| json!({key: e[key]})).collect();
                more.insert(format!("$setElementOrder/{name}"), json!(order));
            }
        } else if first.is_string() && name == "finalizers" && self.percent(40) {
            more.insert(format!("$deleteFromPrimitiveList/{name}"), json!([first]));
            elements.remove(0);
        }
    }

    /// Keys of an element stay as they are.
    fn with_directives_below(&mut self, element: Value) -> Value {
        let mut changed = self.with_directives(element.clone());
        for key in KEYS {
            if let Some(value) = element.get(key) {
                changed[key] = value.clone();
            }
        }
        changed
    }

    /// A few operations of a JSON patch on the places that `some` has.
    fn operations(&mut self, some: &Value) -> Value {
        let mut places = Vec::new();
        leaves("", some, &mut places);
        let mut operations = Vec::new();
        for _ in 0..=self.below(2) {
            if places.is_empty() {
                break;
            }
            let (path, value) = self.one(&places);
            operations.push(match self.below(10) {
                0..5 => json!({"op": "add", "path": path, "value": value}),
                5..7 => json!({"op": "replace", "path": path, "value": value}),
                7..9 => json!({"op": "remove", "path": path}),
                _ => json!({"op": "test", "path": path, "value": value}),
            });
        }
        json!(operations)
    }
}

/// Fields and list elements, with their JSON pointers.
fn leaves(path: &str, value: &Value, places: &mut Vec<(String, Value)>) {
    if !path.is_empty() && path.matches('/').count() > 1 {
        places.push((path.to_owned(), value.clone()));
    }
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                let name = name.replace('~', "~0").replace('/', "~1");
                leaves(&format!("{path}/{name}"), field, places);
            }
        }
        Value::Array(elements) => {
            for (number, element) in elements.iter().enumerate() {
                leaves(&format!("{path}/{number}"), element, places);
            }
            if let Some(first) = elements.first() {
                places.push((format!("{path}/-"), first.clone()));
            }
        }
        _ => {}
    }
}

/// `some` as an object of a type, with a name; of a scale, a Scale.
fn typed(new: Value, collection: &str, part: &str, some: Value) -> Value {
    let group_version = collection.split_once(':').map_or("v1", |(first, _)| first);
    let mut object = match part {
        "" if some == json!({}) => new,
        "/scale" => json!({"apiVersion": "autoscaling/v1", "kind": "Scale"}),
        _ => json!({"kind": new["kind"]}),
    };
    if part != "/scale" {
        object["apiVersion"] = json!(group_version);
    }
    crate::play::merge(&mut object, &some);
    object["metadata"]["name"] = json!("a");
    object
}

/// A sequence of writes: it begins with a creation or an apply.
pub(crate) fn sequence(garden: &Garden, seed: u64, length: usize) -> Vec<Step> {
    let mut draw = Draw::new(seed);
    let new = (garden.new)(&mut draw);
    let body = typed(new, garden.collection, "", json!({}));
    let manager = draw.one(&MANAGERS);
    let first = match draw.percent(50) {
        true => Step {
            verb: Verb::Create,
            path: format!("{}?fieldManager={manager}", garden.collection),
            body,
        },
        false => Step {
            verb: Verb::Apply,
            path: format!("{}/a?fieldManager={manager}", garden.collection),
            body,
        },
    };
    let mut steps = vec![first];
    steps.extend((1..length).map(|_| draw.step(garden)));
    steps
}
