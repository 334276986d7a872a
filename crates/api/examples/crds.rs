//! Writes `crds/` from the types: one CRD a file, and the shipped FederatedTypeConfigs.

use serde_json::Value;
use std::path::{Path, PathBuf};

fn main() -> std::io::Result<()> {
    for folder in folders() {
        if folder.exists() {
            std::fs::remove_dir_all(&folder)?;
        }
        std::fs::create_dir_all(&folder)?;
    }
    files()
        .into_iter()
        .try_for_each(|(path, text)| std::fs::write(path, text))
}

/// The folder of CRDs, and the one below it of what can be applied once they are established.
pub(crate) fn folders() -> [PathBuf; 2] {
    let crds = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../crds");
    [crds.clone(), crds.join("types")]
}

/// Every file with its text.
pub(crate) fn files() -> Vec<(PathBuf, String)> {
    let [crds, types] = folders();
    let definitions = meridian_api::crds().into_iter().map(|crd| {
        let name = crd.metadata.name.clone().expect("a CRD has a name");
        (crds.join(format!("{name}.yaml")), yaml(&crd))
    });
    let configs = meridian_api::federated_type_configs(meridian_api::names::SYSTEM_NAMESPACE);
    let configs = configs.into_iter().map(|config| {
        let name = config.metadata.name.clone().expect("a config has a name");
        (types.join(format!("{name}.yaml")), yaml(&config))
    });
    definitions.chain(configs).collect()
}

fn yaml(object: &impl serde::Serialize) -> String {
    let mut value = serde_json::to_value(object).expect("an object is JSON");
    if let Value::Object(fields) = &mut value {
        fields.remove("status");
    }
    let text = serde_saphyr::to_string(&value).expect("JSON is YAML");
    // So that several files, one after the other, are as many documents.
    format!("---\n# Generated: cargo run -p meridian-api --example crds\n{text}")
}
