//! Paths of OpenAPI v2, with the operations that each takes.

use super::super::discovery::{self, PartEntry};
use super::super::resources::returns_object;
use super::parameters::{self as parameter, Shared};
use crate::registry::Registry;
use crate::resource::{Resource, Verb};
use serde_json::{Map, Value, json};

/// What is read and written.
const MEDIA_TYPES: [&str; 2] = ["application/json", "application/yaml"];
/// What a watch answers.
const WATCHED: &str = "application/json;stream=watch";
/// Answers about the API itself.
const META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1";

/// All paths, by name.
pub(super) fn paths(registry: &Registry) -> Map<String, Value> {
    let mut paths = vec![
        about(
            "/api/",
            "getCoreAPIVersions",
            "core",
            "available API versions",
            "APIVersions",
        ),
        about(
            "/apis/",
            "getAPIVersions",
            "apis",
            "available API versions",
            "APIGroupList",
        ),
    ];
    for (group, versions) in discovery::group_versions(registry) {
        if !group.is_empty() {
            let (path, title) = (format!("/apis/{group}/"), capitalized(&camel(&group)));
            let id = format!("get{title}APIGroup");
            paths.push(about(
                &path,
                &id,
                &camel(&group),
                "information of a group",
                "APIGroup",
            ));
        }
        for version in versions {
            let root = root(&group, &version);
            let id = format!("get{}APIResources", title(&group, &version));
            let tag = tag(&group, &version);
            let path = format!("{root}/");
            paths.push(about(
                &path,
                &id,
                &tag,
                "available resources",
                "APIResourceList",
            ));
            for resource in registry.version(&group, &version) {
                let named = Named::new(registry, resource);
                paths.extend(named.paths(&root, &discovery::parts(registry, resource)));
            }
        }
    }
    paths.sort_by(|(one, _), (other, _)| one.cmp(other));
    paths.into_iter().collect()
}

fn about(path: &str, id: &str, tag: &str, what: &str, of: &str) -> (String, Value) {
    let operation = json!({
        "description": format!("get {what}"),
        "consumes": MEDIA_TYPES,
        "produces": MEDIA_TYPES,
        "schemes": ["https"],
        "tags": [tag],
        "operationId": id,
        "responses": responses(&[200], &format!("{META}.{of}")),
    });
    (path.to_owned(), json!({"get": operation}))
}

fn root(group: &str, version: &str) -> String {
    match group {
        "" => format!("/api/{version}"),
        group => format!("/apis/{group}/{version}"),
    }
}

/// `apps_v1`, as operations are sorted.
fn tag(group: &str, version: &str) -> String {
    format!("{}_{version}", camel(group))
}

/// `AppsV1`, as operations are named.
fn title(group: &str, version: &str) -> String {
    format!("{}{}", capitalized(&camel(group)), capitalized(version))
}

/// `rbacAuthorization` of `rbac.authorization.k8s.io`.
fn camel(group: &str) -> String {
    let group = match group {
        "" => "core",
        group => group.strip_suffix(".k8s.io").unwrap_or(group),
    };
    let mut words = group.split(['.', '-']);
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |name, word| name + &capitalized(word))
}

fn capitalized(word: &str) -> String {
    let mut chars = word.chars();
    match chars.next() {
        Some(first) => first.to_uppercase().chain(chars).collect(),
        None => String::new(),
    }
}

/// What an operation is about.
struct Named<'a> {
    resource: &'a Resource,
    /// The names of its definitions.
    one: String,
    many: String,
    tag: String,
    title: String,
}

/// An operation.
struct Does<'a> {
    method: &'static str,
    verb: Verb,
    /// `list`, `replace`, …
    action: &'a str,
    id: String,
    description: String,
}

