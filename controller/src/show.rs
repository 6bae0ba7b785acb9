//! How things are is shown, and what is wrong with them.

use std::sync::Arc;

use switchboard_fleet::{
    config::ModuleChoice,
    front::{Nginx, Panic, Table},
};

use crate::{
    checks::Addresses, controller::Controller, judge::slow_words, module::Reading, seen::Seen, table::View,
};

impl Controller {
    /// Shows how things are.
    pub(crate) fn show(&mut self) {
        let ports = self.kept.members.staying(&self.config.instances);
        let addresses: Vec<_> = ports.into_iter().map(|port| self.socket_address(port)).collect();
        let is_new = |now: &mut Addresses| {
            let differs = **now != *addresses;
            if differs {
                *now = addresses.clone().into();
            }
            differs
        };
        self.lines.addresses.send_if_modified(is_new);
        let table = self.shown(self.looked_ms, false);
        self.voice.wrong(&table.wrong);
        self.lines.table.send_replace(Arc::new(table));
    }

    /// The table of now; with the response times of all if that is asked for.
    pub(crate) fn shown(&self, now_ms: u64, all_heat: bool) -> Table {
        let seen = if let Reading::Seen(seen) = &self.reading { Some(&**seen) } else { None };
        let here = self.here();
        let view = View {
            now_ms,
            routed: &self.routed,
            here: &here,
            seen,
            switches: &self.kept.switches,
            rules: &self.rules,
            pasts: &self.pasts,
            checks: &self.checks,
            bounds_ms: &self.bounds_ms,
        };
        let upstreams = view.upstreams();
        let heat = view.heat(&upstreams, &self.lines.heat.borrow(), all_heat);
        let panic = self.rules.healths.values().find_map(|health| health.panic());
        Table {
            front: self.config.front_name(),
            at_ms: now_ms,
            version: self.kept.switches.version,
            nginx: Nginx {
                pid: self.nginx_pid(),
                generation: self.generation,
                module: seen.map(|seen| seen.version.clone()),
            },
            slots: view.slots(),
            panic: panic.map(|panic| Panic { since_ms: panic.since_ms, why: panic.why.clone() }),
            wrong: self.wrong_now(seen),
            upstreams,
            heat,
            happened: self.kept.happened.iter().cloned().collect(),
        }
    }

    /// nginx's master, if it runs.
    pub(crate) fn nginx_pid(&self) -> Option<u32> {
        let pid: u32 = std::fs::read_to_string(&self.pid_file).ok()?.trim().parse().ok()?;
        std::path::Path::new(&format!("/proc/{pid}")).exists().then_some(pid)
    }

    /// What is wrong at present, a sentence each.
    fn wrong_now(&self, seen: Option<&Seen>) -> Vec<String> {
        let mut wrong = Vec::new();
        match &self.reading {
            Reading::Silent(_) if self.nginx_pid().is_none() => wrong.push("nginx does not run".into()),
            Reading::Silent(why) => wrong.push(format!(
                "nginx does not answer at {}: {why}; look at its error.log",
                self.config.front.control.display()
            )),
            Reading::NoModule if self.config.front.module != ModuleChoice::None => {
                wrong.push(
                    "nginx runs without the module: nothing is counted, and nobody is taken out; see front.module"
                        .into(),
                );
            }
            _ => {}
        }
        let slots = seen.and_then(Seen::routed).and_then(|upstream| upstream.slots);
        if self.is_full || slots.is_some_and(|slots| slots.all > 0 && slots.free == 0) {
            wrong.push("every place for further instances is taken: raise front.spare".into());
        }
        for (upstream, health) in &self.rules.healths {
            wrong.extend(health.panic().map(|panic| format!("upstream {upstream}: {}", panic.why)));
        }
        let limit = self.slow_limit();
        for (place, past) in self.pasts.iter().filter(|(_, past)| past.slow) {
            let p99_ms = past.is_slow(self.looked_ms, &self.bounds_ms, limit);
            wrong.extend(p99_ms.map(|p99_ms| slow_words(&place.backend, limit, p99_ms)));
        }
        wrong.extend(self.failed.values().cloned());
        wrong.extend(self.lines.parked.borrow().clone());
        wrong.extend(self.second.wrong());
        wrong
    }
}
