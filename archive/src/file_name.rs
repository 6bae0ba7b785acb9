//! Names of workers as names of files: reversible, and inside the folder whatever the name says.

use std::path::{Component, Path, PathBuf};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use switchboard_fleet::report::Batch;

use crate::error::ArchiveError;

/// Stands in place of the percent sign, which librrd takes for a format when it complains about a file.
const ESCAPE: &str = "@";
/// What stays as it is. No dot: a name cannot be `.`, `..`, hidden, or end like one of the files beside an archive.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_');
/// Most bytes of one part of a path. File systems take 255; endings need some.
const PART_MAX: usize = 200;
/// The ending of an archive.
const ENDING: &str = "rrd";

/// The archive of a worker, relative to the folder of the archives. `eu.example.net/8081` is `eu@2Eexample@2Enet@2F8081.rrd`; a name
/// too long for one file is cut into folders, each ending in `+`, which no other name has.
pub(crate) fn of_worker(worker: &str) -> Result<PathBuf, ArchiveError> {
    if worker.is_empty() || worker.len() > Batch::WORKER_MAX || worker.chars().any(char::is_control) {
        return Err(ArchiveError::Name { worker: worker.into() });
    }
    let mut rest: &str = &utf8_percent_encode(worker, ENCODED).to_string().replace('%', ESCAPE);
    let mut path = PathBuf::new();
    while rest.len() > PART_MAX {
        let (part, after) = rest.split_at(PART_MAX);
        path.push(format!("{part}+"));
        rest = after;
    }
    path.push(format!("{rest}.{ENDING}"));
    Ok(path)
}

/// The worker of an archive; `None` if the path is none that [`of_worker`] gives.
pub(crate) fn to_worker(path: &Path) -> Option<String> {
    let mut encoded = String::new();
    let count = path.components().count();
    for (index, component) in path.components().enumerate() {
        let Component::Normal(part) = component else { return None };
        let part = part.to_str()?;
        encoded.push_str(if index + 1 < count {
            part.strip_suffix('+')?
        } else {
            part.strip_suffix(".rrd")?
        });
    }
    let encoded = encoded.replace(ESCAPE, "%");
    let worker = percent_decode_str(&encoded).decode_utf8().ok()?.into_owned();
    // One name for each archive: what is written in another way belongs to nobody.
    (of_worker(&worker).ok()? == path).then_some(worker)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_as_an_admin_sees_them() {
        let path = of_worker("eu.example.net:8080/8081").unwrap();
        assert_eq!(path, Path::new("eu@2Eexample@2Enet@3A8080@2F8081.rrd"));
        for bad in ["", "a\nb", "a\0", &"x".repeat(301)] {
            assert!(matches!(of_worker(bad), Err(ArchiveError::Name { .. })), "{bad:?}");
        }
        for foreign in ["a", "a.rrd.new", "../a.rrd", "@41.rrd", "%2E.rrd", "a/b.rrd", ".rrd", "é.rrd"] {
            assert_eq!(to_worker(Path::new(foreign)), None, "{foreign}");
        }
    }

    proptest! {
        #[test]
        fn every_name_comes_back_and_stays_inside(worker in "\\PC{1,80}|[./a-c]{1,12}|[é.]{1,150}") {
            prop_assume!(worker.len() <= Batch::WORKER_MAX);
            let path = of_worker(&worker).unwrap();
            prop_assert!(path.components().all(|part| matches!(part, Component::Normal(name) if name.len() <= 255 - 10)));
            prop_assert!(!path.to_str().unwrap().contains([':', '\\', '\'', '"', '%']));
            prop_assert_eq!(to_worker(&path), Some(worker));
        }

        #[test]
        fn no_archive_is_a_folder_of_another(workers in prop::collection::btree_set("[.]{60,100}", 2..20)) {
            let paths: BTreeSet<_> = workers.iter().map(|worker| of_worker(worker).unwrap()).collect();
            prop_assert_eq!(paths.len(), workers.len());
            for path in &paths {
                prop_assert!(!paths.iter().any(|other| other != path && other.starts_with(path)));
            }
        }
    }
}
