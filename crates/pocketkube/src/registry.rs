//! Which kinds a cluster serves: built-in ones, and those of CustomResourceDefinitions.

use crate::kinds::{self, Kind};
use crate::resource::{Origin, Resource};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock};

/// The kinds of one cluster. Published whole; readers hold one snapshot.
#[derive(Debug, Clone, Default)]
pub struct Registry {
    by_path: BTreeMap<Path, Arc<Kind>>,
    /// CustomResourceDefinitions that are being deleted.
    ending: BTreeSet<String>,
}

/// Group, version and plural.
type Path = (String, String, String);

impl Registry {
    /// The built-in kinds, made once for the process.
    pub fn built_in() -> Arc<Self> {
        static BUILT_IN: OnceLock<Arc<Registry>> = OnceLock::new();
        let made = BUILT_IN.get_or_init(|| {
            let mut registry = Self::default();
            kinds::built_in()
                .iter()
                .for_each(|kind| registry.insert(Arc::clone(kind)));
            Arc::new(registry)
        });
        Arc::clone(made)
    }

    /// By the parts of a path.
    pub fn by_path(&self, group: &str, version: &str, plural: &str) -> Option<&Arc<Resource>> {
        let path = (group.to_owned(), version.to_owned(), plural.to_owned());
        self.by_path.get(&path).map(|kind| &kind.resource)
    }

    /// By `apiVersion` and `kind`.
    pub fn by_kind(&self, api_version: &str, kind: &str) -> Option<Arc<Resource>> {
        let (group, version) = split_api_version(api_version);
        self.version(group, version)
            .find(|resource| resource.kind == kind)
            .cloned()
    }

    /// All resources of one group and version, by plural.
    pub fn version<'a>(
        &'a self,
        group: &'a str,
        version: &'a str,
    ) -> impl Iterator<Item = &'a Arc<Resource>> {
        let from = (group.to_owned(), version.to_owned(), String::new());
        self.by_path
            .range(from..)
            .take_while(move |((g, v, _), _)| g == group && v == version)
            .map(|(_, kind)| &kind.resource)
    }

    /// All resources, by group, version and plural.
    pub fn all(&self) -> impl Iterator<Item = &Arc<Resource>> {
        self.by_path.values().map(|kind| &kind.resource)
    }

    /// What is particular to the kind of a resource.
    pub(crate) fn kind(&self, resource: &Resource) -> Option<&Arc<Kind>> {
        let path = (
            resource.group.clone(),
            resource.version.clone(),
            resource.plural.clone(),
        );
        self.by_path.get(&path)
    }

    /// All kinds of one group and version, by plural.
    pub(crate) fn kinds<'a>(
        &'a self,
        group: &'a str,
        version: &'a str,
    ) -> impl Iterator<Item = &'a Arc<Kind>> {
        self.version(group, version)
            .filter_map(|resource| self.kind(resource))
    }

    /// Whether a resource is served as it is.
    pub(crate) fn serves(&self, resource: &Resource) -> bool {
        self.kind(resource).is_some()
    }

    /// Subresources besides `status` and `scale`.
    pub(crate) fn extra_parts(&self, resource: &Resource) -> &[&'static str] {
        self.kind(resource)
            .map_or(&[], |kind| &kind.extra_subresources)
    }

    pub(crate) fn insert(&mut self, kind: Arc<Kind>) {
        let resource = &kind.resource;
        let path = (
            resource.group.clone(),
            resource.version.clone(),
            resource.plural.clone(),
        );
        self.by_path.insert(path, kind);
    }

    /// Nothing new is made of the kinds of a CustomResourceDefinition.
    pub(crate) fn end_definition(&mut self, name: &str) {
        self.ending.insert(name.to_owned());
    }

    /// Whether the definition of a resource is being deleted.
    pub(crate) fn is_ending(&self, resource: &Resource) -> bool {
        match &resource.origin {
            Origin::Custom { definition, .. } => self.ending.contains(definition),
            Origin::BuiltIn => false,
        }
    }

    /// Takes out the kinds of a CustomResourceDefinition.
    pub(crate) fn remove_definition(&mut self, name: &str) {
        self.ending.remove(name);
        self.by_path.retain(|_, kind| match &kind.resource.origin {
            Origin::Custom { definition, .. } => definition != name,
            Origin::BuiltIn => true,
        });
    }
}

/// `apps/v1` as group and version.
pub fn split_api_version(api_version: &str) -> (&str, &str) {
    api_version.split_once('/').unwrap_or(("", api_version))
}
