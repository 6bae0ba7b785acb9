//! Letters go through a real mail server, whatever it does.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use std::fs;

use mail_parser::{MessageParser, MimeHeaders};
use support::{Desk, NOW_MS, Server, event, letter, quiet_port, writer};
use switchboard_alert::{
    post::{MailServer, Outbox, Outcome, PATIENCE_MS, PAUSE_MIN_MS, Postman},
    rules::Change,
};

const MINUTE_MS: u64 = 60_000;

#[tokio::test]
async fn a_letter_arrives_as_it_was_written() {
    let desk = Desk::new();
    let server = Server::start(&desk.maildir(), &[]);
    let writer = writer(&["Ärztin <admin@example.net>", "b@example.net"]);
    let chart = b"\x89PNG\r\n\x1a\n.\r\n..not a real one\0\xff".to_vec();
    let first = writer.write(&event(0, Change::Opened), Some(&chart)).unwrap().unwrap();
    let last = Change::Recovered { lasted_ms: 14 * MINUTE_MS };
    let last = writer.write(&event(1, last), None).unwrap().unwrap();
    desk.outbox.put(&first, NOW_MS).unwrap();
    desk.outbox.put(&last, NOW_MS + 1).unwrap();
    let round = desk.postman(server.port).round(NOW_MS + 1).await.unwrap();
    let sent = |name: &str| Outcome::Sent { name: name.into(), refused: vec![] };
    assert_eq!(round.outcomes, [sent("1a2b-7-0"), sent("1a2b-7-1")]);
    assert_eq!(round.next_ms, None);
    assert!(desk.outbox.is_empty().unwrap());

    let raw = desk.delivered();
    let mut mails: Vec<_> = raw.iter().map(|raw| MessageParser::default().parse(raw).unwrap()).collect();
    mails.sort_by_key(|mail| mail.message_id().unwrap().to_owned());
    let [opened, recovered] = mails.as_slice() else { panic!("{} letters", mails.len()) };
    assert_eq!(opened.subject(), Some("[DOWN] eu.example.net: 2 of 8 instances"));
    assert_eq!(opened.to().unwrap().first().unwrap().name(), Some("Ärztin"));
    assert_eq!(opened.header_raw("X-Envelope-To").unwrap().trim(), "admin@example.net, b@example.net");
    assert_eq!(opened.header_raw("Auto-Submitted").unwrap().trim(), "auto-generated");
    assert_eq!(opened.header_raw("X-Auto-Response-Suppress").unwrap().trim(), "All");
    assert_eq!(opened.date().unwrap().to_timestamp(), i64::try_from(NOW_MS / 1000).unwrap());
    assert!(opened.header_raw("X-Switchboard-Repeat").is_none());
    let text = opened.body_text(0).unwrap();
    assert!(text.contains("  eu.example.net/8083: silent, for 6 min (since 2026-11-22 18:57 UTC)"), "{text}");
    assert!(text.contains("http://127.0.0.1:8090/incidents/1a2b-7"), "{text}");
    let image = opened.attachment(0).unwrap();
    assert_eq!(image.contents(), chart);
    let cid = format!("cid:{}", image.content_id().unwrap());
    assert!(opened.body_html(0).unwrap().contains(&cid));
    assert_eq!(recovered.subject(), Some("[RECOVERED] eu.example.net: all is up again after 14 min"));
    let first_id = opened.message_id().unwrap();
    assert_eq!(recovered.in_reply_to().as_text(), Some(first_id));
    assert_eq!(recovered.references().as_text(), Some(first_id));
    assert_eq!(opened.in_reply_to().as_text(), None);
}

