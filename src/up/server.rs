//! The processes of one server: its instances, nginx in front of them, and beside them the front's controller and the monitor.

use std::{
    collections::BTreeMap,
    io,
    net::{SocketAddr, TcpListener},
    process::Stdio,
    sync::{Arc, atomic::AtomicU32},
    time::Duration,
};

use anyhow::{Context, anyhow, bail};
use nix::sys::signal::Signal;
use switchboard_controller::followed;
use switchboard_daemon::Failure;
use switchboard_fleet::config::{Config, Whole};
use switchboard_instance::StartError;
use switchboard_nginx::Front;
use tokio::{process::Command, sync::watch};

use super::{
    Program,
    child::{Child, Ready, Spec, State},
    companion::{CONTROLLER, Companion, MONITOR},
    failed, load, look_at_files,
    plan::{Plan, Settings, plan},
    voice::{FrontWorker, stamp},
};

/// How long an instance or nginx may take to serve.
const START_MAX: Duration = Duration::from_secs(15);
/// Beyond `timeouts.drain`, for what follows a drain.
const AFTER_DRAIN: Duration = Duration::from_secs(5);
/// How long nginx gets for its last answers once no instance is left.
const FRONT_GRACE: Duration = Duration::from_secs(5);

/// The processes and what they were started with.
pub(super) struct Server {
    program: Program,
    whole: Whole,
    front: Front,
    instances: BTreeMap<u16, Instance>,
    nginx: Option<Child>,
    nginx_pid: Arc<AtomicU32>,
    monitor: Companion,
    controller: Companion,
    front_worker: FrontWorker,
    /// What nginx is started and asked with, also after a reload.
    in_force: watch::Sender<Config>,
}

struct Instance {
    child: Child,
    settings: Settings,
}

impl Server {
    /// Nothing runs yet.
    ///
    /// # Errors
    /// nginx is not installed, or an address of the front or of an instance is taken.
    pub(super) fn new(program: Program, whole: Whole) -> anyhow::Result<Self> {
        let front = Front::new(&whole.server)?;
        front.clear_the_way(&whole.server)?;
        for (port, config) in &whole.instances {
            let address = SocketAddr::new(config.listen.address, *port);
            // Said here in one line, before anything has been started.
            TcpListener::bind(address).map_err(|cause| StartError::Listen { address, cause })?;
        }
        let in_force = watch::Sender::new(whole.server.clone());
        let nginx_pid = Arc::<AtomicU32>::default();
        Ok(Self {
            monitor: Companion::new(MONITOR, program.clone()),
            controller: Companion::new(CONTROLLER, program.clone()),
            front_worker: FrontWorker::start(&whole.server, program.voice.clone(), nginx_pid.clone()),
            program,
            whole,
            front,
            instances: BTreeMap::new(),
            nginx: None,
            nginx_pid,
            in_force,
        })
    }

    /// The server's view of the configuration in use.
    pub(super) fn config(&self) -> &Config {
        &self.whole.server
    }

    /// The address of the monitor's pages, if there is a monitor: this server's own, or another's.
    pub(super) fn page(&self) -> Option<String> {
        let config = self.config();
        let is_there = self.monitor.is_up() || !config.monitor.run;
        config.monitor_url().filter(|_| is_there).map(|url| url + "/")
    }

