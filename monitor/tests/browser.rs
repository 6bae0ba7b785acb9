//! The pages as a reader has them, in real Chromium.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "support/front.rs"]
mod front;
mod support;
#[path = "support/browser.rs"]
mod window;

use std::{fs, thread};

use front::Controller;
use serde_json::json;
use support::{Monitor, SERVER, batch, now_ms, sample, until};
use window::{Browser, Look};

/// The key that moves the focus on.
const TAB: &str = "\u{e004}";

/// A monitor with two instances that report an hour of traffic, and a stranger with a hostile name.
fn fleet() -> Monitor {
    let monitor = Monitor::start("");
    let minute_ms = now_ms() / 60_000 * 60_000;
    for port in [8081, 8082] {
        let name = format!("{SERVER}/{port}");
        for back in (0..60).rev() {
            let count = 60 + (back * port) % 37;
            monitor.report(&batch(&name, 1, sample(60 - back, minute_ms - back * 60_000, count)));
        }
        let state = json!({
            "seq": 61, "at_ms": now_ms(), "type": "state", "rss_bytes": 9_000_000, "cpu_us": 5_000_000, "uptime_s": 3600,
            "host": "eu", "address": format!("127.0.0.1:{port}"), "version": "0.1.0", "pid": 7
        });
        monitor.report(&batch(&name, 1, state));
    }
    monitor.report(&batch("<script>alert(1)</script>", 1, line(1, "<img src=x onerror=alert(1)>")));
    let until_filed = |port: u16| {
        let file = format!("var/archives/127@2E0@2E0@2E1@3A8080@2F{port}.rrd");
        until("an archive", || monitor.path(&file).exists().then_some(()));
    };
    until_filed(8081);
    until_filed(8082);
    monitor
}

fn line(seq: u64, message: &str) -> serde_json::Value {
    json!({ "seq": seq, "at_ms": now_ms(), "type": "log", "level": "warning", "message": message })
}

/// Keeps a picture for a person to look at.
fn keep(browser: &Browser, name: &str) {
    let folder = concat!(env!("CARGO_TARGET_TMPDIR"), "/pages");
    fs::create_dir_all(folder).unwrap();
    fs::write(format!("{folder}/{name}.png"), browser.picture()).unwrap();
}

const ALL_PAGES: [&str; 9] = [
    "/",
    "/charts?period=6h&size=l&peaks=both",
    "/charts?size=s",
    "/workers/127.0.0.1%3A8080%2F8081",
    "/incidents",
    "/log",
    "/upstreams",
    "/login",
    "/nothing",
];

#[test]
fn every_page_is_whole_on_wide_and_narrow_screens_dark_and_light() {
    let monitor = fleet();
    for (dark, width) in [(false, 1280), (true, 1280), (true, 360)] {
        let browser = Browser::open(&Look { dark, width, ..Look::default() });
        for (number, page) in ALL_PAGES.iter().enumerate() {
            browser.go(&format!("http://{}{page}", monitor.address));
            keep(&browser, &format!("{number}-{width}-{}", if dark { "dark" } else { "light" }));
            let broken = browser.run(
                "return [...document.images].filter(image => { image.loading = 'eager'; return image.complete && image.naturalWidth === 0; }).length",
            );
            assert_eq!(broken, 0, "{page}: pictures that are not there");
            let over = browser
                .run("return document.documentElement.scrollWidth - document.documentElement.clientWidth");
            assert!(over.as_i64().unwrap() <= 0, "{page} is {over} pixels too wide at {width}");
            let light = browser.run(
                "return getComputedStyle(document.body).backgroundColor.match(/\\d+/g).slice(0, 3).reduce((a, b) => a + Number(b), 0)",
            );
            assert_eq!(light.as_i64().unwrap() > 384, !dark, "{page}: the ground's colour {light}");
            let main = browser.run("return document.querySelectorAll('main h1').length");
            assert_eq!(main, 1, "{page}");
        }
        // The page that is not there says so with its status, which the browser notes.
        let complaints: Vec<String> =
            browser.complaints().into_iter().filter(|text| !text.contains("/nothing")).collect();
        assert_eq!(complaints, Vec::<String>::new());
    }
}

