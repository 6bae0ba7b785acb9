//! Switches: from the shared records into nginx's own peers.

use nginx_sys::{ngx_rwlock_unlock, ngx_rwlock_wlock};
use switchboard_counts::{Record, State};

use crate::{conf::Main, upstreams::Backend};

impl Main {
    /// Puts every switch that is new to this process into nginx's peers. Also whoever did not take the switch himself
    /// does so: one that came to an old worker in the middle of a reload would else be missing in the new peers.
    pub(crate) fn synchronise(&self) {
        let Some(shared) = &self.shared else { return };
        let switches = shared.switches();
        if self.applied.replace(switches) == switches {
            return;
        }
        let records = shared.records();
        for upstream in self.upstreams.iter().filter(|upstream| upstream.zone) {
            for backend in &upstream.backends {
                if let Some(record) = backend.record.and_then(|at| records.get(at as usize)) {
                    backend.apply(record);
                }
            }
        }
    }
}

impl Backend {
    fn wanted(&self, record: &Record) -> (bool, u32) {
        let Some(switch) = record.switch() else { return (self.configured_down, self.configured_weight) };
        let down = match switch.state {
            State::Config => self.configured_down,
            State::On => false,
            State::Drain | State::Off => true,
        };
        (down, switch.weight.unwrap_or(self.configured_weight))
    }

    /// Whether nginx gives it no requests, and its weight.
    pub(crate) fn now(&self) -> (bool, u32) {
        // SAFETY: the peer lives as long as its configuration; other processes may write these whole words.
        let (down, weight) = unsafe {
            ((&raw const (*self.peer).down).read_volatile(), (&raw const (*self.peer).weight).read_volatile())
        };
        (down != 0, weight.clamp(0, i32::MAX as isize) as u32)
    }

    fn apply(&self, record: &Record) {
        if self.wanted(record) == self.now() {
            return;
        }
        let (peers, peer) = (self.peers, self.peer);
        // SAFETY: only peers in nginx's shared memory come here; nginx itself chooses among them under the same lock.
        // Sums are kept in step: `hash` and `ip_hash` walk the list until the sum is used up.
        unsafe {
            ngx_rwlock_wlock(&raw mut (*peers).rwlock);
            // Read under the lock: the last one who gets it writes what was wanted last.
            let (down, weight) = self.wanted(record);
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
            ngx_rwlock_unlock(&raw mut (*peers).rwlock);
        }
    }
}
