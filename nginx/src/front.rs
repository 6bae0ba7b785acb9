//! The front in force: what is rendered is tested, put in place, taken up and proved; or the old one stays.

use std::{
    io,
    net::TcpListener,
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::{Child, Command},
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use switchboard_fleet::config::{Config, ModuleChoice};

use crate::{
    FrontError, Site, Switch, Switches, backend,
    compare::{besides_backends, configured, generation_of, next_generation},
    control, process, render, store,
};

/// How long nginx gets to take up a configuration.
const TAKE_UP: Duration = Duration::from_secs(10);

/// The nginx of one server. Calls block, for seconds at worst.
#[derive(Debug, Clone)]
pub struct Front {
    program: PathBuf,
    site: Site,
}

/// What [`Front::apply`] did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// The number of the configuration now in place.
    pub generation: u64,
    /// Whether a running nginx has taken it up; if none runs, the next start does.
    pub live: bool,
    /// Why nginx runs without the module that is there, in nginx's own words.
    pub without_module: Option<String>,
}

/// How the front is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status {
    /// nginx's master process.
    pub pid: Option<i32>,
    /// The configuration that it serves.
    pub generation: Option<u64>,
}

impl Front {
    /// The front that `config` describes; nothing is written yet.
    ///
    /// # Errors
    /// [`FrontError::NotInstalled`], or [`FrontError::Path`] for a path that nginx cannot carry.
    pub fn new(config: &Config) -> Result<Self, FrontError> {
        let program = process::find(std::env::var_os("PATH").as_deref())?;
        Ok(Self { program, site: Site::of(config)? })
    }

    /// The switches as they were last left.
    ///
    /// # Errors
    /// [`FrontError::Switches`] if the file is damaged.
    pub fn switches(&self) -> Result<Switches, FrontError> {
        Switches::kept(&self.site)
    }

    /// Renders `config` with the kept switches and puts it in force by a reload of nginx, which reads its certificates again too.
    ///
    /// # Errors
    /// Whatever goes wrong, the configuration before stays, or comes back, in place and in force.
    pub fn apply(&self, config: &Config) -> Result<Applied, FrontError> {
        self.site.make(config)?;
        let _lock = store::Lock::take(&self.site.dir)?;
        self.put_in_force(config, &self.switches()?)
    }

    /// As [`Front::apply`], but nothing is reloaded if only instances came or went and a controller runs: it lets them in and out of the
    /// running nginx.
    ///
    /// # Errors
    /// As [`Front::apply`].
    pub fn follow(&self, config: &Config) -> Result<Applied, FrontError> {
        self.site.make(config)?;
        let _lock = store::Lock::take(&self.site.dir)?;
        let switches = self.switches()?;
        if self.is_by_itself(config, &switches)? {
            return self.place(config, &switches);
        }
        self.put_in_force(config, &switches)
    }

    /// Keeps the switches, and renders `config` with them into the file for nginx's next start. The running nginx is left as it is:
    /// whoever calls has switched in it by the module.
    ///
    /// # Errors
    /// [`FrontError::Outdated`] if `config` is not the one whose front is in place; else as [`Front::apply`]. Nothing has changed then.
    pub fn keep(&self, config: &Config, switches: &Switches) -> Result<Applied, FrontError> {
        self.site.make(config)?;
        let _lock = store::Lock::take(&self.site.dir)?;
        self.is_in_place(config, switches)?;
        store::save_switches(&self.site.dir, switches)?;
        self.place(config, switches)
    }

    /// Keeps the switches and puts them in force by a reload.
    ///
    /// # Errors
    /// As [`Front::keep`], and then the switches stay as they were.
    pub fn put(&self, config: &Config, switches: &Switches) -> Result<Applied, FrontError> {
        self.site.make(config)?;
        let _lock = store::Lock::take(&self.site.dir)?;
        self.is_in_place(config, switches)?;
        let before = self.switches()?;
        self.switch_over(config, &before, switches)
    }

    /// Switches one instance, keeps that, and puts it in force: in the running nginx by the module, or else by a reload.
    ///
    /// # Errors
    /// [`FrontError::Refused`] for the last one in rotation, unless forced; else as [`Front::apply`], and then
    /// the switch stays as it was.
    pub fn switch(
        &self,
        config: &Config,
        port: u16,
        switch: Switch,
        force: bool,
    ) -> Result<Applied, FrontError> {
        self.site.make(config)?;
        let _lock = store::Lock::take(&self.site.dir)?;
        let before = self.switches()?;
        let after = before.with(port, switch, &config.instances, force)?;
        if !self.has_module()? {
            return self.switch_over(config, &before, &after);
        }
        store::save_switches(&self.site.dir, &after)?;
        let control = self.site.control(config);
        let switched = control::switch(&control, backend(config, port), after.setting(port));
        if let Err(error) = switched {
            store::save_switches(&self.site.dir, &before)?;
            return Err(error);
        }
        self.place(config, &after)
    }

