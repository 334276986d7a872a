//! Writes that the control plane makes by itself, beside the verbs that clients have.

use super::options::{DryRun, Part, WriteOptions};
use super::write::{RETRIES_MAX, Sent, Target, Written};
use super::{Caller, Cluster};
use crate::object::{self, Object};
use crate::resource::Resource;
use crate::status::Status;
use serde_json::{Value, json};

impl Cluster {
    /// Edits an object as it is kept: no manager comes to own anything, nothing is defaulted or
    /// checked. For what the real server does in subresources of its own, such as `binding`.
    ///
    /// # Errors
    ///
    /// 404, and 409 when the object moves all the time.
    pub fn rewrite(
        &self,
        resource: &Resource,
        namespace: &str,
        name: &str,
        edit: impl Fn(&mut Value),
    ) -> Result<(), Status> {
        let target = Target {
            resource,
            namespace,
            name,
            part: Part::Main,
        };
        let edit = |object: &mut Value| {
            edit(object);
            Ok(())
        };
        self.rewrite_with(&target, DryRun::Off, edit).map(drop)
    }

    /// The `finalize` subresource of a Namespace: its spec's finalizers become those given.
    pub(crate) fn finalize_namespace(
        &self,
        target: &Target<'_>,
        sent: &Value,
        options: &WriteOptions,
    ) -> Result<Written, Status> {
        let finalizers = sent["spec"]["finalizers"].clone();
        self.rewrite_with(target, options.dry_run, |namespace| {
            match (finalizers.as_array(), namespace["spec"].as_object_mut()) {
                (Some(list), _) if !list.is_empty() => {
                    namespace["spec"]["finalizers"] = finalizers.clone();
                }
                (_, Some(spec)) => drop(spec.shift_remove("finalizers")),
                _ => {}
            }
            Ok(())
        })
    }

    /// The `binding` subresource of a Pod.
    pub(crate) fn bind_pod(
        &self,
        target: &Target<'_>,
        node: &str,
        dry_run: DryRun,
    ) -> Result<(), Status> {
        let now = self.clock().stamp();
        let bind = |pod: &mut Value| {
            if let Some(why) = why_not_bound(pod) {
                let bindings = Resource {
                    plural: "pods/binding".to_owned(),
                    ..Resource::clone(target.resource)
                };
                let why = format!("pod {} {why}", target.name);
                return Err(Status::conflict(&bindings, target.name, &why));
            }
            pod["spec"]["nodeName"] = node.into();
            let mut conditions = object::list(&pod["status"]["conditions"]).to_vec();
            conditions.retain(|condition| condition["type"] != "PodScheduled");
            conditions.push(json!({
                "type": "PodScheduled",
                "status": "True",
                "lastProbeTime": null,
                "lastTransitionTime": now,
            }));
            pod["status"]["conditions"] = conditions.into();
            Ok(())
        };
        self.rewrite_with(target, dry_run, bind).map(drop)
    }

    /// Takes in an object that is answered and not kept, as a creation takes it in.
    pub(crate) fn take_in(
        &self,
        caller: &Caller,
        resource: &Resource,
        namespace: &str,
        object: &mut Value,
    ) -> Result<(), Status> {
        let kind = self.kind(resource)?;
        super::metadata::set_namespace(resource, namespace, object)?;
        let sent = Sent::from(std::mem::take(object));
        let options = WriteOptions::default();
        (*object, _) = super::rules::decode(&self.registry(), &kind, sent, &options)?;
        super::rules::track(self, caller, &kind, Part::Main, None, object)
    }

    /// An edit that refuses sees the object that it would have changed.
    fn rewrite_with(
        &self,
        target: &Target<'_>,
        dry_run: DryRun,
        edit: impl Fn(&mut Value) -> Result<(), Status>,
    ) -> Result<Written, Status> {
        for _ in 0..RETRIES_MAX {
            let Some(old) = self.current(target) else {
                return Err(Status::not_found(target.resource, target.name));
            };
            let mut new = old.value().clone();
            edit(&mut new)?;
            if new == *old.value() {
                return Ok(Written {
                    object: old,
                    warnings: Vec::new(),
                    created: false,
                });
            }
            if let Some(object) = self.commit_change(target, &old, new, dry_run)? {
                if dry_run == DryRun::Off {
                    self.after_write(target.resource, Some(&old), &object);
                }
                return Ok(Written {
                    object,
                    warnings: Vec::new(),
                    created: false,
                });
            }
        }
        Err(Status::modified(target.resource, target.name))
    }