#[tokio::test]
async fn a_server_that_is_away_gets_them_when_it_is_back() {
    let desk = Desk::new();
    let (_kept, port) = quiet_port();
    let mut postman = desk.postman(port);
    desk.outbox.put(&letter(&["a@example.net"], 0), NOW_MS).unwrap();
    desk.outbox.put(&letter(&["a@example.net"], 1), NOW_MS).unwrap();
    let round = postman.round(NOW_MS).await.unwrap();
    assert!(matches!(round.outcomes.as_slice(), [Outcome::Away { .. }]), "{:?}", round.outcomes);
    assert_eq!(round.next_ms, Some(NOW_MS + PAUSE_MIN_MS));
    let soon = postman.round(NOW_MS + PAUSE_MIN_MS - 1).await.unwrap();
    assert_eq!(soon.outcomes, []);
    let again = postman.round(NOW_MS + PAUSE_MIN_MS).await.unwrap();
    assert_eq!(again.next_ms, Some(NOW_MS + 3 * PAUSE_MIN_MS), "the pause grows");

    let server = Server::start(&desk.maildir(), &["--port", &port.to_string()]);
    assert_eq!(postman.round(NOW_MS + 2 * PAUSE_MIN_MS).await.unwrap().outcomes, []);
    // A new letter does not wait for the pause, and takes the others with it.
    desk.outbox.put(&letter(&["a@example.net"], 2), NOW_MS + 2 * PAUSE_MIN_MS).unwrap();
    let round = postman.round(NOW_MS + 2 * PAUSE_MIN_MS).await.unwrap();
    assert_eq!(round.outcomes.len(), 3, "{:?}", round.outcomes);
    assert_eq!(desk.delivered().len(), 3);
    drop(server);
}

#[tokio::test]
async fn a_server_that_dies_before_the_content_is_whole_gets_it_again() {
    died("dies-before", 0).await;
}

#[tokio::test]
async fn a_server_that_dies_before_its_answer_may_get_it_twice_and_can_tell() {
    died("dies-after", 1).await;
}

/// A server that dies, one that follows it, and how many copies the first one has kept.
async fn died(how: &str, kept: usize) {
    let desk = Desk::new();
    let server = Server::start(&desk.maildir(), &["--content", how]);
    desk.outbox.put(&letter(&["a@example.net"], 0), NOW_MS).unwrap();
    let round = desk.postman(server.port).round(NOW_MS).await.unwrap();
    assert!(matches!(round.outcomes.as_slice(), [Outcome::Waits { .. }]), "{:?}", round.outcomes);
    assert_eq!(desk.delivered().len(), kept);
    drop(server);

    // Another process: nothing is known but what is on disk.
    let Desk { folder, outbox } = desk;
    drop(outbox);
    let outbox = std::sync::Arc::new(Outbox::open(&folder.path().join("outbox")).unwrap());
    let desk = Desk { folder, outbox };
    let server = Server::start(&desk.maildir(), &[]);
    let round = desk.postman(server.port).round(NOW_MS + PAUSE_MIN_MS).await.unwrap();
    assert!(matches!(round.outcomes.as_slice(), [Outcome::Sent { .. }]), "{:?}", round.outcomes);
    let raw = desk.delivered();
    let mails: Vec<_> = raw.iter().map(|raw| MessageParser::default().parse(raw).unwrap()).collect();
    assert_eq!(mails.len(), kept + 1);
    let repeats = mails.iter().filter(|mail| mail.header_raw("X-Switchboard-Repeat").is_some());
    assert_eq!(repeats.count(), 1);
    assert!(mails.iter().all(|mail| mail.message_id() == mails[0].message_id()));
    assert!(mails.iter().all(|mail| mail.body_text(0) == mails[0].body_text(0)));
}

