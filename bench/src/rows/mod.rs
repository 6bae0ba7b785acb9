//! What is measured, a file for each kind of row.

mod announce;
mod charts;
mod even;
mod front;
mod latency;
mod locations;
mod lost;
mod many;
mod memory;
mod rathole;
mod registrations;
mod reports;
mod samples;
mod through;
mod transactions;
mod worker;

use std::{fmt, net::SocketAddr, ops::RangeInclusive, path::PathBuf};

use clap::ValueEnum;

use crate::{
    effort::Effort,
    load::{Expect, Load, StandIn, Turn, echo},
    machine,
    nginx::{ANSWERED, GIVEN, GIVEN_BYTES, Nginx, PROXIED},
    plain::Plain,
    serve::Instance,
    table::Line,
};

/// A row, or the few that come from one measurement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum RowName {
    /// Transactions with bodies of 1 KiB.
    #[value(name = "1k")]
    Small,
    /// Transactions with bodies of 64 KiB.
    #[value(name = "64k")]
    Middle,
    /// Transactions with bodies of 4 MiB.
    #[value(name = "4m")]
    Large,
    /// Registrations of new customers.
    Registrations,
    /// The time that one transaction takes while nothing else happens.
    Latency,
    /// The same where agent and app go through nginx.
    FrontLatency,
    /// Another program that carries what is behind NAT.
    Rathole,
    /// Where agents are, told to other servers.
    Announce,
    /// Memory of parked agents, and of connections that wait.
    Parked,
    /// Memory and speed of the location table.
    Locations,
    /// Ordinary callers beside slow ones, and beside a long line.
    Even,
    /// Very many agents at several instances.
    Many,
    /// Samples into their archives.
    Samples,
    /// Charts of archives.
    Charts,
    /// Reports into the monitor.
    Reports,
    /// What the worker library costs.
    Worker,
    /// Reports while the monitor is killed.
    Lost,
    /// What the module costs nginx.
    FrontCost,
    /// A backend of the front dies.
    DeadBackend,
    /// An instance joins the front.
    Join,
    /// A backend of the front is switched.
    Switch,
}

impl RowName {
    /// In the order of the table.
    pub(crate) const ALL: [Self; 21] = [
        Self::Small,
        Self::Middle,
        Self::Large,
        Self::Registrations,
        Self::Latency,
        Self::FrontLatency,
        Self::Rathole,
        Self::Announce,
        Self::Parked,
        Self::Locations,
        Self::Even,
        Self::Many,
        Self::Samples,
        Self::Charts,
        Self::Reports,
        Self::Worker,
        Self::Lost,
        Self::FrontCost,
        Self::DeadBackend,
        Self::Join,
        Self::Switch,
    ];
}

impl fmt::Display for RowName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_possible_value().map_or(Ok(()), |value| f.write_str(value.get_name()))
    }
}

/// What all rows share.
pub(crate) struct Scene {
    /// How much is to be tried.
    pub(crate) effort: Effort,
    /// The measure, if it is installed.
    pub(crate) nginx: Option<Nginx>,
    /// The measure of the HTTP library.
    pub(crate) plain: Plain,
    /// Another program that does what an instance does, if it is installed.
    pub(crate) rathole: Option<PathBuf>,
    /// The measure of archives and charts, if it is installed.
    pub(crate) rrdtool: Option<PathBuf>,
    /// nginx's module, if it was built and nginx is there.
    pub(crate) module: Option<PathBuf>,
    /// Behind nginx and rathole.
    echo: StandIn,
}

impl Scene {
    /// Starts nginx, if there is one, and what stands behind it.
    pub(crate) async fn set(effort: Effort) -> anyhow::Result<Self> {
        let echo = StandIn::start(echo).await?;
        let nginx = match machine::find("nginx") {
            Some(program) => Some(Nginx::start(&program, echo.address())?),
            None => {
                eprintln!("nginx is not installed (scripts/setup.sh does it): its columns stay empty");
                None
            }
        };
        let rathole = crate::rathole::find()?;
        if rathole.is_none() {
            eprintln!("rathole: not installed (scripts/rathole.sh does it): its columns stay empty");
        }
        let rrdtool = machine::find("rrdtool");
        if rrdtool.is_none() {
            eprintln!("rrdtool is not installed (`scripts/setup.sh tests` does it): its columns stay empty");
        }
        let module = crate::front::module()?.filter(|_| nginx.is_some());
        if module.is_none() {
            eprintln!(
                "nginx's module is not there (scripts/module.sh builds it): rows of the front are left out"
            );
        }
        Ok(Self { effort, nginx, plain: Plain::start()?, rathole, rrdtool, module, echo })
    }
}

