//! What operators made of the backends. Pure.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use switchboard_fleet::front::{
    BackendState, Capacity, Change, Happened, Order, Place, Refused, Switched, Upstream,
};
use switchboard_nginx::Switch;

use crate::second::{Thing, later_than};

/// Most bytes of an order's name.
const ID_MAX: usize = 64;
/// The longest that a switch may last until it ends by itself, in ms: a year.
const UNTIL_MAX_MS: u64 = 366 * 24 * 3600 * 1000;
/// Most backends with a switch.
const SETTINGS_MAX: usize = 10_000;
/// Most backends with a switch, or with one that has ended.
const KNOWN_MAX: usize = 12_000;

/// The switches of all upstreams, by upstream and address.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Switches {
    /// Grows with every change.
    pub(crate) version: u64,
    settings: BTreeMap<String, BTreeMap<String, Setting>>,
}

/// One backend's.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Setting {
    /// Off, drain; on only where nginx's configuration says `down`.
    pub(crate) state: Option<Mark<Switch>>,
    /// The part of its weight, 1 to 99 %.
    pub(crate) weight: Option<Mark<u32>>,
}

/// Something set by somebody.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Mark<T> {
    /// `None`: as usual again. It is kept for other fronts, which may know something older.
    pub(crate) is: Option<T>,
    pub(crate) by: Switched,
}

impl Setting {
    /// How it is switched.
    pub(crate) fn switch(&self) -> Option<Switch> {
        self.state.as_ref().and_then(|mark| mark.is)
    }

    /// The part of its weight, in percent.
    pub(crate) fn percent(&self) -> u32 {
        self.weight.as_ref().and_then(|mark| mark.is).unwrap_or(100)
    }

    /// Who did that, and why: of the switch, or else of the weight.
    pub(crate) fn by(&self) -> Option<&Switched> {
        let state = self.state.as_ref().filter(|mark| mark.is.is_some()).map(|mark| &mark.by);
        state.or(self.weight.as_ref().filter(|mark| mark.is.is_some()).map(|mark| &mark.by))
    }

    /// Whether anything is as an operator wants it, and not as usual.
    fn is_set(&self) -> bool {
        self.by().is_some()
    }

    /// When it was last changed, ms since 1970.
    fn at_ms(&self) -> u64 {
        let state = self.state.as_ref().map_or(0, |mark| mark.by.at_ms);
        state.max(self.weight.as_ref().map_or(0, |mark| mark.by.at_ms))
    }
}

impl Switches {
    /// A backend's.
    pub(crate) fn get(&self, upstream: &str, address: &str) -> Option<&Setting> {
        self.settings.get(upstream)?.get(address)
    }

