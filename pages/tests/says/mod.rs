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
fn backends_say_what_is_so() {
    let table: [(&str, &[&str], &[&str]); 15] = [
        (
            "upstreams",
            &[
                "1 of 15 backends is ejected: 127.0.0.1:8083.",
                "The controller of us-east.a-rather-long-name.example.net:8443 cannot be heard.",
                "5 of 11 in service",
                "3 requests found no backend",
                "ejected for 8 s 12 of 40 requests failed within 10 s (30 %, limit 20 %): 10 read timeouts, 2 times 502until 19:03:19 UTC",
                "draining for 5 min by ada 5 min ago: new diskuntil 20:03:07 UTC",
                "backup",
                "not counted",
                "implicit: from a bare proxy_pass in /etc/nginx/sites-enabled/app:31",
                "cannot be switched: it has no zone",
                "web.example.net:8443",
                "Not heard of since 2026-11-22 19:00:57 UTC (2 min ago)",
                "14 of 16",
                "instance 8091 has no place",
                "Log in to switch backends",
            ],
            &["PANIC"],
        ),
        (
            "upstreams-bad",
            &["127.0.0.1:8083", "2 more that are well", "Nothing is wrong here."],
            &["192.0.2.7"],
        ),
        ("upstreams-one", &["192.0.2.8:8443", "All fronts and upstreams"], &["127.0.0.1:8081"]),
        ("upstreams-calm", &["All 3 backends of 1 front are in service."], &["Log in to"]),
        (
            "upstreams-bare",
            &[
                "nginx does not run",
                "The module is not in nginx: nothing is counted",
                "none without the module",
            ],
            &[],
        ),
        ("upstreams-panic", &["Panic mode at eu.example.net", "PANIC MODE", "62.0 %", "42 s ago"], &[]),
        (
            "upstreams-none",
            &["No front has sent its backends yet.", "switchboard front control"],
            &["For programs"],
        ),
        (
            "backend",
            &[
                "is ejected until 19:03:19 UTC",
                "Weight",
                "What a switch leaves",
                "18:54 UTC to 19:04 UTC",
                "panic-ended",
            ],
            &["Log in to", "drain by"],
        ),
        ("backend-guest", &["Log in to switch it on or off"], &["What a switch leaves"]),
        ("backend-gone", &["has no backend 127.0.0.1:1 in upstream instances any more"], &[]),
        (
            "confirm",
            &[
                "Switch off 127.0.0.1:8081?",
                "2 of 3 backends stay in service, 66.7 % of the weight.",
                "The switches have changed since you looked.",
                "2026-11-22 20:03:07 UTC",
            ],
            &["Yes, although"],
        ),
        (
            "confirm-last",
            &[
                "No backend stays in service: nobody is served any more.",
                "Yes, although no backend of instances is left",
            ],
            &[],
        ),
        (
            "confirm-guest",
            &[
                "Give 127.0.0.1:8081 50 % of its weight?",
                "3 of 3 backends stay in service, 83.3 % of the weight.",
                "Log in to do this.",
            ],
            &[],
        ),
        (
            "outcome-changed",
            &["Not done", "the switches have changed since this table was shown: look again"],
            &[],
        ),
        ("login-wrong", &["Name or password is wrong.", "switchboard-monitor login"], &[]),
    ];
    for (name, expected, absent) in table {
        let text = text(&page(name));
        for words in expected {
            assert!(text.contains(words), "{name} does not say {words:?}: {text}");
        }
        for words in absent {
            assert!(!text.contains(words), "{name} says {words:?}: {text}");
        }
    }
}

#[test]
fn switches_take_two_steps() {
    let fields = |name: &str, action: &str| -> Vec<(String, String)> {
        let page = page(name);
        let form = page
            .named("form")
            .into_iter()
            .find(|form| form.get("action").as_deref() == Some(action))
            .unwrap();
        assert_eq!(
            form.get("method").as_deref(),
            Some(if name.starts_with("backend") { "get" } else { "post" })
        );
        let inputs = form
            .all()
            .into_iter()
            .filter(|e| e.name() == "input" && e.get("type").as_deref() == Some("hidden"));
        inputs.map(|input| (input.get("name").unwrap(), input.get("value").unwrap())).collect()
    };
    let pairs = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
        pairs.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect()
    };
    let place = [("front", "eu.example.net"), ("u", "instances")];
    let first = [&place[..], &[("b", "127.0.0.1:8083"), ("seen", "7")]].concat();
    assert_eq!(fields("backend", "/upstreams/switch"), pairs(&first));
    let second = [
        ("b", "127.0.0.1:8081"),
        ("change", "off"),
        ("why", "new disk"),
        ("until", "1h"),
        ("seen", "7"),
        ("csrf", "c5f1"),
    ];
    assert_eq!(fields("confirm", "/upstreams/switch"), pairs(&[&place[..], &second].concat()));
    assert_eq!(fields("confirm", "/logout"), pairs(&[("csrf", "c5f1")]));
    assert_eq!(fields("login", "/login"), pairs(&[("next", "/upstreams?u=instances")]));
    // Nobody is sent to another site, and nobody who is not logged in finds a button.
    assert_eq!(fields("login-wrong", "/login"), []);
    for name in ["backend-guest", "confirm-guest"] {
        assert!(page(name).named("form").is_empty(), "{name}");
    }
    let is_still = |name: &str| page(name).named("main")[0].get("data-still").is_some();
    assert!(is_still("confirm") && is_still("login") && !is_still("upstreams"));
    assert_eq!(page("upstreams").named("main")[0].get("data-refresh-ms").as_deref(), Some("1000"));
}

#[test]
fn rows_are_in_the_order_asked_for() {
    let rows = |name: &str| -> Vec<String> {
        let rows = page(name).all().into_iter().filter(|e| e.name() == "tr" && e.get("data-key").is_some());
        rows.map(|row| row.get("data-key").unwrap()).collect()
    };
    assert_eq!(rows("upstreams-one"), ["192.0.2.8:8443", "192.0.2.7:8443", "[2001:db8::7]:8443"]);
    assert_eq!(rows("upstreams-bad")[..3], ["127.0.0.1:8083", "127.0.0.1:8084", "127.0.0.1:8086"]);
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
    let html = super::html("upstreams-many");
    assert!(html.len() < 1_000_000, "{} bytes", html.len());
}
