//! Addresses and ports that the server hands out when a Service is created or changed, and the
//! addresses of Pods.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

/// Ports that Services get on every node, as by default in the real server.
pub const NODE_PORTS: std::ops::RangeInclusive<u16> = 30_000..=32_767;

/// A block of IPv4 addresses, for instance `10.96.0.0/12`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Block {
    base: u32,
    length: u8,
}

impl Block {
    /// Services: what the usual installers take.
    pub const SERVICES: Self = Self::new(Ipv4Addr::new(10, 96, 0, 0), 12);
    /// Pods: room for 8 million.
    pub const PODS: Self = Self::new(Ipv4Addr::new(10, 128, 0, 0), 9);
    /// Nodes.
    pub const NODES: Self = Self::new(Ipv4Addr::new(192, 168, 0, 0), 16);

    /// The block of an address; bits beyond the prefix are dropped.
    ///
    /// # Panics
    ///
    /// When the prefix is longer than 32.
    pub const fn new(address: Ipv4Addr, length: u8) -> Self {
        assert!(length <= 32, "an IPv4 prefix has at most 32 bits");
        let mask = if length == 0 {
            0
        } else {
            u32::MAX << (32 - length)
        };
        Self {
            base: address.to_bits() & mask,
            length,
        }
    }

    /// Number of addresses.
    pub const fn size(&self) -> u64 {
        1 << (32 - self.length)
    }

    /// Whether an address is in it.
    pub fn contains(&self, address: Ipv4Addr) -> bool {
        Self::new(address, self.length) == *self
    }

    /// The address of this number, counted from the start; wraps around.
    pub fn nth(&self, number: u64) -> Ipv4Addr {
        let offset = u32::try_from(number % self.size()).expect("below 2^32 by the modulus");
        Ipv4Addr::from_bits(self.base + offset)
    }
}

impl std::fmt::Display for Block {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{}/{}", Ipv4Addr::from_bits(self.base), self.length)
    }
}

/// Addresses in use, of one block. The first (network) and last (broadcast) are never given.
#[derive(Debug, Clone)]
pub struct Addresses {
    block: Block,
    used: BTreeSet<Ipv4Addr>,
    next: u64,
}

impl Addresses {
    /// All free; the search starts `reserved` addresses into the block.
    pub fn new(block: Block, reserved: u64) -> Self {
        Self {
            block,
            used: BTreeSet::new(),
            next: reserved.max(1),
        }
    }

    /// The block.
    pub fn block(&self) -> Block {
        self.block
    }

    /// Takes the next free address, or none when all are taken.
    pub fn take(&mut self) -> Option<Ipv4Addr> {
        let start = self.next;
        self.take_from(start)
    }

    /// Takes the first free address at or after a place in the block, which chance may choose.
    pub fn take_from(&mut self, place: u64) -> Option<Ipv4Addr> {
        let usable = self.block.size().checked_sub(2)?;
        for step in 0..usable {
            let number = 1 + (place.wrapping_sub(1).wrapping_add(step)) % usable;
            let address = self.block.nth(number);
            if self.used.insert(address) {
                self.next = number + 1;
                return Some(address);
            }
        }
        None
    }

    /// Takes this address. Says whether it was free.
    pub fn claim(&mut self, address: Ipv4Addr) -> bool {
        self.used.insert(address)
    }

    /// Gives an address back.
    pub fn release(&mut self, address: Ipv4Addr) {
        self.used.remove(&address);
    }

    /// Whether an address is taken.
    pub fn is_used(&self, address: Ipv4Addr) -> bool {
        self.used.contains(&address)
    }
}

/// Node ports in use.
#[derive(Debug, Clone, Default)]
pub struct NodePorts {
    used: BTreeSet<u16>,
}

impl NodePorts {
    /// Takes the first free port at or after a place in the range, which chance may choose.
    pub fn take_from(&mut self, place: u64) -> Option<u16> {
        let count = u64::try_from(NODE_PORTS.len()).expect("a few thousand");
        (0..count).find_map(|step| {
            let offset = u16::try_from((place + step) % count).expect("below the range's size");
            let port = NODE_PORTS.start() + offset;
            self.used.insert(port).then_some(port)
        })
    }

    /// Takes this port. Says whether it was free.
    pub fn claim(&mut self, port: u16) -> bool {
        self.used.insert(port)
    }

    /// Gives a port back.
    pub fn release(&mut self, port: u16) {
        self.used.remove(&port);
    }
}

#[cfg(test)]
mod tests {
    use super::{Addresses, Block, NODE_PORTS, NodePorts};
    use std::net::Ipv4Addr;

    #[test]
    fn every_address_of_a_block_is_given_once() {
        let mut addresses = Addresses::new(Block::new(Ipv4Addr::new(10, 0, 0, 9), 29), 2);
        let given: Vec<Ipv4Addr> = std::iter::from_fn(|| addresses.take()).collect();
        let last: Vec<u8> = given.iter().map(|address| address.octets()[3]).collect();
        assert_eq!(last, [10, 11, 12, 13, 14, 9]);
        addresses.release(Ipv4Addr::new(10, 0, 0, 12));
        assert_eq!(addresses.take(), Some(Ipv4Addr::new(10, 0, 0, 12)));
    }

    #[test]
    fn a_claimed_address_is_not_given() {
        let mut addresses = Addresses::new(Block::SERVICES, 10);
        let wanted = Ipv4Addr::new(10, 96, 0, 10);
        assert!(addresses.claim(wanted));
        assert!(!addresses.claim(wanted));
        assert_eq!(addresses.take(), Some(Ipv4Addr::new(10, 96, 0, 11)));
        assert!(Block::SERVICES.contains(Ipv4Addr::new(10, 111, 255, 255)));
        assert!(!Block::SERVICES.contains(Ipv4Addr::new(10, 112, 0, 0)));
        assert_eq!(Block::SERVICES.to_string(), "10.96.0.0/12");
    }

    #[test]
    fn node_ports_run_out() {
        let mut ports = NodePorts::default();
        assert!(ports.claim(30_001));
        let given = std::iter::from_fn(|| ports.take_from(1)).count();
        assert_eq!(given, NODE_PORTS.len() - 1);
        ports.release(30_001);
        assert_eq!(ports.take_from(500), Some(30_001));
    }
}
