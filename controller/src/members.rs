//! Which instances take part. Pure.
//!
//! One that says that it leaves gets nobody new, but who names it still reaches it: that is how its transactions end. It has left when its
//! process has ended.

use std::collections::{BTreeMap, BTreeSet, btree_map::Entry};

use serde::{Deserialize, Serialize};
use switchboard_fleet::front::Member;

/// An instance that nobody configured and that was not heard of for so long takes part no more, in ms.
const SILENT_MS: u64 = 60_000;
/// Most instances that are remembered.
const MEMBERS_MAX: usize = 2000;

/// Who has left without a word of its own.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Expired {
    /// Some have ended that were about to leave.
    pub(crate) ended: bool,
    /// These were not heard of.
    pub(crate) silent: Vec<u16>,
}

/// What instances said of themselves, by port.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Members(BTreeMap<u16, Known>);

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Known {
    pid: u32,
    left: bool,
    /// Since when it is about to leave, ms since 1970.
    #[serde(default)]
    leaving_ms: Option<u64>,
    /// When it was last heard of, ms since 1970.
    #[serde(skip)]
    heard_ms: u64,
}

impl Members {
    /// It is there. Whether that changes anything.
    pub(crate) fn join(&mut self, member: &Member, now_ms: u64) -> Result<bool, &'static str> {
        if member.port == 0 {
            return Err("port 0 is no instance's");
        }
        let known = self.0.get(&member.port);
        if known.is_none() && self.0.len() >= MEMBERS_MAX {
            return Err("there are too many instances");
        }
        let changed =
            known.is_none_or(|known| known.left || known.leaving_ms.is_some() || known.pid != member.pid);
        let known = Known { pid: member.pid, left: false, leaving_ms: None, heard_ms: now_ms };
        self.0.insert(member.port, known);
        Ok(changed)
    }

    /// It is about to leave. Whether it is the one that takes part: the word of an older process on the same port does not count.
    pub(crate) fn leave(&mut self, member: &Member, configured: &[u16], now_ms: u64) -> bool {
        let fresh = Known { pid: member.pid, left: false, leaving_ms: None, heard_ms: now_ms };
        let known = match self.0.entry(member.port) {
            Entry::Occupied(known) => known.into_mut(),
            // Configured, and not heard of before: the controller was started a moment ago.
            Entry::Vacant(place) if configured.contains(&member.port) => place.insert(fresh),
            Entry::Vacant(_) => return true,
        };
        if known.pid != member.pid {
            return false;
        }
        known.leaving_ms.get_or_insert(now_ms);
        true
    }

    /// It has left, whoever says so.
    pub(crate) fn left(&mut self, port: u16) {
        if let Some(known) = self.0.get_mut(&port) {
            known.left = true;
        }
    }

    /// Nobody listened until now: all have time to be heard again.
    pub(crate) fn wake(&mut self, now_ms: u64) {
        self.0.values_mut().for_each(|known| known.heard_ms = now_ms);
    }

    /// Those that were about to leave have left when their process has ended, or after `drain_ms` at most. Gives those that nobody
    /// configured and that are not heard of: they have left too.
    pub(crate) fn expire(
        &mut self,
        configured: &[u16],
        now_ms: u64,
        drain_ms: u64,
        runs: impl Fn(u32) -> bool,
    ) -> Expired {
        let mut expired = Expired::default();
        for (port, known) in self.0.iter_mut().filter(|(_, known)| !known.left) {
            if let Some(since_ms) = known.leaving_ms {
                known.left = now_ms.saturating_sub(since_ms) > drain_ms || !runs(known.pid);
                expired.ended |= known.left;
            } else if !configured.contains(port) && now_ms.saturating_sub(known.heard_ms) > SILENT_MS {
                known.left = true;
                expired.silent.push(*port);
            }
        }
        expired
    }

    /// Whether the instance at `port` is about to leave.
    pub(crate) fn is_leaving(&self, port: u16) -> bool {
        self.0.get(&port).is_some_and(|known| !known.left && known.leaving_ms.is_some())
    }

    /// The ports that take part and are not about to leave.
    pub(crate) fn staying(&self, configured: &[u16]) -> BTreeSet<u16> {
        self.here(configured).into_iter().filter(|port| !self.is_leaving(*port)).collect()
    }

    /// The ports that take part, also those that are about to leave.
    pub(crate) fn here(&self, configured: &[u16]) -> BTreeSet<u16> {
        let joined = self.0.iter().filter(|(_, known)| !known.left).map(|(port, _)| *port);
        let all = configured.iter().copied().filter(|port| !self.has_left(*port));
        all.chain(joined).collect()
    }

    /// The ports that have left.
    pub(crate) fn gone(&self) -> impl Iterator<Item = u16> + '_ {
        self.0.iter().filter(|(_, known)| known.left).map(|(port, _)| *port)
    }

    /// Whether the instance at `port` has left.
    pub(crate) fn has_left(&self, port: u16) -> bool {
        self.0.get(&port).is_some_and(|known| known.left)
    }

    /// Those that have left are forgotten when nginx knows it, unless they are configured: these could come back.
    pub(crate) fn forget(&mut self, configured: &[u16], is_gone: impl Fn(u16) -> bool) {
        self.0.retain(|port, known| !known.left || configured.contains(port) || !is_gone(*port));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn member(port: u16, pid: u32) -> Member {
        Member { port, pid }
    }

    const DRAIN_MS: u64 = 35_000;

    #[derive(Debug, Clone, Copy)]
    struct Holder {
        pid: u32,
        here: bool,
        leaving_ms: Option<u64>,
        heard_ms: u64,
    }

    proptest! {
        #[test]
        fn who_spoke_last_decides(
            words in prop::collection::vec((1u16..6, 1u32..4, any::<bool>(), 0u64..40_000), 0..80),
            dead in 0u32..6,
        ) {
            let configured = [1, 2];
            let (mut members, mut now_ms) = (Members::default(), 0);
            let mut holders: BTreeMap<u16, Holder> = BTreeMap::new();
            for (port, pid, joins, pause_ms) in words {
                now_ms += pause_ms;
                let expire = |members: &mut Members, holders: &mut BTreeMap<u16, Holder>| {
                    members.expire(&configured, now_ms, DRAIN_MS, |pid| pid != dead);
                    for (port, holder) in holders.iter_mut() {
                        holder.here &= match holder.leaving_ms {
                            Some(since_ms) => now_ms - since_ms <= DRAIN_MS && holder.pid != dead,
                            None => *port < 3 || now_ms - holder.heard_ms <= SILENT_MS,
                        };
                    }
                };
                expire(&mut members, &mut holders);
                if joins {
                    members.join(&member(port, pid), now_ms).unwrap();
                    holders.insert(port, Holder { pid, here: true, leaving_ms: None, heard_ms: now_ms });
                } else {
                    members.leave(&member(port, pid), &configured, now_ms);
                    let fresh = Holder { pid, here: true, leaving_ms: None, heard_ms: now_ms };
                    if port < 3 {
                        holders.entry(port).or_insert(fresh);
                    }
                    if let Some(holder) = holders.get_mut(&port).filter(|holder| holder.pid == pid) {
                        holder.leaving_ms.get_or_insert(now_ms);
                    }
                }
                expire(&mut members, &mut holders);
                let here = members.here(&configured);
                for port in 1..6 {
                    let expected = holders.get(&port).map_or(port < 3, |holder| holder.here);
                    prop_assert_eq!(here.contains(&port), expected, "port {}", port);
                    prop_assert!(!(here.contains(&port) && members.has_left(port)));
                    let leaving = holders.get(&port).is_some_and(|holder| holder.here && holder.leaving_ms.is_some());
                    prop_assert_eq!(members.is_leaving(port), leaving);
                }
                members.forget(&configured, |_| true);
                prop_assert!(members.gone().all(|port| port < 3));
                holders.retain(|port, holder| *port < 3 || holder.here);
            }
        }
    }

    #[test]
    fn an_older_process_does_not_take_its_successor_out() {
        let mut members = Members::default();
        assert_eq!(members.join(&member(8081, 1), 0), Ok(true));
        assert_eq!(members.join(&member(8081, 2), 0), Ok(true));
        assert!(!members.leave(&member(8081, 1), &[8081], 0));
        assert!(members.here(&[8081]).contains(&8081));
        assert!(members.leave(&member(8081, 2), &[8081], 0));
        assert!(members.is_leaving(8081) && members.here(&[8081]).contains(&8081));
        assert!(members.expire(&[8081], 1, DRAIN_MS, |_| false).ended);
        assert!(members.here(&[8081]).is_empty());
        assert_eq!(members.join(&member(8081, 3), 0), Ok(true));
        assert_eq!(members.join(&member(8081, 3), 1), Ok(false));
        assert!(members.join(&member(0, 3), 1).is_err());
    }
}
