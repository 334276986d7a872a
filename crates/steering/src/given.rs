//! A person's word that a replica takes by itself, when there is no host to tell it to: the host's rules
//! hold all the same.

use crate::{
    engine::Engine,
    event::{Effect, Event},
    spec::{Force, OverrideScope, OverrideSpec},
    status::ServiceStatus,
};
use model::ObjectKey;

/// What became of an override that was given to this replica.
#[derive(Debug)]
pub struct Given {
    /// To be carried out, whatever the answer is.
    pub effects: Vec<Effect>,
    /// How the service stands now; or why it is as it was.
    pub answer: Result<String, String>,
}

impl Engine {
    /// Puts an override of one service in force, unless that would do harm.
    pub fn give(&mut self, wanted: OverrideSpec, now: u64) -> Given {
        let service = match self.may_be_given(&wanted) {
            Ok(service) => service,
            Err(why) => return Given::refused(Vec::new(), why),
        };
        let key = wanted.key.clone();
        let mut effects = self.handle(Event::OverrideApplied(Box::new(wanted)), now);
        match self.standing(&service) {
            Some(status) if !status.refused.contains(&key) => Given {
                effects,
                answer: Ok(told(&status)),
            },
            _ => {
                effects.extend(self.handle(Event::OverrideDeleted(key), now));
                Given::refused(effects, format!("it would leave {service} nothing"))
            }
        }
    }

    /// The service that it is about.
    fn may_be_given(&self, wanted: &OverrideSpec) -> Result<ObjectKey, String> {
        let (OverrideScope::Service { service, .. } | OverrideScope::Branch { service, .. }) =
            &wanted.scope
        else {
            return Err("an Override is about one GlobalService".to_owned());
        };
        let status = self.standing(service);
        let status = status.ok_or_else(|| format!("no GlobalService {service} is known here"))?;
        if let OverrideScope::Branch { branch, .. } = &wanted.scope {
            let found = status.branches.iter().find(|it| it.name == *branch);
            let found = found.ok_or_else(|| format!("{service} has no branch {branch}"))?;
            if let Some(unmet) = found.unmet.as_ref().filter(|_| wanted.force == Force::Up) {
                return Err(format!("{branch} may not take over: {unmet}"));
            }
        }
        Ok(service.clone())
    }
}

impl Given {
    fn refused(effects: Vec<Effect>, why: String) -> Self {
        Self {
            effects,
            answer: Err(why),
        }
    }
}

/// How a service stands, in a line.
fn told(status: &ServiceStatus) -> String {
    let branches = status.branches.iter();
    let mut said: Vec<_> = branches
        .map(|it| format!("{} is {:?}: {}", it.name, it.state, it.reason))
        .collect();
    let endpoints = status.endpoints.iter();
    said.extend(endpoints.map(|it| format!("{} is {:?}", it.endpoint, it.standing)));
    said.join("; ")
}
