//! What programs read of the fronts' backends, and that any table can be written.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod document;
mod exposition;
mod fixtures;
mod wild;

use std::collections::BTreeSet;

use document::Document;
use fixtures::{HOSTILE, front_pages, fronts};
use proptest::prelude::*;
use quick_xml::{Reader, XmlVersion, events::Event};
use serde_json::Value;
use switchboard_fleet::front::Table;
use switchboard_pages::{FrontView, Page, UpstreamsQuery, machine};

fn tables() -> Vec<Table> {
    fronts::troubled().into_iter().map(|view| view.table).collect()
}

fn query(raw: &str) -> UpstreamsQuery {
    UpstreamsQuery::parse(raw).unwrap()
}

fn json(raw: &str) -> Result<Value, String> {
    let tables = tables();
    let written = machine::json(&tables.iter().collect::<Vec<_>>(), &query(raw));
    written.map(|text| serde_json::from_str(&text).unwrap()).map_err(|missing| missing.to_string())
}

/// Reads all of it, and says how often each element was there.
fn elements(xml: &str) -> Vec<String> {
    let allowed = |c: char| matches!(c, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..);
    assert!(xml.chars().all(allowed));
    let mut reader = Reader::from_str(xml);
    let (mut names, mut open) = (Vec::new(), 0);
    loop {
        match reader.read_event().unwrap() {
            Event::Start(start) => {
                open += 1;
                names.push(start.name().as_ref().to_owned());
                for attribute in start.attributes() {
                    attribute.unwrap().normalized_value(XmlVersion::Implicit1_0).unwrap();
                }
            }
            Event::End(_) => open -= 1,
            Event::GeneralRef(reference) => {
                let known = ["lt", "gt", "amp", "quot", "apos"];
                assert!(reference.resolve_char_ref().unwrap().is_some() || known.contains(&&*reference));
            }
            Event::Eof => break,
            _ => {}
        }
    }
    assert_eq!(open, 0);
    names
}

#[test]
fn json_has_what_is_named() {
    let all = json("").unwrap();
    assert_eq!(serde_json::from_value::<Vec<Table>>(all["fronts"].clone()).unwrap(), tables());
    let fronts = json("front=eu.example.net").unwrap();
    assert_eq!(fronts["fronts"].as_array().unwrap().len(), 1);
    assert_eq!(json("u=web").unwrap()["name"], "web");
    assert_eq!(json("u=instances&b=127.0.0.1:8083").unwrap()["state"], "ejected");
    let own = json("u=instances&b=127.0.0.1:8081&front=eu.example.net").unwrap();
    assert_eq!(own["requests"], 938_799);
}

#[test]
fn what_is_not_there_is_named() {
    let table = [
        ("front=asia", "There is no front \"asia\"."),
        (
            "u=web&front=us-east.a-rather-long-name.example.net:8443",
            "There is no upstream \"web\" at front \"us-east.a-rather-long-name.example.net:8443\".",
        ),
        ("u=nowhere", "There is no upstream \"nowhere\"."),
        ("u=web&b=127.0.0.1:1", "There is no backend \"127.0.0.1:1\" in upstream \"web\"."),
        (
            "u=instances",
            "There is upstream \"instances\" at 2 fronts: add front= and one of eu.example.net, us-east.a-rather-long-name.example.net:8443.",
        ),
        (
            "u=instances&b=127.0.0.1:8082",
            "There is backend \"127.0.0.1:8082\" in upstream \"instances\" at 2 fronts: add front= and one of eu.example.net, us-east.a-rather-long-name.example.net:8443.",
        ),
    ];
    let tables = tables();
    let tables: Vec<&Table> = tables.iter().collect();
    for (raw, words) in table {
        assert_eq!(json(raw).unwrap_err(), words);
        for other in [machine::xml, machine::prometheus] {
            assert_eq!(other(&tables, &query(raw)).unwrap_err().to_string(), words);
        }
    }
}