    /// What the server does by itself after a write. Runs without the store's lock.
    pub(super) fn after_write(&self, resource: &Resource, old: Option<&Object>, new: &Object) {
        let is_gone = super::metadata::may_go(new) || self.is_gone(resource, new);
        if resource.is_custom() {
            if is_gone {
                self.definition_lost_an_object(resource);
            }
            return;
        }
        match resource.qualified().as_str() {
            "customresourcedefinitions.apiextensions.k8s.io" if is_gone => {
                self.definition_gone(new);
            }
            "customresourcedefinitions.apiextensions.k8s.io" => self.definition_written(old, new),
            "clusterroles.rbac.authorization.k8s.io" => self.aggregate_roles(),
            "services" => self.service_written(old, (!is_gone).then_some(new)),
            "secrets" if old.is_none() => self.fill_token_secret(new),
            _ => {}
        }
    }

    fn is_gone(&self, resource: &Resource, object: &Object) -> bool {
        let (namespace, name) = (object::namespace(object), object::name(object));
        self.kept(&resource.table(), namespace, name).is_none()
    }

    /// Fills in a Secret that asks for a token of a service account, as the token controller
    /// does.
    fn fill_token_secret(&self, secret: &Object) {
        if secret["type"] != "kubernetes.io/service-account-token" {
            return;
        }
        let account = object::annotation(secret, "kubernetes.io/service-account.name");
        let (namespace, name) = (object::namespace(secret), object::name(secret));
        let Some(account) =
            account.and_then(|account| self.kept("serviceaccounts", namespace, account))
        else {
            return;
        };
        let claims = json!({
            "iss": crate::tokens::ISSUER,
            "kubernetes.io": {
                "namespace": namespace,
                "secret": {"name": name, "uid": object::uid(secret)},
                "serviceaccount": {"name": object::name(&account), "uid": object::uid(&account)},
            },
            "sub": format!("system:serviceaccount:{namespace}:{}", object::name(&account)),
        });
        let token = self.tokens().sign(&claims);
        let encoded = |text: &str| {
            use base64::Engine;
            Value::from(base64::engine::general_purpose::STANDARD.encode(text))
        };
        let mut filled = secret.value().clone();
        if !filled["data"].is_object() {
            filled["data"] = json!({});
        }
        filled["data"]["ca.crt"] = encoded(self.ca_pem());
        filled["data"]["namespace"] = encoded(namespace);
        filled["data"]["token"] = encoded(&token);
        filled["metadata"]["annotations"]["kubernetes.io/service-account.uid"] =
            object::uid(&account).into();
        let caller = Caller::system("kube-controller-manager");
        let target_resource = self.resource("v1", "Secret");
        if let Ok(resource) = target_resource {
            let target = Target {
                resource: &resource,
                namespace,
                name,
                part: Part::Main,
            };
            let options = WriteOptions::default();
            // Somebody else wrote it meanwhile: it is theirs now.
            let written = self.replace_with(&caller, &target, Sent::from(filled), &options);
            let _ = super::at_once(written);
        }
    }
}

/// What keeps a Pod from being bound to a node.
fn why_not_bound(pod: &Value) -> Option<String> {
    let node = pod["spec"]["nodeName"].as_str().unwrap_or_default();
    if object::is_deleting(pod) {
        Some("is being deleted, cannot be assigned to a host".to_owned())
    } else if !node.is_empty() {
        Some(format!("is already assigned to node {node:?}"))
    } else if !object::list(&pod["spec"]["schedulingGates"]).is_empty() {
        Some("has non-empty .spec.schedulingGates".to_owned())
    } else {
        None
    }
}
