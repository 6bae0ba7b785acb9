//! All of it together, from the first process to the report.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::bail;
use tokio::time::{MissedTickBehavior, interval};

use crate::{
    callers::Callers,
    fleet::{Fleet, MASTER},
    old_disk::{OldDisk, Replacement},
    report::{PARTS, Report},
    story::{Act, Story},
    tally,
};

/// How often it is looked what is due.
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// While nobody is killed, every instance gives an ID within this.
const RECOVERY_MAX: Duration = Duration::from_secs(30);
/// How often a line is printed while it runs.
const TELL_EVERY: Duration = Duration::from_secs(10);
/// Lines shown of the log of an instance that does not work.
const LOG_LINES: usize = 5;

/// What is to be done.
pub(crate) struct Run {
    pub(crate) seed: u64,
    pub(crate) length: Duration,
    /// `switchboard`.
    pub(crate) program: PathBuf,
    pub(crate) old_disk: Option<OldDisk>,
    /// Whether this process may mount.
    pub(crate) disks: bool,
}

impl Run {
    /// Does it, and ends everything that it started.
    ///
    /// # Errors
    /// What kept it from being done; what is wrong with the instances is in the report.
    pub(crate) async fn play(self) -> anyhow::Result<Report> {
        let mut fleet = Fleet::start(&self.program, self.disks)?;
        eprintln!("seed {}, {} s, {} instances", self.seed, self.length.as_secs(), fleet.instances().len());
        if fleet.counts().full.is_none() {
            eprintln!(
                "NO DISK CAN BE FILLED: mounting takes root or user namespaces. That part is left out."
            );
        }
        let callers = Callers::start(&fleet.addresses());
        let silent = until_all_give(&mut fleet, &callers, None).await?;
        if !silent.is_empty() {
            bail!("the fleet does not start; no IDs from {}", silent.join("; "));
        }
        let mut replacement = Replacement::new(self.old_disk, self.length, MASTER + 1);
        let parts = self.torture(&mut fleet, &callers, &mut replacement).await?;
        fleet.free_all()?;
        let silent = until_all_give(&mut fleet, &callers, replacement.victim()).await?;
        fleet.stop()?;
        let calls = callers.stop();
        Ok(Report {
            seed: self.seed,
            lasted: self.length,
            counts: fleet.counts().clone(),
            logged: fleet.logged()?,
            findings: tally::look(calls.given, Fleet::whole()?, &fleet.ledgers()?),
            without: calls.without,
            broken: calls.broken,
            strange: calls.strange,
            parts,
            silent,
            old_disk: self.old_disk,
        })
    }

    /// Plays the story; gives how many IDs were answered in each part of it.
    async fn torture(
        &self,
        fleet: &mut Fleet,
        callers: &Callers,
        replacement: &mut Replacement,
    ) -> anyhow::Result<[u64; PARTS]> {
        let mut story = Story::new(self.seed, fleet.instances().len(), fleet.counts().full.is_some());
        let (began, mut told, mut parts) = (Instant::now(), TELL_EVERY, [0; PARTS]);
        let mut looks = interval(LOOK_EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut before, mut last_said) = (callers.count(), String::new());
        loop {
            looks.tick().await;
            let now = began.elapsed();
            let count = callers.count();
            let part = now.as_secs_f64() / self.length.as_secs_f64() * PARTS as f64;
            let Some(part) = parts.get_mut(part as usize) else { return Ok(parts) };
            *part += count - before;
            before = count;
            for said in fleet.look_after()? {
                if said != last_said {
                    eprintln!("{:>4} s: ended by itself: {said}", now.as_secs());
                    last_said = said;
                }
            }
            for act in story.due(now) {
                match act {
                    Act::Kill(_) if replacement.is_remembered() => {}
                    Act::Kill(number) => fleet.kill(number)?,
                    Act::Fill(number) => fleet.fill(number)?,
                    Act::Free(number) => fleet.free(number)?,
                }
            }
            replacement.look(fleet, now)?;
            if now >= told {
                told += TELL_EVERY;
                eprintln!("{:>4} s: {count} IDs; {}", now.as_secs(), fleet.counts());
            }
        }
    }
}

/// Waits until every instance but `except` has given an ID; gives those that do not, and the last lines of their logs.
async fn until_all_give(
    fleet: &mut Fleet,
    callers: &Callers,
    except: Option<usize>,
) -> anyhow::Result<Vec<String>> {
    let (began, before) = (Instant::now(), callers.by_instance());
    let mut looks = interval(LOOK_EVERY);
    loop {
        looks.tick().await;
        fleet.look_after()?;
        let now = callers.by_instance();
        let gives = |number: usize| now.get(number) > before.get(number) || except == Some(number);
        let silent = fleet.instances().iter().enumerate().filter(|(number, _)| !gives(*number));
        let silent: Vec<_> = silent.map(|(_, instance)| instance).collect();
        if silent.is_empty() || began.elapsed() > RECOVERY_MAX {
            let describe = |instance: &&crate::instance::Instance| {
                format!("instance {}, whose log ends:\n{}", instance.port(), instance.last_words(LOG_LINES))
            };
            return Ok(silent.iter().map(describe).collect());
        }
    }
}