impl<'a> Named<'a> {
    fn new(registry: &Registry, resource: &'a Resource) -> Self {
        let one = registry.kind(resource).map(|kind| kind.definition_name());
        let one = one.unwrap_or_default();
        Self {
            resource,
            many: format!("{one}List"),
            one,
            tag: tag(&resource.group, &resource.version),
            title: title(&resource.group, &resource.version),
        }
    }

    fn paths(&self, root: &str, parts: &[PartEntry]) -> Vec<(String, Value)> {
        let resource = self.resource;
        let mut paths = Vec::new();
        // The namespace itself is the name in the paths of namespaces.
        let collection = match resource.is_namespaced() {
            true => format!("{root}/namespaces/{{namespace}}/{}", resource.plural),
            false => format!("{root}/{}", resource.plural),
        };
        if resource.is_namespaced() && resource.serves(Verb::List) {
            let mut does = self.does(Verb::List);
            does.id = format!("list{}{}ForAllNamespaces", self.title, resource.kind);
            let operations = [(does.method, self.operation(&does, &self.one, None))];
            let placed = vec![parameter::PRETTY.reference()];
            paths.push((
                format!("{root}/{}", resource.plural),
                item(operations.into(), placed),
            ));
        }
        let many = [Verb::List, Verb::Create, Verb::DeleteCollection];
        paths.extend(self.item(&collection, &many, Vec::new()));
        let named = vec![parameter::name(&resource.kind)];
        let one = format!("{collection}/{{name}}");
        let verbs = [Verb::Get, Verb::Update, Verb::Delete, Verb::Patch];
        paths.extend(self.item(&one, &verbs, named.clone()));
        for part in parts.iter().filter(|part| part.name != "log") {
            paths.push((
                format!("{one}/{}", part.name),
                self.part(part, named.clone()),
            ));
        }
        paths
    }

    /// What can be done at a path; none where nothing can.
    fn item(&self, path: &str, verbs: &[Verb], named: Vec<Value>) -> Option<(String, Value)> {
        let served = verbs.iter().filter(|verb| self.resource.serves(**verb));
        let operations: Vec<_> = served
            .map(|verb| {
                let does = self.does(*verb);
                (does.method, self.operation(&does, &self.one, None))
            })
            .collect();
        (!operations.is_empty()).then(|| (path.to_owned(), item(operations, self.placed(named))))
    }

    /// The parameters of all operations of a path.
    fn placed(&self, mut parameters: Vec<Value>) -> Vec<Value> {
        if self.resource.is_namespaced() {
            parameters.push(parameter::NAMESPACE.reference());
        }
        parameters.push(parameter::PRETTY.reference());
        parameters
    }

