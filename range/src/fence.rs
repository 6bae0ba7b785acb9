//! Who may grant, and whose grant is taken: how a master that is not the fleet's any more is kept from giving IDs twice.
//!
//! Pure. Every instance keeps the newest [`Mark`] it has heard of, tells it with each question and answer, and believes nothing
//! older.

use crate::mark::Mark;

/// What one instance knows of the fleet's ledger.
#[derive(Debug, Clone, Default)]
pub struct Fence {
    newest: Option<Mark>,
    /// The highest ID that any ledger in use was said to have granted.
    granted_to: u64,
    confirmed: bool,
}

/// Why a master does not grant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fenced {
    /// It has just been started and does not know yet whether the fleet has moved on without it.
    #[error("the other instances have not been asked yet whether this ledger is the newest")]
    Unconfirmed,
    /// Somebody knows a newer state of the ledger than the one here.
    #[error("the fleet knows a newer ledger ({0}): granting from this one would give IDs twice")]
    Older(Mark),
    /// A ledger of an earlier epoch has granted further than the one here, which was made without knowing of that.
    #[error("IDs up to {0} are known to be granted: granting from this ledger would give IDs twice")]
    Behind(u64),
}

impl Fence {
    /// What this instance remembers from before, if anything.
    pub fn new(newest: Option<Mark>) -> Self {
        let granted_to = newest.as_ref().map_or(0, in_use);
        Self { newest, granted_to, confirmed: false }
    }

    /// Another instance has told what it knows. Gives whether that is news.
    pub fn hear(&mut self, mark: &Mark) -> bool {
        self.granted_to = self.granted_to.max(in_use(mark));
        let news = self.newest.as_ref().is_none_or(|newest| mark.is_newer_than(newest));
        if news {
            self.newest = Some(mark.clone());
        }
        // What is known to be granted is told and written down with the newest mark: nobody who hears it forgets it.
        if let Some(newest) = self.newest.as_mut().filter(|newest| newest.generation > 0) {
            newest.granted_to = newest.granted_to.max(self.granted_to);
            newest.last = newest.last.max(newest.granted_to);
        }
        news
    }

    /// The highest ID that any ledger in use was said to have granted; 0 if none.
    pub fn granted_to(&self) -> u64 {
        self.granted_to
    }

    /// The newest state of the ledger that was heard of, with the highest ID that any was said to have granted.
    pub fn newest(&self) -> Option<&Mark> {
        self.newest.as_ref()
    }

    /// Everyone who could be reached has been asked once since the start, nobody knew better ([`Fence::may_claim`]), and the
    /// ledger has been written once more ([`Ledger::claim`](crate::Ledger::claim)), so that its generation is this process's own.
    pub fn confirm(&mut self) {
        self.confirmed = true;
    }

    /// Whether a ledger that is at `own` may be taken into use.
    ///
    /// # Errors
    /// [`Fenced::Older`] or [`Fenced::Behind`].
    pub fn may_claim(&self, own: &Mark) -> Result<(), Fenced> {
        match &self.newest {
            Some(newest) if newest.is_newer_than(own) => Err(Fenced::Older(newest.clone())),
            _ if self.granted_to > own.granted_to => Err(Fenced::Behind(self.granted_to)),
            _ => Ok(()),
        }
    }

    /// Whether a master whose ledger is at `own` may grant.
    ///
    /// # Errors
    /// [`Fenced`]; an older ledger never becomes good again without repair.
    pub fn may_grant(&self, own: &Mark) -> Result<(), Fenced> {
        self.may_claim(own)?;
        if !self.confirmed {
            return Err(Fenced::Unconfirmed);
        }
        match &self.newest {
            // Of one moment but another place: two copies of one disk, both in use. Before the claim it is a server's new name.
            Some(newest) if !own.is_newer_than(newest) && newest.place != own.place => {
                Err(Fenced::Older(newest.clone()))
            }
            _ => Ok(()),
        }
    }

