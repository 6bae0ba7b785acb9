//! What should be, compared with what nginx has: the difference is what it is told. Pure.

use std::collections::{BTreeMap, BTreeSet};

use switchboard_nginx::Switch;

use crate::seen::{Seen, SeenBackend, SeenUpstream};

/// How long the lease is; it is renewed with every look.
pub(crate) const LEASE_MS: u64 = 5000;

/// Something that nginx's module is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Post {
    /// For so long nginx does not count by itself, and the shares are in force.
    Lease { ms: u64 },
    /// A backend takes part.
    Join { upstream: String, address: String },
    /// A backend gets nothing new.
    Leave { upstream: String, address: String },
    /// An operator's switch.
    State { upstream: String, address: String, state: Switch },
    /// An operator's weight, in nginx's units.
    Weight { upstream: String, address: String, weight: u32 },
    /// Health's part of the weight, in percent.
    Share { upstream: String, address: String, share: u32 },
}

/// What should be.
#[derive(Debug, Clone, Default)]
pub(crate) struct Desired {
    /// The addresses of the instances that take part.
    pub(crate) here: BTreeSet<String>,
    /// Addresses of instances that have left.
    pub(crate) gone: BTreeSet<String>,
    /// By upstream and address; what is not mentioned is on, whole, and well.
    pub(crate) wants: BTreeMap<String, BTreeMap<String, Want>>,
    /// So many are bad that all get traffic: then nginx's own counting spares those that nobody reaches.
    pub(crate) panic: bool,
}

/// How one backend should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Want {
    /// As an operator switched it; `None`: nobody did.
    pub(crate) state: Option<Switch>,
    /// What an operator left it of its weight, in percent.
    pub(crate) percent: u32,
    /// What health leaves it of that, in percent.
    pub(crate) share: u32,
}

impl Default for Want {
    fn default() -> Self {
        Self { state: None, percent: 100, share: 100 }
    }
}

impl Desired {
    /// How a backend should be.
    pub(crate) fn want(&self, upstream: &str, address: &str) -> Want {
        self.wants.get(upstream).and_then(|wants| wants.get(address)).copied().unwrap_or_default()
    }

    /// Whether that is so now, but for its share, which changes all the time.
    pub(crate) fn is_met(&self, seen: &Seen, upstream: &str, address: &str) -> bool {
        let Some(upstream) = seen.upstream(upstream) else { return false };
        let Some(backend) = upstream.backend(address) else { return false };
        let want = self.want(&upstream.name, address);
        switch(upstream, backend, want).is_none() && weight(upstream, backend, want).is_none()
    }

    /// Whether nobody new is sent to the instance at `address`.
    pub(crate) fn gets_nobody(seen: &Seen, address: &str) -> bool {
        let backend = seen.routed().and_then(|upstream| upstream.backend(address));
        backend
            .is_none_or(|backend| backend.has_left() || backend.switched().is_some_and(|is| is != Switch::On))
    }

    /// Whether no new request of any kind goes to the instance at `address`.
    pub(crate) fn is_gone(seen: &Seen, address: &str) -> bool {
        let backend = seen.routed().and_then(|upstream| upstream.backend(address));
        backend.is_none_or(SeenBackend::has_left)
    }

    /// What nginx has to be told, in this order. The lease first: without it shares have no effect. Who joins is switched before it
    /// gets its first request only if nginx knew its switch before; else with the next look, which is made at once.
    pub(crate) fn differences(&self, seen: &Seen) -> Vec<Post> {
        let mut posts = Vec::new();
        match seen.lease_ms {
            Some(0) if self.panic => {}
            Some(_) if self.panic => posts.push(Post::Lease { ms: 0 }),
            Some(_) => posts.push(Post::Lease { ms: LEASE_MS }),
            None => {}
        }
        if let Some(routed) = seen.routed() {
            self.moves(routed, &mut posts);
        }
        for upstream in seen.upstreams.iter().filter(|upstream| upstream.zone) {
            // A place that is given back is nobody's already.
            let is_leaving = |backend: &&SeenBackend| {
                upstream.route && backend.slot && !self.here.contains(&backend.address)
            };
            for backend in upstream.backends.iter().filter(|backend| !is_leaving(backend)) {
                self.settings(upstream, backend, &mut posts);
            }
        }
        posts
    }

    /// Who joins and who leaves.
    fn moves(&self, routed: &SeenUpstream, posts: &mut Vec<Post>) {
        let upstream = || routed.name.clone();
        for backend in &routed.backends {
            let address = &backend.address;
            // What somebody else wrote into nginx's configuration is theirs.
            let is_ours = backend.slot || self.gone.contains(address);
            if is_ours && !self.here.contains(address) && !backend.has_left() {
                posts.push(Post::Leave { upstream: upstream(), address: address.clone() });
            }
        }
        let there: BTreeSet<&str> = routed
            .backends
            .iter()
            .filter(|backend| !backend.has_left())
            .map(|backend| backend.address.as_str())
            .collect();
        for address in self.here.iter().filter(|address| !there.contains(address.as_str())) {
            posts.push(Post::Join { upstream: upstream(), address: address.clone() });
        }
    }

    fn settings(&self, upstream: &SeenUpstream, backend: &SeenBackend, posts: &mut Vec<Post>) {
        let want = self.want(&upstream.name, &backend.address);
        let name = || (upstream.name.clone(), backend.address.clone());
        if let Some(state) = switch(upstream, backend, want) {
            let (upstream, address) = name();
            posts.push(Post::State { upstream, address, state });
        }
        if let Some(weight) = weight(upstream, backend, want) {
            let (upstream, address) = name();
            posts.push(Post::Weight { upstream, address, weight });
        }
        if backend.share.is_some_and(|share| share != want.share) {
            let (upstream, address) = name();
            posts.push(Post::Share { upstream, address, share: want.share });
        }
    }
}

/// The switch that it has to be told.
fn switch(upstream: &SeenUpstream, backend: &SeenBackend, want: Want) -> Option<Switch> {
    let is = backend.switched();
    match want.state {
        Some(state) => (is != Some(state)).then_some(state),
        // An instance is on unless an operator says otherwise, however nginx was started.
        None if upstream.route => (is != Some(Switch::On)).then_some(Switch::On),
        // Elsewhere, `down` in the configuration stays until an operator says otherwise.
        None => is.is_some_and(|is| is != Switch::On).then_some(Switch::On),
    }
}

/// The weight that it has to be told.
fn weight(upstream: &SeenUpstream, backend: &SeenBackend, want: Want) -> Option<u32> {
    // All instances weigh 100; the configuration of one that was given a part has that part already.
    let whole = if upstream.route { 100 } else { backend.configured.weight.max(1) };
    let weight = (whole * want.percent.min(100)).div_ceil(100).max(1);
    (backend.weight() != weight).then_some(weight)
}

#[cfg(test)]
#[path = "reconcile_tests.rs"]
mod tests;
