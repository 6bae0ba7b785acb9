//! Loading a configuration: layers are read, fitted one by one, laid over each other, and judged by the rules.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    path::{Path, PathBuf},
};

use config::{ConfigError, Value};

use super::{
    Config,
    faults::{Fault, Faults, Place},
    layers::{self, Layer},
    path::KeyPath,
    rules,
    shape::{self, Finding},
};

/// The environment, as it was when the process started.
type Variables = Vec<(OsString, OsString)>;

/// A server's configuration with those of all its instances.
#[derive(Debug, Clone)]
pub struct Whole {
    /// The server's view.
    pub server: Config,
    /// Each instance's view, by its port.
    pub instances: BTreeMap<u16, Config>,
}

/// Loads the server's view: built-in defaults, the file at `path`, the environment, the later over the earlier.
/// Relative paths in it are made to start at the file's folder.
///
/// # Errors
/// Every fault at once, a missing file among them.
pub fn load(path: &Path) -> Result<Config, Faults> {
    load_from(path, None, &std::env::vars_os().collect())
}

/// Loads the view of the instance at `port`: as [`load`], with `instance/PORT.toml` beside the file, if there is
/// one, below the environment. Whether `port` is one of the server's instances is not asked here.
///
/// # Errors
/// Every fault at once.
pub fn load_instance(path: &Path, port: u16) -> Result<Config, Faults> {
    load_from(path, Some(port), &std::env::vars_os().collect())
}

/// Loads the server's view and that of every instance it names.
///
/// # Errors
/// Every fault of all these files at once.
pub fn load_whole(path: &Path) -> Result<Whole, Faults> {
    whole_from(path, &std::env::vars_os().collect())
}

fn whole_from(path: &Path, variables: &Variables) -> Result<Whole, Faults> {
    let server = load_from(path, None, variables);
    // With faults in the server's view its instances are not known; then those that have files are looked at.
    let ports = server.as_ref().map_or_else(|_| ports_with_files(path), |config| config.instances.clone());
    let mut instances = BTreeMap::new();
    let mut faults = Vec::new();
    for port in ports {
        match load_from(path, Some(port), variables) {
            Ok(config) => drop(instances.insert(port, config)),
            Err(more) => faults.extend(more),
        }
    }
    faults.extend(shared_https(path, &instances));
    match server {
        Ok(server) => Faults::none_of(faults).map(|()| Whole { server, instances }),
        Err(more) => {
            faults.extend(more.clone());
            Err(Faults::none_of(faults).err().unwrap_or(more))
        }
    }
}

/// Instances that would share a port for HTTPS, as a setting in the server's file makes them do.
fn shared_https(path: &Path, instances: &BTreeMap<u16, Config>) -> Vec<Fault> {
    let mut taken: BTreeMap<u16, u16> = BTreeMap::new();
    let mut faults = Vec::new();
    for (port, config) in instances {
        let Some(https) = &config.listen.https else { continue };
        if let Some(other) = taken.insert(https.port, *port) {
            let message = format!("{} is instance {other}'s too: set a port of its own here", https.port);
            faults.push(Fault::new(
                in_file(&layers::instance_file(path, *port)),
                "listen.https.port",
                message,
            ));
        }
    }
    faults
}

fn ports_with_files(path: &Path) -> Vec<u16> {
    let Ok(folder) = path.with_file_name("instance").read_dir() else { return Vec::new() };
    let names = folder.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    names.filter_map(|name| name.strip_suffix(".toml")?.parse().ok()).collect()
}

