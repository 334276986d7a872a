//! What a person told this replica while the host was away, written down when it is back.

use api::Override;
use kube::api::PostParams;
use kube::{Api, Client, ResourceExt};
use std::time::Duration;
use tokio::time::timeout;

/// A host that takes longer is as good as away: it is asked again.
const WRITE_TIMEOUT: Duration = Duration::from_secs(3);
/// Field manager of such overrides.
const MANAGER: &str = "meridian-given";
/// What an API server says of a name that is taken.
const TAKEN: u16 = 409;

/// Creates an override on the host. One of its name that is there is another replica's copy of it, and stays.
///
/// # Errors
/// Why it is not there: the host is away, or refuses it.
pub async fn write_back(client: &Client, given: &Override) -> Result<(), String> {
    let namespace = given.namespace().unwrap_or_default();
    let api = Api::<Override>::namespaced(client.clone(), &namespace);
    let parameters = PostParams {
        field_manager: Some(MANAGER.to_owned()),
        ..PostParams::default()
    };
    match timeout(WRITE_TIMEOUT, api.create(&parameters, given)).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(kube::Error::Api(status))) if status.code == TAKEN => Ok(()),
        Ok(Err(why)) => Err(why.to_string()),
        Err(_) => Err("the host does not answer".to_owned()),
    }
}