    /// Whether the nginx that runs has the module.
    ///
    /// # Errors
    /// [`FrontError::File`] if a file of the front cannot be read.
    pub fn has_module(&self) -> Result<bool, FrontError> {
        let runs = process::master(&self.site)?.is_some();
        Ok(runs && store::read(&self.site.conf())?.is_some_and(|text| text.contains("load_module ")))
    }

    /// How the front is at this moment.
    ///
    /// # Errors
    /// [`FrontError::File`] if its pid file cannot be read.
    pub fn status(&self, config: &Config) -> Result<Status, FrontError> {
        let pid = process::master(&self.site)?;
        let generation = pid.and_then(|_| control::generation(&self.site.control(config)));
        Ok(Status { pid, generation })
    }

    /// Makes sure that nginx can start: the addresses are free, no socket of a killed one is in the way.
    ///
    /// # Errors
    /// [`FrontError::Address`] names the address that is not free.
    pub fn clear_the_way(&self, config: &Config) -> Result<(), FrontError> {
        for address in &config.front.listen {
            let address = *address;
            TcpListener::bind(address).map_err(|error| FrontError::Address { address, error })?;
        }
        let control = self.site.control(config);
        if process::master(&self.site)?.is_none() {
            match std::fs::remove_file(&control) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(FrontError::File { path: control, error });
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// The command that runs nginx in the foreground with the configuration in place; SIGQUIT ends it in peace.
    /// nginx ends with the *thread* that starts it.
    pub fn command(&self) -> Command {
        process::foreground(&self.program, &self.site)
    }

    /// Starts nginx as a child and waits until it serves the configuration in place, `generation`.
    ///
    /// # Errors
    /// [`FrontError::Address`] for an address in use; [`FrontError::NotInForce`] with nginx's words for the rest.
    pub fn start(&self, config: &Config, generation: u64) -> Result<Child, FrontError> {
        self.clear_the_way(config)?;
        let from = process::log_end(&self.site);
        let run_error = |error| FrontError::Run { program: self.program.clone(), error };
        let mut child = self.command().spawn().map_err(run_error)?;
        let ended = || child.try_wait().is_ok_and(|status| status.is_some());
        if self.serves(config, generation, ended) {
            return Ok(child);
        }
        process::end(&mut child);
        Err(self.not_in_force(from))
    }

    /// Ends an nginx that [`Front::start`] gave, cutting what runs through it; takes 5 seconds at most.
    pub fn end(mut nginx: Child) {
        process::end(&mut nginx);
    }

    /// Waits until a starting nginx serves `generation`, for 10 seconds at most.
    pub fn await_generation(&self, config: &Config, generation: u64) -> bool {
        self.serves(config, generation, || false)
    }

    /// Kept first: a configuration in force whose switch is forgotten would undo itself at the next apply.
    fn switch_over(
        &self,
        config: &Config,
        before: &Switches,
        after: &Switches,
    ) -> Result<Applied, FrontError> {
        store::save_switches(&self.site.dir, after)?;
        let applied = self.put_in_force(config, after);
        if applied.is_err() {
            store::save_switches(&self.site.dir, before)?;
        }
        applied
    }

    /// Whether the running nginx becomes what `config` says without a reload, as its controller sees to it.
    fn is_by_itself(&self, config: &Config, switches: &Switches) -> Result<bool, FrontError> {
        if !self.has_module()?
            || UnixStream::connect(self.site.base.join(config.controller_socket())).is_err()
        {
            return Ok(false);
        }
        let Some(before) = store::read(&self.site.conf())? else { return Ok(false) };
        let after = self.text(config, switches, &self.site, 0);
        Ok(besides_backends(&before).eq(besides_backends(&after)))
    }

    /// Whether what is in place was rendered from `config`: a program that was started with an older one must not bring that back.
    fn is_in_place(&self, config: &Config, switches: &Switches) -> Result<(), FrontError> {
        let Some(there) = store::read(&self.site.conf())? else { return Ok(()) };
        let bare = Site { module: None, ..self.site.clone() };
        let is_it = |site| configured(&there).eq(configured(&render(config, switches, site, 0)));
        if is_it(&self.site) || is_it(&bare) { Ok(()) } else { Err(FrontError::Outdated) }
    }

    /// Puts a configuration in place that is no news to the running nginx.
    fn place(&self, config: &Config, switches: &Switches) -> Result<Applied, FrontError> {
        let conf = self.site.conf();
        let before = store::read(&conf)?;
        // The number stays: what runs and what is written are the same in effect.
        let generation = generation_of(before.as_deref()).unwrap_or_else(now_ms);
        let (text, without_module) = self.tested(config, switches, generation)?;
        store::write(&conf, &text)?;
        let live = process::master(&self.site)?.is_some();
        Ok(Applied { generation, live, without_module })
    }

    /// The configuration's text, which nginx would take. If it does not take the module that was found, the text without it.
    fn tested(
        &self,
        config: &Config,
        switches: &Switches,
        generation: u64,
    ) -> Result<(String, Option<String>), FrontError> {
        let candidate = store::beside(&self.site.conf());
        let test = |site: &Site| {
            let text = self.text(config, switches, site, generation);
            std::fs::write(&candidate, &text).map_err(FrontError::file(&candidate))?;
            process::test(&self.program, site, &candidate).map(|()| text)
        };
        match (test(&self.site), &self.site.module) {
            (Err(FrontError::Rejected { message }), Some(module))
                if config.front.module == ModuleChoice::Auto && is_about(&message, module) =>
            {
                test(&Site { module: None, ..self.site.clone() }).map(|text| (text, Some(message)))
            }
            (tested, _) => tested.map(|text| (text, None)),
        }
    }

    /// What is rendered, and which certificates were there: new ones want a reload.
    fn text(&self, config: &Config, switches: &Switches, site: &Site, generation: u64) -> String {
        let stamp = |path: &Path| {
            let modified = std::fs::metadata(site.base.join(path)).and_then(|meta| meta.modified());
            modified
                .ok()
                .and_then(|time| time.duration_since(UNIX_EPOCH).ok())
                .map_or(0, |time| time.as_nanos())
        };
        let files = config.front.tls.iter().flat_map(|tls| [&tls.certificate, &tls.key]);
        let stamps: String = files.map(|path| format!("# a file of {}\n", stamp(path))).collect();
        render(config, switches, site, generation) + &stamps
    }

    fn put_in_force(&self, config: &Config, switches: &Switches) -> Result<Applied, FrontError> {
        let conf = self.site.conf();
        let before = store::read(&conf)?;
        let generation = next_generation(before.as_deref(), now_ms());
        let (text, without_module) = self.tested(config, switches, generation)?;
        store::write(&conf, &text)?;
        let Some(pid) = process::master(&self.site)? else {
            return Ok(Applied { generation, live: false, without_module });
        };
        let from = process::log_end(&self.site);
        let old_workers = process::workers(pid);
        process::reload(&self.program, pid)?;
        let refused = || process::message_since(&self.site, from).is_some();
        if self.serves(config, generation, refused) && only_new_workers(pid, &old_workers) {
            return Ok(Applied { generation, live: true, without_module });
        }
        self.roll_back(&conf, before.as_deref(), pid, &old_workers)?;
        Err(self.not_in_force(from))
    }

    /// The old text again; read again too, in case nginx was only slow to take up the new one. Workers started
    /// by that show that nginx is through with the attempt before.
    fn roll_back(
        &self,
        conf: &Path,
        before: Option<&str>,
        pid: i32,
        workers: &[i32],
    ) -> Result<(), FrontError> {
        let Some(before) = before else { return Ok(()) };
        store::write(conf, before)?;
        process::reload(&self.program, pid)?;
        only_new_workers(pid, workers);
        Ok(())
    }

    fn serves(&self, config: &Config, generation: u64, mut given_up: impl FnMut() -> bool) -> bool {
        let control = self.site.control(config);
        let deadline = Instant::now() + TAKE_UP;
        while Instant::now() < deadline && !given_up() {
            if control::generation(&control) == Some(generation) {
                return true;
            }
            thread::sleep(Duration::from_millis(10));
        }
        false
    }

    fn not_in_force(&self, log_from: u64) -> FrontError {
        let message = process::message_since(&self.site, log_from);
        let silent = || format!("nothing is said in {}", self.site.error_log().display());
        FrontError::NotInForce { waited: TAKE_UP, message: message.unwrap_or_else(silent) }
    }
}

/// Waits until none of the `old` workers takes connections any more: for a moment nginx runs both.
fn only_new_workers(master: i32, old: &[i32]) -> bool {
    let deadline = Instant::now() + TAKE_UP;
    while Instant::now() < deadline {
        if !process::workers(master).iter().any(|pid| old.contains(pid)) {
            return true;
        }
        thread::sleep(Duration::from_millis(10));
    }
    false
}

/// Whether nginx's words are about loading the module, or about what only the module knows.
fn is_about(message: &str, module: &Path) -> bool {
    message.contains(&*module.to_string_lossy()) || message.contains("\"switchboard_")
}

fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_millis() as u64)
}
