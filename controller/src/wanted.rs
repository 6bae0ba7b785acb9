//! What should be, in nginx now and in the file that it reads at its next start.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    time::Duration,
};

use switchboard_fleet::config::Config;
use switchboard_nginx::{Setting, Switch, Switches, backend};
use tokio::time::Instant;

use crate::{
    controller::Controller,
    files::{Finished, Placed, Work},
    module::Reading,
    reconcile::{Desired, Want},
};

/// nginx is reloaded for instances that come and go, and what failed is tried again, not more often than this.
const RETRY_EVERY: Duration = Duration::from_secs(10);

impl Controller {
    /// The address at which nginx reaches the instance at `port`.
    pub(crate) fn socket_address(&self, port: u16) -> SocketAddr {
        backend(&self.config, port)
    }

    /// The addresses of the instances that take part.
    pub(crate) fn here(&self) -> BTreeSet<String> {
        let ports = self.kept.members.here(&self.config.instances);
        ports.into_iter().map(|port| self.socket_address(port).to_string()).collect()
    }

    /// The addresses of those that are to get somebody new.
    pub(crate) fn staying(&self) -> BTreeSet<String> {
        let ports = self.kept.members.staying(&self.config.instances);
        ports.into_iter().map(|port| self.socket_address(port).to_string()).collect()
    }

    /// What should be.
    pub(crate) fn desired(&self) -> Desired {
        let mut wants: BTreeMap<String, BTreeMap<String, Want>> = BTreeMap::new();
        for (upstream, address, setting) in self.kept.switches.iter() {
            let want = Want { state: setting.switch(), percent: setting.percent(), share: 100 };
            wants.entry(upstream.clone()).or_default().insert(address.clone(), want);
        }
        for (upstream, health) in self.rules.healths.iter().filter(|_| self.rules.ejects) {
            for (address, share) in health.weights().filter(|(_, share)| *share < 100) {
                let want = wants.entry(upstream.clone()).or_default().entry(address.to_owned()).or_default();
                // Whom an operator took out has no part of anything.
                if matches!(want.state, None | Some(Switch::On)) {
                    want.share = share.into();
                }
            }
        }
        // Who names an instance that is about to leave still reaches it.
        let leaving = self.kept.members.here(&self.config.instances);
        for port in leaving.into_iter().filter(|port| self.kept.members.is_leaving(*port)) {
            let wants = wants.entry(self.routed.clone()).or_default();
            let want = wants.entry(self.socket_address(port).to_string()).or_default();
            if want.state != Some(Switch::Off) {
                want.state = Some(Switch::Drain);
            }
        }
        let gone = self.kept.members.gone().map(|port| self.socket_address(port).to_string()).collect();
        let panic = self.rules.healths.get(&self.routed).is_some_and(|health| health.panic().is_some());
        Desired { here: self.here(), gone, wants, panic: panic && self.rules.ejects }
    }

    /// The instances that nginx's file should have: also configured ones that left, as they come back in the same place.
    fn ports(&self) -> BTreeSet<u16> {
        let mut ports = self.kept.members.here(&self.config.instances);
        ports.extend(&self.config.instances);
        ports
    }

    /// What nginx's file should say of instances and their switches.
    fn to_place(&self) -> Placed {
        let ports = self.ports();
        let mut switches = Switches::default();
        for port in &ports {
            let address = self.socket_address(*port).to_string();
            if let Some(setting) = self.kept.switches.get(&self.routed, &address) {
                let weight_percent = u8::try_from(setting.percent()).unwrap_or(100);
                let switch = setting.switch().unwrap_or_default();
                switches.set(*port, Setting { switch, weight_percent });
            }
        }
        Placed { ports, switches }
    }

    /// Has nginx's files written, with the switches and instances of now. The job's number.
    pub(crate) fn begin(&mut self, work: Work) -> u64 {
        self.tried = Some(Instant::now());
        let placed = self.to_place();
        let config = Config { instances: placed.ports.iter().copied().collect(), ..self.config.clone() };
        self.jobs.begin(work, config, placed)
    }

    /// Has nginx's files written if they do not say what they should, whatever the reason.
    pub(crate) fn follow(&mut self) {
        let work = match &self.reading {
            Reading::NoModule => Work::Put,
            Reading::Seen(_) if self.is_full => Work::Put,
            Reading::Seen(_) => Work::Keep,
            // It would not be known whether it runs with that.
            Reading::Silent(_) if self.nginx_pid().is_some() => return,
            Reading::Silent(_) => Work::Keep,
        };
        let is_wanted = self.is_full || self.placed.as_ref() != Some(&self.to_place());
        let is_early = self.tried.is_some_and(|at| at.elapsed() < RETRY_EVERY);
        let is_patient = work == Work::Put || self.failed.contains_key("file");
        if is_wanted && self.jobs.is_idle() && self.putting.is_none() && !(is_early && is_patient) {
            self.begin(work);
        }
    }

    pub(crate) async fn finished(&mut self, finished: Finished) {
        match &finished.result {
            Ok(placed) => {
                self.failed.remove("file");
                self.placed = Some(placed.clone());
            }
            Err(why) => {
                let text = format!("nginx's file for its next start could not be written: {why}");
                self.failed.insert("file", text);
                self.is_outdated |= finished.is_outdated;
            }
        }
        self.second_file_done(&finished).await;
        self.put_is_done(finished).await;
    }
}
