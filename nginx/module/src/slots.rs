//! Spare slots: peers that wait for whoever joins.
//!
//! Who has joined is in the records, and the same for all configurations; who sits in which slot is in the peers of each
//! configuration. Addresses in slots change under the zone's lock and that of the peers, so that whoever
//! holds one of them may read them.

use std::{collections::HashMap, net::SocketAddr};

use nginx_sys::{ngx_rwlock_unlock, ngx_rwlock_wlock};
use switchboard_counts::{Part, Place};

use crate::{
    address::{self, Named},
    owned,
    shared::Shared,
    upstreams::{Backend, Upstream},
};

impl Upstream {
    /// Gives everybody who has joined a slot, if there is one, and learns who has which. The lock is held.
    pub(crate) fn seat(&self, shared: &Shared) {
        let moves = shared.moves();
        if self.seated.replace(moves) == moves || self.slots().next().is_none() {
            return;
        }
        let mut joined = self.joined(shared);
        for backend in self.backends.iter().filter(|backend| !backend.configured.slot) {
            backend.address.get().map(|address| joined.remove(&address));
        }
        let mut vacant = Vec::new();
        for slot in self.slots() {
            let there = slot.address_there();
            match there.and_then(|address| joined.remove(&address)) {
                Some(record) => slot.is_of(there, Some(record)),
                None => vacant.push((slot, there)),
            }
        }
        let mut waiting = joined.into_iter();
        let mut next = waiting.next();
        for (slot, there) in vacant {
            match next {
                Some((address, record)) if slot.take_in(&Named::of(address)) => {
                    slot.is_of(Some(address), Some(record));
                    next = waiting.next();
                }
                _ => {
                    let busy = there.filter(|_| slot.connections() > 0);
                    slot.is_of(there, busy.and_then(|address| self.left(shared, address)));
                }
            }
        }
    }

    /// Whether the backend there is declared, or has a slot.
    pub(crate) fn backend_at(&self, shared: &Shared, address: SocketAddr) -> Option<&Backend> {
        let here = |backend: &&Backend| backend.address.get() == Some(address) && backend.is_there(shared);
        self.backends.iter().find(here)
    }

    /// All slots, and those that somebody could have.
    pub(crate) fn slots_free(&self, shared: &Shared) -> (usize, usize) {
        let all = self.slots().count();
        (all, self.slots().filter(|slot| !slot.is_there(shared) && slot.connections() == 0).count())
    }

    /// Those who have joined and found no place here.
    pub(crate) fn unseated(&self, shared: &Shared) -> usize {
        let joined = self.joined(shared);
        joined.keys().filter(|address| self.backend_at(shared, **address).is_none()).count()
    }

    fn joined(&self, shared: &Shared) -> HashMap<SocketAddr, u32> {
        let records = shared.records().iter().enumerate();
        let joined = records.filter(|(_, record)| record.place().part() == Part::Joined);
        joined.filter_map(|(at, record)| Some((record.place().address(self.number)?, at as u32))).collect()
    }

    /// The record of one that has left, for what is still under way there.
    fn left(&self, shared: &Shared, address: SocketAddr) -> Option<u32> {
        let here = |place: &Place| place.part() == Part::Left && place.address(self.number) == Some(address);
        shared.records().iter().position(|record| here(record.place())).map(|at| at as u32)
    }
}

impl Backend {
    /// The address in this slot. The lock is held, or that of the peers.
    pub(crate) fn address_there(&self) -> Option<SocketAddr> {
        // SAFETY: see the head of this file.
        unsafe { address::read((*self.peer).sockaddr, (*self.peer).socklen) }
    }

    fn is_of(&self, address: Option<SocketAddr>, record: Option<u32>) {
        self.record.set(record);
        if self.address.replace(address) != address {
            // SAFETY: as above.
            *self.name.borrow_mut() = unsafe { owned(&(*self.peer).name) };
        }
    }

    /// Gives this slot, which nobody has, another address; not while a request is under way there.
    fn take_in(&self, named: &Named) -> bool {
        let (peers, peer) = (self.peers, self.peer);
        // SAFETY: slots are in nginx's shared memory, where it leaves room for any address and name; whoever has a request
        // there counts as a connection under the same lock.
        unsafe {
            ngx_rwlock_wlock(&raw mut (*peers).rwlock);
            let idle = (*peer).conns == 0;
            if idle {
                named.write((*peer).sockaddr, &mut (*peer).socklen, &mut (*peer).name);
                (*peer).current_weight = 0;
                (*peer).effective_weight = (*peer).weight;
                (*peer).fails = 0;
                (*peer).accessed = 0;
                (*peer).checked = 0;
                // The TLS session was another one's.
                (*peer).ssl_session_len = 0;
            }
            ngx_rwlock_unlock(&raw mut (*peers).rwlock);
            idle
        }
    }
}
