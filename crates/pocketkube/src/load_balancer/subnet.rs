//! A part of 127.0.0.0/8 for each cluster, so that fleets on one machine do not collide.
//!
//! A fleet takes whole blocks 127.N.0.0/16 by holding a guard socket in each; its cluster number
//! C has 127.N.C.0/24 of the first block, or of a further one from cluster 256 on. Guards are
//! bound when the first load balancer of a block is made, and held until the fleet ends.

use crate::workloads::addresses::Block;
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener};
use std::sync::{Arc, Mutex, PoisonError};

/// Port of guard sockets. Nothing speaks on it.
const GUARD_PORT: u16 = 10_127;
/// Second octets that fleets choose from: below are places that other programs like.
const BLOCKS: std::ops::RangeInclusive<u8> = 64..=239;
/// Clusters that share a block.
const CLUSTERS_PER_BLOCK: usize = 256;

/// The blocks of one fleet. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Loopback {
    held: Arc<Mutex<BTreeMap<usize, Held>>>,
}

#[derive(Debug)]
struct Held {
    octet: u8,
    _guard: TcpListener,
}

/// The part of one cluster.
#[derive(Debug, Clone)]
pub struct Subnet {
    loopback: Loopback,
    cluster: usize,
}

impl Loopback {
    /// The part of a cluster, by its number in the fleet.
    pub fn subnet(&self, cluster: usize) -> Subnet {
        Subnet {
            loopback: self.clone(),
            cluster,
        }
    }

    fn hold(&self, block: usize) -> Result<u8, String> {
        if !cfg!(target_os = "linux") {
            return Err("load balancers need Linux, where all of 127.0.0.0/8 is local".to_owned());
        }
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(held) = held.get(&block) {
            return Ok(held.octet);
        }
        for octet in BLOCKS {
            let at = SocketAddrV4::new(Ipv4Addr::new(127, octet, 0, 0), GUARD_PORT);
            if let Ok(guard) = TcpListener::bind(at) {
                held.insert(
                    block,
                    Held {
                        octet,
                        _guard: guard,
                    },
                );
                return Ok(octet);
            }
        }
        let (first, last) = (BLOCKS.start(), BLOCKS.end());
        Err(format!(
            "all blocks 127.{first}.0.0/16 to 127.{last}.0.0/16 are taken: port {GUARD_PORT} is in \
             use on each"
        ))
    }
}

impl Subnet {
    /// Its addresses. Takes the block that they are in when they are the first of it.
    ///
    /// # Errors
    ///
    /// Says why none could be taken.
    pub fn block(&self) -> Result<Block, String> {
        let octet = self.loopback.hold(self.cluster / CLUSTERS_PER_BLOCK)?;
        let cluster = u8::try_from(self.cluster % CLUSTERS_PER_BLOCK).expect("below 256");
        Ok(Block::new(Ipv4Addr::new(127, octet, cluster, 0), 24))
    }
}
