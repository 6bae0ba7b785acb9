//! Prometheus' text, read as strictly as Prometheus reads it.

use std::collections::{BTreeMap, BTreeSet};

/// One line.
pub(crate) struct Sample {
    pub(crate) name: String,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) value: f64,
}

/// All lines; panics at what Prometheus would refuse.
pub(crate) fn read(text: &str) -> Vec<Sample> {
    assert!(text.ends_with('\n'));
    let (mut families, mut samples, mut series) = (BTreeMap::new(), Vec::new(), BTreeSet::new());
    let mut current = String::new();
    for line in text.split('\n').filter(|line| !line.is_empty()) {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            assert!(matches!(kind, "counter" | "gauge" | "summary"), "{line}");
            assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
            assert!(families.insert(name.to_owned(), kind.to_owned()).is_none(), "twice: {line}");
            name.clone_into(&mut current);
        } else if let Some(rest) = line.strip_prefix("# HELP ") {
            assert!(
                rest.split_once(' ').is_some_and(|(_, help)| help.ends_with('.') && !help.contains('\\')),
                "{line}"
            );
        } else {
            let sample = sample(line);
            let suffix =
                sample.name.strip_prefix(&*current).unwrap_or_else(|| panic!("not in its family: {line}"));
            assert!(
                suffix.is_empty() || families[&current] == "summary" && matches!(suffix, "_sum" | "_count")
            );
            assert!(series.insert((sample.name.clone(), sample.labels.clone())), "twice: {line}");
            samples.push(sample);
        }
    }
    samples
}

fn sample(line: &str) -> Sample {
    let (name, mut rest) = line.split_once('{').unwrap();
    assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{line}");
    let mut labels = BTreeMap::new();
    loop {
        let (key, after) = rest.split_once("=\"").unwrap();
        assert!(key.bytes().all(|byte| byte.is_ascii_lowercase()), "{line}");
        let (value, after) = quoted(after);
        assert!(labels.insert(key.to_owned(), value).is_none(), "{line}");
        match after.split_at(1) {
            (",", after) => rest = after,
            ("}", after) => {
                let value = after.strip_prefix(' ').unwrap().parse().unwrap();
                return Sample { name: name.into(), labels, value };
            }
            _ => panic!("{line}"),
        }
    }
}

/// A label's value, and what stands behind its end.
fn quoted(text: &str) -> (String, &str) {
    let (mut out, mut chars) = (String::new(), text.char_indices());
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return (out, &text[at + 1..]),
            '\\' => out.push(match chars.next().unwrap().1 {
                'n' => '\n',
                same @ ('\\' | '"') => same,
                other => panic!("\\{other} in {text}"),
            }),
            other => out.push(other),
        }
    }
    panic!("no end: {text}")
}