    /// Starts everything; whoever calls must [`Server::stop`] what runs if this fails.
    pub(super) async fn start(&mut self) -> Result<(), Failure> {
        self.monitor.start(&self.whole.server);
        // Instances tell it that they are there, and a further front takes from it with what nginx is to start.
        self.controller.start(&self.whole.server);
        self.controller.settled().await;
        // All at once; then they are waited for.
        for (port, config) in &self.whole.instances {
            self.instances.insert(*port, instance(&self.program, *port, config));
        }
        for (port, instance) in &mut self.instances {
            serving(*port, &mut instance.child).await?;
        }
        let config = followed(&self.whole.server)?;
        let front = self.front.clone();
        let applied = blocking(move || front.apply(&config)).await?;
        if let Some(why) = applied.without_module {
            let what =
                "front: nginx does not load the module, so nothing is counted and every switch is a reload";
            self.program.voice.warning(&format!("{what} ({why}); build it again with `make module`"));
        }
        let mut nginx = Child::keep(self.nginx_spec());
        let state = nginx.settled(START_MAX).await;
        self.nginx = Some(nginx);
        match state {
            State::Up => {
                self.monitor.settled().await;
                Ok(())
            }
            State::Failed(why, _) => Err(failed(format!("nginx: {why}; the lines above say why"))),
            _ => Err(failed("nginx: it was stopped".into())),
        }
    }

    /// Reads the configuration again and does what it changes. Gives what was done, a line each.
    ///
    /// # Errors
    /// What was wrong; everything runs on as before, except for instances restarted already.
    pub(super) async fn reload(&mut self) -> anyhow::Result<Vec<String>> {
        let new = load(&self.program.config)?;
        look_at_files(&new)?;
        if new.server.state_dir != self.whole.server.state_dir {
            bail!("state_dir cannot change while `up` runs: stop it and start it again");
        }
        let wanted = new.instances.iter().map(|(port, config)| (*port, settings(config))).collect();
        let running = self.instances.iter().filter(|(_, instance)| !instance.child.has_failed());
        let running = running.map(|(port, instance)| (*port, instance.settings.clone())).collect();
        let Plan { start, stop, restart } = plan(&running, &wanted);
        self.begin(&start, &new).await?;
        let config = followed(&new.server)?;
        let front = self.front.clone();
        if let Err(error) = blocking(move || front.follow(&config)).await {
            self.end(&start).await;
            return Err(error);
        }
        self.in_force.send_replace(new.server.clone());
        self.whole = new;
        self.end(&stop).await;
        for port in &restart {
            self.program.voice.info(&format!("instance {port}: its settings changed, it is restarted"));
            self.end(&[*port]).await;
            let whole = self.whole.clone();
            self.begin(&[*port], &whole).await?;
        }
        let config = self.whole.server.clone();
        self.front_worker.reload(&config).await;
        let controller = self.controller.reload(&config).await;
        let monitor = self.monitor.reload(&config).await;
        Ok(account(&start, &stop, &restart).into_iter().chain(controller).chain(monitor).collect())
    }

    /// Starts further instances and waits until they serve; none of them is left if one does not.
    async fn begin(&mut self, ports: &[u16], whole: &Whole) -> anyhow::Result<()> {
        for port in ports {
            let config =
                whole.instances.get(port).ok_or_else(|| anyhow!("instance {port} has no configuration"))?;
            self.instances.insert(*port, instance(&self.program, *port, config));
        }
        let mut outcome = Ok(());
        for port in ports {
            if let Some(instance) = self.instances.get_mut(port)
                && let Err(Failure::Failed(error) | Failure::Configuration(error)) =
                    serving(*port, &mut instance.child).await
            {
                outcome = Err(error);
            }
        }
        if outcome.is_err() {
            self.end(ports).await;
        }
        outcome
    }

    /// Drains instances and forgets them.
    async fn end(&mut self, ports: &[u16]) {
        let mut leaving: Vec<_> = ports.iter().filter_map(|port| self.instances.remove(port)).collect();
        leaving.iter().for_each(|instance| instance.child.stop());
        for instance in &mut leaving {
            instance.child.ended().await;
        }
    }

    /// Drains the instances while nginx still carries their answers, then ends nginx, and then the monitor, which hears of all that.
    pub(super) async fn stop(&mut self) {
        self.instances.values().for_each(|instance| instance.child.stop());
        for instance in self.instances.values_mut() {
            instance.child.ended().await;
        }
        if let Some(nginx) = &mut self.nginx {
            nginx.stop();
            nginx.ended().await;
        }
        self.controller.stop().await;
        self.front_worker.stop().await;
        self.monitor.stop().await;
    }