    fn does(&self, verb: Verb) -> Does<'static> {
        let kind = &self.resource.kind;
        let (method, action, start, description) = match verb {
            Verb::List | Verb::Watch => {
                let watched = if self.resource.is_custom() {
                    ""
                } else {
                    "or watch "
                };
                let told = format!("list {watched}objects of kind {kind}");
                ("get", "list", "list", told)
            }
            Verb::Create => (
                "post",
                "post",
                "create",
                format!("create {} {kind}", article(kind)),
            ),
            Verb::DeleteCollection => {
                let told = format!("delete collection of {kind}");
                ("delete", "deletecollection", "delete", told)
            }
            Verb::Get => ("get", "get", "read", format!("read the specified {kind}")),
            Verb::Update => (
                "put",
                "put",
                "replace",
                format!("replace the specified {kind}"),
            ),
            Verb::Patch => {
                let told = format!("partially update the specified {kind}");
                ("patch", "patch", "patch", told)
            }
            Verb::Delete => (
                "delete",
                "delete",
                "delete",
                format!("delete {}{kind}", article(kind)),
            ),
        };
        let many = if verb == Verb::DeleteCollection {
            "Collection"
        } else {
            ""
        };
        Does {
            method,
            verb,
            action,
            id: format!("{start}{}{many}{}{kind}", self.title, self.space()),
            description,
        }
    }

    fn space(&self) -> &'static str {
        match self.resource.is_namespaced() {
            true => "Namespaced",
            false => "",
        }
    }

    /// A subresource.
    fn part(&self, part: &PartEntry, named: Vec<Value>) -> Value {
        let kind = &self.resource.kind;
        let of = part.kind.map_or_else(
            || self.one.clone(),
            |(group, version, kind)| part_definition(group, version, kind),
        );
        let mut operations = Vec::new();
        for verb in &part.verbs {
            let (verb, start, told) = match *verb {
                "create" => (
                    Verb::Create,
                    "create",
                    format!("create {} of a {kind}", part.name),
                ),
                "get" => (Verb::Get, "read", "read".to_owned()),
                "update" => (Verb::Update, "replace", "replace".to_owned()),
                _ => (Verb::Patch, "patch", "partially update".to_owned()),
            };
            let mut does = self.does(verb);
            does.id = format!(
                "{start}{}{}{kind}{}",
                self.title,
                self.space(),
                capitalized(part.name)
            );
            does.description = match verb {
                Verb::Create => told,
                _ => format!("{told} {} of the specified {kind}", part.name),
            };
            operations.push((does.method, self.operation(&does, &of, part.kind)));
        }
        item(operations, self.placed(named))
    }

    fn operation(&self, does: &Does<'_>, of: &str, kind: Option<(&str, &str, &str)>) -> Value {
        let resource = self.resource;
        // Upstream gives the scale of a custom kind the custom kind.
        let (group, version, kind) = match kind {
            Some(kind) if !resource.is_custom() => kind,
            _ => (
                resource.group.as_str(),
                resource.version.as_str(),
                resource.kind.as_str(),
            ),
        };
        let is_list = does.verb == Verb::List;
        let produces: Vec<&str> = match is_list && !resource.is_custom() {
            true => MEDIA_TYPES.into_iter().chain([WATCHED]).collect(),
            false => MEDIA_TYPES.to_vec(),
        };
        let status = format!("{META}.Status");
        let responses = match does.verb {
            Verb::List | Verb::Watch => responses(&[200], &self.many),
            Verb::Get => responses(&[200], of),
            Verb::Create => responses(&[200, 201, 202], of),
            Verb::Update => responses(&[200, 201], of),
            Verb::Patch if resource.is_custom() => responses(&[200], of),
            Verb::Patch => responses(&[200, 201], of),
            Verb::Delete if returns_object(resource) => responses(&[200, 202], of),
            Verb::Delete => responses(&[200, 202], &status),
            Verb::DeleteCollection => responses(&[200], &status),
        };
        let mut operation = json!({
            "description": does.description,
            "consumes": self.consumes(does.verb),
            "produces": produces,
            "schemes": ["https"],
            "tags": [self.tag],
            "operationId": does.id,
            "responses": responses,
            "x-kubernetes-action": does.action,
            "x-kubernetes-group-version-kind": {
                "group": group, "kind": kind, "version": version,
            },
        });
        let parameters = self.parameters(does.verb, of);
        if !parameters.is_empty() {
            operation["parameters"] = parameters.into();
        }
        operation
    }

    fn consumes(&self, verb: Verb) -> Vec<&'static str> {
        match (verb, self.resource.is_custom()) {
            (Verb::Patch, is_custom) => super::PATCH_TYPES
                .into_iter()
                .filter(|media_type| !is_custom || !media_type.contains("strategic"))
                .collect(),
            (_, true) => MEDIA_TYPES.to_vec(),
            (_, false) => vec!["*/*"],
        }
    }

    fn parameters(&self, verb: Verb, of: &str) -> Vec<Value> {
        let references = |shared: &[Shared]| shared.iter().map(Shared::reference).collect();
        let mut parameters: Vec<Value> = match verb {
            Verb::List | Verb::Watch => return references(&listing()),
            Verb::Get if self.resource.is_custom() => {
                return vec![parameter::RESOURCE_VERSION.reference()];
            }
            Verb::Get => return Vec::new(),
            Verb::Create | Verb::Update => vec![
                parameter::body(of),
                parameter::dry_run(),
                parameter::FIELD_MANAGER.reference(),
                parameter::field_validation(),
            ],
            Verb::Patch => vec![
                parameter::PATCH_BODY.reference(),
                parameter::dry_run(),
                parameter::PATCH_MANAGER.reference(),
                parameter::field_validation(),
                parameter::FORCE.reference(),
            ],
            Verb::DeleteCollection if self.resource.is_custom() => {
                return references(&listing());
            }
            Verb::Delete | Verb::DeleteCollection => {
                vec![parameter::DELETE_BODY.reference(), parameter::dry_run()]
            }
        };
        if matches!(verb, Verb::Delete | Verb::DeleteCollection) {
            parameters.extend::<Vec<Value>>(references(&parameter::DELETION));
        }
        if verb == Verb::DeleteCollection {
            parameters.extend::<Vec<Value>>(references(&parameter::SELECTION));
            parameters.push(parameter::RESOURCE_VERSION.reference());
        }
        parameters
    }
}

