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
    files::{Finished, Work},
    module::Reading,
    reconcile::{Desired, Want},
};

/// nginx is reloaded for instances that come and go not more often than this.
const RELOAD_EVERY: Duration = Duration::from_secs(10);

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
        let ports = self.kept.members.here(&self.config.instances);
        let staying = ports.into_iter().filter(|port| !self.kept.members.is_leaving(*port));
        staying.map(|port| self.socket_address(port).to_string()).collect()
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
        Desired { here: self.here(), gone, wants }
    }

    /// The instances that nginx's file should have: also configured ones that left, as they come back in the same place.
    fn ports(&self) -> BTreeSet<u16> {
        let mut ports = self.kept.members.here(&self.config.instances);
        ports.extend(&self.config.instances);
        ports
    }

    /// Has nginx's files written, with the switches and instances of now. The job's number.
    pub(crate) fn begin(&mut self, work: Work) -> u64 {
        let ports = self.ports();
        self.placed.clone_from(&ports);
        let mut switches = Switches::default();
        for port in &ports {
            let address = self.socket_address(*port).to_string();
            if let Some(setting) = self.kept.switches.get(&self.routed, &address) {
                let weight_percent = u8::try_from(setting.percent()).unwrap_or(100);
                let switch = setting.switch().unwrap_or_default();
                switches.set(*port, Setting { switch, weight_percent });
            }
        }
        let config = Config { instances: ports.into_iter().collect(), ..self.config.clone() };
        if work == Work::Put {
            self.reloaded = Some(Instant::now());
        }
        self.jobs.begin(work, config, switches)
    }

    /// Has nginx's files written if instances came or went.
    pub(crate) fn follow(&mut self) {
        let work = if self.reading == Reading::NoModule || self.is_full { Work::Put } else { Work::Keep };
        let is_early = self.reloaded.is_some_and(|at| at.elapsed() < RELOAD_EVERY);
        if self.file_wanted && !(work == Work::Put && is_early) {
            self.file_wanted = false;
            // An instance that was started again changes nothing in the file.
            if self.is_full || self.placed != self.ports() {
                self.begin(work);
            }
        }
    }

    pub(crate) async fn finished(&mut self, finished: Finished) {
        match &finished.result {
            Ok(()) => drop(self.failed.remove("file")),
            Err(why) => {
                let text = format!("nginx's file for its next start could not be written: {why}");
                self.failed.insert("file", text);
            }
        }
        self.second_file_done(&finished).await;
        self.put_is_done(finished).await;
    }
}
