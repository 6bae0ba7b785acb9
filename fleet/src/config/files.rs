//! What a configuration needs on disk: looked at, never changed.

use std::{
    fs::File,
    path::{Path, PathBuf},
};

use nix::unistd::{AccessFlags, access};

use super::{
    Config,
    faults::{Fault, Place},
};
use crate::KeyRing;

/// What a look at the disk found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Files {
    /// What will not work.
    pub faults: Vec<Fault>,
    /// What is worth knowing, a line each.
    pub notes: Vec<String>,
}

/// Looks whether the key file, the certificates and the folders that `config` names can be used by this user.
///
/// A key file that is not there is a note, since `switchboard up` makes it.
pub fn check_files(config: &Config) -> Files {
    let mut files = Files::default();
    files.key(&config.key_file);
    if let Some(https) = &config.listen.https {
        files.readable("listen.https.certificate", &https.certificate);
        files.readable("listen.https.key", &https.key);
    }
    if let Some(tls) = &config.front.tls
        && (config.front.follow.is_none() || tls.key.exists())
    {
        files.readable("front.tls.certificate", &tls.certificate);
        files.readable("front.tls.key", &tls.key);
    }
    files.folder("state_dir", &config.state_dir);
    if config.monitor.run {
        files.archives(&config.monitor.archives);
    }
    files.parent("front.control", Some(&config.front.control));
    files.parent("range_file", config.range_file.as_ref());
    files.parent("master_range_file", config.master_range_file.as_ref());
    files.parent("log_file", config.log_file.as_ref());
    files.parent("stats_file", config.stats_file.as_ref());
    files
}

impl Files {
    fn fault(&mut self, path: &Path, key: &str, message: impl Into<String>) {
        self.faults.push(Fault::new(Place::File(path.into(), None), key, message));
    }

    fn key(&mut self, path: &Path) {
        if path.try_exists().is_ok_and(|exists| !exists) {
            let note = format!("{}: there is no fleet key yet: `switchboard up` makes one", path.display());
            self.notes.push(note);
            self.parent("key_file", Some(&path.to_path_buf()));
        } else if let Err(error) = KeyRing::read(path) {
            let text = error.to_string();
            let message = text.strip_prefix(&format!("{}: ", path.display())).unwrap_or(&text);
            self.fault(path, "key_file", message);
        }
    }

    fn readable(&mut self, key: &str, path: &Path) {
        match File::open(path).and_then(|file| file.metadata()) {
            Ok(meta) if meta.is_file() => {}
            Ok(_) => self.fault(path, key, "is not a file"),
            Err(error) => self.fault(path, key, format!("cannot be read: {error}")),
        }
    }

    /// Without archives there are no charts, but everything else runs.
    fn archives(&mut self, folder: &Path) {
        let mut archives = Self::default();
        archives.folder("monitor.archives", folder);
        self.notes
            .extend(archives.faults.iter().map(|fault| format!("{fault}: the monitor keeps no archives")));
    }

    fn parent(&mut self, key: &str, path: Option<&PathBuf>) {
        if let Some(folder) = path.and_then(|path| path.parent()) {
            self.folder(key, folder);
        }
    }

    /// A folder must be there or able to be made, and take new files.
    fn folder(&mut self, key: &str, folder: &Path) {
        let mut nearest = folder;
        while !nearest.exists() {
            match nearest.parent() {
                Some(parent) if !parent.as_os_str().is_empty() => nearest = parent,
                _ => {
                    nearest = Path::new(".");
                    break;
                }
            }
        }
        if !nearest.is_dir() {
            self.fault(folder, key, format!("{} is not a folder", nearest.display()));
        } else if let Err(error) = access(nearest, AccessFlags::W_OK | AccessFlags::X_OK) {
            let message =
                format!("{} takes no files: {}; change its owner or mode", nearest.display(), error.desc());
            self.fault(folder, key, message);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Https, load::start_at};
    use std::{fs, os::unix::fs::PermissionsExt};

    fn config_in(folder: &Path) -> Config {
        let mut config = Config::default();
        start_at(&mut config, folder);
        config
    }

    #[test]
    fn a_fresh_folder_is_good_and_lacks_only_the_key() {
        let folder = tempfile::tempdir().unwrap();
        let files = check_files(&config_in(folder.path()));
        assert_eq!(files.faults, []);
        assert_eq!(files.notes.len(), 1);
        assert_eq!(folder.path().read_dir().unwrap().count(), 0, "nothing is changed");
    }

    #[test]
    fn everything_that_will_not_work_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let mut config = config_in(folder.path());
        KeyRing::create(&config.key_file, [7; 32]).unwrap();
        assert_eq!(check_files(&config), Files::default());

        fs::set_permissions(&config.key_file, fs::Permissions::from_mode(0o644)).unwrap();
        let absent = folder.path().join("cert.pem");
        config.listen.https = Some(Https { port: 1, certificate: absent, key: folder.path().into() });
        config.state_dir = config.key_file.join("var");
        config.log_file = Some(config.key_file.join("log/8081.log"));
        let keys: Vec<_> = check_files(&config).faults.iter().map(|f| f.key().to_owned()).collect();
        assert_eq!(
            keys,
            ["key_file", "listen.https.certificate", "listen.https.key", "state_dir", "log_file"]
        );
    }

    #[test]
    fn archives_that_cannot_be_kept_stop_nobody() {
        let folder = tempfile::tempdir().unwrap();
        let mut config = config_in(folder.path());
        KeyRing::create(&config.key_file, [7; 32]).unwrap();
        config.monitor.archives = config.key_file.join("archives");
        let files = check_files(&config);
        assert!(files.faults.is_empty() && files.notes.len() == 1, "{files:?}");
        assert!(files.notes[0].contains("monitor.archives: "), "{}", files.notes[0]);
        config.monitor.run = false;
        assert_eq!(check_files(&config), Files::default());
    }
}
