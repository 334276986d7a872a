//! Which resources a cluster serves: built-in ones, and those of CustomResourceDefinitions.

use crate::resource::Resource;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The resources of one cluster. Published whole; readers hold one snapshot.
#[derive(Debug, Clone, Default)]
pub struct Registry {
    by_path: BTreeMap<(String, String, String), Arc<Resource>>,
}

impl Registry {
    /// A registry of these resources.
    pub fn new(resources: impl IntoIterator<Item = Arc<Resource>>) -> Self {
        let mut registry = Self::default();
        for resource in resources {
            registry.insert(resource);
        }
        registry
    }

    /// By the parts of a path.
    pub fn by_path(&self, group: &str, version: &str, plural: &str) -> Option<&Arc<Resource>> {
        self.by_path
            .get(&(group.to_owned(), version.to_owned(), plural.to_owned()))
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
            .map(|(_, resource)| resource)
    }

    /// All resources, by group, version and plural.
    pub fn all(&self) -> impl Iterator<Item = &Arc<Resource>> {
        self.by_path.values()
    }

    pub(crate) fn insert(&mut self, resource: Arc<Resource>) {
        let path = (
            resource.group.clone(),
            resource.version.clone(),
            resource.plural.clone(),
        );
        self.by_path.insert(path, resource);
    }

    pub(crate) fn retain(&mut self, mut keep: impl FnMut(&Resource) -> bool) {
        self.by_path.retain(|_, resource| keep(resource));
    }
}

/// `apps/v1` as group and version.
pub fn split_api_version(api_version: &str) -> (&str, &str) {
    api_version.split_once('/').unwrap_or(("", api_version))
}
