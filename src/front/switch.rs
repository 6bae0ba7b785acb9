//! `front on`, `off`, `drain` and `weight`.

use std::{
    net::SocketAddr,
    str::FromStr,
    time::{SystemTime, UNIX_EPOCH},
};

use anyhow::{anyhow, bail};
use nix::unistd::{Uid, User};
use switchboard_daemon::{Failure, Outcome};
use switchboard_fleet::{
    config::Config,
    front::{Capacity, Change, Order, Place},
};
use switchboard_nginx::{Front, Switch, UPSTREAM, backend};

use super::{ask, describe, say, until::Until};

/// Most of a name that is recorded; an account's is never so long.
const NAME_CHARS: usize = 64;

/// What all of them take.
#[derive(Debug, clap::Args)]
pub(super) struct Which {
    /// The instance: PORT or ADDRESS:PORT.
    backend: Backend,
    /// Why, for the record.
    #[arg(long, default_value = "")]
    why: String,
    /// Do it even if no instance stays in rotation.
    #[arg(long)]
    force: bool,
}

/// A switch that may end by itself.
#[derive(Debug, clap::Args)]
pub(super) struct Away {
    #[command(flatten)]
    which: Which,
    /// Switch it on again by itself: after 30m, 2h, 1d, or at 14:00 (UTC).
    #[arg(long, value_name = "TIME")]
    until: Option<Until>,
}

/// A part of an instance's share.
#[derive(Debug, clap::Args)]
pub(super) struct Part {
    #[command(flatten)]
    which: Which,
    /// Its part of an instance's usual share, in percent.
    #[arg(value_parser = clap::value_parser!(u32).range(1..=100))]
    percent: u32,
    /// Give it its whole share again by itself: after 30m, 2h, 1d, or at 14:00 (UTC).
    #[arg(long, value_name = "TIME")]
    until: Option<Until>,
}

/// An instance as a person names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Backend {
    Port(u16),
    Address(SocketAddr),
}

impl FromStr for Backend {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let port = || text.parse().map(Self::Port);
        text.parse().map(Self::Address).or_else(|_| port()).map_err(|_| "expected PORT or ADDRESS:PORT")
    }
}

/// `on`.
pub(super) fn on(config: &Config, which: &Which) -> Outcome {
    switch(config, which, Change::On, None)
}

/// `off` and `drain`.
pub(super) fn away(config: &Config, away: &Away, change: Change) -> Outcome {
    switch(config, &away.which, change, away.until)
}

/// `weight`.
pub(super) fn weight(config: &Config, part: &Part) -> Outcome {
    switch(config, &part.which, Change::Weight { percent: part.percent }, part.until)
}

fn switch(config: &Config, which: &Which, change: Change, until: Option<Until>) -> Outcome {
    if ask::is_there(config) {
        return Ok(order(config, which, change, until)?);
    }
    let remembers = config.front_dir().join("controller.json").exists();
    if remembers && !which.force {
        return Err(anyhow!(
            "the front's controller does not run, and when it is back it does what it knows: start it (`switchboard up`, or \
             switchboard-controller.service); --force switches until then"
        )
        .into());
    }
    // Without a controller nobody could switch it back, or weigh it.
    if until.is_some() || !which.why.is_empty() {
        return Err(anyhow!(
            "the front's controller does not run: --until and --why are its business; start `switchboard up`"
        )
        .into());
    }
    let switch = match change {
        Change::On => Switch::On,
        Change::Drain => Switch::Drain,
        Change::Off => Switch::Off,
        Change::Weight { .. } => {
            return Err(anyhow!(
                "the front's controller does not run, and weights are its business; start `switchboard up`"
            )
            .into());
        }
    };
    let port = port_of(which.backend, config).map_err(Failure::Configuration)?;
    let applied = Front::new(config)?.switch(config, port, switch, which.force)?;
    say(format!("instance {port}: {switch}; {}", describe(&applied)));
    Ok(())
}

/// By the controller: what is left is shown first, then it is done.
fn order(config: &Config, which: &Which, change: Change, until: Option<Until>) -> anyhow::Result<()> {
    let table = ask::table(config)?;
    let address = match which.backend {
        Backend::Port(port) => backend(config, port),
        Backend::Address(address) => address,
    };
    let place = Place { upstream: UPSTREAM.into(), backend: address.to_string() };
    let Some(upstream) = table.upstream(UPSTREAM).filter(|_| table.backend(&place).is_some()) else {
        let known: Vec<_> = table.upstreams.iter().flat_map(|upstream| &upstream.backends).collect();
        let known: Vec<_> = known.iter().map(|backend| backend.address.as_str()).collect();
        bail!("{address}: no such backend of this front; it has {}", known.join(", "));
    };
    let capacity = Capacity::after(upstream, &place.backend, change);
    say(format!(
        "{} of {} backends in service, with {:.0} % of the weight that serves now",
        capacity.after,
        capacity.before.max(capacity.after),
        capacity.left * 100.0
    ));
    let now_ms = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis() as u64;
    let order = Order {
        id: format!("{:x}-{:x}", now_ms, rand::random::<u64>()),
        place,
        change,
        who: person(),
        why: which.why.clone(),
        until_ms: until.map(|until| until.from(now_ms)),
        force: which.force,
        seen: Some(table.version),
    };
    say(ask::order(config, &order)?);
    Ok(())
}

/// Who runs this command: the name of the account, also of one that became another by `sudo`.
fn person() -> String {
    let account = || User::from_uid(Uid::current()).ok().flatten().map(|user| user.name);
    let sudo = std::env::var("SUDO_USER")
        .ok()
        .filter(|name| !name.is_empty() && !name.chars().any(char::is_control));
    let name = sudo.or_else(account).unwrap_or_else(|| format!("user {}", Uid::current()));
    name.chars().take(NAME_CHARS).collect()
}

fn port_of(backend: Backend, config: &Config) -> anyhow::Result<u16> {
    let (port, here) = match backend {
        Backend::Port(port) => (port, true),
        Backend::Address(address) => (address.port(), address.ip() == config.listen.address),
    };
    if here && config.instances.contains(&port) {
        return Ok(port);
    }
    let address = config.listen.address;
    let known: Vec<_> =
        config.instances.iter().map(|port| SocketAddr::new(address, *port).to_string()).collect();
    Err(anyhow!("{port}: no such instance of this server; it has {}", known.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backends_as_a_person_names_them() {
        let config = Config::default();
        let port = |text: &str| {
            text.parse().map_err(anyhow::Error::msg).and_then(|backend| port_of(backend, &config))
        };
        assert_eq!(port("8082").unwrap(), 8082);
        assert_eq!(port("127.0.0.1:8081").unwrap(), 8081);
        for unknown in ["8083", "127.0.0.2:8081", "127.0.0.1:1", "eight", "", "8081x", "70000"] {
            assert!(port(unknown).is_err(), "{unknown}");
        }
    }

    #[test]
    fn somebody_runs_this() {
        assert!(!person().is_empty());
    }
}