#[test]
fn xml_has_the_same() {
    let tables = tables();
    let tables: Vec<&Table> = tables.iter().collect();
    let names = elements(&machine::xml(&tables, &query("")).unwrap());
    let count = |name: &str| names.iter().filter(|one| *one == name).count();
    assert_eq!(
        (&*names[0], count("front"), count("upstream"), count("requests")),
        ("upstreams", 2, 4 + 1 + 3, 17)
    );
    assert_eq!(count("column"), 60);
    let one = machine::xml(&tables, &query("u=instances&b=127.0.0.1:8083")).unwrap();
    assert!(
        one.contains("<backend address=\"127.0.0.1:8083\" state=\"ejected\">")
            && one.contains("<class name=\"2xx\">417084</class>")
    );
    assert_eq!(elements(&one)[0], "backend");
    assert_eq!(elements(&machine::xml(&[], &query("")).unwrap()), ["upstreams"]);
}

#[test]
fn prometheus_has_the_counters() {
    let tables = tables();
    let tables: Vec<&Table> = tables.iter().collect();
    let text = machine::prometheus(&tables, &query("")).unwrap();
    let samples = exposition::read(&text);
    let of = |name: &str, label: (&str, &str)| -> Vec<f64> {
        let own = samples.iter().filter(|one| {
            one.name == name && one.labels.get("backend").is_some_and(|b| b == "127.0.0.1:8083")
        });
        own.filter(|one| label.0.is_empty() || one.labels[label.0] == label.1).map(|one| one.value).collect()
    };
    assert_eq!(of("switchboard_backend_requests_total", ("", "")), [417_244.0]);
    assert_eq!(of("switchboard_backend_state", ("state", "ejected")), [1.0]);
    assert_eq!(of("switchboard_backend_state", ("state", "up")), [0.0]);
    assert_eq!(of("switchboard_backend_response_seconds", ("quantile", "0.99")), [0.279]);
    assert_eq!(of("switchboard_backend_check_good", ("", "")), [0.0]);
    let uncounted =
        samples.iter().filter(|one| one.labels.get("backend").is_some_and(|b| b == "127.0.0.1:8089"));
    assert!(uncounted.clone().count() > 5 && !uncounted.clone().any(|one| one.name.ends_with("_total")));
    let one = machine::prometheus(&tables, &query("u=web&b=192.0.2.7:8443")).unwrap();
    let backends: BTreeSet<_> =
        exposition::read(&one).into_iter().map(|one| one.labels["backend"].clone()).collect();
    assert_eq!(backends.len(), 1);
}

#[test]
fn strangers_names_stay_names() {
    let views = fronts::hostile();
    let tables: Vec<&Table> = views.iter().map(|view| &view.table).collect();
    assert!(elements(&machine::xml(&tables, &query("")).unwrap()).len() > 100);
    let samples = exposition::read(&machine::prometheus(&tables, &query("")).unwrap());
    assert!(samples.iter().any(|one| one.labels.get("backend").is_some_and(|name| name == HOSTILE[3])));
    let mut twice = views[0].table.clone();
    let first = twice.upstreams[0].backends[0].clone();
    twice.upstreams[0].backends.push(first);
    exposition::read(&machine::prometheus(&[&twice], &query("")).unwrap());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn any_table_can_be_written(table in wild::table(), bad in any::<bool>(), heard_ms in any::<u64>(), now_ms in any::<u64>()) {
        let raw = if bad { "show=bad&sort=per_second" } else { "sort=state" };
        let text = machine::json(&[&table], &query(raw)).unwrap();
        prop_assert!(serde_json::from_str::<Value>(&text).is_ok());
        elements(&machine::xml(&[&table], &query(raw)).unwrap());
        exposition::read(&machine::prometheus(&[&table], &query(raw)).unwrap());
        let place = table.upstreams.first().and_then(|upstream| Some((upstream.name.clone(), upstream.backends.first()?.address.clone())));
        let view = FrontView { table, heard_ms };
        let mut page = front_pages::page(raw, vec![view.clone()]);
        page.frame.now_ms = now_ms;
        prop_assert_eq!(Document::of(&page.html()).errors(), Vec::<String>::new());
        if let Some((upstream, backend)) = place {
            let mut page = front_pages::backend_page(view, &backend, bad);
            page.frame.now_ms = now_ms;
            page.place.upstream = upstream;
            prop_assert_eq!(Document::of(&page.html()).errors(), Vec::<String>::new());
        }
    }
}
