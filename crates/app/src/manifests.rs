//! Manifests: YAML text to objects, and objects to the host.

use anyhow::{Context, Result, bail};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{DynamicObject, Patch, PatchParams, PostParams};
use kube::core::GroupVersionKind;
use kube::discovery::{ApiResource, Scope};
use kube::runtime::wait::{await_condition, conditions};
use kube::{Api, Client, discovery};
use serde_json::{Value, json};
use std::time::Duration;

/// Field manager of what the binary applies on the host for its user.
const MANAGER: &str = "meridian-cli";
/// How long an API server may take to serve a new CRD; it takes milliseconds.
const ESTABLISHED_PATIENCE: Duration = Duration::from_secs(30);

/// One object as it was written.
#[derive(Clone, Debug)]
pub(crate) struct Manifest {
    /// Where it was written, for messages.
    pub(crate) source: String,
    /// Which of its documents it is, from 1.
    pub(crate) document: usize,
    /// All of it.
    pub(crate) object: Value,
}

impl Manifest {
    /// A manifest with nothing but its identity.
    pub(crate) fn named(api_version: &str, kind: &str, namespace: &str, name: &str) -> Self {
        let object = json!({
            "apiVersion": api_version,
            "kind": kind,
            "metadata": {"namespace": namespace, "name": name},
        });
        Self::made(object)
    }

    /// An object that meridian made itself.
    pub(crate) fn made(object: Value) -> Self {
        Self {
            source: "here".to_owned(),
            document: 1,
            object,
        }
    }

    /// `apiVersion`.
    pub(crate) fn api_version(&self) -> &str {
        self.object["apiVersion"].as_str().unwrap_or_default()
    }

    /// `kind`.
    pub(crate) fn kind(&self) -> &str {
        self.object["kind"].as_str().unwrap_or_default()
    }

    /// `metadata.name`.
    pub(crate) fn name(&self) -> &str {
        self.object["metadata"]["name"].as_str().unwrap_or_default()
    }

    /// `metadata.namespace`, empty when it is not given.
    pub(crate) fn namespace(&self) -> &str {
        self.object["metadata"]["namespace"]
            .as_str()
            .unwrap_or_default()
    }

    /// File and document, for messages.
    pub(crate) fn place(&self) -> String {
        format!("{}, document {}", self.source, self.document)
    }

    /// Where objects of this kind are read and written.
    ///
    /// # Errors
    /// The API server does not serve the kind.
    pub(crate) async fn api(&self, client: &Client) -> Result<Api<DynamicObject>> {
        let (group, version) = self
            .api_version()
            .rsplit_once('/')
            .unwrap_or(("", self.api_version()));
        let kind = GroupVersionKind::gvk(group, version, self.kind());
        let (resource, capabilities): (ApiResource, _) = discovery::pinned_kind(client, &kind)
            .await
            .with_context(|| {
                format!(
                    "{}: this API server has no {} {}",
                    self.source,
                    self.api_version(),
                    self.kind()
                )
            })?;
        Ok(match (capabilities.scope, self.namespace()) {
            (Scope::Cluster, _) => Api::all_with(client.clone(), &resource),
            (Scope::Namespaced, "") => Api::default_namespaced_with(client.clone(), &resource),
            (Scope::Namespaced, namespace) => {
                Api::namespaced_with(client.clone(), namespace, &resource)
            }
        })
    }
}

/// Reads all documents of a file.
///
/// # Errors
/// Names the file, the document and what is wrong with it.
pub(crate) fn read(source: &str, text: &str) -> Result<Vec<Manifest>> {
    // As kubectl reads it: only true and false are booleans, `y` and `no` are texts (YAML 1.2).
    // Without a snippet: the lines around a mistake may hold a Secret.
    let options = serde_saphyr::options! { strict_booleans: true, with_snippet: false };
    let documents: Vec<Value> = serde_saphyr::from_multiple_with_options(text, options)
        .with_context(|| format!("{source} is not YAML that can be read"))?;
    let mut manifests = Vec::new();
    for (document, object) in objects(documents) {
        let manifest = Manifest {
            source: source.to_owned(),
            document,
            object,
        };
        for (field, value) in [
            ("apiVersion", manifest.api_version()),
            ("kind", manifest.kind()),
            ("metadata.name", manifest.name()),
        ] {
            if value.is_empty() {
                bail!("{source}: document {document} has no {field}");
            }
        }
        manifests.push(manifest);
    }
    Ok(manifests)
}

/// What documents hold, each with its number: an object, those of a List, or nothing.
fn objects(documents: Vec<Value>) -> impl Iterator<Item = (usize, Value)> {
    let numbered = (1..).zip(documents);
    numbered.flat_map(|(document, mut object)| {
        let objects = match object["kind"] == "List" {
            true => match object["items"].take() {
                Value::Array(items) => items,
                _ => Vec::new(),
            },
            false => vec![object],
        };
        let there = objects.into_iter().filter(|object| !object.is_null());
        there.map(move |object| (document, object))
    })
}