#[test]
fn a_page_follows_what_happens_and_leaves_its_reader_in_peace() {
    let monitor = fleet();
    let browser = Browser::open(&Look::default());
    browser.go(&format!("http://{}/log", monitor.address));
    browser.run("window.stays = true");
    browser.run("new EventSource('/events').addEventListener('changed', () => { window.heard = true })");
    browser.wait_for("the monitor says that something changed", "return window.heard === true");
    monitor.report(&batch(&format!("{SERVER}/8081"), 1, line(62, "something new")));
    browser.wait_for(
        "the new line",
        "return document.querySelector('main').textContent.includes('something new')",
    );
    assert_eq!(browser.run("return window.stays"), true, "the page was loaded anew");

    // Who types is not disturbed, and what was typed stays.
    browser.click("#text");
    browser.press("x");
    monitor.report(&batch(&format!("{SERVER}/8081"), 1, line(63, "while somebody types")));
    browser.wait_for(
        "the page waits",
        "return document.getElementById('live').textContent === 'waiting for the form'",
    );
    assert_eq!(browser.run("return document.querySelector('#text').value"), "x");
    assert_eq!(browser.run("return document.activeElement.id"), "text");

    // What the reader opened stays open.
    browser.go(&format!("http://{}/", monitor.address));
    let details = "return [...document.querySelectorAll('main details')].map(each => each.open)";
    browser.click("main details summary");
    let before = browser.run(details);
    let stamp = "return document.querySelector('#foot time').textContent + document.querySelector('main').innerHTML.length";
    let old = browser.run(stamp);
    monitor.report(&batch(&format!("{SERVER}/8083"), 1, line(1, "a stranger")));
    until("the page changes", || (browser.run(stamp) != old).then_some(()));
    assert_eq!(browser.run(details), before);
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

#[test]
fn everything_works_without_javascript_and_by_keyboard() {
    let monitor = fleet();
    let browser = Browser::open(&Look { script: false, ..Look::default() });
    browser.go(&format!("http://{}/charts", monitor.address));
    let source = browser.source();
    assert!(source.contains("http-equiv=\"refresh\""), "a page without script refreshes itself");
    browser.click("#period option[value='3day']");
    browser.click("form.choose button");
    until("the form is sent", || browser.address().contains("period=3day").then_some(()));
    assert!(browser.source().contains("/cpu.3day.svg"));

    let browser = Browser::open(&Look::default());
    browser.go(&format!("http://{}/", monitor.address));
    browser.press(TAB);
    let focus = "return document.activeElement.textContent.trim() + getComputedStyle(document.activeElement).outlineStyle";
    let first = browser.run(focus);
    assert!(first.as_str().unwrap().starts_with("Skip to content"), "{first}");
    let mut links = Vec::new();
    for _ in 0..8 {
        browser.press(TAB);
        assert_ne!(
            browser.run("return getComputedStyle(document.activeElement).outlineStyle"),
            "none",
            "the focus is seen"
        );
        links.push(browser.run("return document.activeElement.getAttribute('href')"));
    }
    for page in ["/charts", "/incidents", "/log"] {
        assert!(links.contains(&json!(page)), "{page} is not reached: {links:?}");
    }
}

/// Fills in the form of a login.
fn enter(browser: &Browser) {
    browser.click("#name");
    type_in(browser, "ada");
    browser.click("#password");
    type_in(browser, "correct horse");
    browser.click("form.login button");
}

fn type_in(browser: &Browser, text: &str) {
    text.chars().for_each(|letter| browser.press(&letter.to_string()));
}

#[test]
fn an_admin_logs_in_and_switches_a_backend_off() {
    let monitor = Monitor::start(&front::admin("ada", "correct horse"));
    thread::scope(|scope| {
        let controller = Controller::run(scope, &monitor, front::table(SERVER));
        until("the table", || monitor.get("/upstreams").text().contains("127.0.0.1:8081").then_some(()));
        for (script, port, width) in [(true, 8081, 1280), (false, 8082, 360)] {
            let browser = Browser::open(&Look { script, width, ..Look::default() });
            let backend = format!("/upstreams?front=127.0.0.1%3A8080&u=instances&b=127.0.0.1%3A{port}");
            browser.go(&format!("http://{}{backend}", monitor.address));
            assert!(!browser.source().contains("name=\"change\""), "nobody is logged in");
            browser.click("section[data-key=switch] a[href^='/login']");
            until("the form", || browser.address().contains("/login").then_some(()));
            keep(&browser, &format!("login-{width}"));
            enter(&browser);
            until("back at the backend", || browser.address().contains("&b=").then_some(()));
            browser.click("#why");
            type_in(&browser, "new kernel");
            browser.click("button[name=change][value=off]");
            until("the page that asks", || browser.address().contains("/upstreams/switch?").then_some(()));
            let left = if port == 8081 { "1 of 2" } else { "no backend" };
            assert!(browser.source().to_lowercase().contains(left), "the capacity: {}", browser.source());
            keep(&browser, &format!("confirm-{width}"));
            if port == 8082 {
                browser.click("#force");
            }
            browser.click("form.confirm button");
            until("what became of it", || browser.address().contains("/upstreams/switched?").then_some(()));
            assert!(browser.source().contains(&format!("127.0.0.1:{port} is off")), "{}", browser.source());
            keep(&browser, &format!("outcome-{width}"));
            browser.go(&format!("http://{}/upstreams", monitor.address));
            assert!(browser.source().contains("new kernel"), "the table shows it");
            keep(&browser, &format!("upstreams-{width}"));
            if script {
                let seen = "return document.querySelector('main').textContent.includes('it leaks')";
                controller.table.lock().unwrap().wrong = vec!["it leaks".into()];
                browser.wait_for("the page follows the table", seen);
                assert_eq!(browser.complaints(), Vec::<String>::new());
            }
            browser.click("form.who-is-in button");
            until("logged out", || (!browser.source().contains("name=\"csrf\"")).then_some(()));
        }
        let orders = controller.orders.lock().unwrap().clone();
        assert_eq!(orders.len(), 2);
        assert!(orders.iter().all(|order| order.who == "ada" && order.why == "new kernel"));
        assert!(!orders[0].force && orders[1].force);
        drop(controller);
    });
}