    /// Ends everything now.
    pub(super) async fn kill(&mut self) {
        let children = || self.instances.values().map(|instance| &instance.child).chain(&self.nginx);
        children().for_each(Child::kill);
        for child in self.instances.values_mut().map(|instance| &mut instance.child).chain(&mut self.nginx) {
            child.ended().await;
        }
        self.controller.kill().await;
        self.monitor.kill().await;
        self.front_worker.stop().await;
    }

    fn nginx_spec(&self) -> Spec {
        let (starter, prober) = (self.front.clone(), self.front.clone());
        let (start_config, probe_config) = (self.in_force.subscribe(), self.in_force.subscribe());
        Spec {
            name: "nginx".into(),
            command: Box::new(move || {
                starter.clear_the_way(&start_config.borrow()).map_err(io::Error::other)?;
                Ok(Command::from(starter.command()))
            }),
            ready: Ready::Probe(Box::new(move || {
                prober.status(&probe_config.borrow()).is_ok_and(|status| status.generation.is_some())
            })),
            stop_signal: Signal::SIGQUIT,
            grace: FRONT_GRACE,
            voice: self.program.voice.clone(),
            pid: self.nginx_pid.clone(),
        }
    }
}

/// Waits until an instance serves.
async fn serving(port: u16, child: &mut Child) -> Result<(), Failure> {
    match child.settled(START_MAX).await {
        State::Failed(why, status) => {
            let error = anyhow!("instance {port}: {why}; the lines above say why");
            Err(if status == Some(2) { Failure::Configuration(error) } else { Failure::Failed(error) })
        }
        State::Stopped => Err(failed(format!("instance {port}: it was stopped"))),
        State::Up | State::Starting => Ok(()),
    }
}

fn instance(program: &Program, port: u16, config: &Config) -> Instance {
    let (program, voice) = (program.clone(), program.voice.clone());
    let command = move || {
        let mut command = Command::new(&program.path);
        command.arg("--config").arg(&program.config).args(["instance", "--port", &port.to_string()]);
        // The other end is ours alone: it closes when we die, whatever we die of.
        command.arg("--exit-with-parent").stdin(Stdio::piped());
        Ok(command)
    };
    let child = Child::keep(Spec {
        name: format!("instance {port}"),
        command: Box::new(command),
        ready: Ready::Line,
        stop_signal: Signal::SIGTERM,
        grace: config.timeouts.drain.get() + AFTER_DRAIN,
        voice,
        pid: Arc::default(),
    });
    Instance { child, settings: settings(config) }
}

/// What an instance runs with, the files that it reads included.
fn settings(config: &Config) -> Settings {
    let https =
        config.listen.https.iter().flat_map(|https| [https.certificate.as_path(), https.key.as_path()]);
    let files: Vec<_> = https.chain([config.key_file.as_path()]).map(stamp).collect();
    Settings::of(config, &files.join(" "))
}

fn account(start: &[u16], stop: &[u16], restart: &[u16]) -> Vec<String> {
    let of = |ports: &[u16], what: &str| {
        ports.iter().map(|port| format!("instance {port}: {what}")).collect::<Vec<_>>()
    };
    let mut lines =
        [of(start, "started"), of(stop, "drained and stopped"), of(restart, "restarted")].concat();
    lines.push("front: in force".into());
    lines
}

/// Runs what blocks for a while beside the event loop.
async fn blocking<T: Send + 'static, E: std::error::Error + Send + Sync + 'static>(
    work: impl FnOnce() -> Result<T, E> + Send + 'static,
) -> anyhow::Result<T> {
    tokio::task::spawn_blocking(work).await.context("a thread ended early")?.map_err(anyhow::Error::from)
}
