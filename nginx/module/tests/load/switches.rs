//! Switches under load.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};

use crate::{backend::Backend, caller::Caller, front::Front};

const SERVER: &str =
    "location / { proxy_http_version 1.1; proxy_set_header Connection \"\"; proxy_pass http://u; }";

pub(crate) fn many(count: usize) -> Vec<Backend> {
    (0..count).map(|_| Backend::start()).collect()
}

fn upstream(balancer: &str, backends: &[Backend]) -> String {
    let servers: String =
        backends.iter().map(|one| format!("server {} max_fails=0 weight=10;", one.address)).collect();
    format!("upstream u {{ zone u 256k; {balancer} {servers} keepalive 16; }}")
}

/// `requests` by 4 callers while `meanwhile` runs again and again, with the number of its turn; says how many turns.
pub(crate) fn under_load(front: &Front, requests: u64, mut meanwhile: impl FnMut(usize)) -> usize {
    let (sent, done) = (AtomicU64::new(0), AtomicBool::new(false));
    let mut turns = 0;
    let failed: Vec<String> = std::thread::scope(|scope| {
        let callers: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let mut caller = Caller::new(front);
                    let mut failed = Vec::new();
                    while sent.fetch_add(1, SeqCst) < requests {
                        match caller.get("/200") {
                            Ok(200) => {}
                            other => failed.push(format!("{other:?}")),
                        }
                    }
                    done.store(true, SeqCst);
                    failed
                })
            })
            .collect();
        while !done.load(SeqCst) {
            meanwhile(turns);
            turns += 1;
        }
        callers.into_iter().flat_map(|caller| caller.join().unwrap()).collect()
    });
    assert!(failed.is_empty(), "{} of {requests} failed: {:?}", failed.len(), &failed[..failed.len().min(5)]);
    front.assert_sound();
    turns
}

#[test]
fn no_request_is_lost_while_switching() {
    let backends = many(3);
    let front = Front::start(4, &upstream("", &backends), SERVER);
    let turns = under_load(&front, 20_000, |turn| {
        let backend = &backends[turn % 3];
        let wishes =
            ["state=off", "state=on", "state=drain", "state=config&weight=3", "weight=1000", "state=config"];
        wishes.iter().for_each(|wish| {
            front.switch("u", &backend.address, wish);
        });
    });
    assert!(turns >= 10, "only {turns} turns of switching");
    let counted: u64 =
        backends.iter().map(|one| front.settled("u", &one.address)["requests"].as_u64().unwrap()).sum();
    assert_eq!(counted, backends.iter().map(Backend::hits).sum::<u64>());
    println!("20000 requests, {turns} turns of 6 switches, none lost");
}

#[test]
fn every_balancer_stands_changing_weights() {
    for balancer in
        ["ip_hash;", "hash $request_id;", "hash $request_id consistent;", "least_conn;", "random two;"]
    {
        let backends = many(3);
        let front = Front::start(2, &upstream(balancer, &backends), SERVER);
        under_load(&front, 2_000, |turn| {
            let backend = &backends[turn % 3];
            for wish in ["weight=1", "weight=10000", "state=off", "weight=7", "state=config"] {
                front.switch("u", &backend.address, wish);
            }
        });
    }
}

#[test]
fn a_switch_counts_at_once_in_all_workers() {
    let backends = many(2);
    let front = Front::start(4, &upstream("", &backends), SERVER);
    let ask = || (0..80).for_each(|_| assert_eq!(front.get("/200").unwrap().0, 200));
    for state in ["off", "drain"] {
        let shown = front.switch("u", &backends[0].address, &format!("state={state}"));
        assert_eq!((&shown["state"], &shown["switch"]["state"]), (&state.into(), &state.into()));
        let before = backends[0].hits();
        ask();
        assert_eq!(backends[0].hits(), before, "{state}");
        front.switch("u", &backends[0].address, "state=on");
        ask();
        assert_eq!(backends[0].hits(), before + 40, "{state}");
    }
    front.switch("u", &backends[0].address, "weight=30");
    let before = backends[0].hits();
    ask();
    assert_eq!(backends[0].hits() - before, 60, "30 of 40");
    let shown = front.switch("u", &backends[0].address, "state=config");
    assert_eq!((&shown["switch"], &shown["weight"]), (&serde_json::Value::Null, &10.into()));
}

#[test]
fn a_backend_that_is_down_by_configuration_can_be_switched_on() {
    let backends = many(1);
    let http = format!("upstream u {{ zone u 64k; server {} down; }}", backends[0].address);
    let front = Front::start(2, &http, SERVER);
    assert_eq!(front.get("/200").unwrap().0, 502);
    assert_eq!(front.switch("u", &backends[0].address, "state=on")["state"], "up");
    assert_eq!(front.get("/200").unwrap().0, 200);
    assert_eq!(front.switch("u", &backends[0].address, "state=config")["state"], "down");
    assert_eq!(front.get("/200").unwrap().0, 502);
}

#[test]
fn backends_that_were_switched_on_stand_in_for_each_other() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let backends = many(1);
    let address = &backends[0].address;
    let http =
        format!("upstream u {{ zone u 64k; server {nobody} down max_fails=0; server {address} down; }}");
    let front = Front::start(1, &http, SERVER);
    front.switch("u", &nobody.to_string(), "state=on");
    front.switch("u", address, "state=on");
    (0..4).for_each(|_| assert_eq!(front.get("/200").unwrap().0, 200));
    assert!(front.settled("u", &nobody.to_string())["connect_errors"].as_u64().unwrap() > 0);
}

#[test]
fn who_may_not_switch_is_told_so() {
    let backends = many(1);
    let address = &backends[0].address;
    let front = Front::start(1, &format!("upstream u {{ server {address}; }}"), SERVER);
    let path = format!("/status?u=u&b={address}&state=off");
    let mut stream = front.connect();
    let request =
        format!("POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
    std::io::Write::write_all(&mut stream, request.as_bytes()).unwrap();
    let mut answer = String::new();
    std::io::Read::read_to_string(&mut stream, &mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");

    let (status, value) = front.control("POST", &format!("?u=u&b={address}&state=off"));
    assert_eq!(status, 409, "{value}");
    for query in ["", "?u=u", &format!("?u=u&b={address}"), "?u=u&b=x&state=up"] {
        assert!(front.control("POST", query).0 >= 400, "{query}");
    }
    assert_eq!(front.get("/200").unwrap().0, 200);
}