/// Measures one row.
pub(crate) async fn measure(row: RowName, scene: &Scene) -> anyhow::Result<Vec<Line>> {
    match row {
        RowName::Small => transactions::measure(scene, &transactions::SMALL).await,
        RowName::Middle => transactions::measure(scene, &transactions::MIDDLE).await,
        RowName::Large => transactions::measure(scene, &transactions::LARGE).await,
        RowName::Registrations => registrations::measure(scene).await,
        RowName::Latency => latency::measure(scene).await,
        RowName::FrontLatency => through::measure(scene).await,
        RowName::Rathole => rathole::measure(scene).await,
        RowName::Announce => announce::measure(scene).await,
        RowName::Parked => memory::parked(scene).await,
        RowName::Locations => locations::measure(scene).await,
        RowName::Even => even::measure(scene).await,
        RowName::Many => many::measure(scene).await,
        RowName::Samples => samples::measure(scene).await,
        RowName::Charts => charts::measure(scene).await,
        RowName::Reports => reports::measure(scene).await,
        RowName::Worker => worker::measure(scene).await,
        RowName::Lost => lost::measure(scene).await,
        RowName::FrontCost => front::cost::measure(scene).await,
        RowName::DeadBackend => front::dead::measure(scene).await,
        RowName::Join => front::join::measure(scene).await,
        RowName::Switch => front::switch::measure(scene).await,
    }
}

/// An app and an agent that has two polls, so that one is parked while the other's request is answered.
const POLLS: usize = 2;

/// Agents for `customers`, parked when this returns.
pub(crate) async fn agents(instance: &Instance, customers: RangeInclusive<u64>) -> anyhow::Result<Load> {
    agents_through(instance.address(), instance, customers).await
}

/// The same through a front.
async fn agents_through(
    front: SocketAddr,
    instance: &Instance,
    customers: RangeInclusive<u64>,
) -> anyhow::Result<Load> {
    let mut load = Load::new();
    add_agents(&mut load, front, instance, customers).await?;
    Ok(load)
}

/// The same, besides what `load` has.
async fn add_agents(
    load: &mut Load,
    front: SocketAddr,
    instance: &Instance,
    customers: RangeInclusive<u64>,
) -> anyhow::Result<()> {
    let mut polls = 0;
    for id in customers {
        let headers = instance.agent_headers(id)?;
        for _ in 0..POLLS {
            load.serve(front, instance.port(), &headers).await?;
            polls += 1;
        }
    }
    load.during(instance.until_parked(polls)).await
}

/// The head of an app's request.
pub(crate) fn app_head(instance: &Instance, id: u64) -> String {
    format!(
        "POST /client/{} HTTP/1.1\r\nContent-Type: application/octet-stream\r\nX-IWP-ProductUnivId: {id}\r\n",
        instance.port()
    )
}

/// One turn of nginx proxying bodies of `length` bytes.
async fn proxy_turn(nginx: &Nginx, effort: &Effort, callers: u64, length: usize) -> anyhow::Result<Turn> {
    nginx_turn(nginx, effort, callers, PROXIED, Expect::Echo(length)).await
}

/// One turn of nginx answering by itself.
async fn answer_turn(nginx: &Nginx, effort: &Effort, callers: u64) -> anyhow::Result<Turn> {
    nginx_turn(nginx, effort, callers, ANSWERED, Expect::Done).await
}

/// One turn of nginx answering by itself with the bodies of a transaction's three requests: a poll, which is answered with a
/// request; an app's request, which is answered with the reply; an agent's reply.
async fn given_turn(nginx: &Nginx, effort: &Effort, callers: u64) -> anyhow::Result<Turn> {
    let mut load = Load::new();
    for n in 0..callers {
        let (path, sent, answered) = match n % 3 {
            0 => (GIVEN, 0, GIVEN_BYTES),
            1 => (GIVEN, GIVEN_BYTES, GIVEN_BYTES),
            _ => (ANSWERED, GIVEN_BYTES, 0),
        };
        load.call(nginx.address(), &proxied_head(path), Expect::Bytes { sent, answered }).await?;
    }
    let turn = load.turn(effort, || nginx.cpu()).await?;
    tell("nginx, bodies of its own", turn);
    Ok(turn)
}

async fn nginx_turn(
    nginx: &Nginx,
    effort: &Effort,
    callers: u64,
    path: &str,
    expect: Expect,
) -> anyhow::Result<Turn> {
    let mut load = Load::new();
    for _ in 0..callers {
        load.call(nginx.address(), &proxied_head(path), expect).await?;
    }
    let turn = load.turn(effort, || nginx.cpu()).await?;
    tell(&format!("nginx {path}"), turn);
    Ok(turn)
}

/// One turn of the bare server of hyper.
async fn plain_turn(scene: &Scene, callers: u64, expect: Expect) -> anyhow::Result<Turn> {
    let mut load = Load::new();
    for _ in 0..callers {
        load.call(scene.plain.address(), &proxied_head("/"), expect).await?;
    }
    let turn = load.turn(&scene.effort, || scene.plain.cpu()).await?;
    tell("hyper alone", turn);
    Ok(turn)
}

/// The head of a request for nginx, or for whoever sends bodies back.
fn proxied_head(path: &str) -> String {
    format!("POST {path} HTTP/1.1\r\nContent-Type: application/octet-stream\r\n")
}

fn nginx_address(scene: &Scene) -> Option<SocketAddr> {
    scene.nginx.as_ref().map(Nginx::address)
}

/// Shows that something happens.
fn tell(who: &str, turn: Turn) {
    eprintln!("{who}: {:.0} calls per CPU second, {:.2} of a core", turn.per_cpu_second(), turn.cores());
}
