use super::*;
use crate::config::{Https, Seconds};
use std::time::Duration;

/// The keys of the rules that the default breaks after `change`.
fn broken(change: impl FnOnce(&mut Config)) -> Vec<String> {
    let mut config = Config::default();
    change(&mut config);
    breaches(&config).iter().map(|breach| breach.keys[0].to_string()).collect()
}

#[test]
fn the_default_keeps_every_rule() {
    assert_eq!(breaches(&Config::default()), []);
}

#[test]
fn instances_are_some_distinct_free_ports() {
    assert_eq!(broken(|c| c.instances = vec![8081, 8082, 8081]), ["instances"]);
    assert_eq!(broken(|c| c.instances = vec![8081, 0]), ["instances"]);
    assert_eq!(broken(|c| c.instances = vec![8081, 8080]), ["instances"]);
    assert_eq!(broken(|c| c.instances = (8081..=9080).filter(|p| *p != 8090).collect()), [""; 0]);
    assert_eq!(broken(|c| c.instances = (9000..10_001).chain([8081]).collect()), ["instances"]);
    assert_eq!(broken(|c| c.instances.clear()), ["instances", "master.port"]);
}

#[test]
fn a_port_is_taken_once_on_overlapping_addresses() {
    let front = |address: &str| {
        let address = address.parse().unwrap();
        broken(move |c| c.front.listen = vec![address])
    };
    assert_eq!(front("127.0.0.1:8081"), ["instances"]);
    assert_eq!(front("0.0.0.0:8081"), ["instances"]);
    assert_eq!(front("127.0.0.2:8081"), [""; 0]);
    assert_eq!(front("127.0.0.1:8090"), ["monitor.listen"]);
    let without = |c: &mut Config| {
        c.front.listen = vec![c.monitor.listen];
        c.monitor.run = false;
    };
    assert_eq!(broken(without), [""; 0]);
    assert_eq!(front("127.0.0.1:0"), ["front.listen"]);
    assert_eq!(broken(|c| c.front.listen.clear()), ["front.listen"]);
    assert_eq!(broken(|c| c.front.listen = vec![c.front.listen[0]; 2]), ["front.listen"]);
}

#[test]
fn the_port_of_https_is_its_own() {
    let https = |port| {
        broken(move |c| c.listen.https = Some(Https { port, certificate: "c".into(), key: "k".into() }))
    };
    assert_eq!(https(8443), [""; 0]);
    for taken in [0, 8080, 8081, 8082] {
        assert_eq!(https(taken), ["listen.https.port"], "{taken}");
    }
}

#[test]
fn servers_are_others_and_once() {
    let servers = |names: &[&str]| {
        let names = names.iter().map(|name| name.parse().unwrap()).collect();
        broken(move |c| c.servers = names)
    };
    assert_eq!(servers(&["a.example", "b.example"]), [""; 0]);
    assert_eq!(servers(&["a.example", "a.example"]), ["servers"]);
    assert_eq!(servers(&["127.0.0.1:8080"]), ["servers"]);
}

#[test]
fn the_master_can_be_reached() {
    assert_eq!(broken(|c| c.master.port = 8083), ["master.port"]);
    assert_eq!(broken(|c| c.master.server = "a.example".parse().unwrap()), ["master.server"]);
    let known = |c: &mut Config| {
        c.master.server = "a.example".parse().unwrap();
        c.servers.push(c.master.server.clone());
    };
    assert_eq!(broken(known), [""; 0]);
    assert_eq!(broken(|c| (known(c), c.master.port = 0).1), ["master.port"]);
}

#[test]
fn times_are_times() {
    let zero = Seconds::from_secs(0);
    assert_eq!(broken(|c| c.timeouts.agent = zero), ["timeouts.agent"]);
    assert_eq!(broken(|c| c.timeouts.client = zero), ["timeouts.client"]);
    assert_eq!(broken(|c| c.timeouts.no_reply = zero), ["timeouts.no_reply"]);
    assert_eq!(broken(|c| c.timeouts.head = zero), ["timeouts.head"]);
    assert_eq!(broken(|c| c.timeouts.idle = zero), ["timeouts.idle"]);
    assert_eq!(broken(|c| c.timeouts.stall = zero), ["timeouts.stall"]);
    assert_eq!(broken(|c| c.timeouts.lookup = zero), ["timeouts.lookup"]);
    assert_eq!(broken(|c| c.stats.period = zero), ["stats.period"]);
    assert_eq!(broken(|c| (c.timeouts.cache, c.timeouts.drain) = (zero, zero)), [""; 0]);
    assert_eq!(broken(|c| c.timeouts.lookup = Seconds::from(Duration::from_millis(1))), [""; 0]);
}