    /// Whether a range is taken by an instance that sent `asked_with` with its question: the ledger it comes from must have been
    /// written since. A range without a mark comes from what an instance held itself, or from a master of the original service.
    pub fn accepts(asked_with: Option<&Mark>, answer: Option<&Mark>) -> bool {
        match (asked_with, answer) {
            (None, _) | (_, None) => true,
            (Some(known), Some(answer)) => answer.is_newer_than(known),
        }
    }
}

/// How far the ledger of this mark has granted. A sealed one, which has generation 0, holds nothing and says nothing of that.
fn in_use(mark: &Mark) -> u64 {
    if mark.generation > 0 { mark.granted_to } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(epoch: u64, generation: u64, port: u16) -> Mark {
        format!("{epoch} {generation} 3 4 a/{port}").parse().unwrap()
    }

    #[test]
    fn a_master_waits_until_it_knows_that_it_is_the_newest() {
        let own = mark(1, 5, 1);
        let mut fence = Fence::new(Some(mark(1, 4, 1)));
        assert_eq!(fence.may_grant(&own), Err(Fenced::Unconfirmed));
        fence.confirm();
        assert_eq!(fence.may_grant(&own), Ok(()));
        assert!(fence.hear(&own), "its own, told back");
        assert_eq!(fence.may_grant(&own), Ok(()));
        assert!(fence.hear(&mark(1, 6, 1)) && !fence.hear(&own));
        assert_eq!(fence.may_grant(&own), Err(Fenced::Older(mark(1, 6, 1))));
        assert!(fence.hear(&mark(2, 1, 2)) && !fence.hear(&mark(1, 9, 1)));
        assert_eq!(fence.may_grant(&own), Err(Fenced::Older(mark(2, 1, 2))));
    }

    #[test]
    fn of_two_copies_of_one_disk_neither_grants_once_they_meet() {
        let mut fence = Fence::new(Some(mark(1, 5, 2)));
        assert_eq!(fence.may_claim(&mark(1, 5, 1)), Ok(()), "a server may change its name");
        fence.confirm();
        assert_eq!(fence.may_grant(&mark(1, 5, 1)), Err(Fenced::Older(mark(1, 5, 2))));
    }

    #[test]
    fn a_ledger_made_anew_is_not_used_below_what_an_earlier_one_has_granted_since() {
        let made: Mark = "2 7 100 900 a/2".parse().unwrap();
        let mut fence = Fence::default();
        fence.confirm();
        assert!(fence.hear(&made));
        assert!(!fence.hear(&"1 9 100 900 a/1".parse().unwrap()));
        assert_eq!(fence.may_grant(&made), Ok(()));
        fence.hear(&"1 10 101 900 a/1".parse().unwrap());
        assert_eq!(fence.may_grant(&made), Err(Fenced::Behind(101)));
        // Whoever hears of it from here, or reads it after a restart, knows it too.
        let told = fence.newest().unwrap().clone();
        assert_eq!(told.to_string(), "2 7 101 900 a/2");
        let mut other = Fence::new(Some(told));
        other.confirm();
        assert_eq!(other.may_grant(&made), Err(Fenced::Behind(101)));
        let mut fence = Fence::new(Some("2 0 900 900 a/2".parse().unwrap()));
        fence.confirm();
        assert_eq!(fence.may_grant(&made), Ok(()), "what a sealed ledger says is not what it granted");
    }

    #[test]
    fn a_grant_is_newer_than_the_question() {
        let (older, newer) = (mark(1, 4, 1), mark(1, 5, 1));
        assert!(Fence::accepts(Some(&older), Some(&newer)));
        assert!(!Fence::accepts(Some(&newer), Some(&newer)) && !Fence::accepts(Some(&newer), Some(&older)));
        assert!(Fence::accepts(None, Some(&older)) && Fence::accepts(None, None));
        assert!(Fence::accepts(Some(&older), None));
    }
}
