use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

const NOT_AWAY: Around = Around { away: false, missing: false };
const UNHEARD: Around = Around { away: true, missing: true };

fn point(at_ms: u64, boot: u64) -> Point {
    Point { at_ms, boot, seq: 1, start_ms: Some(0) }
}

fn span(from: Point, to: Point) -> Span {
    Span::between(from, to).unwrap()
}

#[test]
fn each_reason() {
    let same = span(point(1_000_000, 1), point(2_000_000, 1));
    assert_eq!(same.why(NOT_AWAY), None);
    assert_eq!(same.why(Around { missing: true, ..NOT_AWAY }), None, "the worker's own loss");
    assert_eq!(same.why(Around { away: true, ..NOT_AWAY }), None, "nothing was told meanwhile");
    assert_eq!(same.why(UNHEARD), Some(Why::MonitorDown));

    let other = span(point(1_000_000, 1), point(2_000_000, 1_900_000));
    assert_eq!(other.why(NOT_AWAY), Some(Why::InstanceDown));
    assert_eq!(other.why(UNHEARD), Some(Why::InstanceDown), "it started late in the gap");
    let at_once = span(point(1_000_000, 1), point(2_000_000, 1_000_500));
    assert_eq!(at_once.why(NOT_AWAY), Some(Why::InstanceDown));
    assert_eq!(at_once.why(UNHEARD), Some(Why::MonitorDown));
}

#[test]
fn a_clock_that_was_set() {
    let jump = |by| {
        let to = Point { start_ms: Some(by), ..point(2_000_000, 1) };
        span(point(1_000_000, 1), to).why(NOT_AWAY)
    };
    assert_eq!((jump(30_000), jump(-30_000)), (None, None));
    assert_eq!((jump(30_001), jump(-30_001)), (Some(Why::ClockJumped), Some(Why::ClockJumped)));
    assert_eq!(jump(i64::MIN), Some(Why::ClockJumped));
    let unknown = Point { start_ms: None, ..point(2_000_000, 1) };
    assert_eq!(span(point(1_000_000, 1), unknown).why(NOT_AWAY), None);
}

#[test]
fn a_gap_is_more_than_ninety_seconds() {
    assert_eq!(Span::between(point(0, 1), point(90_000, 1)), None);
    assert!(Span::between(point(0, 1), point(90_001, 1)).is_some());
    assert_eq!(Span::between(point(90_001, 1), point(0, 1)), None, "backwards");
}

proptest! {
    /// However late samples come into a gap, what is left of it is as if they had come in order.
    #[test]
    fn late_samples_in_any_order(late in prop::collection::vec(1_u64..2000, 0..40)) {
        let at = |second: u64| point(second * 1000, 1);
        let mut spans = vec![span(at(0), at(2000))];
        for second in &late {
            let hit = |span: &Span| span.from.at_ms < second * 1000 && second * 1000 < span.to.at_ms;
            let Some(index) = spans.iter().position(hit) else { continue };
            let split: Vec<_> = spans.remove(index).split(at(*second)).collect();
            spans.extend(split);
        }
        spans.sort_by_key(|span| span.from.at_ms);
        let all: Vec<u64> = [0].into_iter().chain(late.into_iter().collect::<BTreeSet<_>>()).chain([2000]).collect();
        let expected: Vec<_> = all.windows(2).filter_map(|pair| Span::between(at(pair[0]), at(pair[1]))).collect();
        prop_assert_eq!(spans, expected);
    }
}
