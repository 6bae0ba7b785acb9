//! nginx as a program: found, asked, told.

use std::{
    ffi::{OsStr, OsString},
    fs,
    io::{self, Read, Seek, SeekFrom},
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill, killpg},
    unistd::Pid,
};

use crate::{FrontError, Site, site::read_pid};

/// How long `nginx -t` may take.
const TEST_WAIT: Duration = Duration::from_secs(10);
/// How long nginx may take to end at once.
const END_WAIT: Duration = Duration::from_secs(5);
/// Most bytes of nginx's messages that are looked at.
const MESSAGES_MAX: u64 = 64 << 10;

/// Looks for nginx in `path`, the text of `PATH`, and where Debian keeps what only root usually calls.
pub(crate) fn find(path: Option<&OsStr>) -> Result<PathBuf, FrontError> {
    let folders = path.into_iter().flat_map(std::env::split_paths).filter(|folder| folder.is_absolute());
    let usual = ["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from);
    let runs = |file: &PathBuf| {
        fs::metadata(file).is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
    };
    folders.chain(usual).map(|folder| folder.join("nginx")).find(runs).ok_or(FrontError::NotInstalled)
}

/// What every call of nginx has in common.
fn arguments(site: &Site, conf: &Path) -> [OsString; 6] {
    let dir = site.dir.clone().into_os_string();
    ["-e".into(), site.error_log().into(), "-p".into(), dir, "-c".into(), conf.into()]
}

/// Has nginx check a configuration.
///
/// # Errors
/// [`FrontError::Rejected`] with nginx's own words; [`FrontError::Run`] if it cannot be asked.
pub(crate) fn test(program: &Path, site: &Site, conf: &Path) -> Result<(), FrontError> {
    let run_error = |error| FrontError::Run { program: program.into(), error };
    let mut command = Command::new(program);
    command.arg("-t").args(arguments(site, conf));
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(run_error)?;
    let status = wait(&mut child, TEST_WAIT).map_err(run_error)?;
    if status.success() {
        return Ok(());
    }
    let mut text = String::new();
    if let Some(stderr) = child.stderr.take() {
        stderr.take(MESSAGES_MAX).read_to_string(&mut text).map_err(run_error)?;
    }
    Err(FrontError::Rejected { message: message(&text).unwrap_or_else(|| status.to_string()) })
}

fn wait(child: &mut Child, patience: Duration) -> io::Result<ExitStatus> {
    let deadline = Instant::now() + patience;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        if Instant::now() >= deadline {
            child.kill()?;
            child.wait()?;
            return Err(io::Error::from(io::ErrorKind::TimedOut));
        }
        thread::sleep(Duration::from_millis(5));
    }
}

/// The command that runs nginx in the foreground, in a process group of its own. nginx ends when the thread that
/// started it does, even if that is killed; so start it from one that lives as long as the program.
pub(crate) fn foreground(program: &Path, site: &Site) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "TERM", "--"]).arg(program).args(arguments(site, &site.conf()));
    command.args(["-g", "daemon off;"]).stdin(Stdio::null()).stdout(Stdio::null()).process_group(0);
    command
}

/// Ends an nginx that [`foreground`] started, with its workers: a master that is killed leaves them behind.
pub(crate) fn end(child: &mut Child) {
    let group = Pid::from_raw(child.id().cast_signed());
    let _ = kill(group, Signal::SIGTERM);
    // `wait` kills a master that does not end in time.
    let _ = wait(child, END_WAIT);
    let _ = killpg(group, Signal::SIGKILL);
}

/// The running master of this front, if there is one.
pub(crate) fn master(site: &Site) -> Result<Option<i32>, FrontError> {
    let file = site.pid_file();
    let Some(pid) = read_pid(&file).map_err(FrontError::file(&file))? else { return Ok(None) };
    // A number that was given to another process since must not be signalled.
    let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let conf = site.conf().into_os_string().into_encoded_bytes();
    Ok(line.windows(conf.len()).any(|part| part == conf).then_some(pid))
}

/// The workers that still take connections; those that are shutting down do not.
pub(crate) fn workers(master: i32) -> Vec<i32> {
    let children = fs::read_to_string(format!("/proc/{master}/task/{master}/children")).unwrap_or_default();
    let takes_connections = |pid: &i32| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let title = String::from_utf8_lossy(&line);
        title.starts_with("nginx: worker process") && !title.contains("shutting down")
    };
    children.split_whitespace().filter_map(|pid| pid.parse().ok()).filter(takes_connections).collect()
}

/// Tells the master to read its configuration again.
pub(crate) fn reload(program: &Path, pid: i32) -> Result<(), FrontError> {
    let error = |errno: nix::Error| FrontError::Run { program: program.into(), error: errno.into() };
    kill(Pid::from_raw(pid), Signal::SIGHUP).map_err(error)
}

/// Where the log ends now, to read later what came after.
pub(crate) fn log_end(site: &Site) -> u64 {
    fs::metadata(site.error_log()).map_or(0, |meta| meta.len())
}

/// Why nginx gave up, if the log after `from` says it did.
pub(crate) fn message_since(site: &Site, from: u64) -> Option<String> {
    let mut file = fs::File::open(site.error_log()).ok()?;
    file.seek(SeekFrom::Start(from)).ok()?;
    let mut text = Vec::new();
    file.take(MESSAGES_MAX).read_to_end(&mut text).ok()?;
    message(&String::from_utf8_lossy(&text))
}

/// The first line by which nginx gives up (level `emerg`), without its time and level.
fn message(text: &str) -> Option<String> {
    text.lines().find_map(|line| {
        let (_, said) = line.split_once("[emerg] ")?;
        let (number, rest) = said.split_once(": ").unwrap_or(("", said));
        let is_pid = number.split('#').all(|part| part.bytes().all(|b| b.is_ascii_digit()));
        Some(if is_pid { rest } else { said }.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_of_nginx() {
        let text = "nginx: [warn] something\nnginx: [emerg] unknown directive \"x\" in /a:1\nnginx: configuration file test failed\n";
        assert_eq!(message(text).as_deref(), Some("unknown directive \"x\" in /a:1"));
        let log =
            "2024/05/01 10:00:00 [emerg] 12#12: bind() to 127.0.0.1:80 failed (98: Address already in use)\n";
        assert_eq!(
            message(log).as_deref(),
            Some("bind() to 127.0.0.1:80 failed (98: Address already in use)")
        );
        assert_eq!(message("nginx: the syntax is ok\n"), None);
    }

    #[test]
    fn where_nginx_is_looked_for() {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("nginx");
        fs::write(&program, "").unwrap();
        assert_ne!(find(Some(folder.path().as_os_str())).ok(), Some(program.clone()), "it is not executable");
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!(find(Some(folder.path().as_os_str())).unwrap(), program);
    }
}
