//! What the controller does with what the other front says.

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf, time::Duration};

use serde_json::{Map, json};
use switchboard_fleet::{
    config::{Config, FrontTls},
    front::{Happened, Member, Place, Switched},
    report::Level,
};
use switchboard_nginx::backend;
use tokio::{sync::mpsc, time::Instant};

use super::{
    Ask,
    learnt::{self, Learnt},
    merge::Book,
    pair::{Pair, wanted},
    prepare::{Begun, refused},
    talk::{Answer, Certificate, Members, Question, Told},
};
use crate::{
    clock::{moment, now_ms},
    controller::Controller,
    files::{Finished, Work},
    module::Reading,
    reconcile::Desired,
    saving::blocking,
    switches::Setting,
};

/// Another front that was not heard of for so long is not waited for.
const HEARD_WITHIN: Duration = Duration::from_secs(3);
/// So many questions in a row are not answered before that is called wrong.
const MISSED_MAX: u32 = 3;

/// What a controller knows of the other fronts of its server.
#[derive(Debug)]
pub(crate) struct Second {
    asks: mpsc::Receiver<Ask>,
    /// Which instances there are, as others are told.
    members: Members,
    /// Those that ask, each with the number of the members that it acts upon, and when it asked last.
    askers: BTreeMap<u64, (u64, Instant)>,
    following: Option<Following>,
}

