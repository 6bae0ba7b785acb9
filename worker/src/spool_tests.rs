use proptest::prelude::*;
use switchboard_fleet::report::{Level, LogLine, Told, WorkerState};

use super::*;
use crate::line::Unnumbered;

const BOOT: u64 = 9;
const ROOMY: u64 = 1 << 30;

fn line(seq: u64, is_state: bool, length: usize) -> Line {
    let text = "x".repeat(length);
    let told = if is_state {
        Told::State(WorkerState {
            rss_bytes: 0,
            cpu_us: 0,
            uptime_s: 0,
            host: text,
            address: String::new(),
            version: String::new(),
            pid: 0,
            lost: 0,
            wrong: Vec::new(),
        })
    } else {
        Told::Log(LogLine { level: Level::Info, message: text, data: serde_json::Map::new() })
    };
    Unnumbered::new(1, told).unwrap().number(seq)
}

/// What the spool holds, read batch by batch.
fn drain(spool: &mut Spool, reports_max: usize) -> Vec<(u64, Line)> {
    let mut all = Vec::new();
    while let Some((name, lines)) = spool.next(reports_max, 500) {
        assert!(lines.len() <= reports_max);
        spool.done(name, lines.last().unwrap().seq);
        all.extend(lines.into_iter().map(|line| (name.boot, line)));
    }
    assert!(spool.is_empty());
    all
}

fn on_disk(folder: &Path) -> Vec<(FileName, u64)> {
    let entries = fs::read_dir(folder).unwrap().map(Result::unwrap);
    let named = |entry: fs::DirEntry| {
        (FileName::parse(entry.file_name().to_str().unwrap()).unwrap(), entry.metadata().unwrap().len())
    };
    let mut files: Vec<_> = entries.map(named).collect();
    files.sort();
    files
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_was_written_is_read_in_order_also_by_the_next_life(
        batches in prop::collection::vec(prop::collection::vec((any::<bool>(), 0usize..300), 0..20), 0..8),
        file_bytes in 1u64..5000, reports_max in 1usize..30, torn in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let mut spool = Spool::new(folder.path().into(), BOOT, Vec::new(), file_bytes, ROOMY);
        let mut lines = Vec::new();
        for batch in batches {
            let from = lines.len();
            for (is_state, length) in batch {
                lines.push(line(lines.len() as u64 + 1, is_state, length));
            }
            let last = lines[from..].last().map(|line: &Line| line.seq);
            prop_assert_eq!(spool.append(lines[from..].iter()), last);
        }
        drop(spool);
        if let (Some(torn), Some((name, bytes))) = (torn, on_disk(folder.path()).pop()) {
            let cut = torn.index(bytes as usize) as u64;
            let path = folder.path().join(name.text());
            OpenOptions::new().write(true).open(&path).unwrap().set_len(cut).unwrap();
            let text = fs::read_to_string(&path).unwrap();
            // A line is whole without the sign of its end.
            let whole = text.split('\n').filter(|line| Line::parse(line.as_bytes()).is_some()).count() as u64;
            lines.truncate((name.first - 1 + whole) as usize);
        }
        let mut next = Spool::new(folder.path().into(), BOOT + 1, on_disk(folder.path()), file_bytes, ROOMY);
        let later = line(1, false, 3);
        next.append(std::iter::once(&later));
        let mut wanted: Vec<_> = lines.into_iter().map(|line| (BOOT, line)).collect();
        wanted.push((BOOT + 1, later));
        prop_assert_eq!(drain(&mut next, reports_max), wanted);
        prop_assert_eq!(on_disk(folder.path()), vec![]);
    }

    #[test]
    fn it_stays_within_its_bound_and_counts_what_goes(
        kinds in prop::collection::vec((prop::bool::weighted(0.7), 0usize..2000), 1..80),
        file_bytes in 1u64..8000, disk_bytes in 4096u64..40_000, done in 0usize..20,
    ) {
        let folder = tempfile::tempdir().unwrap();
        let mut spool = Spool::new(folder.path().into(), BOOT, Vec::new(), file_bytes, disk_bytes);
        let (mut taken, mut lost) = (0, 0);
        for (seq, &(is_state, length)) in (1..).zip(&kinds) {
            let line = line(seq, is_state, length);
            prop_assert_eq!(spool.append(std::iter::once(&line)), Some(seq));
            let held: u64 = on_disk(folder.path()).iter().map(|(_, bytes)| bytes).sum();
            prop_assert!(held <= disk_bytes, "{} of {}", held, disk_bytes);
            lost += spool.take_lost();
            if seq as usize == done && let Some((name, lines)) = spool.next(3, 4000) {
                taken = lines.len();
                spool.done(name, lines.last().unwrap().seq);
                spool.release();
            }
        }
        let kept = drain(&mut spool, 100);
        prop_assert_eq!(taken + lost as usize + kept.len(), kinds.len());
        // When something else had to go, the states that were there had gone.
        let kept_log = |seq| kept.iter().any(|(_, line)| line.seq == seq && !line.is_state);
        let lost_log = (1..).zip(&kinds).filter(|&(seq, (is_state, _))| !is_state && !kept_log(seq)).last();
        if let (0, Some((lost_log, _))) = (taken, lost_log) {
            prop_assert!(kept.iter().all(|(_, line)| !line.is_state || line.seq > lost_log));
        }
    }

    #[test]
    fn no_content_of_a_file_does_harm(content in prop::collection::vec(any::<u8>(), 0..40_000), at in 0u64..3) {
        let folder = tempfile::tempdir().unwrap();
        let name = FileName { boot: 1, first: 1 };
        let good = line(5, false, 10);
        let mut bytes = content.clone();
        bytes.push(b'\n');
        bytes.extend_from_slice(good.text.as_bytes());
        fs::write(folder.path().join(name.text()), &bytes).unwrap();
        let mut spool = Spool::new(folder.path().into(), BOOT, on_disk(folder.path()), 1000, ROOMY);
        let read = drain(&mut spool, 1 + at as usize);
        prop_assert_eq!(read.last(), Some(&(1, good)));
    }
}

