//! Where the front's files are, and what the machine gives to it.

use std::{
    fs::{self, DirBuilder},
    io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    thread,
};

use switchboard_fleet::config::{Config, ModuleChoice};

use crate::FrontError;

/// Most nginx workers: proxying costs less than the instances do, so a few carry all of them.
const WORKERS_MAX: usize = 8;
/// Open files that are taken for granted if the system does not say.
const OPEN_FILES_FALLBACK: usize = 1024;
/// The longest path of a Unix socket, in bytes (`sun_path` without its final zero).
const SOCKET_PATH_MAX: usize = 107;

/// The surroundings of one front. All paths are absolute.
#[derive(Debug, Clone)]
pub struct Site {
    /// Everything nginx writes is in here: `STATE_DIR/front`.
    pub dir: PathBuf,
    /// Relative paths of the configuration start here.
    pub base: PathBuf,
    /// nginx workers.
    pub workers: usize,
    /// Files that one worker may open.
    pub open_files: usize,
    /// The module that counts and switches, if nginx is to load it.
    pub module: Option<PathBuf>,
}

/// The module's file.
const MODULE: &str = "ngx_http_switchboard_module.so";
/// Where packages put modules of nginx.
const MODULE_FOLDERS: [&str; 2] = ["/usr/lib/nginx/modules", "/usr/share/nginx/modules"];

impl Site {
    /// The surroundings on this machine.
    ///
    /// # Errors
    /// [`FrontError::File`] if there is no current folder, [`FrontError::Path`] if a path does not fit into an
    /// nginx configuration, [`FrontError::NoModule`] if the module is not where `front.module` says.
    pub fn of(config: &Config) -> Result<Self, FrontError> {
        let base = std::env::current_dir().map_err(FrontError::file(Path::new(".")))?;
        let cpus = thread::available_parallelism().map_or(1, usize::from);
        let open_files = fs::read_to_string("/proc/self/limits").ok();
        let site = Self {
            dir: base.join(&config.state_dir).join("front"),
            base,
            workers: cpus.min(WORKERS_MAX),
            open_files: open_files.and_then(|text| hard_limit(&text)).unwrap_or(OPEN_FILES_FALLBACK),
            module: None,
        };
        let site = Self { module: site.find_module(&config.front.module)?, ..site };
        site.check(config)?;
        Ok(site)
    }

    /// The configuration in force.
    pub fn conf(&self) -> PathBuf {
        self.dir.join("nginx.conf")
    }

    /// The process ID of nginx's master.
    pub fn pid_file(&self) -> PathBuf {
        self.dir.join("nginx.pid")
    }

    /// nginx's own messages.
    pub fn error_log(&self) -> PathBuf {
        self.dir.join("error.log")
    }

    /// The socket by which the front tells the generation of its configuration.
    pub fn control(&self, config: &Config) -> PathBuf {
        self.base.join(&config.front.control)
    }

    /// Makes the folders.
    ///
    /// # Errors
    /// [`FrontError::File`] with the folder that cannot be made.
    pub fn make(&self, config: &Config) -> Result<(), FrontError> {
        let make = |path: &Path, mode: u32| {
            DirBuilder::new().recursive(true).mode(mode).create(path).map_err(FrontError::file(path))
        };
        // nginx's workers, who may be somebody else, write into these.
        make(&self.dir.join("temp"), 0o755)?;
        // nginx lets everyone write to its sockets; the folder does not.
        self.control(config).parent().map_or(Ok(()), |folder| make(folder, 0o700))
    }

    fn find_module(&self, choice: &ModuleChoice) -> Result<Option<PathBuf>, FrontError> {
        match choice {
            ModuleChoice::None => Ok(None),
            ModuleChoice::At(path) => {
                let path = self.base.join(path);
                if path.is_file() { Ok(Some(path)) } else { Err(FrontError::NoModule { path }) }
            }
            ModuleChoice::Auto => {
                let program = std::env::current_exe().ok();
                let beside = program.iter().filter_map(|program| program.parent()).map(Path::to_owned);
                let folders = beside.chain(MODULE_FOLDERS.map(PathBuf::from));
                Ok(folders.map(|folder| folder.join(MODULE)).find(|path| path.is_file()))
            }
        }
    }

    fn check(&self, config: &Config) -> Result<(), FrontError> {
        let control = self.control(config);
        if control.as_os_str().len() > SOCKET_PATH_MAX {
            return Err(FrontError::Path {
                path: control,
                why: "longer than 107 bytes, the most of a socket's path",
            });
        }
        let tls = config.front.tls.iter().flat_map(|tls| [&tls.certificate, &tls.key]);
        let own = [control, self.dir.clone()].into_iter().chain(self.module.clone());
        for path in tls.map(|path| self.base.join(path)).chain(own) {
            let text = path.to_str().ok_or(FrontError::Path { path: path.clone(), why: "not UTF-8" })?;
            if text.contains('$') || text.contains(char::is_control) {
                return Err(FrontError::Path { path, why: "it holds a dollar sign or a control character" });
            }
        }
        Ok(())
    }
}

/// The hard limit of open files in the text of `/proc/self/limits`; a worker raises its own to it.
fn hard_limit(limits: &str) -> Option<usize> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// The first process ID in the text of a pid file.
pub(crate) fn read_pid(path: &Path) -> io::Result<Option<i32>> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(text.trim().parse().ok().filter(|pid| *pid > 1)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_of_open_files() {
        let text = "Limit   Soft Limit  Hard Limit  Units\nMax open files   1024   20000   files\n";
        assert_eq!(hard_limit(text), Some(20000));
        assert_eq!(hard_limit("Max open files  unlimited  unlimited  files"), None);
    }

    #[test]
    fn the_module_is_where_it_is_said_to_be_or_that_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(MODULE);
        let with = |module: ModuleChoice| {
            let mut config = Config::default();
            config.front.module = module;
            Site::of(&config).map(|site| site.module)
        };
        assert!(
            matches!(with(ModuleChoice::At(path.clone())), Err(FrontError::NoModule { path: named }) if named == path)
        );
        fs::write(&path, "").unwrap();
        assert_eq!(with(ModuleChoice::At(path.clone())).unwrap(), Some(path));
        assert_eq!(with(ModuleChoice::None).unwrap(), None);
    }

    #[test]
    fn paths_that_nginx_cannot_carry() {
        let with = |control: &str| {
            let mut config = Config::default();
            config.front.control = control.into();
            Site::of(&config).map(|_| ())
        };
        assert!(with("/run/front.sock").is_ok());
        assert!(matches!(with("/run/$x.sock"), Err(FrontError::Path { .. })));
        assert!(matches!(with("/run/a\nb.sock"), Err(FrontError::Path { .. })));
        assert!(matches!(with(&format!("/{}", "a".repeat(107))), Err(FrontError::Path { .. })));
    }
}
