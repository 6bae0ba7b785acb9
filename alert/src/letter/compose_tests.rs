use mail_parser::{MessageParser, MimeHeaders};
use proptest::prelude::*;
use switchboard_fleet::report::WorkerKind;

use super::*;
use crate::rules::{Change, Facts, Kind, Member, Reach};

const NOW_MS: u64 = 1_795_374_180_000;

fn writer() -> Writer {
    let to = vec!["a@example.net".into(), "B C <b@example.net>".into()];
    let config = Alert { from: "Switchboard <switchboard@example.net>".into(), to, ..Alert::default() };
    Writer::new(&config, &"eu.example.net:8080".parse().unwrap(), Some("https://m.example.net/")).unwrap()
}

fn member(name: &str, kind: WorkerKind, detail: &str) -> Member {
    let (name, detail, server) = (name.into(), detail.into(), "eu.example.net".into());
    Member { name, server, kind, since_ms: NOW_MS - 420_000, detail }
}

fn event(kind: Kind, change: Change, members: Vec<Member>) -> Event {
    let fleet = matches!(kind, Kind::Archive | Kind::Unheard);
    let reach = Reach { own: true, others: Some(false) };
    Event {
        incident: "1a-2".into(),
        kind,
        server: if fleet { String::new() } else { "eu.example.net".into() },
        at_ms: NOW_MS,
        opened_ms: NOW_MS - 7_500_000,
        change,
        letter: Some(3),
        facts: Facts {
            silenced: 1,
            instances: 8,
            running: 6,
            overloaded: vec!["eu.example.net/8084".into()],
            servers: 2,
            whole: members.len() == 8,
            members,
            reach,
        },
    }
}

fn subject(event: &Event) -> String {
    let letter = writer().write(event, None).unwrap().unwrap();
    MessageParser::default().parse(&letter.message).unwrap().subject().unwrap().into()
}

#[test]
fn subjects_say_it_all() {
    let instances = |n: u16| -> Vec<Member> {
        let name = |port: u16| format!("eu.example.net/{}", 8081 + port);
        (0..n).map(|port| member(&name(port), WorkerKind::Instance, "silent")).collect()
    };
    let front = || member("eu.example.net/front", WorkerKind::Front, "silent");
    let controller = || member("eu.example.net/controller", WorkerKind::Controller, "silent");
    let both = [instances(1), vec![front()]].concat();
    let recovered = Change::Recovered { lasted_ms: 840_000 };
    let table = [
        (Kind::Down, Change::Opened, instances(2), "[DOWN] eu.example.net: 2 of 8 instances"),
        (Kind::Down, Change::Opened, instances(8), "[DOWN] eu.example.net: the whole server (8 instances)"),
        (Kind::Down, Change::Opened, vec![front()], "[DOWN] eu.example.net: the front"),
        (Kind::Down, Change::Opened, vec![controller()], "[DOWN] eu.example.net: the controller"),
        (Kind::Down, Change::Opened, both, "[DOWN] eu.example.net: 1 of 8 instances and the front"),
        (
            Kind::Down,
            Change::Reminder,
            instances(2),
            "[DOWN] eu.example.net: 2 of 8 instances, for 2 h 5 min",
        ),
        (Kind::Down, recovered.clone(), vec![], "[RECOVERED] eu.example.net: all is up again after 14 min"),
        (
            Kind::Down,
            Change::Unstable { changes: 7 },
            vec![],
            "[UNSTABLE] eu.example.net: being down comes and goes",
        ),
        (Kind::Overload, Change::Opened, instances(3), "[OVERLOAD] eu.example.net: 3 of 6 instances running"),
        (
            Kind::Overload,
            recovered.clone(),
            vec![],
            "[RECOVERED] eu.example.net: no longer overloaded after 14 min",
        ),
        (
            Kind::Trouble,
            Change::Opened,
            vec![controller()],
            "[TROUBLE] eu.example.net: something is wrong with the controller",
        ),
        (
            Kind::Trouble,
            Change::Opened,
            instances(2),
            "[TROUBLE] eu.example.net: something is wrong with 2 programs",
        ),
        (Kind::Trouble, recovered, vec![], "[RECOVERED] eu.example.net: no more trouble after 14 min"),
        (Kind::Archive, Change::Opened, instances(1), "[ARCHIVE] the fleet: 1 archive out of order"),
        (Kind::Panic, Change::Opened, instances(2), "[PANIC] eu.example.net: 2 workers have panicked"),
        (Kind::Unheard, Change::Opened, instances(5), "[UNHEARD] the fleet: 5 workers are silent"),
    ];
    for (kind, change, members, expected) in table {
        assert_eq!(subject(&event(kind, change, members)), expected);
    }
}

