use proptest::prelude::*;

use super::*;
use crate::seen::{Configured, SeenSlots, SeenSwitch};

const ROUTED: &str = "instances";

/// A module that does what it is told.
struct Simulated(Seen);

impl Simulated {
    /// As it is when nginx has just started with these instances, and some that the configuration has off.
    fn started(configured: &[u16], down: &[u16], slots: usize) -> Self {
        let backend = |port: &u16| SeenBackend {
            address: address(*port),
            state: if down.contains(port) { "down" } else { "up" }.into(),
            configured: Configured { down: down.contains(port), weight: 100 },
            share: Some(100),
            ..SeenBackend::default()
        };
        let routed = SeenUpstream {
            name: ROUTED.into(),
            zone: true,
            route: true,
            slots: Some(SeenSlots { all: slots, free: slots }),
            backends: configured.iter().map(backend).collect(),
            ..SeenUpstream::default()
        };
        Self(Seen { lease_ms: Some(0), upstreams: vec![routed], ..Seen::default() })
    }

    fn backend(&mut self, address: &str) -> &mut SeenBackend {
        self.0.upstreams[0].backends.iter_mut().find(|one| one.address == address).unwrap()
    }

    fn take(&mut self, post: Post) {
        let upstream = &mut self.0.upstreams[0];
        match post {
            Post::Lease { ms } => self.0.lease_ms = Some(ms),
            Post::Join { address, .. } => {
                if let Some(known) = upstream.backends.iter_mut().find(|one| one.address == address) {
                    known.state = "up".into();
                    return;
                }
                let slots = upstream.slots.as_mut().unwrap();
                assert!(slots.free > 0, "the module would say 507");
                slots.free -= 1;
                let configured = Configured { down: true, weight: 100 };
                let switch = Some(SeenSwitch { state: "on".into(), weight: None });
                upstream.backends.push(SeenBackend {
                    address,
                    state: "up".into(),
                    slot: true,
                    share: Some(100),
                    configured,
                    switch,
                    ..SeenBackend::default()
                });
            }
            Post::Leave { address, .. } => {
                let at = upstream.backends.iter().position(|one| one.address == address).unwrap();
                if upstream.backends[at].slot {
                    upstream.backends.remove(at);
                    upstream.slots.as_mut().unwrap().free += 1;
                } else {
                    upstream.backends[at].state = "left".into();
                }
            }
            Post::State { address, state, .. } => {
                let backend = self.backend(&address);
                backend.switch.get_or_insert_default().state = state.to_string();
            }
            Post::Weight { address, weight, .. } => {
                let backend = self.backend(&address);
                let switch = backend.switch.get_or_insert_default();
                switch.weight = Some(weight);
                if switch.state.is_empty() {
                    switch.state = "config".into();
                }
            }
            Post::Share { address, share, .. } => self.backend(&address).share = Some(share),
        }
    }

    /// Tells it the differences once, as a look does; a second time for those that joined.
    fn look(&mut self, desired: &Desired) {
        for _ in 0..2 {
            for post in desired.differences(&self.0) {
                self.take(post);
            }
        }
    }
}

fn address(port: u16) -> String {
    format!("127.0.0.1:{port}")
}

/// What happens between two looks.
#[derive(Debug, Clone)]
enum Step {
    Restart { down: Vec<u16> },
    Joins(u16),
    Leaves(u16),
    Wants(u16, Want),
}

fn step() -> impl Strategy<Value = Step> {
    let port = || 1u16..8;
    let state = prop::sample::select(vec![None, Some(Switch::On), Some(Switch::Drain), Some(Switch::Off)]);
    let want =
        (state, 1u32..=100, 0u32..=100).prop_map(|(state, percent, share)| Want { state, percent, share });
    prop_oneof![
        prop::collection::vec(1u16..4, 0..3).prop_map(|down| Step::Restart { down }),
        port().prop_map(Step::Joins),
        port().prop_map(Step::Leaves),
        (port(), want).prop_map(|(port, want)| Step::Wants(port, want)),
    ]
}

proptest! {
    #[test]
    fn one_look_puts_everything_right(steps in prop::collection::vec(step(), 1..40)) {
        let configured = [1, 2, 3];
        let mut module = Simulated::started(&configured, &[], 10);
        let mut desired = Desired { here: configured.map(address).into(), ..Desired::default() };
        for step in steps {
            match step {
                Step::Restart { down } => module = Simulated::started(&configured, &down, 10),
                Step::Joins(port) => {
                    desired.here.insert(address(port));
                    desired.gone.remove(&address(port));
                }
                Step::Leaves(port) => {
                    desired.here.remove(&address(port));
                    desired.gone.insert(address(port));
                    // Health knows it no more.
                    if let Some(wants) = desired.wants.get_mut(ROUTED) {
                        wants.remove(&address(port));
                    }
                }
                Step::Wants(port, want) => {
                    desired.wants.entry(ROUTED.into()).or_default().insert(address(port), want);
                }
            }
            module.look(&desired);
            let seen = &module.0;
            prop_assert_eq!(seen.lease_ms, Some(LEASE_MS));
            let there = seen.upstreams[0].backends.iter().filter(|one| !one.has_left());
            let there: BTreeSet<String> = there.map(|one| one.address.clone()).collect();
            prop_assert_eq!(&there, &desired.here);
            for address in &there {
                prop_assert!(desired.is_met(seen, ROUTED, address));
                let backend = seen.upstreams[0].backend(address).unwrap();
                let want = desired.want(ROUTED, address);
                prop_assert_eq!(backend.switched(), Some(want.state.unwrap_or(Switch::On)));
                prop_assert_eq!((backend.weight(), backend.share), (want.percent, Some(want.share)));
            }
            prop_assert!(desired.gone.iter().all(|address| Desired::is_gone(seen, address)));
            // And what is right is left alone.
            prop_assert_eq!(desired.differences(seen), vec![Post::Lease { ms: LEASE_MS }]);
        }
    }
}

#[test]
fn what_others_wrote_into_nginx_stays() {
    let mut module = Simulated::started(&[1, 2], &[2], 0);
    let upstream = &mut module.0.upstreams[0];
    (upstream.route, upstream.name, upstream.slots) = (false, "other".into(), None);
    upstream.backends[0].configured.weight = 4;
    assert_eq!(Desired::default().differences(&module.0), vec![Post::Lease { ms: LEASE_MS }]);
    let want = Want { state: Some(Switch::Off), percent: 30, share: 100 };
    let wants = BTreeMap::from([("other".to_owned(), BTreeMap::from([(address(1), want)]))]);
    let desired = Desired { wants, ..Desired::default() };
    let (upstream, address) = ("other".to_owned(), address(1));
    assert_eq!(
        desired.differences(&module.0)[1..],
        [
            Post::State { upstream: upstream.clone(), address: address.clone(), state: Switch::Off },
            // 30 % of 4, and not less.
            Post::Weight { upstream, address, weight: 2 },
        ]
    );
    // A module of an older version knows no lease and no shares.
    module.0.lease_ms = None;
    module.0.upstreams[0].backends.iter_mut().for_each(|backend| backend.share = None);
    assert_eq!(Desired::default().differences(&module.0), vec![]);
    module.0.upstreams[0].zone = false;
    assert_eq!(desired.differences(&module.0), vec![]);
}
