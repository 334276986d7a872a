//! Faults of the host and its members, drawn by chance; each ends when something else befalls the
//! same cluster.

use super::MEMBERS;
use crate::planned::chance::Dice;
use crate::world::World;
use pocketkube::{ApiState, Cluster, DataPlaneState, Effect, FaultRule, Faults};

/// Draws faults; no two draws share a seed.
#[derive(Default)]
pub(crate) struct Faulty {
    seed: u64,
}

impl Faulty {
    /// Something happens to somebody; what, in words.
    pub(crate) fn happen(&mut self, world: &World, dice: &mut Dice) -> String {
        self.seed += 1;
        let name = match dice.below(6) {
            0 => "host",
            _ => *dice.one_of(&MEMBERS),
        };
        let cluster = cluster(world, name);
        let what = match dice.below(12) {
            0..3 => {
                heal(cluster);
                "is well".to_owned()
            }
            3..6 => self.api(cluster, dice),
            6 if name == "host" => compact(cluster),
            6 => {
                for name in &MEMBERS[..2] {
                    self::cluster(world, name).faults().set_api(ApiState::Hung);
                }
                return "a and b are cut off".to_owned();
            }
            7 if name != "host" => {
                let data_plane = *dice.one_of(&[DataPlaneState::Down, DataPlaneState::Up]);
                cluster.faults().set_data_plane(data_plane);
                format!("data plane: {data_plane:?}")
            }
            8 => compact(cluster),
            _ => self.rules(cluster, dice),
        };
        format!("{name}: {what}")
    }

    fn api(&mut self, cluster: &Cluster, dice: &mut Dice) -> String {
        let all = [
            ApiState::Down,
            ApiState::Refused,
            ApiState::Hung,
            ApiState::TooManyRequests,
            ApiState::Slow,
        ];
        let api = *dice.one_of(&all);
        let delay_millis = 100 + dice.below(4000) as u64;
        cluster.faults().set(Faults {
            api,
            delay_millis,
            ..cluster.faults().get()
        });
        format!("API {api:?}, {delay_millis} ms")
    }

    fn rules(&mut self, cluster: &Cluster, dice: &mut Dice) -> String {
        let all = [
            Effect::Reset,
            Effect::Cut,
            Effect::TooManyRequests {
                retry_after_secs: 2,
            },
            Effect::Error,
            Effect::Conflict,
            Effect::Slow { delay_millis: 1500 },
            Effect::DuplicateEvents,
            Effect::StaleEvents { delay_millis: 3000 },
        ];
        let rule = |dice: &mut Dice| FaultRule {
            verbs: Vec::new(),
            resources: Vec::new(),
            probability: (1 + dice.below(6)) as f64 / 10.0,
            effect: *dice.one_of(&all),
        };
        let rules = vec![rule(dice), rule(dice)];
        let what = format!("{rules:?}");
        cluster.faults().set_rules(rules, self.seed);
        what
    }

    /// Everything works again.
    pub(crate) fn mend(&mut self, world: &World) {
        heal(&world.host);
        for name in MEMBERS {
            heal(cluster(world, name));
        }
    }
}

fn heal(cluster: &Cluster) {
    cluster.faults().set(Faults::default());
    cluster.faults().set_rules(Vec::new(), 0);
}

fn compact(cluster: &Cluster) -> String {
    cluster.compact();
    "forgets its events".to_owned()
}

fn cluster<'a>(world: &'a World, name: &str) -> &'a Cluster {
    match name {
        "host" => &world.host,
        name => &world.members[name],
    }
}
