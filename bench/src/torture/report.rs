//! What was seen, and whether it is good. Pure.

use std::{fmt, time::Duration};

use crate::{fleet::Counts, instance::Logged, old_disk::OldDisk, tally::Findings};

/// Parts of a run whose rates are told.
pub(crate) const PARTS: usize = 4;
/// A run with fewer kills or IDs a second shows nothing.
const KILLS_PER_SECOND_MIN: u64 = 1;
const IDS_PER_SECOND_MIN: u64 = 50;
/// In a run of so many seconds a master is killed and a disk is full, whatever the seed.
const SECONDS_FOR_ALL: u64 = 30;

/// A run's result.
#[derive(Debug, Clone, Default)]
pub(crate) struct Report {
    pub(crate) seed: u64,
    pub(crate) lasted: Duration,
    pub(crate) counts: Counts,
    pub(crate) logged: Logged,
    pub(crate) findings: Findings,
    /// Answers without an ID.
    pub(crate) without: u64,
    /// Calls whose answer did not come whole.
    pub(crate) broken: u64,
    /// Answers that are not as they should be: how many, and some of them.
    pub(crate) strange: (u64, Vec<String>),
    /// IDs answered in each part of the run.
    pub(crate) parts: [u64; PARTS],
    /// Instances that gave no ID any more when all was over, and the last lines of their logs.
    pub(crate) silent: Vec<String>,
    /// Whose ledger was replaced, if one was to be.
    pub(crate) old_disk: Option<OldDisk>,
}

