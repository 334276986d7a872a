//! Which Pods of a DaemonSet give way to a new template: within `maxUnavailable`, or with
//! `maxSurge` a new one beside each old one first (KEP-1591).

use super::{Turn, pods};
use crate::object::{is_deleting, name};
use crate::workloads::pod;
use crate::workloads::share::{self, Round};
use serde_json::Value;

/// Whether a set may have two Pods on a node.
pub(super) fn surges(set: &Value) -> bool {
    let strategy = &set["spec"]["updateStrategy"];
    strategy["type"] == "RollingUpdate" && share(&strategy["rollingUpdate"]["maxSurge"], 1) > 0
}

/// New and old Pod of a node; absent when there are two of a sort, which pruning comes first to.
type Pair<'a> = Option<(Option<&'a Value>, Option<&'a Value>)>;

impl<'a> Turn<'a> {
    /// Lets old Pods go, and new ones come beside them.
    pub(super) fn roll(&mut self) {
        let rolling = &self.view.set["spec"]["updateStrategy"]["rollingUpdate"];
        let runs = |node: &&&Value| pods::fit(self.view.set, node) == pods::Fit::Runs;
        let wanted: Vec<&Value> = self.view.nodes.iter().filter(runs).copied().collect();
        let desired = wanted.len();
        let surge = share(&rolling["maxSurge"], desired);
        let mut unavailable = share(&rolling["maxUnavailable"], desired);
        if surge == 0 && unavailable == 0 {
            unavailable = 1;
        }
        let mut nodes: Vec<String> = self.on_node.keys().cloned().collect();
        let missing = wanted
            .iter()
            .filter(|node| !self.on_node.contains_key(name(node)));
        nodes.extend(missing.map(|node| name(node).to_owned()));
        if surge == 0 {
            self.replace(&nodes, unavailable);
        } else {
            self.surge(&nodes, surge, &wanted);
        }
    }

    fn replace(&mut self, nodes: &[String], unavailable_max: usize) {
        let (mut unavailable, mut free, mut candidates) = (0, Vec::new(), Vec::new());
        for node in nodes {
            match self.pair(node) {
                Some((Some(new), None)) if self.is_available(new) => {}
                Some((None, Some(old))) if self.is_available(old) => candidates.push(old),
                Some((None, Some(old))) => {
                    unavailable += 1;
                    free.push(old);
                }
                _ => unavailable += 1,
            }
        }
        let room = unavailable_max.saturating_sub(unavailable);
        self.delete.extend(free);
        self.delete.extend(candidates.into_iter().take(room));
    }

    fn surge(&mut self, nodes: &[String], surge_max: usize, wanted: &[&Value]) {
        let (mut surging, mut free, mut candidates) = (0, Vec::new(), Vec::new());
        let runs = |node: &str| wanted.iter().any(|wanted| name(wanted) == node);
        for node in nodes {
            match self.pair(node) {
                None => surging += 1,
                Some((_, None)) => {}
                Some((None, Some(old))) => match (runs(node), self.is_available(old)) {
                    (false, true) => {}
                    (false, false) => self.delete.push(old),
                    (true, false) => free.push(node.clone()),
                    (true, true) => candidates.push(node.clone()),
                },
                Some((Some(new), Some(old))) if self.is_available(new) => self.delete.push(old),
                Some(_) => surging += 1,
            }
        }
        let room = surge_max.saturating_sub(surging);
        self.create_on.extend(free);
        self.create_on.extend(candidates.into_iter().take(room));
    }

    fn pair(&self, node: &str) -> Pair<'a> {
        let pods = self.on_node.get(node).into_iter().flatten().copied();
        let (new, old): (Vec<&Value>, Vec<&Value>) = pods
            .filter(|pod| !is_deleting(pod) && !pod::is_terminal(pod))
            .partition(|pod| self.is_updated(pod));
        let is_clear = new.len() <= 1 && old.len() <= 1;
        is_clear.then(|| (new.first().copied(), old.first().copied()))
    }
}

/// A number, or a percentage of a total, rounded up.
fn share(value: &Value, total: usize) -> usize {
    let total = i64::try_from(total).unwrap_or(i64::MAX);
    usize::try_from(share::share(value, total, Round::Up)).unwrap_or(0)
}
