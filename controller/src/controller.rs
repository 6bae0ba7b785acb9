//! What a controller knows, and its life: a look about once a second, and whatever it is asked in between.

use std::{
    collections::{BTreeMap, VecDeque},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use switchboard_fleet::{
    config::Config,
    front::{Checked, Done, Happened, Member, Order, Place, Table},
};
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::{Instant, sleep_until},
};

use crate::{
    audit::Audit,
    checks::{Addresses, Outcome},
    files::{Jobs, Placed},
    kept::{Kept, Store},
    module::{Module, Reading},
    orders::Putting,
    past::Past,
    rules::Rules,
    second::Second,
    voice::Voice,
};

/// How often nginx is looked at.
const EVERY: Duration = Duration::from_secs(1);
/// Looks that somebody asked for are so far apart at least: of a thousand who join at once, many are seen in one.
const PAUSE: Duration = Duration::from_millis(100);

/// One that has run for less than this was started with the newest configuration.
const YOUNG: Duration = Duration::from_secs(10);

/// What a controller is asked.
pub(crate) enum Ask {
    /// An operator wants something.
    Order(Box<Order>, oneshot::Sender<Done>),
    /// An instance is there; answered when it gets requests.
    Join(Member, oneshot::Sender<Result<(), String>>),
    /// An instance is about to leave; answered when it gets nobody new.
    Leave(Member, oneshot::Sender<Result<(), String>>),
    /// The table with all response times of the last hour.
    Heat(oneshot::Sender<Arc<Table>>),
}

/// What a controller is connected to.
pub(crate) struct Lines {
    pub(crate) asks: mpsc::Receiver<Ask>,
    pub(crate) outcomes: mpsc::Receiver<Outcome>,
    pub(crate) table: watch::Sender<Arc<Table>>,
    pub(crate) addresses: watch::Sender<Addresses>,
    /// Whose response times the monitor wants to know.
    pub(crate) heat: watch::Receiver<Vec<Place>>,
    /// What is wrong with the call at the monitor.
    pub(crate) parked: watch::Receiver<Option<String>>,
}

/// Everything a controller knows.
pub(crate) struct Controller {
    pub(crate) config: Config,
    pub(crate) lines: Lines,
    pub(crate) voice: Voice,
    pub(crate) kept: Kept,
    pub(crate) store: Store,
    pub(crate) audit: Audit,
    pub(crate) rules: Rules,
    pub(crate) jobs: Jobs,
    pub(crate) module: Module,
    pub(crate) reading: Reading,
    pub(crate) pid_file: PathBuf,
    pub(crate) generation: Option<u64>,
    /// The name of the upstream of this server's instances.
    pub(crate) routed: String,
    pub(crate) pasts: BTreeMap<Place, Past>,
    pub(crate) bounds_ms: Vec<u64>,
    pub(crate) checks: BTreeMap<String, Checked>,
    /// Checks since the last look.
    pub(crate) fresh: Vec<Outcome>,
    /// When it last looked, ms since 1970.
    pub(crate) looked_ms: u64,
    next_look: Instant,
    pub(crate) looked: Instant,
    pub(crate) saved: Instant,
    /// Something changed that is not on disk.
    pub(crate) dirty: bool,
    /// Somebody joined who found no place.
    pub(crate) is_full: bool,
    /// When nginx's files were last to be written.
    pub(crate) tried: Option<Instant>,
    /// What went wrong, by what it was: said until it goes well.
    pub(crate) failed: BTreeMap<&'static str, String>,
    pub(crate) moving: Vec<Moving>,
    /// What nginx's file is known to say.
    pub(crate) placed: Option<Placed>,
    /// Somebody has put another configuration in place than this controller has.
    pub(crate) is_outdated: bool,
    began: Instant,
    pub(crate) putting: Option<Putting>,
    pub(crate) waiting: VecDeque<(Box<Order>, oneshot::Sender<Done>)>,
    /// The other fronts of this server.
    pub(crate) second: Second,
}

/// An instance that waits until nginx knows that it is there, or that it goes.
pub(crate) struct Moving {
    pub(crate) member: Member,
    pub(crate) goes: bool,
    pub(crate) since: Instant,
    pub(crate) reply: oneshot::Sender<Result<(), String>>,
}