#[tokio::test]
async fn one_reader_holds_no_other_up() {
    let desk = Desk::new();
    let server = Server::start(&desk.maildir(), &[]);
    let mut postman = desk.postman(server.port);
    let readers = ["refused@example.net", "later@example.net", "well@example.net"];
    desk.outbox.put(&letter(&readers, 0), NOW_MS).unwrap();
    desk.outbox.put(&letter(&["refused@example.net"], 1), NOW_MS + 1).unwrap();
    desk.outbox.put(&letter(&["well@example.net"], 2), NOW_MS + 2).unwrap();
    let outcomes = postman.round(NOW_MS + 2).await.unwrap().outcomes;
    let [first, second, third] = outcomes.as_slice() else { panic!("{outcomes:?}") };
    assert!(
        matches!(first, Outcome::Waits { why, .. } if why.contains("later@") && why.contains("come again"))
    );
    assert!(matches!(second, Outcome::GivenUp { why, .. } if why.contains("no such user")), "{second:?}");
    assert!(matches!(third, Outcome::Sent { .. }), "{third:?}");
    let round = postman.round(NOW_MS + 2 + PAUSE_MIN_MS).await.unwrap();
    let [Outcome::Sent { refused, .. }] = round.outcomes.as_slice() else { panic!("{:?}", round.outcomes) };
    assert_eq!(refused.len(), 1);
    let mut to: Vec<String> = desk
        .delivered()
        .iter()
        .map(|raw| String::from_utf8_lossy(raw).lines().next().unwrap().to_owned())
        .collect();
    to.sort();
    let to_whom = |who: &str| format!("X-Envelope-To: {who}@example.net");
    assert_eq!(to, [to_whom("later"), to_whom("well"), to_whom("well")]);
    assert_eq!(desk.failed(), 1);
}

#[tokio::test]
async fn content_is_offered_again_after_later_and_not_after_no() {
    let desk = Desk::new();
    let server = Server::start(&desk.maildir(), &["--content", "later-once"]);
    let mut postman = desk.postman(server.port);
    desk.outbox.put(&letter(&["a@example.net"], 0), NOW_MS).unwrap();
    let round = postman.round(NOW_MS).await.unwrap();
    assert!(matches!(round.outcomes.as_slice(), [Outcome::Waits { .. }]), "{:?}", round.outcomes);
    let round = postman.round(NOW_MS + PAUSE_MIN_MS).await.unwrap();
    assert!(matches!(round.outcomes.as_slice(), [Outcome::Sent { .. }]), "{:?}", round.outcomes);
    let raw = desk.delivered().remove(0);
    assert!(!String::from_utf8_lossy(&raw).contains("X-Switchboard-Repeat"), "a clear no is no doubt");
    drop(server);

    let server = Server::start(&desk.maildir(), &["--content", "refuses"]);
    desk.outbox.put(&letter(&["a@example.net"], 1), NOW_MS).unwrap();
    let round = desk.postman(server.port).round(NOW_MS).await.unwrap();
    assert!(
        matches!(round.outcomes.as_slice(), [Outcome::GivenUp { why, .. }] if why.contains("not this content"))
    );
    assert!(desk.outbox.is_empty().unwrap());
    assert_eq!(desk.failed(), 1);
}

#[tokio::test]
async fn a_letter_that_nobody_takes_is_given_up_with_a_reason() {
    let desk = Desk::new();
    let (_kept, port) = quiet_port();
    let mut postman = desk.postman(port);
    desk.outbox.put(&letter(&["a@example.net"], 0), NOW_MS).unwrap();
    let mut now_ms = NOW_MS;
    let mut tries = 0;
    let why = loop {
        let round = postman.round(now_ms).await.unwrap();
        tries += 1;
        if let Some(Outcome::GivenUp { why, .. }) = round.outcomes.last() {
            break why.clone();
        }
        let next_ms = round.next_ms.unwrap();
        assert!(next_ms > now_ms && next_ms <= now_ms + 60 * MINUTE_MS);
        now_ms = next_ms;
    };
    assert!((PATIENCE_MS..PATIENCE_MS + 60 * MINUTE_MS).contains(&(now_ms - NOW_MS)));
    assert!((120..130).contains(&tries), "{tries}");
    assert!(why.contains("5 days") && why.contains("refused"), "{why}");
    assert_eq!(desk.failed(), 1);
}

