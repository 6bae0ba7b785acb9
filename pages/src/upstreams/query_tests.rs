use proptest::prelude::*;
use switchboard_fleet::front::{Change, Order};

use super::*;
use crate::{SwitchForm, Until};

#[test]
fn what_is_asked_for() {
    assert_eq!(UpstreamsQuery::parse(""), Ok(UpstreamsQuery::default()));
    let query =
        UpstreamsQuery::parse("front=eu&u=a%2Fb&b=127.0.0.1:8081&format=xml&sort=requests&show=bad").unwrap();
    assert_eq!(
        (query.format, query.sort, query.show),
        (Some(Format::Xml), Sort::Column("requests"), Show::Bad)
    );
    assert_eq!(
        query.address(),
        "/upstreams?front=eu&u=a%2Fb&b=127.0.0.1%3A8081&format=xml&sort=requests&show=bad"
    );
    let faults = [
        ("upstream=a", "\"upstream\" is none of front, u, b, format, sort, show"),
        ("format=yaml", "format: \"yaml\" is none of html, json, xml, prometheus"),
        ("show=good", "show: \"good\" is none of all, bad"),
        ("b=127.0.0.1:8081", "b: a backend is named together with its upstream, as u=UPSTREAM&b=ADDRESS"),
    ];
    for (raw, words) in faults {
        assert_eq!(UpstreamsQuery::parse(raw).unwrap_err().to_string(), words);
    }
    assert!(UpstreamsQuery::parse("sort=colour").unwrap_err().to_string().contains("address, state, weight"));
}

const WISH: &str = "front=eu&u=instances&b=127.0.0.1:8081&";

#[test]
fn switches() {
    let form = SwitchForm::parse(&format!(
        "{WISH}change=weight&weight=50&why=new+disk&until=1h&at=&force=yes&seen=7&csrf=x"
    ))
    .unwrap();
    let order = form.order("a-1", "ada", 1000).unwrap();
    assert_eq!(
        (order.change, order.until_ms, order.seen, order.force),
        (Change::Weight { percent: 50 }, Some(3_601_000), Some(7), true)
    );
    assert_eq!(
        (&*order.why, &*order.who, &*order.id, &*order.place.backend),
        ("new disk", "ada", "a-1", "127.0.0.1:8081")
    );
    assert_eq!(
        form.address(),
        "/upstreams/switch?front=eu&u=instances&b=127.0.0.1%3A8081&change=weight&weight=50&why=new%20disk&until=1h&seen=7"
    );
    // A form sends the weight whatever its button was.
    let off = SwitchForm::parse(&format!("{WISH}change=off&weight=&until=&at=19:30")).unwrap();
    assert_eq!(
        (off.change, off.until, off.force, off.seen),
        (Change::Off, Until::Clock { hour: 19, minute: 30 }, false, None)
    );
    let faults = [
        ("", "change: is missing; expected on, drain, off or weight"),
        ("change=kill", "change: \"kill\" is none of on, drain, off, weight"),
        ("change=weight&weight=0", "weight: \"0\" is no whole number from 1 to 100"),
        ("change=weight&weight=1.5", "weight: \"1.5\" is no whole number from 1 to 100"),
        ("change=on&until=1h", "until: On has no end; leave it at \"for ever\""),
        ("change=off&until=1h&at=19:30", "until: choose how long or type a time, not both"),
        ("change=off&at=25:00", "until: \"25:00\" is none of 15min, 1h, 4h, or a time in UTC as 19:30"),
        ("change=off&why=a%0Ab", "why: one line without control characters"),
        ("change=off&force=1", "force: \"1\" is neither yes nor no"),
        ("change=off&seen=x", "seen: \"x\" is no version of a table"),
        (
            "change=off&who=me",
            "\"who\" is none of front, u, b, change, weight, why, until, at, force, seen, csrf",
        ),
    ];
    for (rest, words) in faults {
        assert_eq!(SwitchForm::parse(&format!("{WISH}{rest}")).unwrap_err().to_string(), words);
    }
    let long = format!("{WISH}change=off&why={}", "x".repeat(Order::WORDS_MAX + 1));
    assert_eq!(SwitchForm::parse(&long).unwrap_err().to_string(), "why: longer than 300 bytes");
    let longer = format!("{WISH}change=off&why={}", "x".repeat(SwitchForm::BYTES_MAX));
    assert!(SwitchForm::parse(&longer).unwrap_err().to_string().starts_with("the form: longer"));
    assert!(off.order("a", "x".repeat(301), 0).is_err());
}

#[test]
fn times_of_day_are_ahead() {
    let now_ms = 1_795_374_187_123;
    let at = |hour, minute| Until::Clock { hour, minute }.at_ms(now_ms).unwrap() - now_ms;
    assert_eq!(at(19, 4), 52_877);
    assert_eq!(at(19, 3), 86_400_000 - 7123);
    assert_eq!(Until::ForEver.at_ms(now_ms), None);
}

proptest! {
    #[test]
    fn what_was_shown_is_what_is_posted(
        front in ".{1,40}", upstream in ".{1,40}", backend in ".{1,40}", why in "[^\\p{Cc}]{0,60}",
        at in prop::sample::select(vec![Until::ForEver, Until::Minutes(15), Until::Minutes(60), Until::Minutes(240), Until::Clock { hour: 7, minute: 5 }]),
        change in prop::sample::select(vec![Change::Drain, Change::Off, Change::Weight { percent: 33 }]),
        seen in any::<Option<u64>>(),
    ) {
        let place = switchboard_fleet::front::Place { upstream, backend };
        let form = SwitchForm { front, place, change, why: why.trim().into(), until: at, force: false, seen, csrf: None };
        let address = form.address();
        prop_assert_eq!(SwitchForm::parse(address.split_once('?').unwrap().1), Ok(form));
    }

    #[test]
    fn nothing_that_is_sent_breaks_it(raw in "\\PC{0,200}", change in "[a-z&=%0-9:]{0,80}") {
        let _ = (SwitchForm::parse(&raw), SwitchForm::parse(&format!("{WISH}{change}")), UpstreamsQuery::parse(&raw));
    }
}
