//! What a second front learns from the first: instances, switches and the certificate; and what comes of it.

use serde_json::Map;
use switchboard_fleet::{front::Member, report::Level};

use super::{
    learnt::Learnt,
    prepare::refused,
    talk::{Answer, Certificate, Members},
};
use crate::{
    clock::{moment, now_ms},
    controller::Controller,
    files::{Finished, Work},
    module::Reading,
    reconcile::Desired,
    saving::blocking,
};

impl Controller {
    /// Takes in what the first front said. Whether there is news to tell it at once.
    pub(super) async fn learn(&mut self, answer: Answer) -> bool {
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

    pub(super) async fn learn_members(&mut self, members: Members) -> bool {
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
    pub(super) fn follow_members(&mut self) {
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

    pub(super) async fn learn_certificate(&mut self, certificate: Certificate) {
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
    pub(super) fn reload_if_wanted(&mut self) {
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

    pub(super) async fn keep_learnt(&mut self) {
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

    pub(super) fn is_in_force(&mut self) {
        if let Some(following) = &mut self.second.following {
            following.in_force = following.learnt.members.number;
        }
    }

    pub(super) fn second_answers(&mut self) {
        let Some(following) = &mut self.second.following else { return };
        following.missed = 0;
        if following.fault.take().is_some() {
            let text = format!("the first front at {} answers again", following.address);
            self.voice.say(Level::Success, text, Map::new());
        }
    }

    /// The first front does not answer as it should; said once.
    pub(super) fn second_missed(&mut self, why: &str, missed_max: u32) {
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
}
