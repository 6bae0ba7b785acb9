//! What the controller does with what the other front says.

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf, time::Duration};

use switchboard_fleet::config::{Config, FrontTls};
use tokio::{sync::mpsc, time::Instant};

use super::{
    Ask,
    learnt::{self, Learnt},
    merge::Book,
    pair::{Pair, wanted},
    prepare::Begun,
    talk::{Answer, Certificate, Members, Question, Told},
};
use crate::{clock::now_ms, controller::Controller};

/// Another front that was not heard of for so long is not waited for.
const HEARD_WITHIN: Duration = Duration::from_secs(3);
/// So many questions in a row are not answered before that is called wrong.
const MISSED_MAX: u32 = 3;

/// What a controller knows of the other fronts of its server.
#[derive(Debug)]
pub(crate) struct Second {
    pub(super) asks: mpsc::Receiver<Ask>,
    /// Which instances there are, as others are told.
    pub(super) members: Members,
    /// Those that ask, each with the number of the members that it acts upon, and when it asked last.
    pub(super) askers: BTreeMap<u64, (u64, Instant)>,
    pub(super) following: Option<Following>,
}

/// What a second front knows of the first.
#[derive(Debug)]
pub(super) struct Following {
    pub(super) address: SocketAddr,
    /// This run of this controller.
    pub(super) asker: u64,
    pub(super) path: PathBuf,
    pub(super) learnt: Learnt,
    /// What the first said of switches before the first look.
    pub(super) words: Book,
    /// Where the certificate goes, and its [`Pair::sum`].
    pub(super) tls: Option<FrontTls>,
    pub(super) certificate: Option<String>,
    /// The number of the members that nginx acts upon.
    pub(super) in_force: u64,
    /// The job with which nginx reads the certificate.
    pub(super) reload: Option<u64>,
    pub(super) missed: u32,
    pub(super) fault: Option<String>,
    /// Why the certificate was not taken.
    pub(super) no_certificate: Option<String>,
}

impl Second {
    /// `begun` if this is a second front.
    pub(crate) fn new(config: &Config, begun: Option<Begun>, asks: mpsc::Receiver<Ask>) -> Self {
        let following = config.front.follow.zip(begun).map(|(address, begun)| Following {
            address,
            asker: rand::random(),
            path: learnt::file(config),
            learnt: begun.learnt,
            words: begun.words,
            tls: wanted(config),
            certificate: begun.certificate,
            in_force: 0,
            reload: None,
            missed: 0,
            fault: None,
            no_certificate: None,
        });
        // Greater than any that another run of this controller told.
        let members = Members { number: now_ms(), ..Members::default() };
        Self { asks, members, askers: BTreeMap::new(), following }
    }

    /// The next thing that the other front, or the way to it, wants; for ever nothing if there is none.
    pub(crate) async fn asked(&mut self) -> Ask {
        match self.asks.recv().await {
            Some(ask) => ask,
            None => std::future::pending().await,
        }
    }

    /// Whether this is a second front.
    pub(crate) fn follows(&self) -> bool {
        self.following.is_some()
    }

    /// What is wrong, a sentence each.
    pub(crate) fn wrong(&self) -> Vec<String> {
        let following = self.following.iter();
        following
            .flat_map(|following| following.fault.iter().chain(&following.no_certificate))
            .cloned()
            .collect()
    }

    /// Whether every other front that is there acts upon the members of now.
    pub(super) fn is_in_force(&self) -> bool {
        let here = self.askers.values().filter(|(_, heard)| heard.elapsed() < HEARD_WITHIN);
        here.into_iter().all(|(number, _)| *number >= self.members.number)
    }
}

impl Controller {
    /// Does what the other front, or the way to it, wants.
    pub(crate) async fn second_hears(&mut self, ask: Ask) {
        // Whoever asked may have gone.
        match ask {
            Ask::Question(question, reply) => {
                let answer = self.answer_front(*question).await;
                let _ = reply.send(answer);
            }
            Ask::Next(reply) => drop(self.what_to_ask().map(|question| reply.send(question))),
            Ask::Answered(Ok(answer), reply) => {
                let _ = reply.send(self.learn(*answer).await);
            }
            Ask::Answered(Err(why), reply) => {
                self.second_missed(&why, MISSED_MAX);
                let _ = reply.send(false);
            }
        }
    }

    pub(super) async fn answer_front(&mut self, question: Question) -> Answer {
        if let Some(refusal) = question.refusal(&self.config.server.to_string(), now_ms()) {
            return refusal;
        }
        self.second.askers.retain(|_, (_, heard)| heard.elapsed() < HEARD_WITHIN);
        self.second.askers.insert(question.asker, (question.in_force, Instant::now()));
        self.take(question.words).await;
        self.answer_moving();
        self.count_members();
        let certificate = self.certificate_for(question.certificate).await;
        let members = self.second.members.clone();
        Answer::Told(Box::new(Told { words: self.told_words(), members, certificate }))
    }

    /// The members as they are now, under a new number if they changed.
    pub(super) fn count_members(&mut self) {
        let configured = self.config.instances.clone();
        let here: Vec<u16> = self.kept.members.here(&configured).into_iter().collect();
        let leaving = here.iter().copied().filter(|port| self.kept.members.is_leaving(*port)).collect();
        let gone = self.kept.members.gone().collect();
        let number = self.second.members.number;
        let members = Members { number, configured, here, leaving, gone };
        if members != self.second.members {
            self.second.members = Members { number: number + 1, ..members };
        }
    }

    /// Whether an instance that leaves is let go by the other fronts too.
    pub(crate) fn others_let_go(&mut self) -> bool {
        self.count_members();
        self.second.is_in_force()
    }

    pub(super) async fn certificate_for(&self, has: Option<String>) -> Certificate {
        let (Some(has), Some(tls)) = (has, self.config.front.tls.clone()) else { return Certificate::None };
        let read = tokio::task::spawn_blocking(move || Pair::read(&tls)).await;
        match read {
            Ok(Ok(pair)) if pair.sum() == has => Certificate::Same,
            Ok(Ok(pair)) => match pair.check() {
                Ok(()) => Certificate::New(pair),
                Err(why) => Certificate::Unusable(why),
            },
            Ok(Err(error)) => Certificate::Unusable(format!("it cannot be read there ({error})")),
            Err(error) => Certificate::Unusable(error.to_string()),
        }
    }

    pub(super) fn what_to_ask(&self) -> Option<Question> {
        let following = self.second.following.as_ref()?;
        let certificate = following.tls.as_ref().map(|_| following.certificate.clone().unwrap_or_default());
        Some(Question {
            at_ms: now_ms(),
            server: self.config.server.to_string(),
            asker: following.asker,
            in_force: following.in_force,
            certificate,
            words: self.told_words(),
        })
    }
}