pub(super) fn load_from(path: &Path, port: Option<u16>, variables: &Variables) -> Result<Config, Faults> {
    let (mut layers, mut faults) = read(path, port, variables);
    let all_read = faults.is_empty();
    // What is wrong is taken out, so that the layers can be judged together all the same.
    let mut wrong = Vec::new();
    for layer in &mut layers {
        for finding in shape::fit(&mut layer.0).1 {
            if finding.missing {
                finding.path.remove(&mut layer.0);
                continue;
            }
            faults.push(fault(path, &finding.path, finding.origin.as_deref(), finding.message));
            wrong.push(finding.path);
        }
    }
    let mut config = None;
    if all_read {
        let merged = merge(layers).map_err(|error| vec![Fault::new(in_file(path), "", error.to_string())]);
        config =
            merged.and_then(|merged| judge(path, merged, &wrong)).map_err(|more| faults.extend(more)).ok();
    }
    Faults::none_of(faults)?;
    let mut config = config.unwrap_or_default();
    start_at(&mut config, path.parent().unwrap_or(Path::new("")));
    Ok(config)
}

/// Reads every layer there is, the lowest first.
fn read(path: &Path, port: Option<u16>, variables: &Variables) -> (Vec<Layer>, Vec<Fault>) {
    let mut files = vec![layers::read_file(path, false)];
    files.extend(port.map(|port| layers::read_file(&layers::instance_file(path, port), true)));
    let (mut layers, mut faults) = (Vec::new(), Vec::new());
    for file in files {
        match file {
            Ok(layer) => layers.extend(layer),
            Err(more) => faults.extend(more),
        }
    }
    let (environment, more) = layers::read_variables(variables.iter().cloned());
    layers.push(environment);
    faults.extend(more);
    (layers, faults)
}

/// Lays the layers over each other and over those defaults that the types cannot give.
fn merge(layers: Vec<Layer>) -> Result<Value, ConfigError> {
    let default = Config::default().master;
    let mut builder = config::Config::builder()
        .set_default("master.server", default.server.as_str())?
        .set_default("master.port", default.port)?;
    for layer in layers {
        builder = builder.add_source(layer);
    }
    Ok(builder.build()?.cache)
}

/// Reads the merged layers and applies the rules; those about a key that is `wrong` already are left out.
fn judge(path: &Path, merged: Value, wrong: &[KeyPath]) -> Result<Config, Vec<Fault>> {
    let mut fitted = merged.clone();
    let (config, findings) = shape::fit(&mut fitted);
    let mut wrong = wrong.to_vec();
    let mut faults = Vec::new();
    for Finding { path: key, origin, message, .. } in findings {
        if !wrong.contains(&key) {
            faults.push(fault(path, &key, origin.as_deref().or_else(|| key.origin(&merged)), message));
        }
        wrong.push(key);
    }
    let Some(config) = config else { return Err(faults) };
    for breach in rules::breaches(&config) {
        let known = |key: &KeyPath| wrong.iter().any(|wrong| wrong.meets(key));
        if !breach.keys.iter().any(known)
            && let Some(key) = breach.keys.first()
        {
            faults.push(fault(path, key, key.origin(&merged), breach.message));
        }
    }
    if faults.is_empty() { Ok(config) } else { Err(faults) }
}

/// A fault at its origin; what is written nowhere belongs into the server's file.
fn fault(path: &Path, key: &KeyPath, origin: Option<&str>, message: String) -> Fault {
    let place = origin.map_or_else(|| in_file(path), Place::from_origin);
    Fault::new(place, key.to_string(), message)
}

fn in_file(path: &Path) -> Place {
    Place::File(path.into(), None)
}

/// Makes every relative path start at `folder`.
pub(super) fn start_at(config: &mut Config, folder: &Path) {
    let Config { key_file, state_dir, listen, front, monitor, .. } = config;
    let mut paths: Vec<&mut PathBuf> = vec![key_file, state_dir, &mut front.control, &mut monitor.archives];
    if let Some(https) = &mut listen.https {
        paths.extend([&mut https.certificate, &mut https.key]);
    }
    if let Some(tls) = &mut front.tls {
        paths.extend([&mut tls.certificate, &mut tls.key]);
    }
    paths.extend(config.range_file.as_mut());
    paths.extend(config.master_range_file.as_mut());
    paths.extend(config.log_file.as_mut());
    paths.extend(config.stats_file.as_mut());
    for path in paths {
        *path = folder.join(&*path);
    }
}

#[cfg(test)]
#[path = "load_tests.rs"]
mod tests;
