//! Where the ranges of a space begin: one number each, in as few bytes as its family allows.
//!
//! A city database has millions of ranges, and next to none begins beyond the first 64 bits of an
//! IPv6 address. So the high half of a beginning is kept for each, the low half where it is not 0.

/// The beginnings of ranges, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Starts {
    /// Of IPv4 space.
    Four(Vec<u32>),
    /// Of IPv6 space.
    Six {
        /// The first 64 bits of each.
        high: Vec<u64>,
        /// The index of those whose last 64 bits are not 0, and these, in order.
        low: Vec<(u32, u64)>,
    },
}

impl Starts {
    /// Of a space of this width, 32 or 128, with room for so many.
    pub(crate) fn with_capacity(width: u8, capacity: usize) -> Self {
        if width == 32 {
            return Self::Four(Vec::with_capacity(capacity));
        }
        Self::Six {
            high: Vec::with_capacity(capacity),
            low: Vec::new(),
        }
    }

    /// The width of the space in bits.
    pub(crate) fn width(&self) -> u8 {
        match self {
            Self::Four(_) => 32,
            Self::Six { .. } => 128,
        }
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Four(all) => all.len(),
            Self::Six { high, .. } => high.len(),
        }
    }

    /// One by its index, if there are so many.
    pub(crate) fn get(&self, index: usize) -> Option<u128> {
        match self {
            Self::Four(all) => all.get(index).map(|start| u128::from(*start)),
            Self::Six { high, low } => {
                let high = u128::from(*high.get(index)?) << 64;
                let found = low.binary_search_by_key(&index, |(at, _)| *at as usize);
                Some(high | found.map_or(0, |at| u128::from(low[at].1)))
            }
        }
    }

    /// All of them, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = u128> + '_ {
        (0..self.len()).map_while(|index| self.get(index))
    }

    /// The last one.
    pub(crate) fn last(&self) -> Option<u128> {
        self.get(self.len().checked_sub(1)?)
    }

    /// Adds one that is greater than all before.
    pub(crate) fn push(&mut self, start: u128) {
        match self {
            Self::Four(all) => {
                all.push(u32::try_from(start).expect("IPv4 space has 32 bits"));
            }
            Self::Six { high, low } => {
                #[expect(clippy::cast_possible_truncation, reason = "the halves are wanted")]
                let (first, rest) = ((start >> 64) as u64, start as u64);
                if rest != 0 {
                    let at = u32::try_from(high.len()).expect("ranges are counted in 32 bits");
                    low.push((at, rest));
                }
                high.push(first);
            }
        }
    }

    /// Keeps those whose index is wanted, in place.
    pub(crate) fn retain(&mut self, wanted: impl Fn(usize) -> bool) {
        let mut at = 0..;
        let mut next = || wanted(at.next().unwrap_or(usize::MAX));
        match self {
            Self::Four(all) => all.retain(|_| next()),
            Self::Six { high, low } => {
                let mut olds = std::mem::take(low).into_iter().peekable();
                let (mut at, mut kept) = (0, 0);
                high.retain(|_| {
                    let rest = olds.next_if(|(of, _)| *of == at);
                    at += 1;
                    let keep = next();
                    if keep {
                        low.extend(rest.map(|(_, rest)| (kept, rest)));
                        kept += 1;
                    }
                    keep
                });
            }
        }
    }

    /// How many lie at or before an address.
    pub(crate) fn upto(&self, address: u128) -> usize {
        match self {
            Self::Four(all) => all.partition_point(|start| u128::from(*start) <= address),
            Self::Six { high, .. } => {
                let first = (address >> 64) as u64;
                let mut low = high.partition_point(|start| *start < first);
                let mut upto = high.partition_point(|start| *start <= first);
                // Those that share their first half, by the second.
                while low < upto {
                    let middle = low.midpoint(upto);
                    match self.get(middle).is_some_and(|start| start <= address) {
                        true => low = middle + 1,
                        false => upto = middle,
                    }
                }
                upto
            }
        }
    }

    /// Gives back room that is not used.
    pub(crate) fn shrink_to_fit(&mut self) {
        match self {
            Self::Four(all) => all.shrink_to_fit(),
            Self::Six { high, low } => {
                high.shrink_to_fit();
                low.shrink_to_fit();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEGINNINGS: [u128; 6] = [0, 1, 1 << 64, (1 << 64) | 5, (1 << 64) | 9, 7 << 100];

    fn six() -> Starts {
        let mut starts = Starts::with_capacity(128, 0);
        BEGINNINGS.iter().for_each(|start| starts.push(*start));
        starts
    }

    #[test]
    fn both_halves_of_a_beginning_come_back() {
        let starts = six();
        assert_eq!(starts.iter().collect::<Vec<_>>(), BEGINNINGS);
        assert_eq!(starts.last(), Some(7 << 100));
        for (at, start) in BEGINNINGS.iter().enumerate() {
            assert_eq!(starts.upto(*start), at + 1);
            assert_eq!(
                starts.upto(start.wrapping_sub(1).min(*start)),
                at.max(usize::from(at == 0))
            );
        }
    }

    #[test]
    fn what_is_retained_keeps_its_halves() {
        for mask in 0_u32..1 << BEGINNINGS.len() {
            let mut starts = six();
            starts.retain(|at| mask >> at & 1 == 1);
            let wanted = BEGINNINGS.iter().enumerate();
            let wanted: Vec<_> = wanted
                .filter(|(at, _)| mask >> at & 1 == 1)
                .map(|(_, start)| *start)
                .collect();
            assert_eq!(starts.iter().collect::<Vec<_>>(), wanted, "{mask:b}");
        }
    }
}
