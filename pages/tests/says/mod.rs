//! What pages say, and what their forms and pictures ask for.

use super::{Document, HOSTILE, html, page, text};

#[test]
fn pages_say_what_is_so() {
    let table: [(&str, &[&str]); 14] = [
        (
            "index",
            &[
                "1 of 8 instances is down: eu.example.net/8083.",
                "7 lost",
                "3 letters wait to be sent; the last try failed",
                "Everything: no letters from",
                "monitor.workers",
                "silenced until",
            ],
        ),
        ("calm", &["All 8 instances of 2 servers are up."]),
        ("all-down", &["All 6 instances are down."]),
        ("nobody", &["Nobody has reported yet.", "switchboard up", "never heard of"]),
        ("nothing", &["Nobody has reported yet.", "switchboard check"]),
        (
            "many",
            &[
                "3 of 300 instances are down: eu.example.net/8122, us.example.net/8122 and asia.example.net/8122.",
            ],
        ),
        (
            "charts",
            &[
                "Charts of the last hour",
                "No picture: chart: not drawn within 10 s",
                "instance down monitor down clock jumped start stop",
                "Together",
                "1.61 M",
            ],
        ),
        (
            "worker",
            &[
                "This instance is up.",
                "7 lost",
                "numbers 1041 to 1046 (6 reports), after",
                "number 2210, after",
                "had to throw away 7",
            ],
        ),
        ("worker-unknown", &["Nothing says that it belongs to the fleet.", "It has not reported yet."]),
        (
            "incident",
            &[
                "open",
                "Letter 2: waits to be sent.",
                "Letter 1: sent.",
                "Recorded, no letter.",
                "New: eu.example.net/8084.",
                "This still lasts.",
            ],
        ),
        ("incident-over", &["over", "RECOVERED", "all is up again after 2 h 4 min", "2 h 4 min"]),
        ("incidents-none", &["Nothing is wrong.", "None is remembered."]),
        ("log-none", &["No line is like that.", "Show all"]),
        ("error-400", &["Not understood", "\"soon\" is no time: expected 2026-11-22", "Status 400"]),
    ];
    for (name, expected) in table {
        let text = text(&page(name));
        for words in expected {
            assert!(text.contains(words), "{name} does not say {words:?}: {text}");
        }
    }
}

#[test]
fn forms_show_what_was_asked_for() {
    let chosen = |page: &Document| -> Vec<String> {
        let options = page.named("option").into_iter().filter(|option| option.get("selected").is_some());
        options.map(|option| option.get("value").unwrap()).collect()
    };
    assert_eq!(chosen(&page("charts-large")), ["server:eu.example.net", "1day", "l", "no"]);
    assert_eq!(chosen(&page("charts-hostile"))[0], format!("worker:{}", HOSTILE[0]));
    let search = page("log-search");
    assert_eq!(chosen(&search), ["eu.example.net/8081", "warning"]);
    let values: Vec<String> = search.named("input").iter().map(|input| input.get("value").unwrap()).collect();
    assert_eq!(values, ["late", "2026-11-22T18:00", ""]);
    assert_eq!(chosen(&page("log-hostile")), ["\"><script>"]);
}

#[test]
fn pictures_are_asked_for_by_the_originals_names() {
    let page = page("charts-large");
    let picture = &page.named("picture")[0];
    let dark = picture.children()[0].get("srcset").unwrap();
    let light = picture.children()[1].get("src").unwrap();
    assert_eq!(dark, "/cpu-l.1day.svg?theme=dark&server=eu.example.net&v=29922903");
    assert_eq!(light, "/cpu-l.1day.svg?theme=light&server=eu.example.net&v=29922903");
    let download = page.named("a").into_iter().find(|a| a.get("download").is_some()).unwrap();
    assert_eq!(download.get("download").as_deref(), Some("cpu-l.1day.png"));
}

#[test]
fn many_instances_make_a_page_of_bearable_size() {
    let html = html("many");
    let rows = Document::of(html).named("tr").len();
    assert!(rows > 300 && html.len() < 1_000_000, "{rows} rows, {} bytes", html.len());
}