#[tokio::test]
async fn tls_and_login() {
    let desk = Desk::new();
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (certificate, key) = (desk.folder.path().join("c.pem"), desk.folder.path().join("k.pem"));
    fs::write(&certificate, made.cert.pem()).unwrap();
    fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let files = ["--certificate", certificate.to_str().unwrap(), "--key", key.to_str().unwrap()];
    let login = ["--login", "user@example.net:pass word"];
    for (number, wrapped) in [(0, false), (1, true)] {
        let mut arguments = [&files[..], &login].concat();
        arguments.extend(wrapped.then_some("--wrapped"));
        let server = Server::start(&desk.maildir(), &arguments);
        let scheme = if wrapped { "smtps" } else { "smtp" };
        let url = |password: &str| {
            let port = server.port;
            format!("{scheme}://user%40example.net:{password}@localhost:{port}?tls=required")
        };
        let postman = |password: &str, trusted: bool| {
            let mut server = MailServer::parse(&url(password), "eu.example.net").unwrap();
            if trusted {
                server.trust(made.cert.pem().as_bytes()).unwrap();
            }
            Postman::new(desk.outbox.clone(), server)
        };
        desk.outbox.put(&letter(&["a@example.net"], number), NOW_MS).unwrap();
        for (password, trusted, part) in [("pass%20word", false, "ertificate"), ("wr%20ong", true, "login: ")]
        {
            let round = postman(password, trusted).round(NOW_MS).await.unwrap();
            let [Outcome::Away { why }] = round.outcomes.as_slice() else { panic!("{:?}", round.outcomes) };
            assert!(why.contains(part) && !why.contains("word") && !why.contains("ong"), "{why}");
        }
        let round = postman("pass%20word", true).round(NOW_MS).await.unwrap();
        assert!(matches!(round.outcomes.as_slice(), [Outcome::Sent { .. }]), "{:?}", round.outcomes);
    }
    assert_eq!(desk.delivered().len(), 2);
    assert!(desk.delivered().iter().all(|raw| String::from_utf8_lossy(raw).contains("X-Tls: True")));

    // Without TLS at the server, nothing is said that needs it.
    let server = Server::start(&desk.maildir(), &[]);
    desk.outbox.put(&letter(&["a@example.net"], 2), NOW_MS).unwrap();
    let url = format!("smtp://u:p@localhost:{}?tls=required", server.port);
    let round = desk.postman_by(&url).round(NOW_MS).await.unwrap();
    assert!(matches!(round.outcomes.as_slice(), [Outcome::Away { why }] if why.contains("STARTTLS")));
}

#[tokio::test]
async fn the_outbox_keeps_each_letter_once_and_damage_aside() {
    let desk = Desk::new();
    let first = letter(&["a@example.net"], 0);
    desk.outbox.put(&first, NOW_MS).unwrap();
    desk.outbox.put(&first, NOW_MS + 1).unwrap();
    desk.outbox.put(&letter(&["a@example.net"], 1), NOW_MS).unwrap();
    assert_eq!(desk.outbox.len().unwrap(), 2);
    assert!(Outbox::open(&desk.folder.path().join("outbox")).is_err(), "it is in use");
    let path = desk.folder.path().join("outbox/1a2b-7-1.letter");
    let mut bytes = fs::read(&path).unwrap();
    bytes.truncate(bytes.len() - 1);
    fs::write(&path, bytes).unwrap();
    let server = Server::start(&desk.maildir(), &[]);
    let round = desk.postman(server.port).round(NOW_MS).await.unwrap();
    assert!(
        matches!(round.outcomes.as_slice(), [Outcome::Damaged { kept }, Outcome::Sent { .. }] if kept.exists())
    );
    for name in ["", "../x", "A", "a/b"] {
        let strange = switchboard_alert::letter::Letter { name: name.into(), ..first.clone() };
        assert!(desk.outbox.put(&strange, NOW_MS).is_err(), "{name:?}");
    }
}