/// What a second front knows of the first.
#[derive(Debug)]
struct Following {
    address: SocketAddr,
    /// This run of this controller.
    asker: u64,
    path: PathBuf,
    learnt: Learnt,
    /// What the first said of switches before the first look.
    words: Book,
    /// Where the certificate goes, and its [`Pair::sum`].
    tls: Option<FrontTls>,
    certificate: Option<String>,
    /// The number of the members that nginx acts upon.
    in_force: u64,
    /// The job with which nginx reads the certificate.
    reload: Option<u64>,
    missed: u32,
    fault: Option<String>,
    /// Why the certificate was not taken.
    no_certificate: Option<String>,
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
    fn is_in_force(&self) -> bool {
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

    async fn answer_front(&mut self, question: Question) -> Answer {
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
    fn count_members(&mut self) {
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

    async fn certificate_for(&self, has: Option<String>) -> Certificate {
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

    fn what_to_ask(&self) -> Option<Question> {
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

    /// Takes in what the first front said. Whether there is news to tell it at once.
    async fn learn(&mut self, answer: Answer) -> bool {
        let told = match answer {
            Answer::Told(told) => *told,
            refusal => {
                let why = refused(&refusal, &self.config, now_ms());
                self.second_missed(&why, 1);
                return false;
            }
        };
        self.second_answers();
        self.take(told.words).await;
        let is_new = self.learn_members(told.members).await;
        self.learn_certificate(told.certificate).await;
        is_new
    }

    async fn learn_members(&mut self, members: Members) -> bool {
        let Some(following) = &mut self.second.following else { return false };
        following.learnt.at_ms = now_ms();
        if following.learnt.members == members {
            return false;
        }
        following.learnt.members = members;
        self.keep_learnt().await;
        self.follow_members();
        self.moved();
        self.look().await;
        true
    }

    /// The instances are those that the first front told.
    fn follow_members(&mut self) {
        let Some(following) = &self.second.following else { return };
        let Learnt { members, .. } = &following.learnt;
        if members.configured.is_empty() {
            return;
        }
        let (now_ms, member) = (now_ms(), |port| Member { port, pid: 0 });
        let before = self.kept.members.here(&self.config.instances);
        self.config.instances.clone_from(&members.configured);
        let known = &mut self.kept.members;
        for port in before.iter().chain(&members.configured).chain(&members.here) {
            let is_leaving = members.leaving.contains(port);
            if !members.here.contains(port) {
                if !known.has_left(*port) {
                    // Too many are not here: the first front has as many places.
                    let _ = known.join(&member(*port), now_ms);
                    known.left(*port);
                }
            } else if !is_leaving {
                let _ = known.join(&member(*port), now_ms);
            } else if !known.is_leaving(*port) {
                let _ = known.join(&member(*port), now_ms);
                known.leave(&member(*port), &members.configured, now_ms);
            }
        }
    }

    async fn learn_certificate(&mut self, certificate: Certificate) {
        let Some(following) = &mut self.second.following else { return };
        let Some(tls) = following.tls.clone() else { return };
        let pair = match certificate {
            Certificate::Same => {
                following.no_certificate = None;
                return;
            }
            Certificate::None => Err("it has none: set front.tls there, or leave it out here".into()),
            Certificate::Unusable(why) => Err(why),
            Certificate::New(pair) => pair.check().map(|()| pair),
        };
        let written = match pair {
            Ok(pair) => {
                let sum = pair.sum();
                // On disk before the certificate is: should this end between the two, nginx reads it all the same.
                following.learnt.reload = true;
                self.keep_learnt().await;
                let written = blocking(move || pair.write(&tls)).await;
                written.map(|()| sum).map_err(|error| format!("it cannot be written here ({error})"))
            }
            Err(why) => Err(why),
        };
        let Some(following) = &mut self.second.following else { return };
        match written {
            Ok(sum) => {
                (following.certificate, following.no_certificate) = (Some(sum), None);
                self.reload_if_wanted();
                let text = "the first front has a new certificate: it is taken".to_owned();
                self.voice.say(Level::Info, text, Map::new());
            }
            Err(why) => {
                let text = format!("the first front's certificate is not taken, the one before stays: {why}");
                if following.no_certificate.replace(text.clone()).is_none() {
                    self.voice.say(Level::Warning, text, Map::new());
                }
            }
        }
    }

    /// A second front begins with what it knows.
    pub(crate) async fn second_begins(&mut self) {
        let Some(following) = &mut self.second.following else { return };
        let words = std::mem::take(&mut following.words);
        self.follow_members();
        self.join(words);
        self.save_state().await;
    }

    /// nginx may start when what it reads is written.
    pub(crate) async fn second_is_written(&mut self) {
        while self.second.follows() && !self.jobs.is_idle() {
            let finished = self.jobs.finished().await;
            self.finished(finished).await;
        }
        self.reload_if_wanted();
    }

    /// Has nginx read a certificate that it has not read.
    fn reload_if_wanted(&mut self) {
        if self.second.following.as_ref().is_some_and(|following| following.learnt.reload) {
            let job = self.begin(Work::Put);
            if let Some(following) = &mut self.second.following {
                following.reload = Some(job);
            }
        }
    }

    /// nginx's files are written, and if that was wanted, read.
    pub(crate) async fn second_file_done(&mut self, finished: &Finished) {
        let Some(following) = &mut self.second.following else { return };
        if finished.result.is_ok() && following.reload.take_if(|job| *job <= finished.number).is_some() {
            following.learnt.reload = false;
            self.keep_learnt().await;
        }
    }

    async fn keep_learnt(&mut self) {
        let Some(following) = &self.second.following else { return };
        let (learnt, path) = (following.learnt.clone(), following.path.clone());
        let kept = blocking(move || learnt.write(&path).map_err(std::io::Error::other)).await;
        self.note_failure("second", "what the first front told could not be kept", kept);
    }

    /// After a look: whether nginx acts upon what the first front told.
    pub(crate) fn second_looked(&mut self) {
        let Reading::Seen(seen) = &self.reading else { return self.is_in_force() };
        let address = |port| self.socket_address(port).to_string();
        let here = self.kept.members.here(&self.config.instances);
        let mut leaving = here.into_iter().filter(|port| self.kept.members.is_leaving(*port));
        let are_gone = self.kept.members.gone().all(|port| Desired::is_gone(seen, &address(port)));
        if are_gone && leaving.all(|port| Desired::gets_nobody(seen, &address(port))) {
            self.is_in_force();
        }
    }

    fn is_in_force(&mut self) {
        if let Some(following) = &mut self.second.following {
            following.in_force = following.learnt.members.number;
        }
    }

    fn second_answers(&mut self) {
        let Some(following) = &mut self.second.following else { return };
        following.missed = 0;
        if following.fault.take().is_some() {
            let text = format!("the first front at {} answers again", following.address);
            self.voice.say(Level::Success, text, Map::new());
        }
    }

    /// The first front does not answer as it should; said once.
    fn second_missed(&mut self, why: &str, missed_max: u32) {
        let Some(following) = &mut self.second.following else { return };
        following.missed += 1;
        if following.missed < missed_max {
            return;
        }
        let since = match following.learnt.at_ms {
            0 => "this one goes on with its own configuration".to_owned(),
            at_ms => format!("this one goes on with what it knows since {}", moment(at_ms, now_ms())),
        };
        let text = format!("the first front at {} is not heard: {why}; {since}", following.address);
        if following.fault.replace(text.clone()).is_none() {
            self.voice.say(Level::Warning, text, Map::new());
        }
    }

    /// The switches of this server's instances, as words, with their times as others take them.
    fn told_words(&self) -> Book {
        self.words().own(now_ms())
    }

    fn words(&self) -> Book {
        let switches = self.putting.as_ref().map_or(&self.kept.switches, |putting| &putting.before);
        let mut book = Book::default();
        for (upstream, address, setting) in switches.known() {
            let port = address.parse().ok().map(|address: SocketAddr| address.port());
            let is_ours =
                |port: &u16| *upstream == self.routed && *address == backend(&self.config, *port).to_string();
            if let Some(port) = port.filter(is_ours) {
                book.0.insert(port, setting.clone());
            }
        }
        book
    }

    /// Takes in words of the other front: they are on disk, and nginx is told, when this returns.
    async fn take(&mut self, words: Book) {
        // A switch that waits for nginx could be undone still; what is heard meanwhile is heard again.
        if self.putting.is_some() {
            return;
        }
        let before = self.kept.switches.version;
        let news = self.join(words);
        if self.kept.switches.version == before {
            return;
        }
        self.save_state().await;
        for happened in &news {
            let line = json!({
                "at_ms": happened.at_ms, "who": happened.who, "place": happened.place, "change": happened.what,
                "outcome": happened.why, "done": true,
            });
            self.record(line).await;
        }
        if news.is_empty() {
            return;
        }
        self.happened(news);
        self.look().await;
        self.begin(if self.reading == Reading::NoModule { Work::Put } else { Work::Keep });
    }

    /// Lays words of the other front and the own together. What is news by that.
    fn join(&mut self, words: Book) -> Vec<Happened> {
        let (now_ms, mine) = (now_ms(), self.words());
        let mut both = mine.clone().own(now_ms);
        both.join(words.heard(now_ms));
        let mut news = Vec::new();
        if both == mine {
            return news;
        }
        for (port, words) in both.0 {
            let before = mine.0.get(&port).cloned().unwrap_or_default();
            if before == words {
                continue;
            }
            let place =
                Place { upstream: self.routed.clone(), backend: self.socket_address(port).to_string() };
            news.extend(self.news(&place, &before, &words, now_ms));
            if before.switch() != words.switch() && words.switch().is_none() {
                self.rules.pardon(&place, now_ms);
            }
            self.kept.switches.put(&place, words);
        }
        self.kept.switches.version += 1;
        news
    }

    /// What others changed, each with who did it.
    fn news(&self, place: &Place, before: &Setting, after: &Setting, now_ms: u64) -> Vec<Happened> {
        let mut news = Vec::new();
        let mut say = |what: &str, is: String, by: &Switched| {
            let until = by.until_ms.map(|until_ms| format!(" until {}", moment(until_ms, now_ms)));
            let why = if by.why.is_empty() { String::new() } else { format!(" ({})", by.why) };
            let text = format!(
                "{} {is}{}, switched at another front{why}",
                place.backend,
                until.unwrap_or_default()
            );
            let who = Some(by.who.clone());
            news.push(Happened {
                at_ms: now_ms,
                place: Some(place.clone()),
                what: what.into(),
                why: text,
                who,
            });
        };
        if let Some(mark) = after.state.as_ref().filter(|mark| before.switch() != mark.is) {
            let what = mark.is.map_or("on".to_owned(), |is| is.to_string());
            say(&what, format!("is {what}"), &mark.by);
        }
        if let Some(mark) = after.weight.as_ref().filter(|_| before.percent() != after.percent()) {
            say("weight", format!("has {} % of its weight", after.percent()), &mark.by);
        }
        news
    }
}
