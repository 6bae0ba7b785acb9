//! From silence to a letter in a mailbox, and back.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use std::{
    io::{Read, Write},
    net::TcpListener,
};

use mail_parser::{Message, MessageParser, MimeHeaders};
use serde_json::json;
use support::{MailServer, Monitor, SERVER, batch, now_ms, sample, until};
use switchboard_fleet::report::WorkerKind;

/// The shortest silence that counts, in seconds.
const ALERTS: &str = "[alert]\ndown_after = 10\nto = [\"ops@example.net\"]\n";

fn letters(raw: &[Vec<u8>]) -> Vec<Message<'_>> {
    let mut letters: Vec<_> = raw.iter().map(|raw| MessageParser::default().parse(raw).unwrap()).collect();
    letters.sort_by_key(|letter| letter.message_id().unwrap().to_owned());
    letters
}

#[test]
fn an_instance_that_falls_silent_is_one_thread_of_letters_and_one_page() {
    let mail = tempfile::tempdir().unwrap();
    let server = MailServer::start(&mail.path().join("box"));
    let smtp = format!("smtp = \"smtp://127.0.0.1:{}\"\n", server.port);
    let monitor = Monitor::start(&format!("page = \"https://monitor.example.net\"\n{ALERTS}{smtp}"));
    let (first, second) = (format!("{SERVER}/8081"), format!("{SERVER}/8082"));
    let stays = monitor.reporting(&first, WorkerKind::Instance);
    let goes = monitor.reporting(&second, WorkerKind::Instance);
    let minute_ms = now_ms() / 60_000 * 60_000;
    for back in (0..30).rev() {
        let at_ms = minute_ms - back * 60_000;
        monitor.report(&batch(&first, 1, sample(30 - back, at_ms, 60)));
    }
    until("both report", || (monitor.worker(&second)["state"] == "up").then_some(()));
    drop(goes);
    let raw = until("a letter", || Some(server.delivered()).filter(|raw| !raw.is_empty()));
    let told = letters(&raw);
    assert_eq!(told[0].subject(), Some(format!("[DOWN] {SERVER}: 1 of 2 instances").as_str()));
    let text = told[0].body_text(0).unwrap();
    assert!(text.contains(&second) && !text.contains(&first), "{text}");
    let picture = told[0].attachment(0).expect("the chart of the hour before");
    assert_eq!(&picture.contents()[1..4], b"PNG");
    assert!(told[0].body_html(0).unwrap().contains(&format!("cid:{}", picture.content_id().unwrap())));

    // One page, with the address that the letter names.
    let id = monitor.status()["incidents"][0]["id"].as_str().unwrap().to_owned();
    assert!(text.contains(&format!("https://monitor.example.net/incidents/{id}")), "{text}");
    let page = monitor.get(&format!("/incidents/{id}"));
    assert_eq!(page.status, 200);
    assert!(page.text().contains(&second), "{}", page.text());

    let back = monitor.reporting(&second, WorkerKind::Instance);
    let raw = until("recovery is told", || Some(server.delivered()).filter(|raw| raw.len() > 1));
    let told = letters(&raw);
    assert!(told[1].subject().unwrap().starts_with(&format!("[RECOVERED] {SERVER}: all is up again after ")));
    assert_eq!(told[1].references().as_text(), told[0].message_id());
    assert_eq!(monitor.status()["incidents"], json!([]));
    assert!(monitor.get("/incidents").text().contains(&id), "past incidents stay");
    drop((stays, back));
}

