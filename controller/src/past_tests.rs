use proptest::prelude::*;

use super::*;
use crate::seen::SeenBackend;

const BOUNDS: [u64; 4] = [1, 10, 5000, 10_000];
const BEGIN_MS: u64 = 1_000_000 * 60_000;

/// A backend that answers, and its past.
#[derive(Default)]
struct Played {
    backend: SeenBackend,
    past: Past,
}

impl Played {
    fn answers(&mut self, count: u64, bucket: usize) {
        self.backend.requests += count;
        self.backend.answered += count;
        self.backend.response.buckets.resize(BOUNDS.len() + 1, 0);
        self.backend.response.buckets[bucket] += count;
        self.backend.response.sum_ms += count * 7;
    }

    fn look(&mut self, now_ms: u64) -> Option<Delta> {
        self.past.take(now_ms, Counters::of(&self.backend), false)
    }
}

proptest! {
    #[test]
    fn heat_is_all_that_was_answered_within_the_hour(
        batches in prop::collection::vec((0u64..90_000, 0u64..50, 0usize..5), 1..200),
    ) {
        let (mut played, mut now_ms, mut all) = (Played::default(), BEGIN_MS, Vec::new());
        played.look(now_ms);
        for (pause_ms, count, bucket) in batches {
            now_ms += pause_ms;
            played.answers(count, bucket);
            prop_assert_eq!(played.look(now_ms).unwrap().begun, count);
            all.push((now_ms / 60_000, count, bucket));
        }
        let place = Place { upstream: "u".into(), backend: "b".into() };
        let heat = played.past.heat(place, now_ms, &BOUNDS);
        prop_assert_eq!(heat.columns.len(), 60);
        for bucket in 0..=BOUNDS.len() {
            let shown: u64 = heat.columns.iter().filter_map(|column| column.get(bucket)).sum();
            let within = |minute: u64| now_ms / 60_000 - minute < MINUTES;
            let told: u64 =
                all.iter().filter(|(minute, _, at)| within(*minute) && *at == bucket).map(|one| one.1).sum();
            prop_assert_eq!(shown, told);
        }
        let newest: u64 = heat.columns[59].iter().sum();
        let told: u64 = all.iter().filter(|(minute, ..)| *minute == now_ms / 60_000).map(|one| one.1).sum();
        prop_assert_eq!(newest, told);
        prop_assert!(played.past.seconds.len() <= 60 && played.past.minutes.len() <= 60);
        let spread = played.past.recent(now_ms, &BOUNDS);
        prop_assert!(spread.p50_ms <= spread.p99_ms);
        prop_assert_eq!(spread.mean_ms.is_some(), spread.count > 0);
    }
}

#[test]
fn rates_are_of_the_last_minute() {
    let mut played = Played::default();
    played.look(BEGIN_MS);
    for second in 1..=100 {
        played.answers(20, 0);
        if second > 90 {
            (played.backend.failures, played.backend.read_timeouts) =
                (played.backend.failures + 20, played.backend.read_timeouts + 20);
        }
        played.look(BEGIN_MS + second * 1000);
        let rates = played.past.rates(BEGIN_MS + second * 1000);
        assert!((rates.per_second - 20.0).abs() < 1e-9, "second {second}: {rates:?}");
    }
    let rates = played.past.rates(BEGIN_MS + 100_000);
    assert!((rates.failed - 200.0 / 1400.0).abs() < 1e-9, "{rates:?}");
    assert_eq!(played.look(BEGIN_MS + 170_000).map(|delta| delta.begun), Some(0));
    assert_eq!(played.past.rates(BEGIN_MS + 170_000), Rates::default());
}

#[test]
fn counters_that_went_back_begin_anew() {
    let mut played = Played::default();
    played.answers(100, 1);
    assert_eq!(played.look(BEGIN_MS), None);
    played.answers(5, 1);
    assert_eq!(played.look(BEGIN_MS + 1000).map(|delta| delta.begun), Some(5));
    played.backend = SeenBackend::default();
    played.answers(50, 1);
    assert_eq!(played.look(BEGIN_MS + 2000), None);
    assert_eq!(played.past.rates(BEGIN_MS + 2000).begun, 0);
    played.answers(3, 1);
    assert_eq!(played.look(BEGIN_MS + 3000).map(|delta| delta.begun), Some(3));
    assert_eq!(played.past.recent(BEGIN_MS + 3000, &BOUNDS).count, 8);
}

#[test]
fn slow_is_what_lasts() {
    let limit = SlowLimit { over_ms: 5000, minutes: 5 };
    let slow_after = |minutes: u64, slow: u64, pause: Option<u64>| {
        let mut played = Played::default();
        played.look(BEGIN_MS);
        for minute in 0..minutes {
            played.answers(40, 0);
            // The third bucket ends at 5 s: what is in it is not over that.
            played.answers(slow, if pause == Some(minute) { 2 } else { 3 });
            played.look(BEGIN_MS + minute * 60_000 + 30_000);
        }
        let now_ms = BEGIN_MS + minutes * 60_000 + 1000;
        played.look(now_ms);
        played.past.is_slow(now_ms, &BOUNDS, limit)
    };
    assert_eq!(slow_after(5, 1, None), Some(10_000));
    assert_eq!(slow_after(4, 1, None), None, "not long enough");
    assert_eq!(slow_after(5, 0, None), None);
    assert_eq!(slow_after(5, 1, Some(2)), None, "a minute in between was well");
    assert_eq!(slow_after(6, 1, Some(0)), Some(10_000));
}
