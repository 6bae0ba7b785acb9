use proptest::prelude::*;
use switchboard_fleet::report::{Level, Sample};

use super::*;

fn told() -> impl Strategy<Value = Told> {
    let text = "\\PC*|[\\x00-\\x7f]{0,40}";
    prop_oneof![
        Just(Told::Started),
        Just(Told::Stopping),
        (any::<u64>(), any::<u32>(), text).prop_map(|(number, pid, host)| Told::State(WorkerState {
            rss_bytes: number,
            cpu_us: 1,
            uptime_s: 2,
            address: String::new(),
            version: "1".into(),
            pid,
            lost: number,
            wrong: if host.trim().is_empty() { Vec::new() } else { vec![host.clone()] },
            host,
        })),
        (any::<u64>(), 0u32..1_000_000).prop_map(|(bytes, mean)| Told::Sample(Sample {
            bytes,
            duration_avg: f64::from(mean) / 8.0,
            ..Sample::default()
        })),
        (text, text, any::<i64>()).prop_map(|(message, key, value)| Told::Log(LogLine {
            level: Level::Warning,
            message,
            data: [(key, value.into())].into_iter().collect(),
        })),
        (text, text).prop_map(|(message, place)| Told::Panic { message, place }),
    ]
}

proptest! {
    #[test]
    fn a_line_is_the_report(seq: u64, at_ms: u64, told in told()) {
        let line = Unnumbered::new(at_ms, told.clone()).unwrap().number(seq);
        prop_assert!(!line.text.contains('\n') && line.text.len() <= LINE_MAX);
        let report: Report = serde_json::from_str(&line.text).unwrap();
        prop_assert_eq!(report, Report { seq, at_ms, told });
        prop_assert_eq!(Line::parse(line.text.as_bytes()), Some(line));
    }

    #[test]
    fn a_torn_line_is_none(seq: u64, told in told(), torn in any::<prop::sample::Index>()) {
        let line = Unnumbered::new(1, told).unwrap().number(seq);
        prop_assert_eq!(Line::parse(&line.text.as_bytes()[..torn.index(line.text.len())]), None);
    }

    #[test]
    fn a_batch_is_its_lines(worker in "\\PC{1,30}", boot: u64, told in prop::collection::vec(told(), 0..9)) {
        let lines: Vec<Line> = told.iter().zip(1..)
            .map(|(told, seq)| Unnumbered::new(7, told.clone()).unwrap().number(seq)).collect();
        let text = batch(&worker, WorkerKind::Front, boot, &lines).unwrap();
        let reports = told.into_iter().zip(1..).map(|(told, seq)| Report { seq, at_ms: 7, told }).collect();
        let wanted = Batch { worker, kind: WorkerKind::Front, boot, reports };
        prop_assert_eq!(serde_json::from_str::<Batch>(&text).unwrap(), wanted);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn a_long_report_is_cut(character in any::<char>(), times in LINE_MAX / 4..LINE_MAX * 3) {
        let long: String = std::iter::repeat_n(character, times).collect();
        let data: serde_json::Map<_, _> = [(long.clone(), long.clone().into())].into_iter().collect();
        let state = WorkerState {
            rss_bytes: 1, cpu_us: 1, uptime_s: 1, host: long.clone(), address: long.clone(), version: long.clone(),
            pid: 1, lost: 0, wrong: vec![long.clone(); WorkerState::WRONG_MAX],
        };
        for told in [
            Told::Log(LogLine { level: Level::Error, message: long.clone(), data }),
            Told::Panic { message: long.clone(), place: long.clone() },
            Told::State(state),
        ] {
            let kind = std::mem::discriminant(&told);
            let line = Unnumbered::new(u64::MAX, told).unwrap().number(u64::MAX);
            prop_assert!(line.text.len() <= LINE_MAX, "{} bytes", line.text.len());
            let report: Report = serde_json::from_str(&line.text).unwrap();
            prop_assert_eq!(std::mem::discriminant(&report.told), kind);
        }
    }
}
