//! Hours of use in minutes: reloads, switches, joins, kills, and traffic all the time. Run by `scripts/module.sh soak N`.

use std::{
    fs,
    sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    time::Instant,
};

use crate::{
    backend::Backend,
    caller::Caller,
    front::Front,
    reloads::resident,
    routes::{SERVER, routed},
    switches::many,
};

const JOINING: usize = 8;

#[test]
#[ignore = "minutes long: scripts/module.sh soak N"]
fn nothing_grows_and_nothing_is_lost() {
    let reloads: usize = std::env::var("SWITCHBOARD_SOAK").map_or(1000, |text| text.parse().unwrap());
    let (declared, others) = (many(2), many(JOINING));
    let http = routed(declared.iter().map(|one| one.address.as_str()), 2 * JOINING);
    let front = Front::start(2, &http, SERVER);
    let (done, asked, started) = (AtomicBool::new(false), AtomicU64::new(0), Instant::now());
    let mut seen = Vec::new();
    // The one takes whom it gets, the other means one that is drained at times.
    let paths = ["/200".to_owned(), format!("/200?port={}", declared[0].port())];
    let failed: Vec<String> = std::thread::scope(|scope| {
        let callers: Vec<_> = paths
            .iter()
            .map(|path| {
                scope.spawn(|| {
                    let (mut caller, mut failed) = (Caller::new(&front), Vec::new());
                    while !done.load(SeqCst) {
                        asked.fetch_add(1, SeqCst);
                        match caller.get(path) {
                            Ok(200) => {}
                            other => failed.push(format!("{other:?}")),
                        }
                    }
                    failed
                })
            })
            .collect();
        for turn in 1..=reloads {
            orders(&front, &declared, &others[turn % JOINING], turn);
            front.reload();
            if turn.is_multiple_of((reloads / 10).max(1)) {
                let workers = front.workers().into_iter().map(resident).max().unwrap();
                let records = front.status("")["records"]["used"].as_u64().unwrap();
                seen.push((turn, resident(front.master().into()), workers, shared_memory(&front), records));
            }
        }
        done.store(true, SeqCst);
        callers.into_iter().flat_map(|caller| caller.join().unwrap()).collect()
    });
    println!("{reloads} reloads, {} requests in {:?}", asked.load(SeqCst), started.elapsed());
    println!("(reloads, master KiB, greatest worker KiB, master's shared KiB, records):");
    seen.iter().for_each(|line| println!("{line:?}"));
    assert!(failed.is_empty(), "{} failed: {:?}", failed.len(), &failed[..failed.len().min(5)]);
    front.assert_sound();
    let (first, last) = (seen[0], seen[seen.len() - 1]);
    // Under an address sanitizer what was freed takes memory for a while: there it is the errors that count.
    if std::env::var("SWITCHBOARD_PRELOAD").is_err() {
        assert!(last.1 < first.1 + 1024 && last.2 < first.2 + 1024 && last.3 < first.3 + 1024, "{seen:?}");
    }
    assert_eq!(last.4, 1 + 2 + JOINING as u64, "a record for the upstream, and one for each address");
}

fn orders(front: &Front, declared: &[Backend], other: &Backend, turn: usize) {
    front.lease([60_000, 1, 0][turn % 3]);
    front.moves("join", &other.address);
    for order in ["share=0", "share=70", "weight=7", "state=drain", "state=config"] {
        front.switch("u", &other.address, order);
    }
    let order = ["state=drain", "state=on", "state=config", "share=10", "share=100"][turn % 5];
    front.switch("u", &declared[turn % 2].address, order);
    if turn.is_multiple_of(5) {
        front.switch("u", &declared[0].address, "state=config");
        front.switch("u", &declared[1].address, "state=config");
    }
    if !turn.is_multiple_of(3) {
        front.moves("leave", &other.address);
    }
}

/// Shared memory that the master has in use, in KiB.
fn shared_memory(front: &Front) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", front.master())).unwrap();
    let line = status.lines().find(|line| line.starts_with("RssShmem")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
