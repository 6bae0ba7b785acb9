//! Calls between instances, signed as `docs/protocol.md` has it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use http::{HeaderMap, HeaderName, HeaderValue, Method};
use support::{Instance, KEY, Reply, agent, customer, free_port, free_ports, start, start_at};
use switchboard_fleet::{CustomerId, KeyRing, config::Config};

/// A signed call about `sender`, an instance of this server.
fn signed(
    instance: &Instance,
    path: &str,
    sender: u16,
    more: &[(&str, &str)],
    body: &str,
    at: SystemTime,
) -> Reply {
    let host = format!("127.0.0.1:{}", instance.port);
    let (port, digest) = (sender.to_string(), KeyRing::digest(body.as_bytes()));
    let mut all = vec![("x-iwp-host", host.as_str()), ("x-iwp-port", &port)];
    if !body.is_empty() {
        all.push(("x-iwp-digest", &digest));
    }
    for (name, value) in more {
        all.retain(|(known, _)| known != name);
        all.push((name, value));
    }
    let mut headers = HeaderMap::new();
    for (name, value) in &all {
        headers.insert(HeaderName::try_from(*name).unwrap(), HeaderValue::from_str(value).unwrap());
    }
    let signature = KeyRing::new([KEY]).sign(&Method::POST, path, &headers, at);
    let lines: String = all.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let mut wire = instance.connect();
    let headers = format!("{lines}X-IWP-Signature: {}\r\n", signature.to_str().unwrap());
    wire.post_body(path, &headers, body.as_bytes());
    wire.reply()
}

fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64
}

#[test]
fn the_newest_place_wins_however_late_it_arrives() {
    let instance = start(|_| {});
    let path = format!("/announce/{}", instance.port);
    let now = now_ms();
    let found = || instance.post("/client", &customer(7)).get("x-iwp-port").map(str::to_owned);
    // Instances of another server, which does not answer: it is given up only after several failures.
    let elsewhere = [("x-iwp-host", "127.0.0.1:9")];
    let tell = |sender, since| {
        let body = format!("7 {since}\n8 {since}\n");
        signed(&instance, &path, sender, &elsewhere, &body, SystemTime::now())
    };
    assert_eq!(tell(2001, now - 1000).status, 200);
    assert_eq!(found().as_deref(), Some("2001"));
    assert_eq!(tell(2002, now - 500).status, 200);
    assert_eq!(found().as_deref(), Some("2002"));
    assert_eq!(tell(2003, now - 800).status, 200);
    assert_eq!(found().as_deref(), Some("2002"));
    // From a clock that is far ahead: it is bounded, and the agent's next move is newer all the same.
    assert_eq!(tell(2004, now + 1_000_000_000).status, 200);
    assert_eq!(found().as_deref(), Some("2004"));
    instance.post("/connect", &agent(7));
    assert_eq!(found(), Some(instance.port.to_string()));
    // What it tells is signed, and covers the question.
    let told = signed(
        &instance,
        &format!("/find/{}", instance.port),
        2001,
        &[("x-iwp-productunivid", "8")],
        "",
        SystemTime::now(),
    );
    assert_eq!(told.get("x-iwp-port"), Some("2004"));
    assert!(told.get("x-iwp-signature").is_some() && told.get("x-iwp-since").is_some());
}

