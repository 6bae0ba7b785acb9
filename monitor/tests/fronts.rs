//! Fronts bring their tables, people look at them, and those who are logged in switch.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "support/front.rs"]
mod front;
mod support;

use std::{thread, time::SystemTime};

use front::{Controller, Person, admin, park, park_at, send, signed, table};
use http::{HeaderMap, HeaderValue, Method};
use serde_json::{Value, json};
use support::{Monitor, SERVER, until};
use switchboard_fleet::{
    KeyRing,
    front::{Change, Done, Parked, Refused, Table, Waiting},
    header,
};

const B: &str = "127.0.0.1%3A8081";

/// The form that switches the first backend.
fn form(more: &str) -> String {
    format!("front=127.0.0.1%3A8080&u=instances&b={B}&{more}")
}

#[test]
fn an_order_goes_from_the_page_to_the_front_and_its_outcome_comes_back() {
    let monitor = Monitor::start(&admin("ada", "correct horse"));
    thread::scope(|scope| {
        let controller = Controller::run(scope, &monitor, table(SERVER));
        until("the table", || monitor.get("/upstreams").text().contains("127.0.0.1:8081").then_some(()));
        let ada = Person::enter(&monitor, "ada", "correct+horse");
        let page = ada.get(&format!("/upstreams/switch?{}", form("change=off&why=new+kernel&seen=1")), "");
        assert_eq!(page.status, 200, "{}", page.text());
        assert!(page.text().contains("1 of 2"), "the capacity: {}", page.text());
        assert_eq!(page.header("cache-control"), Some("no-store"));

        let sent = ada.post(
            "/upstreams/switch",
            &form(&format!("change=off&why=new+kernel&seen=1&csrf={}", ada.csrf())),
        );
        assert_eq!(sent.status, 303, "{}", sent.text());
        let outcome = ada.get(sent.header("location").unwrap(), "");
        assert_eq!(outcome.status, 200);
        assert!(outcome.text().contains("127.0.0.1:8081 is off"), "{}", outcome.text());
        let order = controller.orders.lock().unwrap()[0].clone();
        assert_eq!(
            (order.change, order.who.as_str(), order.why.as_str(), order.seen),
            (Change::Off, "ada", "new kernel", Some(1))
        );
        let page = monitor.get("/upstreams").text();
        assert!(page.contains("switched off by ada"), "{page}");
        until("the log of it", || {
            let log = monitor.get("/log?text=switch").text();
            (log.contains("a switch is ordered") && log.contains("new kernel")).then_some(())
        });
        drop(controller);
    });
}

#[test]
fn what_a_front_refuses_is_said_and_what_it_does_not_answer_is_not_made_up() {
    let monitor = Monitor::start(&admin("ada", "pw"));
    let mut own = table(SERVER);
    let ada = Person::enter(&monitor, "ada", "pw");
    let csrf = ada.csrf();
    thread::scope(|scope| {
        let first = scope.spawn(|| park(&monitor, &table(SERVER), Vec::new()));
        until("it parks", || monitor.get("/upstreams").text().contains("127.0.0.1:8081").then_some(()));
        let given =
            scope.spawn(|| ada.post("/upstreams/switch", &form(&format!("change=drain&csrf={csrf}"))));
        let mut waiting = first.join().unwrap();
        while waiting.orders.is_empty() {
            own.at_ms += 1;
            waiting = park(&monitor, &own, Vec::new());
        }
        let id = waiting.orders[0].id.clone();
        let done = vec![Done { id, outcome: Err(Refused::Changed) }];
        scope.spawn(|| park(&monitor, &own, done));
        let sent = given.join().unwrap();
        assert_eq!(sent.status, 303);
        let said = ada.get(sent.header("location").unwrap(), "");
        assert_eq!(said.status, 409);
        assert!(said.text().contains("look again"), "{}", said.text());
    });
    // Nobody fetches this one.
    until("the parked call is answered", || {
        let sent = ada.post("/upstreams/switch", &form(&format!("change=off&csrf={}", ada.csrf())));
        let said = ada.get(sent.header("location").unwrap(), "");
        (said.status == 504 && said.text().contains("nothing has changed")).then_some(())
    });
    assert_eq!(ada.get("/upstreams/switched?order=0", "").status, 404);
    let csrf = ada.csrf();
    for (more, status, word) in [
        ("change=explode", 400, "explode"),
        ("change=weight&weight=0", 400, "1 to 100"),
        ("change=off&until=never", 400, "until"),
    ] {
        let said = ada.post("/upstreams/switch", &form(&format!("{more}&csrf={csrf}")));
        assert!(said.status == status && said.text().contains(word), "{more}: {}", said.text());
    }
    let strange = form("change=off").replace("8081", "9999");
    assert_eq!(ada.post("/upstreams/switch", &format!("{strange}&csrf={csrf}")).status, 404);
    assert_eq!(ada.get(&format!("/upstreams/switch?{strange}"), "").status, 404);
}

