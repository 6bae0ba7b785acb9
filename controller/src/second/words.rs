//! What operators switched, as both fronts say it to each other.

use std::net::SocketAddr;

use serde_json::json;
use switchboard_fleet::front::{Happened, Place, Switched};
use switchboard_nginx::backend;

use super::merge::Book;
use crate::{
    clock::{moment, now_ms},
    controller::Controller,
    files::Work,
    module::Reading,
    switches::Setting,
};

impl Controller {
    /// The switches of this server's instances, as words, with their times as others take them.
    pub(super) fn told_words(&self) -> Book {
        self.words().own(now_ms())
    }

    pub(super) fn words(&self) -> Book {
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
    pub(super) async fn take(&mut self, words: Book) {
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
    pub(super) fn join(&mut self, words: Book) -> Vec<Happened> {
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
    pub(super) fn news(
        &self,
        place: &Place,
        before: &Setting,
        after: &Setting,
        now_ms: u64,
    ) -> Vec<Happened> {
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
