//! What is in force for a backend: the configuration, the operator, health, and whether it takes part, in one.

use crate::{Part, Record, State};

/// What the configuration says of a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Configured {
    /// It has no address of its own, only whom joins.
    pub slot: bool,
    /// `down`.
    pub down: bool,
    /// `weight`, at least 1.
    pub weight: u32,
    /// `max_fails`; 0 for never.
    pub max_fails: usize,
}

/// What nginx is to go by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InForce {
    /// It is not in the rotation.
    pub down: bool,
    /// Its weight, at least 1.
    pub weight: u32,
    /// So many failures take it out; 0 for never.
    pub max_fails: usize,
}

impl Configured {
    /// With what is kept in `record`, if there is one; `leased` says that health's lease runs.
    pub fn with(&self, record: Option<&Record>, leased: bool) -> InForce {
        let (mut down, mut weight) = (self.down || self.slot, self.weight.max(1));
        if let Some(record) = record {
            let part = record.place().part();
            if self.slot && part == Part::Joined {
                down = false;
            }
            if let Some(switch) = record.switch() {
                down = match switch.state {
                    State::Config => down,
                    State::On => self.slot && down,
                    State::Drain | State::Off => true,
                };
                weight = switch.weight.unwrap_or(weight);
            }
            if leased {
                let share = record.share();
                down |= share == 0;
                weight = (u64::from(weight) * u64::from(share) / 100).max(1) as u32;
            }
            down |= part == Part::Left;
        }
        InForce { down, weight, max_fails: if leased { 0 } else { self.max_fails } }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::Wish;

    const SERVER: Configured = Configured { slot: false, down: false, weight: 100, max_fails: 3 };

    #[test]
    fn an_operators_switch_stands_over_the_configuration() {
        let record = Record::default();
        assert_eq!(SERVER.with(Some(&record), false), InForce { down: false, weight: 100, max_fails: 3 });
        for (state, down) in
            [(State::Off, true), (State::Drain, true), (State::On, false), (State::Config, true)]
        {
            record.wish(Wish { state: Some(state), weight: None }, 1);
            assert_eq!(
                Configured { down: true, ..SERVER }.with(Some(&record), false).down,
                down,
                "{state:?}"
            );
        }
    }

    #[test]
    fn shares_are_in_force_under_a_lease_only() {
        let record = Record::default();
        record.set_share(30);
        assert_eq!(SERVER.with(Some(&record), false).weight, 100);
        assert_eq!(SERVER.with(Some(&record), true), InForce { down: false, weight: 30, max_fails: 0 });
        assert_eq!(Configured { weight: 2, ..SERVER }.with(Some(&record), true).weight, 1);
        record.set_share(0);
        assert!(SERVER.with(Some(&record), true).down && !SERVER.with(Some(&record), false).down);
    }

    #[test]
    fn a_slot_serves_while_somebody_has_joined() {
        let (slot, record) = (Configured { slot: true, down: true, ..SERVER }, Record::default());
        assert!(slot.with(None, false).down && slot.with(Some(&record), false).down);
        record.wish(Wish { state: Some(State::On), weight: None }, 1);
        assert!(slot.with(Some(&record), false).down, "on is no address");
        record.place().put(Part::Joined);
        assert!(!slot.with(Some(&record), false).down);
        record.place().put(Part::Left);
        assert!(slot.with(Some(&record), false).down);
    }

    proptest! {
        #[test]
        fn who_left_is_out_and_weights_are_possible(
            slot: bool, down: bool, weight in 0..=10_000_u32, state in 0..4_u32,
            wish in prop::option::of(1..=10_000_u32), share in 0..=100_u32, part in 0..3_usize, leased: bool,
        ) {
            let record = Record::default();
            record.wish(Wish { state: Some(State::from_number(state)), weight: wish }, 1);
            record.set_share(share);
            record.place().put([Part::AsDeclared, Part::Joined, Part::Left][part]);
            let force = Configured { slot, down, weight, max_fails: 3 }.with(Some(&record), leased);
            prop_assert!((1..=10_000).contains(&force.weight));
            prop_assert!(force.down || part != 2, "who left is out");
            prop_assert!(force.down || !slot || part == 1, "a slot without anybody is out");
            prop_assert!(force.down || !leased || share > 0, "no share, no requests");
            prop_assert_eq!(force.max_fails == 0, leased);
        }
    }
}