#[test]
fn what_a_program_says_stands_in_both_parts_of_the_letter() {
    let said = "the module's socket does not answer; <no> lease";
    let controller = member("eu.example.net/controller", WorkerKind::Controller, said);
    let letter = writer().write(&event(Kind::Trouble, Change::Opened, vec![controller]), None).unwrap();
    let message = letter.unwrap().message;
    let mail = MessageParser::default().parse(&message).unwrap();
    let words = format!("eu.example.net/controller: {said}, for 7 min (since 2026-11-22 18:56 UTC)");
    let text = mail.body_text(0).unwrap();
    assert!(text.contains("In its own words:") && text.contains(&words), "{text}");
    let html = mail.body_html(0).unwrap();
    assert!(html.contains("the module&#39;s socket does not answer; &lt;no&gt; lease, for 7 min"), "{html}");
}

#[test]
fn what_is_not_told_is_no_letter() {
    let mut event = event(Kind::Down, Change::Opened, vec![]);
    event.letter = None;
    assert_eq!(writer().write(&event, None).unwrap(), None);
    event.letter = Some(0);
    let nobody = Writer::new(&Alert::default(), &"eu.example.net".parse().unwrap(), None).unwrap();
    assert_eq!(nobody.write(&event, None).unwrap(), None);
}

#[test]
fn addresses_that_are_none_are_named() {
    let own = "eu.example.net".parse().unwrap();
    for bad in ["", "nobody", "a@b\r\nBcc: c@d", "<a@b", "a b@c"] {
        let config = Alert { to: vec![bad.into()], ..Alert::default() };
        let error = Writer::new(&config, &own, None).unwrap_err().to_string();
        assert!(error.starts_with("alert.to: ") && !error.contains('\n'), "{error}");
    }
}

#[test]
fn the_same_event_makes_the_same_bytes() {
    let event = event(Kind::Down, Change::Reminder, vec![member("x", WorkerKind::Program, "y")]);
    let write = || writer().write(&event, Some(b"png")).unwrap();
    assert_eq!(write(), write());
}

proptest! {
    #[test]
    fn nothing_that_a_worker_says_becomes_structure(
        name in "[ -~\r\n\t\u{0}\u{2028}<>&\"'äß中]{0,120}",
        detail in "[ -~\r\n\t\u{0}<>&\"'.é]{0,400}",
        chart in proptest::option::of(proptest::collection::vec(any::<u8>(), 0..300)),
    ) {
        let bad = format!("{name}\r\nBcc: x@example.org\r\n\r\n--alternative-1a-2-3\r\n<script>");
        let kind = if detail.len() % 2 == 0 { Kind::Panic } else { Kind::Trouble };
        let mut event = event(kind, Change::Opened, vec![member(&bad, WorkerKind::Program, &detail)]);
        event.server = bad.clone();
        let letter = writer().write(&event, chart.as_deref()).unwrap().unwrap();
        let mail = MessageParser::default().parse(&letter.message).unwrap();
        prop_assert!(mail.bcc().is_none());
        prop_assert!(mail.headers().len() <= 14, "{:?}", mail.headers());
        prop_assert_eq!(mail.text_body_count(), 1);
        prop_assert_eq!(mail.html_body_count(), 1);
        prop_assert_eq!(mail.attachment_count(), usize::from(chart.is_some()));
        if let Some(chart) = chart {
            let image = mail.attachment(0).unwrap();
            prop_assert!(image.content_id().is_some());
            prop_assert_eq!(image.contents(), chart);
        }
        prop_assert!(mail.body_text(0).unwrap().contains("https://m.example.net/incidents/1a-2"));
        let html = mail.body_html(0).unwrap();
        prop_assert!(!html.contains("<script"), "{html}");
        prop_assert!(html.contains("</body></html>"));
        prop_assert!(letter.message.is_ascii());
        prop_assert!(letter.message.split(|b| *b == b'\n').all(|line| line.len() < 999));
    }
}