#[test]
fn announcements_that_are_refused_leave_no_trace() {
    let instance = start(|_| {});
    let path = format!("/announce/{}", instance.port);
    let now = SystemTime::now();
    let bad = [
        (signed(&instance, &path, 2001, &[("x-iwp-digest", "00")], "7 1\n", now), 401),
        (signed(&instance, &path, 2001, &[], "7 1\nnonsense\n", now), 400),
        (signed(&instance, &path, 2001, &[], "7 1\n0 1\n", now), 400),
        (signed(&instance, &path, 2001, &[("x-iwp-port", "0")], "7 1\n", now), 400),
        (signed(&instance, &path, 2001, &[("x-iwp-host", "a b")], "7 1\n", now), 400),
        (signed(&instance, &path, 2001, &[], "7 1\n", now - Duration::from_secs(60)), 401),
        (signed(&instance, &path, 2001, &[], "7 1\n", now + Duration::from_secs(60)), 401),
        (signed(&instance, &path, 2001, &[], &"7 1\n".repeat(300_000), now), 413),
    ];
    for (number, (reply, status)) in bad.into_iter().enumerate() {
        assert_eq!(reply.status, status, "{number}: {}", reply.reason());
        assert!(!reply.reason().is_empty());
    }
    assert_eq!(instance.status()["locations"]["entries"], 0);
    assert_eq!(instance.status()["peers"]["ports"].as_array().unwrap().len(), 0);
    // Signed for one path, it is no call to another.
    let good = signed(&instance, &path, 2001, &[], "7 1\n", now);
    assert_eq!(good.status, 200);
    assert_eq!(instance.status()["peers"]["ports"][0], 2001);
}

/// Two instances of one server, which know each other.
fn siblings() -> (Instance, Instance, impl Fn(&mut Config)) {
    let ports: [u16; 2] = free_ports();
    let both = move |config: &mut Config| {
        config.server = format!("127.0.0.1:{}", ports[0]).parse().unwrap();
        config.instances = ports.into();
        config.master = config.instance_name(ports[0]);
    };
    let (first, second) = (start_at(ports[0], both), start_at(ports[1], both));
    for instance in [&first, &second] {
        instance.until(|status| status["peers"]["ports"].as_array().unwrap().len() == 1);
    }
    (first, second, both)
}

#[test]
fn a_greeting_to_the_server_lists_its_instances_for_those_who_know_what_to_do_with_it() {
    let (first, second, _) = siblings();
    let ask = |path: &str, more: &[(&str, &str)]| {
        let mut headers = vec![("x-iwp-host", "127.0.0.1:9")];
        headers.extend(more);
        let told = signed(&first, path, 2001, &headers, "", SystemTime::now());
        let mut ports: Vec<u16> =
            told.get("x-iwp-ports")?.split(',').map(|port| port.parse().unwrap()).collect();
        ports.sort_unstable();
        Some(ports)
    };
    let mut both = vec![first.port, second.port];
    both.sort_unstable();
    assert_eq!(ask("/hello", &[("x-iwp-announce", "1")]), Some(both));
    assert_eq!(ask("/hello", &[]), None, "an instance of the original would take them for its siblings");
    let own = format!("/hello/{}", first.port);
    assert_eq!(ask(&own, &[("x-iwp-announce", "1")]), Some(vec![second.port]));
}

#[test]
fn a_question_to_the_server_reaches_the_instance_that_has_the_agent() {
    let (first, second, _) = siblings();
    let _poll = second.park(7);
    first.until(|status| status["locations"]["entries"] == 1);
    // Only the first hears that the agent is elsewhere, and that is wrong.
    let news = format!("7 {}\n", now_ms() + 5_000);
    let path = format!("/announce/{}", first.port);
    let elsewhere = [("x-iwp-host", "127.0.0.1:9")];
    assert_eq!(signed(&first, &path, 2001, &elsewhere, &news, SystemTime::now()).status, 200);
    let found = |path: &str| {
        let told = signed(&first, path, 2001, &[("x-iwp-productunivid", "7")], "", SystemTime::now());
        told.get("x-iwp-port").map(str::to_owned)
    };
    assert_eq!(found(&format!("/find/{}", first.port)).as_deref(), Some("2001"), "from memory");
    assert_eq!(found("/find"), Some(second.port.to_string()), "the sibling knows");
}

#[test]
fn an_instance_that_comes_back_is_told_who_is_where() {
    let (first, mut second, both) = siblings();
    let _polls = [first.park(7), first.park(8)];
    second.until(|status| status["locations"]["entries"] == 2);
    second.stop();
    second.join();
    first.until(|status| status["peers"]["ports"].as_array().unwrap().is_empty());
    let back = start_at(second.port, both);
    back.until(|status| status["locations"]["entries"] == 2);
}