/// Applies an object to the API server, strictly: an unknown field is an error.
///
/// # Errors
/// The API server's own words, with the source.
pub(crate) async fn apply(client: &Client, manifest: &Manifest) -> Result<()> {
    let api = manifest.api(client).await?;
    let mut parameters = PatchParams::apply(MANAGER).force();
    parameters.field_validation = Some(kube::api::ValidationDirective::Strict);
    api.patch(
        manifest.name(),
        &parameters,
        &Patch::Apply(&manifest.object),
    )
    .await
    .with_context(|| {
        format!(
            "{}: {} {}",
            manifest.source,
            manifest.kind(),
            manifest.name()
        )
    })?;
    Ok(())
}

/// Creates an object; one that is there already is an error, and stays as it is.
///
/// # Errors
/// The API server's own words.
pub(crate) async fn create(client: &Client, manifest: &Manifest) -> Result<()> {
    let api = manifest.api(client).await?;
    let object: DynamicObject = serde_json::from_value(manifest.object.clone())?;
    let parameters = PostParams {
        field_manager: Some(MANAGER.to_owned()),
        ..PostParams::default()
    };
    let created = api.create(&parameters, &object).await;
    created.with_context(|| format!("{} {}", manifest.kind(), manifest.name()))?;
    Ok(())
}

/// Installs all CRDs that the binary carries and waits until they are served.
///
/// # Errors
/// The API server refuses one, or does not serve it in time.
pub(crate) async fn install_crds(client: &Client) -> Result<()> {
    install(client, &api::crds()).await
}

/// Installs one more CRD and waits until it is served.
///
/// # Errors
/// As [`install_crds`].
pub(crate) async fn install_crd(client: &Client, crd: &CustomResourceDefinition) -> Result<()> {
    install(client, std::slice::from_ref(crd)).await
}

async fn install(client: &Client, all: &[CustomResourceDefinition]) -> Result<()> {
    let definitions = Api::<CustomResourceDefinition>::all(client.clone());
    let parameters = PatchParams::apply(MANAGER).force();
    for crd in all {
        let name = crd.metadata.name.as_deref().unwrap_or_default();
        definitions
            .patch(name, &parameters, &Patch::Apply(crd))
            .await
            .with_context(|| format!("CRD {name}"))?;
    }
    for crd in all {
        let name = crd.metadata.name.as_deref().unwrap_or_default();
        let served = await_condition(definitions.clone(), name, conditions::is_crd_established());
        tokio::time::timeout(ESTABLISHED_PATIENCE, served)
            .await
            .with_context(|| format!("CRD {name} is not served"))??;
    }
    Ok(())
}

/// Federates the types that are shipped.
///
/// # Errors
/// The API server refuses one.
pub(crate) async fn install_types(client: &Client, system_namespace: &str) -> Result<()> {
    for config in api::federated_type_configs(system_namespace) {
        let object = serde_json::to_value(&config)?;
        let source = "the shipped FederatedTypeConfigs".to_owned();
        let document = 1;
        let manifest = Manifest {
            source,
            document,
            object,
        };
        apply(client, &manifest).await?;
    }
    Ok(())
}

/// A KubeFedConfig that says nothing: all settings are the product's own.
pub(crate) fn default_config(system_namespace: &str) -> Manifest {
    let mut manifest = Manifest::named(
        "core.kubefed.io/v1beta1",
        "KubeFedConfig",
        system_namespace,
        api::names::CONFIG_NAME,
    );
    manifest.object["spec"] = json!({});
    manifest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_documents_of_a_file_are_read_and_empty_ones_passed_over() {
        let text = "---\napiVersion: v1\nkind: A\nmetadata: {name: x}\n---\n---\napiVersion: v1\nkind: B\nmetadata: {name: y}\n";
        let read = read("f.yaml", text).expect("fine");
        let kinds: Vec<&str> = read.iter().map(Manifest::kind).collect();
        assert_eq!(kinds, ["A", "B"]);
    }

    #[test]
    fn a_list_is_read_as_the_objects_it_holds() {
        let text = "apiVersion: v1\nkind: List\nitems:\n\
                    - {apiVersion: v1, kind: A, metadata: {name: x}}\n\
                    - {apiVersion: v1, kind: B, metadata: {name: y}}\n";
        let read = read("f.yaml", text).expect("fine");
        let places: Vec<String> = read.iter().map(Manifest::place).collect();
        assert_eq!(places, ["f.yaml, document 1", "f.yaml, document 1"]);
        assert_eq!(read[1].name(), "y");
    }

    #[test]
    fn what_is_missing_is_named_with_the_file_and_the_document() {
        let text =
            "apiVersion: v1\nkind: A\nmetadata: {name: x}\n---\nkind: B\nmetadata: {name: y}\n";
        let error = format!("{:#}", read("f.yaml", text).expect_err("incomplete"));
        assert_eq!(error, "f.yaml: document 2 has no apiVersion");
        let error = format!("{:#}", read("f.yaml", "a: [").expect_err("broken"));
        assert!(error.starts_with("f.yaml is not YAML"), "{error}");
    }
}