/// What lists and watches take.
fn listing() -> Vec<Shared> {
    let mut all = parameter::SELECTION.to_vec();
    all.push(parameter::RESOURCE_VERSION);
    all.extend(parameter::WATCHING);
    all
}

/// The operations of a path. What the only one takes, its path takes; not so its body.
fn item(mut operations: Vec<(&'static str, Value)>, mut parameters: Vec<Value>) -> Value {
    if let [(_, only)] = operations.as_mut_slice()
        && let Some(Value::Array(own)) = only
            .as_object_mut()
            .and_then(|fields| fields.shift_remove("parameters"))
    {
        let (body, rest): (Vec<Value>, _) = own.into_iter().partition(|one| one["in"] == "body");
        parameters.extend(rest);
        if !body.is_empty() {
            only["parameters"] = body.into();
        }
    }
    let mut item = Map::new();
    for (method, operation) in operations {
        item.insert(method.to_owned(), operation);
    }
    item.insert("parameters".to_owned(), parameters.into());
    item.into()
}

fn part_definition(group: &str, version: &str, kind: &str) -> String {
    let group = match group {
        "" => "core",
        group => group.strip_suffix(".k8s.io").unwrap_or(group),
    };
    format!("io.k8s.api.{group}.{version}.{kind}")
}

fn article(kind: &str) -> &'static str {
    match kind.starts_with(['A', 'E', 'I', 'O', 'U']) {
        _ if kind == "Endpoints" => "",
        true => "an ",
        false => "a ",
    }
}

/// What is answered: a definition with each of these codes, or 401.
fn responses(codes: &[u16], definition: &str) -> Value {
    let mut responses = Map::new();
    for code in codes {
        let description = match code {
            201 => "Created",
            202 => "Accepted",
            _ => "OK",
        };
        let schema = json!({"$ref": format!("#/definitions/{definition}")});
        responses.insert(
            code.to_string(),
            json!({"description": description, "schema": schema}),
        );
    }
    responses.insert("401".to_owned(), json!({"description": "Unauthorized"}));
    responses.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_named_as_upstream_names_them() {
        let check = |group: &str, version: &str, expected: [&str; 2]| {
            assert_eq!([tag(group, version), title(group, version)], expected);
        };
        check("", "v1", ["core_v1", "CoreV1"]);
        check("apps", "v1", ["apps_v1", "AppsV1"]);
        let expected = ["rbacAuthorization_v1", "RbacAuthorizationV1"];
        check("rbac.authorization.k8s.io", "v1", expected);
        check(
            "example.com",
            "v1beta1",
            ["exampleCom_v1beta1", "ExampleComV1beta1"],
        );
    }
}
