//! The first page: how everything is.

use askama::Template;
use switchboard_alert::{
    letter::count,
    rules::{Covers, Silence},
};
use switchboard_fleet::report::WorkerKind;

use crate::{
    charts::{Chart, last},
    frame::{Frame, Page, Place},
    incidents::Incident,
    summary::Summary,
    text::{list, shown},
    worker::Worker,
};

/// Archives named in one fault.
const NAMED_MAX: usize = 5;

/// How everything is.
#[derive(Debug, Clone, PartialEq, Template)]
#[template(path = "overview.html")]
pub struct Overview {
    /// What stands around it.
    pub frame: Frame,
    /// The open incidents, in the order in which they are to be read.
    pub incidents: Vec<Incident>,
    /// What is wrong with the monitor itself.
    pub faults: Vec<Fault>,
    /// The silences that are not over.
    pub silences: Vec<Silence>,
    /// The servers with the workers that are expected.
    pub servers: Vec<Server>,
    /// Workers that report and are not expected.
    pub unknown: Vec<Worker>,
    /// Its charts, all of one size and over one time.
    pub charts: Vec<Chart>,
}

/// The workers of one server.
#[derive(Debug, Clone, PartialEq)]
pub struct Server {
    /// Its name, as it stands before the last `/` of its workers' names.
    pub name: String,
    /// Its workers, in the order in which they are to be read.
    pub workers: Vec<Worker>,
}

/// Something wrong with the monitor itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// Reports cannot be written down; with what the system says.
    Journal(String),
    /// Archives that cannot be read or written: whose, and what the system says.
    Archives(Vec<(String, String)>),
    /// Letters have not been sent yet.
    Letters {
        /// How many.
        waiting: usize,
        /// What the mail server said to the last try, if one failed.
        why: Option<String>,
    },
    /// Anything else, as whole sentences.
    Other(String),
}

impl Page for Overview {}

impl Overview {
    pub(crate) fn place(&self) -> Place {
        Place::Overview
    }

    pub(crate) fn summary(&self) -> Summary {
        Summary::of(&self.servers)
    }

    /// `The last 6 hours`.
    pub(crate) fn charts_heading(&self) -> String {
        self.charts.first().map_or(String::new(), |chart| format!("The {}", last(chart.period)))
    }

    pub(crate) fn charts_size(&self) -> &'static str {
        self.charts.first().map_or("s", |chart| chart.size.as_str())
    }

    pub(crate) fn nobody(&self) -> bool {
        self.servers.iter().flat_map(|server| &server.workers).all(|worker| worker.heard_ms.is_none())
    }
}

impl Server {
    pub(crate) fn shown(&self) -> String {
        shown(&self.name)
    }

    /// `7 of 8 instances up`, or of its programs if there is no instance.
    pub(crate) fn counted(&self) -> String {
        let instance = |worker: &&Worker| worker.kind == WorkerKind::Instance;
        let instances: Vec<&Worker> = self.workers.iter().filter(instance).collect();
        let (of, one, many): (Vec<&Worker>, _, _) = if instances.is_empty() {
            (self.workers.iter().collect(), "program", "programs")
        } else {
            (instances, "instance", "instances")
        };
        let up = of.iter().filter(|worker| worker.health.is_up()).count();
        format!("{up} of {} up", count(of.len(), one, many))
    }
}

impl Fault {
    /// What is wrong.
    pub fn what(&self) -> String {
        match self {
            Self::Journal(why) => format!("Reports cannot be written down: {}", shown(why)),
            Self::Archives(faults) => {
                let names: Vec<String> = faults.iter().map(|(worker, _)| worker.clone()).collect();
                let archives = count(faults.len(), "archive is", "archives are");
                let why = faults.first().map_or(String::new(), |(_, why)| shown(why));
                format!("{archives} out of order: {}. {why}", list(&names, NAMED_MAX))
            }
            Self::Letters { waiting, why: Some(why) } => {
                let letters = count(*waiting, "letter waits", "letters wait");
                format!("{letters} to be sent; the last try failed: {}", shown(why))
            }
            Self::Letters { waiting, why: None } => {
                format!("{} to be sent.", count(*waiting, "letter waits", "letters wait"))
            }
            Self::Other(what) => shown(what),
        }
    }

    /// What follows, and what to do.
    pub(crate) fn advice(&self) -> &'static str {
        match self {
            Self::Journal(_) => {
                "No report is lost: programs keep theirs until they are taken. Look at the disk of the monitor's folder: is it full, or read-only?"
            }
            Self::Archives(_) => {
                "The others go on. An archive that is moved away is made anew with the next sample."
            }
            Self::Letters { why: Some(_), .. } => {
                "It is tried again for 5 days. Check alert.smtp in fleet.toml, and the mail server."
            }
            Self::Letters { .. } => "They go with the next round, within a minute.",
            Self::Other(_) => "",
        }
    }
}

/// What a silence covers, in words.
pub(crate) fn covers(silence: &Silence) -> String {
    match &silence.covers {
        Covers::All => "Everything".into(),
        Covers::Server(name) => format!("Server {}", shown(name)),
        Covers::Worker(name) => shown(name),
    }
}