#[test]
fn siblings_help_each_other_out_while_the_master_is_away() {
    let ports: [u16; 3] = free_ports();
    let all = |config: &mut Config| {
        config.server = format!("127.0.0.1:{}", ports[0]).parse().unwrap();
        config.instances = ports.into();
        config.master = config.instance_name(ports[0]);
        config.timeouts.lookup = Duration::from_millis(500).into();
    };
    let mut master = start_at(ports[0], all);
    let donor = start_at(ports[1], all);
    donor.until(|status| status["ids"]["left"] == 1000);
    master.stop();
    master.join();
    let needy = start_at(ports[2], all);
    // A tenth of what the donor's ledger holds, which is all but the block it has taken out.
    let status = needy.until(|status| status["ids"]["left"].as_u64().unwrap() > 0);
    let got = status["ids"]["left"].as_u64().unwrap();
    assert!((85..=100).contains(&got), "{got}");
    let left = donor.status()["ids"]["left"].as_u64().unwrap();
    assert_eq!(left + got, 1000);
    let ids = |instance: &Instance| -> Vec<u64> {
        let register = |_| instance.post("/getuniversalid", "").get("x-iwp-productunivid")?.parse().ok();
        (0..50).filter_map(register).collect()
    };
    let (mut given, more) = (ids(&donor), ids(&needy));
    given.extend(more);
    assert_eq!(given.len(), 100);
    given.sort_unstable();
    given.dedup();
    assert_eq!(given.len(), 100);
}

#[test]
fn a_token_of_an_older_key_is_replaced_on_connect() {
    let instance = start(|config| {
        let text = format!("{}\n{}\n", "09".repeat(32), "07".repeat(32));
        fs::write(&config.key_file, text).unwrap();
        fs::set_permissions(&config.key_file, fs::Permissions::from_mode(0o600)).unwrap();
    });
    let connected = instance.post("/connect", &agent(5));
    let fresh = KeyRing::new([[9u8; 32]]).token(CustomerId::new(5).unwrap());
    assert_eq!((connected.status, connected.get("x-iwp-token")), (200, Some(fresh.as_str())));
    let again = instance.post("/connect", &format!("{}X-IWP-Token: {fresh}\r\n", customer(5)));
    assert_eq!((again.status, again.get("x-iwp-token")), (200, None));
}

#[test]
fn an_instance_of_another_fleet_is_not_believed() {
    let ports: [u16; 2] = free_ports();
    let both = |config: &mut Config| {
        config.server = format!("127.0.0.1:{}", ports[0]).parse().unwrap();
        config.instances = ports.into();
        config.master = config.instance_name(ports[0]);
        config.limits.max_instance_failed = 1;
    };
    let first = start_at(ports[0], both);
    let stranger = start_at(ports[1], |config| {
        both(config);
        KeyRing::create(&config.key_file, [8; 32]).unwrap();
    });
    // Neither gets IDs, nor counts the other among its own.
    for instance in [&first, &stranger] {
        instance.until(|status| status["peers"]["ports"].as_array().unwrap().is_empty());
    }
    assert_eq!(stranger.status()["ids"]["left"], 0);
}

#[test]
fn direct_https() {
    let folder = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (certificate, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    fs::write(&certificate, made.cert.pem()).unwrap();
    fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let port = free_port();
    let _instance = start(|config| {
        config.listen.https = Some(switchboard_fleet::config::Https { port, certificate, key });
    });
    let mut roots = rustls::RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = "localhost".try_into().unwrap();
    let mut tls = rustls::ClientConnection::new(config.into(), name).unwrap();
    let mut tcp = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
    tcp.set_read_timeout(Some(support::PATIENCE)).unwrap();
    let mut stream = rustls::Stream::new(&mut tls, &mut tcp);
    let request = b"POST /ping HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n";
    std::io::Write::write_all(&mut stream, request).unwrap();
    let mut answer = [0; 15];
    std::io::Read::read_exact(&mut stream, &mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200 OK");
}