#[test]
fn limits_have_bounds() {
    assert_eq!(broken(|c| c.limits.body_bytes = 0), ["limits.body_bytes"]);
    for (least, most, set) in [
        (1024, 65_536, (|l, v| l.header_bytes = v) as fn(&mut Limits, usize)),
        (16, 256, |l, v| l.headers = v),
        (8192, 16 << 20, |l, v| l.buffer_bytes = v),
        (1 << 20, 1 << 40, |l, v| l.buffered_bytes = v),
        (16, usize::MAX, |l, v| l.connections = v),
        (1, usize::MAX, |l, v| l.parked_per_id = v),
        (1, usize::MAX, |l, v| l.waiting_per_id = v),
        (1, u32::MAX as usize, |l, v| l.max_instance_failed = v as u32),
        (1000, usize::MAX, |l, v| l.locations = v),
    ] {
        assert_eq!(broken(|c| set(&mut c.limits, least)), [""; 0]);
        assert_eq!(broken(|c| set(&mut c.limits, most)), [""; 0]);
        assert_eq!(broken(|c| set(&mut c.limits, least - 1)).len(), 1);
        if most < u32::MAX as usize {
            assert_eq!(broken(|c| set(&mut c.limits, most + 1)).len(), 1);
        }
    }
}

#[test]
fn shares_and_sizes_have_bounds() {
    assert_eq!(broken(|c| c.range.size = 0), ["range.size"]);
    assert_eq!(broken(|c| c.range.size = 1_000_000_001), ["range.size", "range.size_max"]);
    assert_eq!(broken(|c| c.range.size_max = 999), ["range.size_max"]);
    for (share, good) in [(0.0, true), (0.99, true), (1.0, false), (-0.1, false), (f64::NAN, false)] {
        assert_eq!(broken(|c| c.range.refill_below = share).is_empty(), good, "{share}");
    }
    for (share, good) in [(0.0, true), (1.0, true), (1.1, false), (-0.1, false), (f64::NAN, false)] {
        assert_eq!(broken(|c| c.alert.cpu_over = share).is_empty(), good, "{share}");
        assert_eq!(broken(|c| c.alert.threshold = share).is_empty(), good, "{share}");
    }
}

#[test]
fn charts_have_known_sizes_and_periods() {
    let chart = |size: &str, period: &str| {
        let (size, period) = (size.to_owned(), period.to_owned());
        broken(move |c| drop(c.monitor.charts.insert(size, vec![period])))
    };
    assert_eq!(chart("L", "1m"), [""; 0]);
    assert_eq!(chart("XL", "1h"), ["monitor.charts.XL"]);
    assert_eq!(chart("L", "2h"), ["monitor.charts.L"]);
}

#[test]
fn addresses_of_and_for_the_monitor() {
    let url = |text: &str| broken(|c| c.monitor.url = Some(text.into())).is_empty();
    for good in ["http://127.0.0.1:8090", "http://[::1]:8090/", "https://monitor.example.net"] {
        assert!(url(good), "{good}");
    }
    for bad in [
        "",
        "127.0.0.1:8090",
        "ftp://a:1",
        "http://a/b",
        "http://a?b",
        "http://u:p@a",
        "http://",
        "http://a:x",
        "http://a:",
        "http://a:0",
        "http://a:65536",
    ] {
        assert!(!url(bad), "{bad}");
    }
    let page = |text: &str| broken(|c| c.monitor.page = Some(text.into())).is_empty();
    assert!(page("https://example.net/") && page("http://a:1") && !page("https://a/fleet"));
    assert!(!page("/fleet") && !page("https://a/?b") && !page("https://a/#b") && !page("https://u:p@a"));
    let dead_man = |text: &str| broken(|c| c.alert.dead_man = Some(text.into())).is_empty();
    assert!(dead_man("https://hc.example.net/ping/0123?token=a") && dead_man("http://a:b@c/"));
    assert!(!dead_man("hc.example.net/ping") && !dead_man(""));
    let smtp = |text: &str| broken(|c| c.alert.smtp = text.into()).is_empty();
    assert!(smtp("smtp://a:25") && smtp("smtps://u:p@a") && !smtp("a:25") && !smtp("smtp://"));
}

#[test]
fn no_address_is_shown() {
    let mut config = Config::default();
    config.monitor.url = Some("u:password@h".into());
    config.alert.smtp = "u:password@h".into();
    config.alert.dead_man = Some("u:password@h".into());
    let found = breaches(&config);
    assert_eq!(found.len(), 3);
    assert!(!format!("{found:?}").contains("password"));
}

#[test]
fn further_programs_have_names_and_are_named_once() {
    let workers = |names: &[&str]| {
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        broken(move |c| c.monitor.workers = names)
    };
    assert_eq!(workers(&["backup", "eu.example.net/db"]), [""; 0]);
    assert_eq!(workers(&["backup", ""]), ["monitor.workers"]);
    assert_eq!(workers(&["a\nb"]), ["monitor.workers"]);
    assert_eq!(workers(&[&"a".repeat(300)]), [""; 0]);
    assert_eq!(workers(&[&"a".repeat(301)]), ["monitor.workers"]);
    assert_eq!(workers(&["a", "b", "a"]), ["monitor.workers"]);
    assert_eq!(broken(|c| c.monitor.keep_days = 0), [""; 0]);
    assert_eq!(broken(|c| c.monitor.keep_days = 36_526), ["monitor.keep_days"]);
}
