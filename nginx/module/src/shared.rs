//! The records of all backends in memory that all workers share, across reloads.

use std::{
    collections::HashMap,
    ffi::c_void,
    ptr, slice,
    sync::atomic::{AtomicU64, Ordering},
};

use nginx_sys::{ngx_int_t, ngx_shm_zone_t, ngx_slab_alloc, ngx_slab_pool_t};
use switchboard_counts::{Key, Record};

use crate::{ERROR, OK};

/// nginx hands out shared memory in pages of this size.
const PAGE: usize = 4096;

/// What stands before the records.
#[repr(C, align(64))]
struct Head {
    records: u64,
    used: AtomicU64,
    configurations: AtomicU64,
    switches: AtomicU64,
}

/// The shared memory of one configuration; lives as long as that does.
#[derive(Clone, Copy)]
pub(crate) struct Shared {
    head: *const Head,
}

impl Shared {
    /// The records that lie in a zone whose [`init_zone`] has run.
    ///
    /// # Safety
    /// `zone` is this module's, and outlives what is returned.
    pub(crate) unsafe fn of(zone: *const ngx_shm_zone_t) -> Option<Self> {
        // SAFETY: the caller's promise.
        let head = unsafe { (*zone).data }.cast_const().cast::<Head>();
        (!head.is_null()).then_some(Self { head })
    }

    fn head(&self) -> &Head {
        // SAFETY: made by `init_zone`, and mapped as long as the configuration that holds `self`.
        unsafe { &*self.head }
    }

    /// All records there is memory for.
    pub(crate) fn capacity(&self) -> usize {
        self.head().records as usize
    }

    /// The records that have been begun.
    pub(crate) fn records(&self) -> &[Record] {
        let used = self.head().used.load(Ordering::Acquire).min(self.head().records) as usize;
        // SAFETY: `init_zone` has left room for that many behind the head; those up to `used` were written before the
        // number was; a record consists of atomics only, so that other processes may write at any time.
        unsafe { slice::from_raw_parts(self.head.add(1).cast(), used) }
    }

    /// The number of the configuration that is being taken up; the master only.
    pub(crate) fn next_configuration(&self) -> u64 {
        self.head().configurations.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Grows with every switch: whoever has seen a lesser number looks at all switches again.
    pub(crate) fn switches(&self) -> u64 {
        self.head().switches.load(Ordering::Acquire)
    }

    /// Says that a switch has changed.
    pub(crate) fn switched(&self) {
        self.head().switches.fetch_add(1, Ordering::Release);
    }

    /// Takes records for backends, in the master while nobody else does; counts go on where the key is known.
    pub(crate) fn claims(&self, configuration: u64) -> Claims<'_> {
        let known = self.records().iter().enumerate().map(|(at, record)| (record.key(), at as u32));
        Claims { shared: self, configuration, known: known.collect(), searched: 0 }
    }

    fn add(&self, key: Key) -> Option<u32> {
        let used = self.head().used.load(Ordering::Relaxed);
        if used >= self.head().records {
            return None;
        }
        // SAFETY: `used` is within the room that `init_zone` has left; any bytes are valid atomics.
        let record = unsafe { &*self.head.add(1).cast::<Record>().add(used as usize) };
        record.begin(key);
        self.head().used.store(used + 1, Ordering::Release);
        Some(used as u32)
    }
}

/// See [`Shared::claims`].
pub(crate) struct Claims<'a> {
    shared: &'a Shared,
    configuration: u64,
    known: HashMap<Key, u32>,
    searched: usize,
}

impl Claims<'_> {
    /// The number of the record for `key`; `None` if there is no room.
    pub(crate) fn claim(&mut self, key: Key) -> Option<u32> {
        let known = self.known.get(&key).copied();
        let at = known.or_else(|| self.shared.add(key)).or_else(|| self.reused(key))?;
        self.shared.records()[at as usize].keep(self.configuration);
        self.known.insert(key, at);
        Some(at)
    }

    /// The place of a backend that has long been gone.
    fn reused(&mut self, key: Key) -> Option<u32> {
        let records = self.shared.records();
        let found = (self.searched..records.len()).find(|at| records[*at].is_forgotten(self.configuration));
        self.searched = found.map_or(records.len(), |at| at + 1);
        let at = found?;
        self.known.remove(&records[at].key());
        records[at].begin(key);
        Some(at as u32)
    }
}

/// Called by nginx once the zone's memory is there: new, or that of the configuration before.
pub(crate) unsafe extern "C" fn init_zone(zone: *mut ngx_shm_zone_t, before: *mut c_void) -> ngx_int_t {
    if !before.is_null() {
        // SAFETY: nginx's own zone; `before` is what this function left in the one of the same memory.
        unsafe { (*zone).data = before };
        return OK;
    }
    // SAFETY: nginx has made its slab pool at the start of the zone's memory.
    let (pool, pages) = unsafe {
        let pool = (*zone).shm.addr.cast::<ngx_slab_pool_t>();
        (pool, (*pool).pfree)
    };
    let bytes = pages.saturating_mul(PAGE);
    let records = bytes.saturating_sub(size_of::<Head>()) / size_of::<Record>();
    // SAFETY: the pool is whole, and no other process has it yet.
    let head = unsafe { ngx_slab_alloc(pool, bytes) }.cast::<Head>();
    if head.is_null() || records == 0 {
        return ERROR;
    }
    let fresh = Head {
        records: records as u64,
        used: AtomicU64::new(0),
        configurations: AtomicU64::new(0),
        switches: AtomicU64::new(0),
    };
    // SAFETY: whole pages, so aligned, and `bytes` long.
    unsafe {
        ptr::write(head, fresh);
        (*zone).data = head.cast();
    }
    OK
}
