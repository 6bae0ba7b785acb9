use super::{Change, Order, Upstream};

/// What a change leaves of an upstream, shown before it is made. Pure.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Capacity {
    /// Backends in service now.
    pub before: usize,
    /// Backends in service after it.
    pub after: usize,
    /// The part of the weight in service that is left, from 0 to 1; above 1 if it grows. 1 if there is none now.
    pub left: f64,
}

impl Capacity {
    /// What `change` of the backend at `address` would leave of `upstream`.
    pub fn after(upstream: &Upstream, address: &str, change: Change) -> Self {
        let mut capacity = Self { before: 0, after: 0, left: 1.0 };
        let (mut now, mut then) = (0.0, 0.0);
        for backend in upstream.backends.iter().filter(|backend| !backend.backup) {
            let weight = f64::from(backend.weight) * f64::from(backend.share) / 100.0;
            // In panic mode the dead are in service too, with a reason why they should not be.
            let failed = backend.check.as_ref().is_some_and(|check| check.fault.is_some());
            let is_dead = backend.why.is_some() && failed;
            let serves = backend.state.serves() && weight > 0.0 && !is_dead;
            let (mut serves_then, mut weight_then) = (serves, weight);
            if backend.address == address {
                (serves_then, weight_then) = match change {
                    Change::On => (true, f64::from(backend.weight)),
                    Change::Drain | Change::Off => (false, 0.0),
                    Change::Weight { percent } => {
                        (serves, f64::from(percent) * f64::from(backend.share) / 100.0)
                    }
                };
            }
            capacity.before += usize::from(serves);
            capacity.after += usize::from(serves_then);
            now += if serves { weight } else { 0.0 };
            then += if serves_then { weight_then } else { 0.0 };
        }
        if now > 0.0 {
            capacity.left = then / now;
        }
        capacity
    }

    /// What `order` would leave, if its backend is there.
    pub fn of(upstream: &Upstream, order: &Order) -> Self {
        Self::after(upstream, &order.place.backend, order.change)
    }

    /// Whether the last backend in service would go.
    pub fn is_last(&self) -> bool {
        self.before > 0 && self.after == 0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::front::{Backend, BackendState};

    fn upstream(states: &[(BackendState, u32)]) -> Upstream {
        let backend = |(at, (state, weight)): (usize, &(BackendState, u32))| Backend {
            address: at.to_string(),
            state: *state,
            weight: *weight,
            share: if state.serves() { 100 } else { 0 },
            ..Backend::default()
        };
        Upstream {
            name: "instances".into(),
            implicit: false,
            at: String::new(),
            switchable: true,
            no_live: 0,
            backends: states.iter().enumerate().map(backend).collect(),
        }
    }

    proptest! {
        #[test]
        fn what_goes_and_what_stays_is_all_there_was(
            states in prop::collection::vec((prop::sample::select(&BackendState::ALL[..]), 1u32..=100), 1..8),
            at in 0usize..8,
        ) {
            let upstream = upstream(&states);
            let address = at.to_string();
            let serves = states.get(at).is_some_and(|(state, _)| state.serves());
            let off = Capacity::after(&upstream, &address, Change::Off);
            prop_assert_eq!(off.before - off.after, usize::from(serves));
            prop_assert!(off.left <= 1.0);
            let same = states.get(at).map_or(1, |(_, weight)| *weight);
            let kept = Capacity::after(&upstream, &address, Change::Weight { percent: same });
            prop_assert!(kept.before == kept.after && (kept.left - 1.0).abs() < 1e-9);
            let on = Capacity::after(&upstream, &address, Change::On);
            prop_assert!(on.after >= on.before && on.left >= 1.0 - 1e-9);
        }
    }

    #[test]
    fn the_last_one_is_told() {
        use BackendState::{Ejected, Up};
        let two = upstream(&[(Up, 100), (Up, 50)]);
        let off = Capacity::after(&two, "0", Change::Off);
        assert_eq!((off.before, off.after, off.is_last()), (2, 1, false));
        assert!((off.left - 1.0 / 3.0).abs() < 1e-9);
        let one = upstream(&[(Up, 100), (Ejected, 100)]);
        assert!(Capacity::after(&one, "0", Change::Drain).is_last());
        assert!(!Capacity::after(&one, "1", Change::Off).is_last());
    }
}
