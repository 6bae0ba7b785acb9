//! What programs say is wrong with themselves.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    Kind, View,
    condition::{Condition, Scene},
};

/// Since when each program that says that something is wrong has been seen to say so, by name.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Complaints(BTreeMap<String, u64>);

impl Complaints {
    /// Takes in a look.
    pub(super) fn take_in(&mut self, views: &[View], now_ms: u64) {
        let before = std::mem::take(&mut self.0);
        // No later than now: the clock may have been set back.
        let since = |view: &View| before.get(&view.name).map_or(now_ms, |since_ms| now_ms.min(*since_ms));
        let wrong = views.iter().filter(|view| !view.wrong.is_empty());
        self.0 = wrong.map(|view| (view.name.clone(), since(view))).collect();
    }
}

impl Scene<'_> {
    /// Who says that something is wrong, and did so at the look before too: what is over within seconds is not told.
    pub(super) fn trouble(&self, server: &str, views: &[&View]) -> Condition {
        let mut condition = self.nothing(views);
        let mut heard = false;
        for view in views.iter().filter(|view| !view.wrong.is_empty()) {
            let since_ms = self.complaints.0.get(&view.name).copied().unwrap_or(self.now_ms);
            let lasts = since_ms < self.now_ms && self.is_heard(view);
            if lasts || self.was(Kind::Trouble, server, &view.name) {
                heard |= self.is_heard(view);
                condition.add(view, since_ms, detail(&view.wrong));
            }
        }
        let before = self.before.get(&(Kind::Trouble, server.to_owned()));
        let same = before.is_some_and(|before| before.iter().eq(condition.members.keys()));
        // Whoever fell silent, or has ended its work, is no better for that.
        condition.unclear = same && !heard;
        condition
    }
}

/// The sentences as one.
fn detail(wrong: &[String]) -> String {
    wrong.iter().map(|sentence| sentence.trim().trim_end_matches('.')).collect::<Vec<_>>().join("; ")
}