#[test]
fn what_a_program_says_is_wrong_with_it_is_told_until_it_is_well() {
    let mail = tempfile::tempdir().unwrap();
    let server = MailServer::start(&mail.path().join("box"));
    let smtp = format!("smtp = \"smtp://127.0.0.1:{}\"\n", server.port);
    let monitor = Monitor::start(&format!("{ALERTS}{smtp}"));
    let name = format!("{SERVER}/controller");
    let controller = monitor.reporting(&name, WorkerKind::Controller);
    controller.reporter().wrong(vec!["The module does not answer.".into(), "<b>no lease</b>".into()]);
    let trouble = |raw: &[Vec<u8>], wanted: &str| {
        letters(raw).iter().any(|letter| letter.subject().is_some_and(|subject| subject.starts_with(wanted)))
    };
    let wanted = format!("[TROUBLE] {SERVER}: something is wrong with the controller");
    let delivered = |wanted: &str| Some(server.delivered()).filter(|raw| trouble(raw, wanted));
    let raw = until("a letter", || delivered(&wanted));
    let told = letters(&raw);
    let opened = told.iter().find(|letter| letter.subject() == Some(&wanted)).unwrap();
    let text = opened.body_text(0).unwrap();
    assert!(text.contains(&format!("{name}: The module does not answer; <b>no lease</b>, for ")), "{text}");
    assert!(opened.body_html(0).unwrap().contains("&lt;b&gt;no lease"));
    let incidents = monitor.status()["incidents"].clone();
    let incident =
        incidents.as_array().unwrap().iter().find(|incident| incident["kind"] == "trouble").unwrap();
    assert_eq!((&incident["workers"], &incident["server"]), (&json!([name]), &json!(SERVER)));
    let id = incident["id"].as_str().unwrap();
    let page = monitor.get(&format!("/incidents/{id}")).text();
    assert!(page.contains("In its own words:") && page.contains("The module does not answer"), "{page}");

    controller.reporter().wrong(Vec::new());
    let over = format!("[RECOVERED] {SERVER}: no more trouble after ");
    let raw = until("recovery is told", || delivered(&over));
    let told = letters(&raw);
    let recovered = told.iter().find(|letter| letter.subject().unwrap().starts_with(&over)).unwrap();
    assert_eq!(recovered.references().as_text(), opened.message_id());
}

#[test]
fn silence_for_planned_work_and_forgetting() {
    let mail = tempfile::tempdir().unwrap();
    let server = MailServer::start(&mail.path().join("box"));
    let smtp = format!("smtp = \"smtp://127.0.0.1:{}\"\n", server.port);
    let mut monitor = Monitor::start(&format!("{ALERTS}{smtp}"));
    let said = |monitor: &Monitor, arguments: &[&str]| {
        let output = monitor.ask(arguments);
        let text = [output.stdout, output.stderr].concat();
        (output.status.code().unwrap(), String::from_utf8(text).unwrap())
    };
    let other = "us.example.net/8081";
    let silent = monitor.reporting(other, WorkerKind::Instance);
    until("it is known by its signature", || (monitor.worker(other)["state"] == "up").then_some(()));
    drop(silent);
    let (code, text) = said(&monitor, &["silence", "all", "--for", "1h", "--reason", "new kernel"]);
    assert!(code == 0 && text.contains("new kernel") && text.contains("everything"), "{text}");
    assert!(monitor.get("/").text().contains("new kernel"));

    // The incident is on its page all the same, and outlives the monitor.
    until("an incident", || monitor.status()["incidents"].get(0).map(|_| ()));
    monitor.kill();
    monitor.run();
    let (_, text) = said(&monitor, &["silence", "--list"]);
    assert!(text.contains("new kernel"), "{text}");
    assert!(monitor.status()["incidents"].get(0).is_some());
    assert_eq!(server.delivered().len(), 0);

    let (code, text) = said(&monitor, &["silence", "us.example.net", "--end"]);
    assert!(code == 1 && text.contains("--list"), "{text}");
    let (code, text) = said(&monitor, &["silence", "eu.example.net", "--for", "1h"]);
    assert!(code == 1 && text.contains("us.example.net"), "a name that nobody has: {text}");
    let (code, text) = said(&monitor, &["silence", "all", "--end"]);
    assert_eq!(code, 0, "{text}");
    until("what still is wrong is told", || (!server.delivered().is_empty()).then_some(()));

    let (code, text) = said(&monitor, &["forget", other]);
    assert_eq!(code, 0, "{text}");
    assert_eq!(monitor.worker(other), json!(null));
    let (code, text) = said(&monitor, &["forget", "nobody"]);
    assert!(code == 1 && text.contains("never reported"), "{text}");
    let (code, text) = said(&monitor, &["silence", "all", "--for", "5"]);
    assert!(code == 2 && text.contains("30m"), "{text}");
}

#[test]
fn the_dead_mans_handle_is_held_while_all_is_well() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let url = format!("http://{}/ping/secret", listener.local_addr().unwrap());
    let _monitor = Monitor::start(&format!("{ALERTS}dead_man = \"{url}\"\n"));
    let mut stream = until("a call", || listener.accept().ok()).0;
    stream.set_nonblocking(false).unwrap();
    let mut head = [0; 17];
    stream.read_exact(&mut head).unwrap();
    assert_eq!(&head, b"GET /ping/secret ");
    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").unwrap();
}