#[test]
fn only_the_fleet_parks() {
    let monitor = Monitor::start("");
    let keys = monitor.keys();
    let body = serde_json::to_vec(&Parked { table: table(SERVER), done: Vec::new() }).unwrap();
    let refused = |headers: &HeaderMap, body: &[u8], status: u16, word: &str| {
        let answer = send(monitor.address, headers, body);
        let text = answer.text();
        assert!(answer.status == status && text.contains(word), "{status} {word}: {} {text}", answer.status);
        assert_eq!(text.trim().lines().count(), 1);
        assert!(answer.header("x-iwp-signature").is_none());
    };
    let good = || signed(&keys, "1", &body);
    let without = |name: &str| {
        let mut headers = good();
        headers.remove(name);
        headers
    };
    let resigned = |nonce: Option<&str>| {
        let mut headers = without("x-iwp-signature");
        headers.remove(header::NONCE);
        if let Some(nonce) = nonce {
            headers.insert(header::NONCE, HeaderValue::from_str(nonce).unwrap());
        }
        let signature = keys.sign(&Method::POST, "/front", &headers, SystemTime::now());
        headers.insert(header::SIGNATURE, signature);
        headers
    };
    refused(&HeaderMap::new(), &body, 401, "signature missing");
    refused(&without("x-iwp-signature"), &body, 401, "signature missing");
    refused(&without("x-iwp-nonce"), &body, 401, "signature wrong");
    refused(&signed(&KeyRing::new(["another key"]), "1", &body), &body, 401, "signature wrong");
    refused(&good(), &body[..body.len() - 1], 401, "X-IWP-Digest");
    refused(&resigned(None), &body, 400, "X-IWP-Nonce");
    refused(&resigned(Some("")), &body, 400, "X-IWP-Nonce");
    refused(&resigned(Some(&"x".repeat(65))), &body, 400, "X-IWP-Nonce");
    let mut old = without("x-iwp-signature");
    let past = SystemTime::now() - std::time::Duration::from_secs(40);
    let signature = keys.sign(&Method::POST, "/front", &old, past);
    old.insert(header::SIGNATURE, signature);
    refused(&old, &body, 401, "clocks");
    // The signature of a report is none for this.
    let mut other = without("x-iwp-signature");
    let signature = keys.sign(&Method::POST, "/report", &other, SystemTime::now());
    other.insert(header::SIGNATURE, signature);
    refused(&other, &body, 401, "signature wrong");
    for text in ["", "{", "[]", "{\"table\":{},\"done\":[]}"] {
        refused(&signed(&keys, "2", text.as_bytes()), text.as_bytes(), 400, "not the table");
    }
    let stranger = serde_json::to_vec(&Parked { table: table("<b>"), done: Vec::new() }).unwrap();
    refused(&signed(&keys, "3", &stranger), &stranger, 400, "name of a server");
    let long = vec![b' '; Table::BYTES_MAX + 1];
    refused(&signed(&keys, "4", &long), &long, 413, "at most");
    assert!(!monitor.get("/upstreams").text().contains("127.0.0.1:8081"), "nothing of it was taken");

    // What was heard on the way cannot be said again.
    thread::scope(|scope| {
        let first = scope.spawn(|| send(monitor.address, &good(), &body).status);
        until("it is taken", || monitor.get("/upstreams").text().contains("127.0.0.1:8081").then_some(()));
        refused(&good(), &body, 401, "has come before");
        assert_eq!(first.join().unwrap(), 200);
    });
}

