//! Every page of made-up fleets is whole, usable and harmless.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod document;
mod fixtures;
mod says;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::LazyLock,
};

use document::{Document, Element};
use fixtures::HOSTILE;
use switchboard_pages::Asset;

static PAGES: LazyLock<Vec<(&'static str, String)>> = LazyLock::new(fixtures::pages);

fn html(name: &str) -> &'static str {
    &PAGES.iter().find(|(page, _)| *page == name).unwrap().1
}

fn each(check: impl Fn(&str, &Document)) {
    assert!(PAGES.len() > 20);
    for (name, html) in PAGES.iter() {
        check(name, &Document::of(html));
    }
}

fn page(name: &str) -> Document {
    Document::of(html(name))
}

fn text(document: &Document) -> String {
    document.named("main")[0].text().split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn a_browser_has_nothing_to_put_right() {
    each(|name, page| assert_eq!(page.errors(), Vec::<String>::new(), "{name}"));
}

#[test]
fn every_page_has_its_frame() {
    each(|name, page| {
        assert_eq!(page.named("html")[0].get("lang").as_deref(), Some("en"), "{name}");
        for one in ["title", "header", "main", "footer", "h1"] {
            let found = page.named(one);
            assert!(found.len() == 1 && !found[0].text().is_empty(), "{name}: {one}");
        }
        let current: Vec<Element> =
            page.all().into_iter().filter(|e| e.get("aria-current").as_deref() == Some("page")).collect();
        assert!(
            current.len() == 1 || ["worker", "error", "login"].iter().any(|start| name.starts_with(start)),
            "{name}"
        );
        let first = &page.named("body")[0].children()[0];
        assert_eq!(first.get("href").as_deref(), Some("#main"), "{name}: a skip link comes first");
        assert!(page.named("nav").iter().all(|nav| nav.get("aria-label").is_some()), "{name}");
        let live = page.all().into_iter().find(|e| e.get("id").as_deref() == Some("live")).unwrap();
        assert_eq!(live.get("aria-live").as_deref(), Some("polite"));
    });
}

#[test]
fn ids_are_there_once_and_what_refers_to_one_finds_it() {
    each(|name, page| {
        let all = page.all();
        let ids: Vec<String> = all.iter().filter_map(|e| e.get("id")).collect();
        let unique: BTreeSet<&String> = ids.iter().collect();
        assert_eq!(ids.len(), unique.len(), "{name}: {ids:?}");
        for element in &all {
            let own = element.get("href").and_then(|href| href.strip_prefix('#').map(String::from));
            let targets = [own, element.get("for"), element.get("aria-labelledby")];
            for target in targets.into_iter().flatten() {
                assert!(unique.contains(&target), "{name}: nothing is called {target}");
            }
        }
    });
}

#[test]
fn headings_are_in_order() {
    each(|name, page| {
        let mut before = 0;
        for element in page.all() {
            let Some(level) = element.name().strip_prefix('h').and_then(|level| level.parse::<u32>().ok())
            else {
                continue;
            };
            assert!(level <= before + 1, "{name}: h{level} after h{before}");
            assert!(!element.text().is_empty(), "{name}");
            before = level;
        }
    });
}

#[test]
fn what_is_seen_can_be_heard() {
    each(|name, page| {
        for image in page.named("img") {
            assert!(image.get("alt").is_some_and(|alt| alt.len() > 20), "{name}");
        }
        for drawing in page.named("svg") {
            assert_eq!(drawing.get("aria-hidden").as_deref(), Some("true"), "{name}");
        }
        for element in
            page.all().iter().filter(|e| matches!(&*e.name(), "a" | "button" | "summary" | "label"))
        {
            assert!(!element.text().is_empty(), "{name}: {:?}", element.attributes());
        }
        let labelled: BTreeSet<String> =
            page.named("label").iter().filter_map(|label| label.get("for")).collect();
        for control in page.all().iter().filter(|e| matches!(&*e.name(), "input" | "select" | "textarea")) {
            if control.get("type").as_deref() == Some("hidden") {
                continue;
            }
            assert!(labelled.contains(&control.get("id").unwrap()), "{name}: {:?}", control.attributes());
        }
        for scrolled in page.all().iter().filter(|e| e.get("tabindex").as_deref() == Some("0")) {
            assert!(scrolled.get("aria-label").is_some() && scrolled.get("role").is_some(), "{name}");
        }
        // A state is a word beside its shape.
        for state in
            page.all().iter().filter(|e| e.get("class").is_some_and(|class| class.starts_with("state ")))
        {
            assert!(!state.text().is_empty() && state.children()[0].name() == "svg", "{name}");
        }
    });
}

#[test]
fn tables_say_what_they_are() {
    each(|name, page| {
        for table in page.named("table") {
            assert_eq!(table.children()[0].name(), "caption", "{name}");
            assert!(!table.children()[0].text().is_empty(), "{name}");
            for head in table.all().iter().filter(|e| e.name() == "th") {
                assert!(matches!(head.get("scope").as_deref(), Some("row" | "col" | "colgroup")), "{name}");
            }
            let columns = table.all().iter().filter(|e| e.get("scope").as_deref() == Some("col")).count();
            for row in table.all().iter().filter(|e| e.name() == "tr") {
                let span =
                    |cell: &Element| cell.get("colspan").map_or(1, |span| span.parse::<usize>().unwrap());
                assert_eq!(row.children().iter().map(span).sum::<usize>(), columns, "{name}");
                assert_eq!(row.children()[0].name(), "th", "{name}");
            }
        }
    });
}

#[test]
fn nothing_runs_and_nothing_is_fetched_but_the_monitors_own() {
    let assets: BTreeSet<String> = Asset::ALL.iter().map(|asset| asset.address()).collect();
    each(|name, page| {
        let scripts = page.named("script");
        assert!(scripts.len() == 1 && assets.contains(&scripts[0].get("src").unwrap()), "{name}");
        assert!(scripts[0].text().is_empty() && page.named("style").is_empty(), "{name}");
        for element in page.all() {
            for (key, value) in element.attributes() {
                assert!(key != "style" && !key.starts_with("on"), "{name}: {key}={value}");
                if matches!(&*key, "href" | "src" | "srcset" | "action") {
                    let own = value.starts_with('#') || (value.starts_with('/') && !value.starts_with("//"));
                    assert!(
                        own && value.is_ascii() && !value.contains(['"', '<', ' ', '\\']),
                        "{name}: {value}"
                    );
                    assert!(!value.contains("/../") && !value.ends_with("/.."), "{name}: {value}");
                }
            }
        }
    });
    for asset in Asset::ALL {
        let elsewhere = asset.body.replace("http://www.w3.org/2000/svg", "");
        assert!(
            !elsewhere.contains("http:") && !elsewhere.contains("https:") && !elsewhere.contains("@import")
        );
    }
}

#[test]
fn what_strangers_write_is_text() {
    let mut seen = BTreeMap::new();
    each(|name, page| {
        let body = page.named("body")[0].text();
        let hidden = |c: char| {
            c.is_control() && c != '\n' && c != '\t'
                || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}')
        };
        assert!(!body.contains(hidden), "{name}");
        if name.contains("hostile") || name == "worker-unknown" {
            assert!(body.contains(HOSTILE[0]), "{name}");
        }
    });
    for (name, html) in PAGES.iter() {
        seen.insert(*name, html.contains("<script>alert"));
    }
    assert!(seen.values().all(|found| !found), "{seen:?}");
    let hostile = text(&page("hostile"));
    assert!(hostile.contains(r"evil\u{202e}txt.exe\u{200b}") && hostile.contains("{{7*7}} %2e%2e &amp; \\"));
    let lines = text(&page("log-hostile"));
    assert!(
        lines.contains(&"0123456789abcdef".repeat(250))
            && !lines.contains(&"0123456789abcdef".repeat(251))
            && lines.contains("4000 bytes more")
            && lines.contains(r"\u{1b}[31m\u{0}")
    );
}

#[test]
fn times_are_for_machines_too() {
    each(|name, page| {
        for time in page.named("time") {
            let machine = time.get("datetime").unwrap();
            let (day, rest) = machine.split_once('T').unwrap();
            let (year, rest_of_day) = day.split_once('-').unwrap();
            assert!(
                year.len() >= 4 && rest_of_day.len() == 5 && rest.len() == 13 && rest.ends_with('Z'),
                "{name}: {machine}"
            );
            let words = time.text();
            assert!(
                words.ends_with(" UTC")
                    || words.ends_with(" ago")
                    || words == "just now"
                    || words.starts_with("in "),
                "{name}: {words}"
            );
        }
    });
}
