//! `switchboard key`: makes the fleet's key.

use std::{fs, path::Path};

use anyhow::{Context, anyhow};
use rand::{TryRng, rngs::SysRng};
use switchboard_daemon::Outcome;
use switchboard_fleet::{KeyRing, config};

/// Makes a key at `key_file`, readable by its owner only; an existing file is left alone and is an error.
pub(crate) fn run(config: &Path) -> Outcome {
    let path = config::load(config)?.key_file;
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        fs::create_dir_all(folder)
            .with_context(|| format!("{}: the folder cannot be made", folder.display()))?;
    }
    let mut random = [0; 32];
    SysRng.try_fill_bytes(&mut random).context("the system gives no random numbers")?;
    // The text says the cause already.
    KeyRing::create(&path, random).map_err(|error| anyhow!(error.to_string()))?;
    say(&path);
    Ok(())
}

#[allow(clippy::print_stdout, reason = "this is where the command speaks to a person")]
fn say(path: &Path) {
    println!("{}: a new fleet key; copy it to every server of the fleet, and nowhere else", path.display());
}