#[test]
fn a_second_call_of_a_front_takes_the_place_of_the_first() {
    let monitor = Monitor::start("refresh_ms = 3600000\n");
    let mut second = table(SERVER);
    second.upstreams[0].backends.remove(1);
    thread::scope(|scope| {
        let first = scope.spawn(|| park(&monitor, &table(SERVER), Vec::new()));
        until("the first", || {
            json_of(&monitor, "/upstreams?format=json").contains("127.0.0.1:8082").then_some(())
        });
        let later = scope.spawn(|| park(&monitor, &second, Vec::new()));
        assert_eq!(first.join().unwrap(), Waiting::default());
        let now = json_of(&monitor, "/upstreams?format=json");
        assert!(now.contains("127.0.0.1:8081") && !now.contains("127.0.0.1:8082"), "{now}");
        assert_eq!(later.join().unwrap().orders, []);
    });
}

#[test]
fn the_end_of_the_monitor_waits_for_no_call_that_is_held() {
    let mut monitor = Monitor::start("");
    let (address, keys) = (monitor.address, monitor.keys());
    let held = thread::spawn(move || park_at(address, &keys, &table(SERVER), Vec::new()));
    until("it parks", || monitor.get("/upstreams").text().contains("127.0.0.1:8081").then_some(()));
    monitor.stop();
    assert_eq!(held.join().unwrap(), Waiting::default());
}

fn json_of(monitor: &Monitor, path: &str) -> String {
    let answer = monitor.get(path);
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.text()
}

#[test]
fn every_form_has_the_same_and_says_what_there_is_not() {
    let monitor = Monitor::start("");
    // Without a front there is an empty page, and empty lists.
    assert_eq!(monitor.get("/upstreams").status, 200);
    let empty: Value = serde_json::from_str(&json_of(&monitor, "/upstreams?format=json")).unwrap();
    assert_eq!(empty["fronts"], json!([]));
    assert_eq!(monitor.get("/metrics").status, 200);
    thread::scope(|scope| {
        let controllers =
            [SERVER, "127.0.0.1:8080#2"].map(|front| Controller::run(scope, &monitor, table(front)));
        until("both fronts", || json_of(&monitor, "/upstreams?format=json").contains("8080#2").then_some(()));
        let person = Person::new(&monitor);
        for (accept, word, kind, mark) in [
            ("text/html", "html", "text/html", "<!DOCTYPE html>"),
            ("application/json", "json", "application/json", "{"),
            ("application/xml", "xml", "application/xml", "<?xml"),
            ("text/plain", "prometheus", "text/plain; version=0.0.4", "#"),
        ] {
            let asked = person.get("/upstreams", &format!("Accept: {accept}\r\n"));
            let named = person.get(&format!("/upstreams?format={word}"), "");
            let whole = "front=127.0.0.1%3A8080&u=instances";
            let upstream = person.get(&format!("/upstreams?{whole}&format={word}"), "");
            let backend = person.get(&format!("/upstreams?{whole}&b={B}&format={word}"), "");
            for answer in [&asked, &named, &upstream, &backend] {
                assert_eq!(answer.status, 200, "{}", answer.text());
                assert!(answer.header("content-type").unwrap().starts_with(kind), "{}", answer.head);
                let text = answer.text();
                assert!(text.trim_start().starts_with(mark) && text.contains("127.0.0.1:8081"), "{text}");
            }
            assert!(!upstream.text().contains("8080#2"), "another front: {}", upstream.text());
            for (query, status, missing) in [
                ("front=none", 404, "none"),
                ("u=nothing", 404, "nothing"),
                (&*format!("{whole}&b=127.0.0.1%3A9"), 404, "127.0.0.1:9"),
                ("b=127.0.0.1%3A8081", 400, "u="),
                ("colour=red", 400, "colour"),
            ] {
                let answer = person.get(&format!("/upstreams?{query}&format={word}"), "");
                let text = answer.text();
                assert!(answer.status == status && text.contains(missing), "{query} {word}: {text}");
                assert!(answer.header("content-type").unwrap().starts_with(kind), "{}", answer.head);
                assert!(text.trim_start().starts_with(mark), "{text}");
            }
        }
        let metrics = monitor.get("/metrics");
        assert!(metrics.header("content-type").unwrap().starts_with("text/plain; version=0.0.4"));
        assert!(metrics.text().contains("switchboard_backend_requests_total{"), "{}", metrics.text());
        drop(controllers);
    });
}

