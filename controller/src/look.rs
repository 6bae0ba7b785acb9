//! One look: what nginx shows is taken in, judged, put right, and shown.

use std::time::Duration;

use http::StatusCode;
use switchboard_fleet::front::{Happened, Place};
use tokio::time::Instant;

use crate::{
    clock::now_ms,
    controller::Controller,
    module::Reading,
    reconcile::{Desired, Post},
};

/// Looks further apart than this have a gap between them, in which nobody looked.
const GAP_MS: u64 = 5000;
/// nginx is told things for so long in one look; the rest follows with the next.
const TELL_WITHIN: Duration = Duration::from_millis(700);
/// So often what was told is compared with what has become of it.
const ROUNDS: usize = 3;
/// How long an instance that joins or leaves waits for nginx.
pub(crate) const MOVE_WITHIN: Duration = Duration::from_secs(5);
/// An instance that leaves gets so much longer than `timeouts.drain` to end.
const AFTER_DRAIN: Duration = Duration::from_secs(10);
/// And for the other fronts of its server.
const OTHERS_WITHIN: Duration = Duration::from_millis(1500);

impl Controller {
    /// Looks once.
    pub(crate) async fn look(&mut self) {
        let now_ms = now_ms();
        let gap = !(self.looked_ms..=self.looked_ms.saturating_add(GAP_MS)).contains(&now_ms);
        self.looked_ms = now_ms;
        self.read().await;
        if gap || self.second.follows() {
            self.kept.members.wake(now_ms);
        }
        self.expire(now_ms).await;
        self.judge(now_ms, gap);
        self.put_right().await;
        self.second_looked();
        self.forget();
        self.follow();
        self.show();
        self.answer_moving();
        self.save_if_due().await;
        self.schedule();
    }

    async fn read(&mut self) {
        while let Ok(outcome) = self.lines.outcomes.try_recv() {
            self.fresh.push(outcome);
        }
        self.reading = self.module.read().await;
        self.generation = match &self.reading {
            Reading::Silent(_) => None,
            _ => self.module.generation().await,
        };
        if let Reading::Seen(seen) = &self.reading {
            if let Some(routed) = seen.routed() {
                self.routed.clone_from(&routed.name);
            }
            if self.bounds_ms != seen.bounds_ms {
                self.bounds_ms.clone_from(&seen.bounds_ms);
                self.pasts.values_mut().for_each(|past| past.forget_times());
            }
        }
    }

    /// Switches that end by themselves, and instances that are not heard of.
    async fn expire(&mut self, now_ms: u64) {
        let mut happened = self.kept.switches.expire(now_ms);
        for one in &happened {
            let line = serde_json::json!({ "at_ms": one.at_ms, "place": one.place, "change": one.what, "outcome": one.why });
            self.record(line).await;
        }
        let drain = (self.config.timeouts.drain.get() + AFTER_DRAIN).as_millis() as u64;
        // Instances beside another front end where nobody here sees it.
        let follows = self.second.follows();
        let drain = if follows { u64::MAX } else { drain };
        let runs = |pid: u32| follows || std::path::Path::new(&format!("/proc/{pid}")).exists();
        let expired = self.kept.members.expire(&self.config.instances, now_ms, drain, runs);
        self.dirty |= expired.ended;
        for port in expired.silent {
            let place =
                Place { upstream: self.routed.clone(), backend: self.socket_address(port).to_string() };
            let why = "it was not heard of for a minute, and nobody configured it".to_owned();
            happened.push(Happened {
                at_ms: now_ms,
                place: Some(place),
                what: "left".into(),
                why,
                who: None,
            });
        }
        self.dirty |= !happened.is_empty();
        self.happened(happened);
    }

    /// Tells nginx what is not as it should be, and looks what has become of that.
    async fn put_right(&mut self) {
        self.is_full = false;
        self.failed.remove("nginx");
        let desired = self.desired();
        let until = Instant::now() + TELL_WITHIN;
        for _ in 0..ROUNDS {
            let Reading::Seen(seen) = &self.reading else { return };
            let posts = desired.differences(seen);
            let changes = posts.iter().any(|post| !matches!(post, Post::Lease { .. }));
            let is_well = self.tell(posts, until).await;
            if !changes {
                return;
            }
            self.reading = self.module.read().await;
            // What was told in vain would be told again.
            if !is_well {
                return;
            }
        }
    }

    /// Tells nginx all this; false if it does not take something, or it takes too long.
    async fn tell(&mut self, posts: Vec<Post>, until: Instant) -> bool {
        let mut is_well = true;
        for post in posts {
            if Instant::now() >= until {
                return false;
            }
            let Err((status, why)) = self.module.post(&post).await else { continue };
            is_well = false;
            if let (Post::Join { .. }, Some(StatusCode::INSUFFICIENT_STORAGE)) = (&post, status) {
                self.is_full = true;
                continue;
            }
            self.failed
                .insert("nginx", format!("nginx does not take what it is told ({}): {why}", words(&post)));
            if status.is_none() {
                return false;
            }
        }
        is_well
    }

    /// Instances that left, and that nginx has let go.
    fn forget(&mut self) {
        let reading = &self.reading;
        let config = &self.config;
        self.kept.members.forget(&config.instances, |port| match reading {
            Reading::Seen(seen) => {
                Desired::is_gone(seen, &switchboard_nginx::backend(config, port).to_string())
            }
            Reading::NoModule => true,
            Reading::Silent(_) => false,
        });
    }

    /// Answers instances that come and go, as soon as nginx does what follows.
    pub(crate) fn answer_moving(&mut self) {
        for moving in std::mem::take(&mut self.moving) {
            let address = self.socket_address(moving.member.port).to_string();
            let is_done = match (&self.reading, moving.goes) {
                (Reading::Seen(seen), true) => Desired::gets_nobody(seen, &address),
                // Without a free place it waits for a reload, which may be a while.
                (Reading::Seen(seen), false) => self.is_full || !Desired::is_gone(seen, &address),
                (Reading::NoModule, _) => true,
                (Reading::Silent(_), _) => self.nginx_pid().is_none(),
            };
            let waited = moving.since.elapsed();
            if is_done && (!moving.goes || waited >= OTHERS_WITHIN || self.others_let_go()) {
                // Whoever asked may have gone.
                let _ = moving.reply.send(Ok(()));
            } else if waited >= MOVE_WITHIN {
                let what = if moving.goes { "let it go" } else { "take it in" };
                let why = format!("nginx did not {what} within {} s: {address}", MOVE_WITHIN.as_secs());
                let _ = moving.reply.send(Err(why));
            } else {
                self.moving.push(moving);
            }
        }
    }
}

fn words(post: &Post) -> String {
    match post {
        Post::Lease { .. } => "that a controller runs".into(),
        Post::Join { address, .. } => format!("{address} joins"),
        Post::Leave { address, .. } => format!("{address} leaves"),
        Post::State { address, state, .. } => format!("{address} {state}"),
        Post::Weight { address, weight, .. } => format!("{address} has weight {weight}"),
        Post::Share { address, share, .. } => format!("{address} has {share} % of its weight"),
    }
}
