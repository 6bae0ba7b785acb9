use super::*;
use proptest::prelude::*;

fn secs(n: f64) -> Duration {
    Duration::from_secs_f64(n)
}

proptest! {
    /// From the third second on, the average of a steady pace is that pace.
    #[test]
    fn a_steady_pace_is_told(each in 1u64..1000, per_second in 1u32..50, for_secs in 3u32..600) {
        let start = Instant::now();
        let mut pace = Pace::default();
        let between = 1.0 / f64::from(per_second);
        for n in 0..for_secs * per_second {
            pace.given(each, start + secs(f64::from(n) * between));
        }
        let told = pace.per_second(start + secs(f64::from(for_secs)));
        let real = (each * u64::from(per_second)) as f64;
        prop_assert!((0.9..1.1).contains(&(told / real)), "{} is told for {}", told, real);
    }

    #[test]
    fn any_story_has_a_sound_pace(
        story in proptest::collection::vec((any::<u64>(), 0u64..10_000_000), 0..50),
        left: u64,
    ) {
        let mut now = Instant::now();
        let mut pace = Pace::default();
        for (n, millis) in story {
            now += Duration::from_millis(millis);
            pace.given(n, now);
            let fresh = pace.per_second(now);
            prop_assert!(fresh.is_finite() && fresh >= 0.0);
            prop_assert!(pace.per_second(now + secs(1.0)) <= fresh);
            let lasts = |left| pace.lasts(left, now).unwrap_or(Duration::MAX);
            prop_assert!(lasts(left) <= lasts(left.saturating_add(1)));
        }
    }

    #[test]
    fn stalls_are_added_up(story in proptest::collection::vec((1u64..5, 0u64..1000, 0u64..1000), 0..20)) {
        let mut now = Instant::now();
        let mut stalls = Stalls::default();
        let (mut count, mut total) = (0, 0);
        for (registrations, without, with) in story {
            for _ in 0..registrations {
                stalls.began(now);
                now += Duration::from_millis(without);
                total += without;
                prop_assert_eq!(stalls.total(now), Duration::from_millis(total));
            }
            count += registrations;
            stalls.ended(now);
            now += Duration::from_millis(with);
            stalls.ended(now);
            prop_assert_eq!((stalls.count(), stalls.total(now)), (count, Duration::from_millis(total)));
        }
    }
}

#[test]
fn without_ids_there_is_no_pace() {
    let now = Instant::now();
    let pace = Pace::default();
    assert_eq!(pace.per_second(now), 0.0);
    assert_eq!(pace.lasts(5, now), None);
    assert_eq!(pace.lasts(0, now), Some(Duration::ZERO));
}

#[test]
fn an_old_pace_is_forgotten() {
    let start = Instant::now();
    let mut pace = Pace::default();
    for second in 0..600 {
        pace.given(10, start + secs(f64::from(second)));
    }
    let at = |later: f64| pace.per_second(start + secs(600.0 + later));
    assert!((at(0.0) - 10.0).abs() < 0.2, "{}", at(0.0));
    assert!((at(60.0) - 10.0 / std::f64::consts::E).abs() < 0.1, "{}", at(60.0));
    assert!(at(600.0) < 0.001, "{}", at(600.0));
    assert_eq!(pace.lasts(1, start + secs(1e9)), None, "none is given any more");
}

#[test]
fn what_is_left_lasts_as_long_as_the_pace_says() {
    let start = Instant::now();
    let mut pace = Pace::default();
    for second in 0..600 {
        pace.given(4, start + secs(f64::from(second)));
    }
    let lasts = pace.lasts(4000, start + secs(600.0)).unwrap().as_secs_f64();
    assert!((lasts - 1000.0).abs() < 20.0, "{lasts}");
}

#[test]
fn a_burst_at_the_start_is_one_of_a_second() {
    let start = Instant::now();
    let mut pace = Pace::default();
    pace.given(100, start);
    assert!((pace.per_second(start) - 100.0).abs() < 1.0);
    assert!((pace.per_second(start + secs(10.0)) - 10.0).abs() < 1.0);
}

#[test]
fn a_clock_that_goes_back_changes_nothing() {
    let start = Instant::now() + secs(1000.0);
    let mut pace = Pace::default();
    pace.given(60, start);
    let told = pace.per_second(start);
    assert_eq!(pace.per_second(start - secs(100.0)), told);
    pace.given(60, start - secs(100.0));
    assert_eq!(pace.per_second(start), 2.0 * told);
}

#[test]
fn a_stall_that_lasts_is_counted_already() {
    let start = Instant::now();
    let mut stalls = Stalls::default();
    assert_eq!((stalls.count(), stalls.total(start)), (0, Duration::ZERO));
    stalls.began(start);
    stalls.began(start + secs(1.0));
    assert_eq!((stalls.count(), stalls.total(start + secs(3.0))), (2, secs(3.0)));
}
