//! The record of who switched what: lines of JSON, on disk before the order is answered.

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
};

use serde_json::{Value, json};
use switchboard_fleet::front::{Done, Order};

/// A file of this length is followed by a new one.
const BYTES_MAX: u64 = 10 << 20;
/// So many older files are kept.
const OLDER_MAX: u32 = 5;

/// Where the record is.
#[derive(Debug, Clone)]
pub(crate) struct Audit(PathBuf);

impl Audit {
    /// In the front's folder.
    pub(crate) fn new(folder: &Path) -> Self {
        Self(folder.join("audit.log"))
    }

    /// Adds a line; durable when this returns. Blocks.
    pub(crate) fn add(&self, line: &Value) -> io::Result<()> {
        self.add_to(line, BYTES_MAX)
    }

    fn add_to(&self, line: &Value, bytes_max: u64) -> io::Result<()> {
        let is_long = |meta: fs::Metadata| meta.len() >= bytes_max;
        if fs::metadata(&self.0).is_ok_and(is_long) {
            for number in (1..OLDER_MAX).rev() {
                match fs::rename(self.older(number), self.older(number + 1)) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                    _ => {}
                }
            }
            fs::rename(&self.0, self.older(1))?;
        }
        let mut file = fs::OpenOptions::new().append(true).create(true).open(&self.0)?;
        file.write_all(format!("{line}\n").as_bytes())?;
        file.sync_all()
    }

    fn older(&self, number: u32) -> PathBuf {
        let mut name = self.0.as_os_str().to_owned();
        name.push(format!(".{number}"));
        name.into()
    }
}

/// The line about an order.
pub(crate) fn line(order: &Order, done: &Done, at_ms: u64) -> Value {
    let mut line = json!({
        "at_ms": at_ms,
        "id": cut(&order.id),
        "who": cut(&order.who),
        "why": cut(&order.why),
        "upstream": cut(&order.place.upstream),
        "backend": cut(&order.place.backend),
        "change": order.change.word(),
        "until_ms": order.until_ms,
        "force": order.force,
        "done": done.outcome.is_ok(),
        "outcome": outcome(done),
    });
    if let switchboard_fleet::front::Change::Weight { percent } = order.change {
        line["percent"] = percent.into();
    }
    line
}

/// What became of an order, in a sentence.
pub(crate) fn outcome(done: &Done) -> String {
    match &done.outcome {
        Ok(sentence) => sentence.clone(),
        Err(refused) => refused.to_string(),
    }
}

/// A refused order may hold anything.
fn cut(text: &str) -> String {
    text.chars().take(Order::WORDS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_record_is_bounded() {
        let folder = tempfile::tempdir().unwrap();
        let audit = Audit::new(folder.path());
        for number in 0..1000 {
            audit.add_to(&json!({ "number": number }), 500).unwrap();
        }
        let files = fs::read_dir(folder.path()).unwrap().count();
        assert_eq!(files, 1 + OLDER_MAX as usize);
        let newest = fs::read_to_string(folder.path().join("audit.log")).unwrap();
        assert!(newest.ends_with("{\"number\":999}\n"));
        let before = fs::read_to_string(folder.path().join("audit.log.1")).unwrap();
        assert!(before.len() < 600 && before.lines().all(|line| serde_json::from_str::<Value>(line).is_ok()));
    }
}