/// What a controller is made of.
pub(crate) struct Parts {
    pub(crate) config: Config,
    pub(crate) lines: Lines,
    pub(crate) voice: Voice,
    pub(crate) kept: Kept,
    pub(crate) store: Store,
    pub(crate) rules: Rules,
    pub(crate) jobs: Jobs,
    pub(crate) module: Module,
    pub(crate) pid_file: PathBuf,
    pub(crate) second: Second,
    pub(crate) placed: Option<Placed>,
}

impl Controller {
    /// One that has not looked yet.
    pub(crate) fn new(parts: Parts) -> Self {
        let Parts { config, lines, voice, kept, store, rules, jobs, module, pid_file, second, placed } =
            parts;
        let now = Instant::now();
        let audit = Audit::new(&config.front_dir());
        Self {
            placed,
            audit,
            config,
            lines,
            voice,
            kept,
            store,
            rules,
            jobs,
            module,
            reading: Reading::Silent("it was not looked at yet".into()),
            pid_file,
            generation: None,
            routed: switchboard_nginx::UPSTREAM.into(),
            pasts: BTreeMap::new(),
            bounds_ms: Vec::new(),
            checks: BTreeMap::new(),
            fresh: Vec::new(),
            looked_ms: 0,
            next_look: now,
            looked: now,
            saved: now,
            dirty: false,
            is_full: false,
            tried: None,
            is_outdated: false,
            began: now,
            failed: BTreeMap::new(),
            moving: Vec::new(),
            putting: None,
            waiting: VecDeque::new(),
            second,
        }
    }

    /// Looks, and does what it is asked, until `stop`; or until it finds out that its configuration is no longer the front's.
    pub(crate) async fn live(&mut self, stop: impl Future<Output = ()>) {
        let mut stop = std::pin::pin!(stop);
        while !self.is_to_begin_anew() {
            tokio::select! {
                biased;
                () = &mut stop => break,
                () = sleep_until(self.next_look) => self.look().await,
                finished = self.jobs.finished() => self.finished(finished).await,
                Some(ask) = self.lines.asks.recv() => self.hear(ask).await,
                ask = self.second.asked() => self.second_hears(ask).await,
                Some(outcome) = self.lines.outcomes.recv() => self.fresh.push(outcome),
            }
        }
        self.save_state().await;
    }

    /// Whether it is to be started again with the configuration that is in place. One that was just started has read it, so that would not help.
    pub(crate) fn is_to_begin_anew(&self) -> bool {
        self.is_outdated && self.began.elapsed() >= YOUNG
    }

    /// When the next look is due.
    pub(crate) fn schedule(&mut self) {
        self.looked = Instant::now();
        self.next_look = (self.next_look + EVERY).max(self.looked + PAUSE);
        if self.next_look > self.looked + EVERY {
            self.next_look = self.looked + EVERY;
        }
    }

    async fn hear(&mut self, ask: Ask) {
        let now_ms = crate::clock::now_ms();
        match ask {
            Ask::Order(order, reply) => self.order(order, reply).await,
            Ask::Join(member, reply) => match self.kept.members.join(&member, now_ms) {
                Ok(true) => self.moves(member, false, reply),
                // Whoever asked may have gone.
                known => drop(reply.send(known.map(drop).map_err(str::to_owned))),
            },
            Ask::Leave(member, reply) => {
                if self.kept.members.leave(&member, &self.config.instances, now_ms) {
                    self.moves(member, true, reply);
                } else {
                    let _ = reply.send(Ok(()));
                }
            }
            Ask::Heat(reply) => {
                let _ = reply.send(Arc::new(self.shown(now_ms, true)));
            }
        }
    }

    fn moves(&mut self, member: Member, goes: bool, reply: oneshot::Sender<Result<(), String>>) {
        self.moved();
        self.moving.push(Moving { member, goes, since: Instant::now(), reply });
    }

    /// Somebody came or left: that is looked after at once.
    pub(crate) fn moved(&mut self) {
        self.dirty = true;
        self.next_look = self.next_look.min(self.looked + PAUSE);
    }

    /// Notes and says what happened.
    pub(crate) fn happened(&mut self, all: Vec<Happened>) {
        for happened in all {
            self.voice.happened(&happened);
            self.kept.note(happened);
        }
    }
}