impl Report {
    /// Everything that is wrong; nothing if the run is passed.
    pub(crate) fn faults(&self) -> Vec<String> {
        let Self { findings, logged, counts, .. } = self;
        let bad = [
            (findings.repeats, "REPEATS: an ID was given twice"),
            (findings.outside, "IDs that are not the fleet's"),
            (self.strange.0, "answers that are not as they should be"),
            (logged.panics, "panics of instances; see their logs"),
        ];
        let mut faults: Vec<String> = bad
            .iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, what)| format!("{count} {what}"))
            .collect();
        faults.extend(self.aftermath());
        let seconds = self.lasted.as_secs();
        let long = seconds >= SECONDS_FOR_ALL;
        let nothing = [
            (counts.kills < seconds * KILLS_PER_SECOND_MIN, "too few kills"),
            (findings.distinct < (seconds * IDS_PER_SECOND_MIN).max(1), "too few IDs"),
            (long && counts.master_kills == 0, "the master was never killed"),
            (long && counts.full == Some(0), "no disk was ever full"),
            (long && counts.full.is_some() && logged.full == 0, "no instance met a full disk"),
            (self.old_disk.is_some() && logged.refused == 0, "the older ledger was not found out"),
        ];
        let nothing = nothing.iter().filter(|(so, _)| *so);
        faults.extend(nothing.map(|(_, what)| format!("this run shows nothing: {what}")));
        faults
    }

    /// What must not be while no ledger was replaced. If one was, it is right that it is not used, nor what it would give.
    fn aftermath(&self) -> Vec<String> {
        if self.old_disk == Some(OldDisk::Master) {
            return Vec::new();
        }
        let mut faults: Vec<_> = self.silent.iter().map(|who| format!("no IDs from {who}")).collect();
        if self.parts.contains(&0) {
            faults.push("in a part of the run no IDs were given".into());
        }
        if self.old_disk.is_none() {
            let bad = [
                (
                    self.findings.threatened,
                    "IDs are given or held, and held by a ledger: they would be given twice",
                ),
                (self.logged.refused, "times a ledger was refused that is the newest"),
            ];
            let bad = bad.iter().filter(|(count, _)| *count > 0);
            faults.extend(bad.map(|(count, what)| format!("{count} {what}")));
        }
        faults
    }

    fn rates(&self) -> String {
        let part = self.lasted.as_secs_f64() / PARTS as f64;
        let rates = self.parts.map(|count| format!("{:.0}", count as f64 / part));
        rates.join(", ")
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { findings, logged, .. } = self;
        writeln!(f, "seed {}, {} s: {}", self.seed, self.lasted.as_secs(), self.counts)?;
        writeln!(
            f,
            "registrations: {} answered with an ID, {} without, {} broken off",
            findings.answered, self.without, self.broken
        )?;
        writeln!(f, "IDs a second, in each quarter of the run: {}", self.rates())?;
        let share = findings.lost as f64 / findings.granted.max(1) as f64;
        writeln!(
            f,
            "IDs: {} distinct, {} granted by the master, {} lost in gaps ({:.2} %), a full disk in {} lines of the logs",
            findings.distinct,
            findings.granted,
            findings.lost,
            share * 100.0,
            logged.full
        )?;
        if let Some(whose) = self.old_disk {
            writeln!(f, "an old disk ({whose:?}): refused in {} lines of the logs", logged.refused)?;
        }
        writeln!(
            f,
            "REPEATS {}, outside the fleet's range {}, about to be repeated {}",
            findings.repeats, findings.outside, findings.threatened
        )?;
        for [before, after] in &findings.examples {
            writeln!(
                f,
                "  {}: by instance {} after {} ms, by instance {} after {} ms",
                before.id, before.instance, before.at_ms, after.instance, after.at_ms
            )?;
        }
        for strange in &self.strange.1 {
            writeln!(f, "  strange: {strange:?}")?;
        }
        let faults = self.faults();
        faults.iter().try_for_each(|fault| writeln!(f, "FAILED: {fault}"))?;
        if faults.is_empty() { write!(f, "passed") } else { write!(f, "{} faults", faults.len()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> Report {
        Report {
            lasted: Duration::from_secs(60),
            counts: Counts { kills: 300, master_kills: 60, restarts: 300, ended: 0, full: Some(10) },
            logged: Logged { full: 5, ..Logged::default() },
            findings: Findings { answered: 99_000, distinct: 99_000, ..Findings::default() },
            parts: [1; PARTS],
            ..Report::default()
        }
    }

    #[test]
    fn a_run_is_passed_only_if_nothing_is_wrong_and_enough_happened() {
        assert_eq!(good().faults(), [""; 0]);
        let spoilt: [fn(&mut Report); 16] = [
            |report| report.findings.repeats = 1,
            |report| report.findings.outside = 1,
            |report| report.findings.threatened = 1,
            |report| report.strange.0 = 1,
            |report| report.logged.panics = 1,
            |report| report.logged.refused = 1,
            |report| report.silent = vec!["8081".into()],
            |report| report.counts.kills = 59,
            |report| report.findings.distinct = 100,
            |report| report.parts[0] = 0,
            |report| report.parts[PARTS - 1] = 0,
            |report| report.counts.master_kills = 0,
            |report| report.counts.full = Some(0),
            |report| report.logged.full = 0,
            |report| report.old_disk = Some(OldDisk::Master),
            |report| report.lasted = Duration::from_secs(6000),
        ];
        for (number, spoil) in spoilt.into_iter().enumerate() {
            let mut report = good();
            spoil(&mut report);
            assert!(!report.faults().is_empty(), "{number}");
            assert!(report.to_string().contains("FAILED"), "{number}");
        }
    }

    #[test]
    fn where_nothing_can_be_mounted_that_is_said_and_the_rest_counts() {
        let mut report = good();
        (report.counts.full, report.logged.full) = (None, 0);
        assert_eq!(report.faults(), [""; 0]);
        assert!(report.to_string().contains("NO DISK COULD BE FILLED"));
    }

    #[test]
    fn an_old_disk_that_is_found_out_is_good() {
        for whose in [OldDisk::Master, OldDisk::Instance, OldDisk::Unseen] {
            let mut report = good();
            report.old_disk = Some(whose);
            assert_eq!(report.faults(), ["this run shows nothing: the older ledger was not found out"]);
            (report.logged.refused, report.findings.threatened) = (1, 1);
            assert_eq!(report.faults(), [""; 0]);
            report.findings.repeats = 1;
            assert_eq!(report.faults().len(), 1);
        }
    }

    #[test]
    fn without_its_master_a_fleet_comes_to_rest_and_without_another_it_does_not() {
        let mut report = good();
        (report.logged.refused, report.parts[PARTS - 1], report.silent) = (1, 0, vec!["8082".into()]);
        report.old_disk = Some(OldDisk::Master);
        assert_eq!(report.faults(), [""; 0]);
        report.old_disk = Some(OldDisk::Instance);
        assert_eq!(report.faults().len(), 2);
    }
}
