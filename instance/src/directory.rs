//! Where customers are: the instance that each agent connected to last, as far as this instance has heard.
//!
//! Pure. The table is bounded: it keeps two generations, and when the younger is full the older is forgotten. What is
//! forgotten or was never heard costs a question to the fleet, nothing more.

use hashbrown::HashMap;
use switchboard_fleet::{CustomerId, InstanceName, SIGNATURE_MAX_AGE};

/// Bits of an entry that name the instance.
const PLACE_BITS: u32 = 16;
/// Most instances that can be told apart.
const PLACES_MAX: usize = 1 << PLACE_BITS;

/// Who is where.
#[derive(Debug)]
pub struct Directory {
    /// Entry: time in the upper 48 bits, index into `places` in the lower 16.
    young: HashMap<CustomerId, u64>,
    old: HashMap<CustomerId, u64>,
    generation_max: usize,
    places: Vec<InstanceName>,
    place_numbers: HashMap<InstanceName, u16>,
}

/// Where a customer is, and since when (ms since 1970).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location {
    /// The instance.
    pub place: InstanceName,
    /// When the agent connected there, ms since 1970.
    pub since: u64,
}

impl Directory {
    /// An empty table for at most about `entries_max` customers.
    pub fn new(entries_max: usize) -> Self {
        Self {
            young: HashMap::new(),
            old: HashMap::new(),
            generation_max: (entries_max / 2).max(1),
            places: Vec::new(),
            place_numbers: HashMap::new(),
        }
    }

    /// Notes that `id` is at `place` since `since` (ms since 1970). The newest wins, however late it arrives; of two
    /// at one time the greater name, so that all instances come to the same end. Gives whether anything changed.
    pub fn note(&mut self, id: CustomerId, place: &InstanceName, since: u64) -> bool {
        if let Some(known) = self.get(id) {
            let newer = (since, place) > (known.since, &known.place);
            if !newer {
                return false;
            }
        }
        let Some(number) = self.place_number(place) else { return false };
        self.insert(id, since << PLACE_BITS | u64::from(number));
        true
    }

    /// The agent of `id` has come to `own`, by this instance's clock at `now` (ms since 1970). Gives the moment noted.
    pub fn settle(&mut self, id: CustomerId, own: &InstanceName, now: u64) -> u64 {
        // Later than whatever was heard, even from a clock that is ahead of this one: what the agent does now is newest.
        let since = self.get(id).map_or(0, |known| known.since + 1).max(now);
        self.note(id, own, since);
        since
    }

    /// Another instance says at `now` that the agent of `id` is at `place` since `since`; otherwise as [`Self::note`].
    pub fn hear(&mut self, id: CustomerId, place: &InstanceName, since: u64, now: u64) -> bool {
        // Clocks that differ a little must not change which of two places is newer; one that is further ahead could not
        // have signed the call, and must not pin an agent to a place that it leaves.
        self.note(id, place, since.min(now + SIGNATURE_MAX_AGE.as_millis() as u64))
    }

    /// Where `id` is.
    pub fn get(&self, id: CustomerId) -> Option<Location> {
        let entry = *self.young.get(&id).or_else(|| self.old.get(&id))?;
        let place = self.places.get((entry & (PLACES_MAX as u64 - 1)) as usize)?.clone();
        Some(Location { place, since: entry >> PLACE_BITS })
    }

    /// Customers in the table.
    pub fn entries(&self) -> usize {
        self.young.len() + self.old.len()
    }

    /// Memory of the table, in bytes.
    pub fn bytes(&self) -> usize {
        self.young.allocation_size() + self.old.allocation_size()
    }

    fn insert(&mut self, id: CustomerId, entry: u64) {
        self.old.remove(&id);
        if self.young.len() >= self.generation_max && !self.young.contains_key(&id) {
            // Cleared and used again: the memory of a full generation is not given back and asked for anew.
            std::mem::swap(&mut self.young, &mut self.old);
            self.young.clear();
        }
        self.young.insert(id, entry);
    }

    fn place_number(&mut self, place: &InstanceName) -> Option<u16> {
        if let Some(number) = self.place_numbers.get(place) {
            return Some(*number);
        }
        let number = u16::try_from(self.places.len()).ok()?;
        self.places.push(place.clone());
        self.place_numbers.insert(place.clone(), number);
        Some(number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn id(number: u64) -> CustomerId {
        CustomerId::new(number).unwrap()
    }

    fn place(number: u16) -> InstanceName {
        InstanceName { server: "eu.example.net".parse().unwrap(), port: number }
    }

    proptest! {
        #[test]
        fn the_order_of_arrival_does_not_matter(
            notes in prop::collection::vec((1u64..5, 1u16..5, 0u64..10), 0..40),
            order in any::<prop::sample::Index>(),
        ) {
            let (mut one, mut other) = (Directory::new(100), Directory::new(100));
            let mut turned = notes.clone();
            if !turned.is_empty() {
                turned.rotate_left(order.index(notes.len()));
                turned.reverse();
            }
            for (c, p, since) in &notes {
                one.note(id(*c), &place(*p), *since);
            }
            for (c, p, since) in &turned {
                other.note(id(*c), &place(*p), *since);
            }
            for c in 1..5 {
                prop_assert_eq!(one.get(id(c)), other.get(id(c)));
                let newest = notes.iter().filter(|n| n.0 == c).map(|n| n.2).max();
                prop_assert_eq!(one.get(id(c)).map(|l| l.since), newest);
            }
        }
    }

    #[test]
    fn what_an_agent_does_here_is_newer_than_what_was_heard() {
        let mut directory = Directory::new(10);
        assert_eq!(directory.settle(id(1), &place(1), 1_000), 1_000);
        assert!(directory.hear(id(1), &place(2), 1_500, 1_000), "a clock that is half a second ahead");
        assert!(!directory.hear(id(1), &place(3), 1_400, 1_300));
        assert_eq!(directory.settle(id(1), &place(1), 1_400), 1_501);
        assert!(directory.hear(id(1), &place(2), u64::MAX, 2_000));
        assert_eq!(directory.get(id(1)).unwrap().since, 32_000, "no clock that can sign is further ahead");
    }

    #[test]
    fn the_table_is_bounded_and_keeps_the_latest() {
        let mut directory = Directory::new(1000);
        for number in 1..=10_000 {
            directory.note(id(number), &place(1), number);
            assert!(directory.entries() <= 1000);
        }
        assert!((9_501..=10_000).all(|number| directory.get(id(number)).is_some()));
    }

    #[test]
    fn a_full_table_costs_at_most_32_bytes_an_entry() {
        let mut directory = Directory::new(900_000);
        for number in 1..=900_000 {
            directory.note(id(number), &place(1), number);
        }
        let each = directory.bytes() as f64 / directory.entries() as f64;
        assert!(each <= 32.0, "{each} bytes");
    }

    #[test]
    fn times_to_the_year_9999_fit() {
        let mut directory = Directory::new(10);
        let since = 253_402_300_799_999;
        directory.note(id(1), &place(7), since);
        assert_eq!(directory.get(id(1)), Some(Location { place: place(7), since }));
    }
}
