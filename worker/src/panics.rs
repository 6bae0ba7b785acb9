//! Panics. The thread that panics writes the report to a file of its own in the spool, as nothing may follow.

use std::{
    any::Any,
    fs::OpenOptions,
    io::Write,
    panic::{self, PanicHookInfo},
    sync::{Arc, Mutex, MutexGuard, Once, PoisonError, TryLockError, TryLockResult, Weak},
    thread,
};

use switchboard_fleet::report::Told;

use crate::{
    file_name::FileName,
    line::Unnumbered,
    queue::Place,
    reporter::{Shared, now_ms},
};

/// Panic files that the sending thread has not taken up; beyond them panics take the way of the other reports.
const FILES_MAX: usize = 64;
/// How often a lock is tried that another thread holds: it holds it for microseconds.
const TRIES: usize = 1000;

static HOOK: Once = Once::new();
/// Workers that hear of panics.
static WORKERS: Mutex<Vec<Weak<Shared>>> = Mutex::new(Vec::new());

/// From now on panics of this process are reported through `shared`, while it lives. What else happens at a panic still
/// happens.
pub(crate) fn report_to(shared: &Arc<Shared>) {
    HOOK.call_once(|| {
        let previous = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            report(info);
            previous(info);
        }));
    });
    let mut workers = WORKERS.lock().unwrap_or_else(PoisonError::into_inner);
    workers.retain(|worker| worker.strong_count() > 0);
    workers.push(Arc::downgrade(shared));
}

/// Nothing here may panic or wait long.
fn report(info: &PanicHookInfo<'_>) {
    let workers = patiently(|| at_once(WORKERS.try_lock()).map(|workers| workers.clone()));
    let message = message(info.payload());
    let place = info.location().map(ToString::to_string).unwrap_or_default();
    for shared in workers.iter().flatten().filter_map(Weak::upgrade) {
        let told = Told::Panic { message: message.clone(), place: place.clone() };
        if let Some(report) = Unnumbered::new(now_ms(), told) {
            save_or_push(&shared, &report);
        }
    }
}

fn save_or_push(shared: &Shared, report: &Unnumbered) {
    if save(shared, report).is_none()
        && let Some(mut queue) = patiently(|| shared.try_queue())
    {
        queue.push(report, Place::Any);
    }
    shared.wake.notify_one();
}

/// Writes the report to its file. `None` if it must go another way; if it had a number already, that one is a gap.
fn save(shared: &Shared, report: &Unnumbered) -> Option<()> {
    let files = patiently(|| at_once(shared.panics.try_lock()).map(|files| files.len()))?;
    if files >= FILES_MAX {
        return None;
    }
    let seq = patiently(|| shared.try_queue())?.number()?;
    let text = format!("{}\n", report.number(seq).text);
    let name = FileName { boot: shared.boot, first: seq };
    let path = shared.folder.join(name.text());
    let mut file = OpenOptions::new().write(true).create_new(true).open(path).ok()?;
    file.write_all(text.as_bytes()).ok()?;
    patiently(|| at_once(shared.panics.try_lock()))?.push((name, text.len() as u64));
    Some(())
}

fn at_once<T>(lock: TryLockResult<MutexGuard<'_, T>>) -> Option<MutexGuard<'_, T>> {
    match lock {
        Ok(guard) => Some(guard),
        Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
        Err(TryLockError::WouldBlock) => None,
    }
}

fn patiently<T>(mut attempt: impl FnMut() -> Option<T>) -> Option<T> {
    (0..TRIES).find_map(|_| {
        attempt().or_else(|| {
            thread::yield_now();
            None
        })
    })
}

fn message(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().copied();
    text.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("no text").to_owned()
}
