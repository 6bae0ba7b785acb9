//! What is in force: from the shared records into nginx's own peers.

use nginx_sys::{ngx_rwlock_unlock, ngx_rwlock_wlock};
use switchboard_counts::{At, InForce, Part, State};

use crate::{
    conf::Main,
    shared::{Locked, Shared},
    upstreams::{Backend, Upstream},
};

impl Main {
    /// Puts everything that is new to this process into nginx's peers; costs two looks if nothing is. Also whoever did not
    /// take the order himself does so: one that came to an old worker in the middle of a reload would else be missing in
    /// the new peers.
    pub(crate) fn synchronise(&self) {
        let Some(shared) = &self.shared else { return };
        if self.applied.get() != shared.changes() || shared.lease_ms() == Some(0) {
            self.refresh(shared, &shared.lock());
        }
    }

    /// The same, by whoever has the lock.
    pub(crate) fn refresh(&self, shared: &Shared, locked: &Locked<'_>) {
        let leased = locked.leased();
        for upstream in &self.upstreams {
            if upstream.zone {
                upstream.seat(shared);
                upstream.backends.iter().for_each(|backend| backend.apply(shared, leased));
            }
            if upstream.route.is_some() {
                upstream.number(shared);
            }
        }
        self.applied.set(shared.changes());
    }
}

impl Upstream {
    /// Notes which backend is at which port.
    fn number(&self, shared: &Shared) {
        let mut ports = self.ports.borrow_mut();
        ports.clear();
        for (at, backend) in self.backends.iter().enumerate() {
            let record = backend.record(shared);
            let part = record.map(|record| record.place().part());
            if part == Some(Part::Left) || (backend.configured.slot && part != Some(Part::Joined)) {
                continue;
            }
            let off =
                record.and_then(|record| record.switch()).is_some_and(|switch| switch.state == State::Off);
            let place = if off { At::Off } else { At::Backend(at as u32) };
            ports.add(backend.address.get().map(|address| address.port()), place, !backend.now().0);
        }
        ports.ready();
    }
}

impl Backend {
    /// Whether nginx gives it no requests, its weight, and how many failures take it out.
    pub(crate) fn now(&self) -> (bool, u32, usize) {
        // SAFETY: the peer lives as long as its configuration; other processes may write these whole words.
        let (down, weight, max_fails) = unsafe {
            let peer = self.peer;
            (
                (&raw const (*peer).down).read_volatile(),
                (&raw const (*peer).weight).read_volatile(),
                (&raw const (*peer).max_fails).read_volatile(),
            )
        };
        (down != 0, weight.clamp(0, i32::MAX as isize) as u32, max_fails)
    }

    fn apply(&self, shared: &Shared, leased: bool) {
        let InForce { down, weight, max_fails } = self.configured.with(self.record(shared), leased);
        if (down, weight, max_fails) == self.now() {
            return;
        }
        let (peers, peer) = (self.peers, self.peer);
        // SAFETY: only peers in nginx's shared memory come here; nginx itself chooses among them under the same lock.
        // Sums are kept in step: `hash` and `ip_hash` walk the list until the sum is used up.
        unsafe {
            ngx_rwlock_wlock(&raw mut (*peers).rwlock);
            if ((*peer).down != 0) != down {
                (*peer).down = usize::from(down);
                let tries = (*peers).tries;
                (*peers).tries = if down { tries.saturating_sub(1) } else { tries + 1 };
            }
            let before = (*peer).weight;
            let weight = weight as isize;
            if before != weight {
                (*peer).weight = weight;
                (*peer).effective_weight = weight;
                // What it had saved up or owed at the old weight would come in a burst.
                (*peer).current_weight = 0;
                (*peers).total_weight = (*peers).total_weight.wrapping_add_signed(weight - before);
                let weighted = (*peers).total_weight != (*peers).number;
                (*peers).set_weighted(u32::from(weighted));
            }
            if (*peer).max_fails != max_fails {
                (*peer).max_fails = max_fails;
                // nginx begins to count, or stops: what was while nobody counted is no reason.
                (*peer).fails = 0;
            }
            ngx_rwlock_unlock(&raw mut (*peers).rwlock);
        }
    }
}