#[test]
fn nobody_switches_who_is_not_logged_in_or_was_led_here() {
    let monitor = Monitor::start(&admin("ada", "pw"));
    thread::scope(|scope| {
        let controller = Controller::run(scope, &monitor, table(SERVER));
        until("the table", || monitor.get("/upstreams").text().contains("127.0.0.1:8081").then_some(()));
        let (stranger, ada, eve) = (
            Person::new(&monitor),
            Person::enter(&monitor, "ada", "pw"),
            Person::enter(&monitor, "ada", "pw"),
        );
        let csrf = ada.csrf();
        let whole = form(&format!("change=off&csrf={csrf}"));

        // Without a login, or with one that is none.
        let unknown = Person {
            monitor: &monitor,
            cookie: "switchboard_session=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA".into(),
        };
        for person in [&stranger, &unknown] {
            let sent = person.post("/upstreams/switch", &whole);
            assert_eq!(sent.status, 303, "{}", sent.text());
            let location = sent.header("location").unwrap();
            assert!(
                location.starts_with("/login?next=%2Fupstreams") && !location.contains(&csrf),
                "{location}"
            );
            let sent = person.get(&format!("/upstreams/switch?{}", form("change=off")), "");
            assert_eq!(sent.status, 303);
            assert!(sent.header("location").unwrap().starts_with("/login?next="));
        }
        // The form of another session, of none, and of another site.
        assert_ne!(csrf, eve.csrf());
        for (person, body) in
            [(&eve, whole.clone()), (&ada, form("change=off")), (&ada, form("change=off&csrf=x"))]
        {
            let sent = person.post("/upstreams/switch", &body);
            assert_eq!(sent.status, 403, "{}", sent.text());
        }
        let ours = format!("Origin: http://{}\r\n", monitor.address);
        for foreign in [
            "",
            "Origin: null\r\n",
            "Origin: https://evil.example.com\r\n",
            "Origin: http://127.0.0.1:1\r\n",
            &format!("{ours}Sec-Fetch-Site: same-site\r\n"),
            &format!("{ours}Sec-Fetch-Site: cross-site\r\n"),
        ] {
            for path in ["/upstreams/switch", "/logout", "/login"] {
                let sent = ada.post_from(path, &whole, foreign);
                assert_eq!(sent.status, 403, "{path} {foreign}: {}", sent.text());
            }
        }
        let led = monitor.call(&format!(
            "POST /upstreams/switch HTTP/1.1\r\nHost: evil.example.com\r\nOrigin: http://evil.example.com\r\nCookie: {}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{whole}",
            ada.cookie,
            whole.len()
        ));
        assert_eq!(led.status, 403);
        let long = format!("{whole}&why={}", "x".repeat(20_000));
        assert_eq!(ada.post("/upstreams/switch", &long).status, 400);
        assert_eq!(controller.orders.lock().unwrap().len(), 0);

        // Who logs out is out, also with the old cookie; others stay in.
        assert_eq!(ada.post("/logout", "csrf=wrong").status, 403);
        let out = ada.post("/logout", &format!("csrf={csrf}"));
        assert_eq!(out.status, 303);
        assert!(out.header("set-cookie").unwrap().contains("Max-Age=0"));
        assert_eq!(ada.post("/upstreams/switch", &whole).status, 303);
        assert!(ada.post("/upstreams/switch", &whole).header("location").unwrap().starts_with("/login"));
        assert!(!eve.csrf().is_empty());
        assert_eq!(controller.orders.lock().unwrap().len(), 0);
        drop(controller);
    });
}

