//! Whether those who would have to agree to a takeover are left when it is needed.

use crate::{policy::Transition, service::Service, tree::Branch, world::World};
use std::collections::BTreeSet;

/// The first branch that is to take over by itself and could not: the loss that it is meant for takes so many observers
/// with it that no majority of the registered is left. In words, with the path of the field.
pub(crate) fn too_few(service: &Service, world: &World<'_>) -> Option<String> {
    let mut nodes = service.tree.failovers().into_iter();
    nodes.find_map(|(id, branches)| of_node(service, world, id, branches))
}

fn of_node(service: &Service, world: &World<'_>, id: &str, branches: &[Branch]) -> Option<String> {
    let regions = service.regions(world);
    let entries = service.entries(world, &regions, |_| true);
    let mut lost: BTreeSet<String> = BTreeSet::new();
    for (at, branch) in branches.iter().enumerate() {
        let clusters = branch.node.usable_clusters(&entries);
        let members = service.endpoints.values();
        let inside = members.filter(|it| clusters.contains(&it.status.cluster));
        let own: BTreeSet<String> = inside.map(|it| world.domain_of(&it.status)).collect();
        // What is lost with the branch itself is not what it is for.
        let meant: BTreeSet<String> = lost.difference(&own).cloned().collect();
        if branch.takeover.mode == Transition::Auto && !meant.is_empty() {
            let (left, registered) = world.left_without(&meant);
            if registered > 0 && left * 2 <= registered {
                let places = Vec::from_iter(meant).join(" with ");
                return Some(format!(
                    "{id}.failover[{at}].takeover: {} cannot take over by itself when {places} is lost: {left} of \
                     {registered} observers are left, and more than half have to agree; run one \
                     elsewhere, or use Manual",
                    branch.name,
                ));
            }
        }
        lost.extend(own);
    }
    None
}