    /// All that are not as usual.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&String, &String, &Setting)> {
        self.known().filter(|(.., setting)| setting.is_set())
    }

    /// All about which something was ever said.
    pub(crate) fn known(&self) -> impl Iterator<Item = (&String, &String, &Setting)> {
        self.settings.iter().flat_map(|(upstream, all)| {
            all.iter().map(move |(address, setting)| (upstream, address, setting))
        })
    }

    /// Puts one in, as it was found elsewhere.
    pub(crate) fn put(&mut self, place: &Place, setting: Setting) {
        let all = self.settings.entry(place.upstream.clone()).or_default();
        if setting == Setting::default() {
            all.remove(&place.backend);
        } else {
            all.insert(place.backend.clone(), setting);
        }
        self.settings.retain(|_, all| !all.is_empty());
        self.forget_the_oldest();
    }

    /// Of what is as usual again only so much is kept.
    fn forget_the_oldest(&mut self) {
        let over = self.known().count().saturating_sub(KNOWN_MAX);
        if over == 0 {
            return;
        }
        let ended = self.known().filter(|(.., setting)| !setting.is_set());
        let mut times: Vec<u64> = ended.map(|(.., setting)| setting.at_ms()).collect();
        times.sort_unstable();
        let Some(last_ms) = times.get(over.min(times.len()).saturating_sub(1)).copied() else { return };
        for all in self.settings.values_mut() {
            all.retain(|_, setting| setting.is_set() || setting.at_ms() > last_ms);
        }
        self.settings.retain(|_, all| !all.is_empty());
    }

    /// The switches after an order; `upstream` is its upstream as it is now.
    ///
    /// # Errors
    /// Why the order cannot be carried out.
    pub(crate) fn with(
        &self,
        order: &Order,
        upstream: Option<&Upstream>,
        now_ms: u64,
    ) -> Result<Self, Refused> {
        check(order, now_ms)?;
        if order.seen.is_some_and(|seen| seen != self.version) {
            return Err(Refused::Changed);
        }
        let place = &order.place;
        let unknown =
            || Refused::Unknown { upstream: place.upstream.clone(), backend: place.backend.clone() };
        let upstream = upstream.ok_or_else(unknown)?;
        let backend = upstream.backends.iter().find(|backend| backend.address == place.backend);
        let backend = backend.ok_or_else(unknown)?;
        if !upstream.switchable {
            let why = format!("upstream {} has no `zone`: its backends cannot be switched", upstream.name);
            return Err(Refused::Bad { why });
        }
        if Capacity::of(upstream, order).is_last() && !order.force {
            return Err(Refused::Last { upstream: place.upstream.clone(), backend: place.backend.clone() });
        }
        let mut setting = self.get(&place.upstream, &place.backend).cloned().unwrap_or_default();
        match order.change {
            Change::On if backend.state == BackendState::Down => {
                set(&mut setting.state, Some(Switch::On), order, now_ms);
            }
            Change::On => set(&mut setting.state, None, order, now_ms),
            Change::Drain => set(&mut setting.state, Some(Switch::Drain), order, now_ms),
            Change::Off => set(&mut setting.state, Some(Switch::Off), order, now_ms),
            Change::Weight { percent } => {
                set(&mut setting.weight, (percent != 100).then_some(percent), order, now_ms);
            }
        }
        let mut next = self.clone();
        next.put(place, setting);
        if next.iter().count() > SETTINGS_MAX {
            let why = format!("more than {SETTINGS_MAX} switches are kept: switch some on");
            return Err(Refused::Bad { why });
        }
        next.version += 1;
        Ok(next)
    }

    /// Ends what has come to its end.
    pub(crate) fn expire(&mut self, now_ms: u64) -> Vec<Happened> {
        let mut happened = Vec::new();
        for (upstream, all) in &mut self.settings {
            for (address, setting) in all.iter_mut() {
                let mut said = |what: &str, by: &Switched, was: &str| {
                    let place = Some(Place { upstream: upstream.clone(), backend: address.clone() });
                    let why = format!("the time is over for which {} {was}", by.who);
                    happened.push(Happened { at_ms: now_ms, place, what: what.into(), why, who: None });
                };
                if let Some((is, by)) = end(&mut setting.state, now_ms) {
                    said("on", &by, &format!("had switched it to {is}"));
                }
                if let Some((is, by)) = end(&mut setting.weight, now_ms) {
                    said("weight", &by, &format!("had left it {is} % of its weight"));
                }
            }
        }
        self.version += u64::from(!happened.is_empty());
        happened
    }
}

/// Puts in what an order wants, later than what was there.
fn set<T>(mark: &mut Option<Mark<T>>, is: Option<T>, order: &Order, now_ms: u64) {
    let at_ms = later_than(now_ms, mark.as_ref().map(|mark| &mark.by));
    let by = Switched { who: order.who.clone(), why: order.why.clone(), at_ms, until_ms: order.until_ms };
    *mark = Some(Mark { is, by });
}

/// Ends what has come to its end: what it was, and who wanted it.
fn end<T: Thing>(mark: &mut Option<Mark<T>>, now_ms: u64) -> Option<(T, Switched)> {
    let over = mark.as_ref()?.over(now_ms)?;
    let ended = mark.replace(over)?;
    Some((ended.is?, ended.by))
}

/// Whether an order can be meant.
fn check(order: &Order, now_ms: u64) -> Result<(), Refused> {
    let bad = |why: &str| Err(Refused::Bad { why: why.into() });
    if !is_id(&order.id) {
        return bad("the order's id is not of 1 to 64 letters 0-9 a-z -");
    }
    let words = |text: &str| text.len() <= Order::WORDS_MAX && !text.contains(char::is_control);
    if order.who.trim().is_empty() || !words(&order.who) {
        return bad("who wants that? A name of 1 to 300 bytes without control characters");
    }
    if !words(&order.why) {
        return bad("the reason has more than 300 bytes, or control characters");
    }
    if let Some(until_ms) = order.until_ms {
        if matches!(order.change, Change::On | Change::Weight { percent: 100 }) {
            return bad("what is as usual has no end: leave out until");
        }
        if until_ms <= now_ms || until_ms - now_ms > UNTIL_MAX_MS {
            return bad("until must lie ahead, by a year at most");
        }
    }
    match order.change {
        Change::Weight { percent } if !(1..=100).contains(&percent) => {
            bad("a weight is from 1 to 100 %; for none, drain it")
        }
        _ => Ok(()),
    }
}

/// Whether this can name an order.
pub(crate) fn is_id(id: &str) -> bool {
    let letter = |byte| matches!(byte, b'0'..=b'9' | b'a'..=b'z' | b'-');
    (1..=ID_MAX).contains(&id.len()) && id.bytes().all(letter)
}

#[cfg(test)]
#[path = "switches_tests.rs"]
mod tests;
