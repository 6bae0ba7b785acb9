use proptest::prelude::*;
use rrd::ops::graph::graph_args;

use super::*;
use crate::chart::{ChartKind, ChartName, Format, Period};

fn request(kind: ChartKind, size: Size) -> ChartRequest {
    let name = ChartName { kind, size, period: Period::Hour, format: Format::Svg };
    ChartRequest::new(name, Vec::new(), 1_700_000_040)
}

fn arguments(request: &ChartRequest, workers: &[Known]) -> Vec<String> {
    let (props, elements) = plan(request, workers).unwrap();
    graph_args(None, &props, &elements).unwrap()
}

fn workers(names: &[&str]) -> Vec<Known> {
    names
        .iter()
        .enumerate()
        .map(|(index, name)| (String::from(*name), Ok(PathBuf::from(format!("{index}.rrd")))))
        .collect()
}

#[test]
fn each_type_draws_what_the_table_says() {
    let two = workers(&["a", "b"]);
    for kind in ChartKind::all() {
        let all = arguments(&request(kind, Size::M), &two).join("\n");
        let cf = if kind.peaks { "MAX" } else { "AVERAGE" };
        let (has, has_not) = match kind.source {
            Source::Cpu => (
                vec!["0.rrd:cpu:", "CDEF:v1=r1,0.0001,*", "LINE1.5:v0", "--rigid"],
                vec!["TOTALS", "AVERAGE\\l"],
            ),
            Source::Bytes => (
                vec!["0.rrd:bytes:", "CDEF:v1=r1,8,*", "TOTALS", "VDEF:a0_sum=a0,TOTAL", "traffic"],
                vec!["rigid"],
            ),
            Source::Agents => {
                (vec!["0.rrd:agents_u:", "CDEF:v1=r1,60,*", "AREA:v1#", "STACK"], vec!["TOTALS", "LINE1.5:"])
            }
            Source::Completed => (
                vec!["0.rrd:t_completed:", "r1,60,*", "TOTALS", "VDEF:a0_sum=a0,TOTAL", "count"],
                vec!["STACK"],
            ),
            Source::Unique => (vec!["0.rrd:t_unique:", "CDEF:v1=r1,60,*", "TOTALS"], vec!["_sum", "STACK"]),
            Source::Duration if kind.peaks => {
                (vec!["0.rrd:duration_avg:MAX", "r1,0.001,*", "AVERAGE"], vec!["TOTALS"])
            }
            Source::Duration => {
                (vec!["d0,0.001,*,t0,/", "AVERAGE", "dall,0.001"], vec!["TOTALS", "duration_avg"])
            }
        };
        assert!(has.iter().all(|part| all.contains(part)), "{kind}: {all}");
        assert!(!has_not.iter().any(|part| all.contains(part)), "{kind}: {all}");
        assert!(all.contains(&format!(":{cf}\n")), "{kind}");
    }
}

proptest! {
    #[test]
    fn a_name_never_becomes_anything_else(name in "[a:%\\\\\n'\"#$é{}]{1,30}|\\PC{1,30}") {
        let kind = ChartKind { source: Source::Bytes, peaks: false };
        let plain = arguments(&request(kind, Size::M), &workers(&["a"]));
        let strange = arguments(&request(kind, Size::M), &workers(&[&name]));
        prop_assert_eq!(plain.len(), strange.len());
        let line = strange.iter().find(|argument| argument.starts_with("LINE")).unwrap();
        let mut escaped = false;
        let mut colons = 0;
        for c in line.chars() {
            colons += usize::from(c == ':' && !escaped);
            prop_assert!(!escaped || c == ':' || c == '\\');
            escaped = c == '\\' && !escaped;
        }
        // LINE1.5, the value with its colour, the name.
        prop_assert_eq!(colons, 2);
    }

    #[test]
    fn a_fitted_name_is_as_wide_as_its_column(name in "\\PC{0,80}", width in 8..60_usize) {
        let fitted = fitted(&name, width);
        prop_assert_eq!(fitted.chars().count(), width);
        prop_assert!(fitted.chars().next_back() == name.chars().next_back() || name.chars().count() < width || name.contains('\\'));
    }
}
