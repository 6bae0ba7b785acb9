//! The records of all backends in memory that all workers share, across reloads.
//!
//! Counting takes no lock. Whoever changes what is in force (a switch, a share, the lease, who takes part) or puts it into
//! nginx's peers holds the lock of the zone: if its holder dies, nginx's master takes it from him.

use std::{
    collections::HashMap,
    ffi::c_void,
    ptr, slice,
    sync::atomic::{AtomicU64, Ordering},
};

use nginx_sys::{
    ngx_current_msec, ngx_int_t, ngx_shm_zone_t, ngx_shmtx_lock, ngx_shmtx_unlock, ngx_slab_alloc,
    ngx_slab_pool_t,
};
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
    changes: AtomicU64,
    moves: AtomicU64,
    /// On nginx's own clock, which is that of all processes and is never set; 0 for none.
    lease_until_ms: AtomicU64,
}

/// The shared memory of one configuration; lives as long as that does.
#[derive(Clone, Copy)]
pub(crate) struct Shared {
    head: *const Head,
    pool: *mut ngx_slab_pool_t,
}

/// The lock; let go when it ends. Never taken while a lock of nginx's peers is held.
pub(crate) struct Locked<'a> {
    shared: &'a Shared,
}

impl Shared {
    /// The records that lie in a zone whose [`init_zone`] has run.
    ///
    /// # Safety
    /// `zone` is this module's, and outlives what is returned.
    pub(crate) unsafe fn of(zone: *const ngx_shm_zone_t) -> Option<Self> {
        // SAFETY: the caller's promise.
        let (head, pool) = unsafe { ((*zone).data.cast_const().cast::<Head>(), (*zone).shm.addr.cast()) };
        (!head.is_null()).then_some(Self { head, pool })
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

    /// Grows with every change: whoever has seen a lesser number looks at everything again.
    pub(crate) fn changes(&self) -> u64 {
        self.head().changes.load(Ordering::Acquire)
    }

    /// Grows whenever somebody joins or leaves.
    pub(crate) fn moves(&self) -> u64 {
        self.head().moves.load(Ordering::Acquire)
    }

    /// How long health's lease still runs, in ms; `None` without one, `Some(0)` if nobody has noticed its end yet.
    pub(crate) fn lease_ms(&self) -> Option<u64> {
        let until = self.head().lease_until_ms.load(Ordering::Acquire);
        (until > 0).then(|| until.saturating_sub(clock_ms()))
    }

    /// Waits for the lock: others hold it for less than a millisecond.
    pub(crate) fn lock(&self) -> Locked<'_> {
        // SAFETY: the pool of the zone that holds `head`, in which nginx has made the lock.
        unsafe { ngx_shmtx_lock(&raw mut (*self.pool).mutex) };
        Locked { shared: self }
    }
}

impl Drop for Locked<'_> {
    fn drop(&mut self) {
        // SAFETY: `Shared::lock` took it, in this process.
        unsafe { ngx_shmtx_unlock(&raw mut (*self.shared.pool).mutex) };
    }
}

impl Locked<'_> {
    /// Says that what is in force has changed.
    pub(crate) fn changed(&self) {
        self.shared.head().changes.fetch_add(1, Ordering::Release);
    }

    /// Says that somebody has joined or left.
    pub(crate) fn moved(&self) {
        self.shared.head().moves.fetch_add(1, Ordering::Release);
        self.changed();
    }

    /// The lease runs for `ms` from now on; 0 ends it.
    pub(crate) fn lease(&self, ms: u64) {
        let until = if ms == 0 { 0 } else { clock_ms().saturating_add(ms).max(1) };
        let before = self.shared.head().lease_until_ms.swap(until, Ordering::AcqRel);
        if (before == 0) != (until == 0) {
            self.changed();
        }
    }

    /// Whether the lease runs. Its end is kept, so that nobody whose clock is a moment behind takes it up again.
    pub(crate) fn leased(&self) -> bool {
        if self.shared.lease_ms() == Some(0) {
            self.lease(0);
        }
        self.shared.lease_ms().is_some()
    }

    /// The number of the configuration that is being taken up; the master only.
    pub(crate) fn next_configuration(&self) -> u64 {
        self.shared.head().configurations.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Takes records for backends; counts go on where the key is known.
    pub(crate) fn claims(&self, configuration: u64) -> Claims<'_> {
        let known = self.shared.records().iter().enumerate().map(|(at, record)| (record.key(), at as u32));
        Claims { shared: self.shared, configuration, known: known.collect(), searched: 0 }
    }
}

/// See [`Locked::claims`].
pub(crate) struct Claims<'a> {
    shared: &'a Shared,
    configuration: u64,
    known: HashMap<Key, u32>,
    searched: usize,
}

impl<'a> Claims<'a> {
    /// The number of the record for `key`; `None` if there is no room.
    pub(crate) fn claim(&mut self, key: Key) -> Option<u32> {
        let known = self.known.get(&key).copied();
        let at = known.or_else(|| self.added(key)).or_else(|| self.reused(key))?;
        self.known.insert(key, at);
        Some(at)
    }

    /// The same for one that the configuration declares.
    pub(crate) fn declare(&mut self, key: Key) -> Option<u32> {
        let at = self.claim(key)?;
        self.record(at).keep(self.configuration);
        Some(at)
    }

    pub(crate) fn record(&self, at: u32) -> &'a Record {
        &self.shared.records()[at as usize]
    }

    fn added(&self, key: Key) -> Option<u32> {
        let head = self.shared.head();
        let used = head.used.load(Ordering::Relaxed);
        if used >= head.records {
            return None;
        }
        // SAFETY: `used` is within the room that `init_zone` has left; any bytes are valid atomics.
        let record = unsafe { &*self.shared.head.add(1).cast::<Record>().add(used as usize) };
        record.begin(key);
        head.used.store(used + 1, Ordering::Release);
        Some(used as u32)
    }

    /// The place of a backend that nobody needs any more.
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

/// nginx's clock in ms, as of the last time this process woke up.
fn clock_ms() -> u64 {
    // SAFETY: a whole word, which only this process writes.
    unsafe { (&raw const ngx_current_msec).read() as u64 }
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
        changes: AtomicU64::new(0),
        moves: AtomicU64::new(0),
        lease_until_ms: AtomicU64::new(0),
    };
    // SAFETY: whole pages, so aligned, and `bytes` long.
    unsafe {
        ptr::write(head, fresh);
        (*zone).data = head.cast();
    }
    OK
}