#[test]
fn states_go_first_and_then_the_oldest() {
    let folder = tempfile::tempdir().unwrap();
    // Every line is a file of its own, which counts for 4096.
    let mut spool = Spool::new(folder.path().into(), BOOT, Vec::new(), 1, 4 * 4096);
    for (seq, is_state) in [(1, false), (2, true), (3, false), (4, true), (5, false), (6, false), (7, false)]
    {
        assert_eq!(spool.append(std::iter::once(&line(seq, is_state, 10))), Some(seq));
    }
    assert_eq!(spool.take_lost(), 3);
    let kept: Vec<u64> = drain(&mut spool, 10).into_iter().map(|(_, line)| line.seq).collect();
    assert_eq!(kept, [3, 5, 6, 7]);
}

#[test]
fn what_is_on_its_way_is_not_thrown_away() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = Spool::new(folder.path().into(), BOOT, Vec::new(), 1, 2 * 4096);
    spool.append(std::iter::once(&line(1, true, 10)));
    let (name, _) = spool.next(10, 1000).unwrap();
    for seq in 2..5 {
        assert_eq!(spool.append(std::iter::once(&line(seq, true, 10))), Some(seq));
    }
    assert_eq!(spool.take_lost(), 2);
    spool.done(name, 1);
    spool.release();
    assert_eq!(drain(&mut spool, 10).len(), 1);
    assert_eq!(spool.take_lost(), 0);
}

#[test]
fn a_disk_that_takes_nothing_is_said_and_later_used_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("spool");
    let mut spool = Spool::new(path.clone(), BOOT, Vec::new(), 1000, ROOMY);
    assert_eq!(spool.append([line(1, false, 1)].iter()), None);
    assert!(spool.is_empty());
    fs::create_dir(&path).unwrap();
    assert_eq!(spool.append([line(1, false, 1), line(2, false, 1)].iter()), Some(2));
    assert_eq!(drain(&mut spool, 10).len(), 2);
}

#[test]
fn a_file_that_cannot_be_read_holds_up_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let unreadable = FileName { boot: 1, first: 1 };
    fs::create_dir(folder.path().join(unreadable.text())).unwrap();
    let mut spool = Spool::new(folder.path().into(), BOOT, vec![(unreadable, 1)], 1000, ROOMY);
    spool.append([line(1, false, 1)].iter());
    let (name, lines) = spool.next(10, 10).unwrap();
    assert_eq!((name.boot, lines.len()), (BOOT, 1));
    spool.done(name, 1);
    assert!(spool.next(10, 10).is_none() && !spool.is_empty());
}