#[test]
fn passwords_are_tried_slowly_and_never_written_down() {
    let monitor = Monitor::start(&admin("ada", "correct horse"));
    let person = Person::new(&monitor);
    let page = person.get("/login?next=%2Fupstreams%3Fshow%3Dbad", "");
    assert!(page.status == 200 && page.text().contains("name=\"password\""), "{}", page.text());
    let tried = person.post("/login", "name=ada&password=wrong-hunter2");
    assert_eq!(tried.status, 403);
    assert!(tried.header("set-cookie").is_none());
    let unknown = person.post("/login", "name=eve%0aINFO+forged&password=correct+horse");
    assert_eq!(unknown.status, 403);
    let said = |answer: &support::Answer| answer.text().contains("The name or the password is wrong");
    assert!(said(&tried) && said(&unknown), "both are told the same");

    let right = person.post("/login", "name=ada&password=correct+horse&next=%2Fupstreams%3Fshow%3Dbad");
    assert_eq!((right.status, right.header("location")), (303, Some("/upstreams?show=bad")));
    let cookie = right.header("set-cookie").unwrap();
    for word in ["switchboard_session=", "HttpOnly", "SameSite=Strict", "Path=/"] {
        assert!(cookie.contains(word), "{cookie}");
    }
    assert!(!cookie.contains("Secure"), "this page is not https: {cookie}");
    let away = person.post("/login", "name=ada&password=correct+horse&next=%2F%2Fevil.example.com");
    assert_eq!((away.status, away.header("location")), (303, Some("/upstreams")));

    let slowed = until("it is slowed down", || {
        let answer = person.post("/login", "name=ada&password=x");
        (answer.status == 429).then_some(answer)
    });
    assert!(slowed.header("retry-after").unwrap().parse::<u64>().unwrap() >= 1);
    assert_eq!(
        person.post("/login", "name=ada&password=correct+horse").status,
        429,
        "not even the right one"
    );
    let log = until("the log", || {
        let log = monitor.get("/log").text();
        (log.contains("login refused") && log.contains("logged in")).then_some(log)
    });
    assert!(log.contains("ada") && log.contains("forged") && log.contains("127.0.0.1"), "{log}");
    assert!(!log.contains("hunter2") && !log.contains("correct horse"), "{log}");
}

#[test]
fn a_link_logs_in_once_whoever_has_no_password() {
    let mut monitor = Monitor::start("page = \"https://monitor.example.net\"\n");
    let refused = Person::new(&monitor).post("/login", "name=ada&password=pw");
    assert!(
        refused.status == 403 && refused.text().contains("switchboard-monitor login"),
        "{}",
        refused.text()
    );
    let link = |arguments: &[&str]| {
        let output = monitor.ask(arguments);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).unwrap();
        text.trim().strip_prefix("https://monitor.example.net").expect("the page's address").to_owned()
    };
    let path = link(&["login", "--name", "Ada L."]);
    assert!(path.starts_with("/login?token="), "{path}");
    let mut person = Person::new(&monitor);
    let entered = person.get(&path, "");
    assert_eq!((entered.status, entered.header("location")), (303, Some("/upstreams")));
    assert!(entered.header("set-cookie").unwrap().contains("; Secure"));
    person.keep(&entered);
    assert!(person.get("/", "").text().contains("Ada L."));
    assert!(!monitor.get("/").text().contains("Ada L."), "nobody else is");
    let again = Person::new(&monitor).get(&path, "");
    assert!(again.status == 403 && again.header("set-cookie").is_none(), "{}", again.text());
    assert!(again.text().contains("has been used"), "{}", again.text());
    assert_eq!(Person::new(&monitor).get("/login?token=AAAA", "").status, 403);
    // The old session of a browser ends with a new one.
    let newer = person.get(&link(&["login"]), "");
    assert_eq!(newer.status, 303);
    assert!(!person.get("/", "").text().contains("Ada L."));
    for name in ["", "a\nb", &"x".repeat(301)] {
        assert!(!monitor.ask(&["login", "--name", name]).status.success(), "{name:?}");
    }
    // Sessions end with the monitor.
    person.keep(&newer);
    monitor.kill();
    monitor.run();
    let person = Person {
        monitor: &monitor,
        cookie: newer.header("set-cookie").unwrap().split(';').next().unwrap().into(),
    };
    assert!(!person.get("/", "").text().contains("name=\"csrf\""));
}

#[test]
fn a_configuration_with_a_password_that_is_no_hash_is_refused() {
    let monitor = Monitor::start("");
    let text = std::fs::read_to_string(monitor.path("fleet.toml")).unwrap();
    for hash in ["secret", "$argon2id$v=19$m=8"] {
        let text = format!("{text}admins = [{{ name = \"ada\", password = \"{hash}\" }}]\n");
        std::fs::write(monitor.path("fleet.toml"), text).unwrap();
        let output = monitor.ask(&[]);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains("monitor.admins") && said.contains("switchboard-monitor password"), "{said}");
        assert!(!said.contains("secret"), "{said}");
    }
}
