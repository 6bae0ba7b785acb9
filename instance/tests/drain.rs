//! The end of an instance: nothing that runs is lost, and everyone is sent on.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use std::{
    net::TcpStream,
    time::{Duration, Instant},
};

use support::{Instance, agent, customer, free_port, free_ports, start_at};

/// Two instances of one server, which know each other.
fn siblings() -> (Instance, Instance) {
    let ports: [u16; 2] = free_ports();
    let both = |config: &mut switchboard_fleet::config::Config| {
        config.server = format!("127.0.0.1:{}", ports[0]).parse().unwrap();
        config.instances = ports.into();
        config.master = config.instance_name(ports[0]);
    };
    let (first, second) = (start_at(ports[0], both), start_at(ports[1], both));
    for (instance, sibling) in [(&first, ports[1]), (&second, ports[0])] {
        instance.until(|status| status["peers"]["ports"][0] == sibling);
    }
    (first, second)
}

#[test]
fn polls_get_a_hint_and_transactions_finish() {
    let (mut first, second) = siblings();
    let mut working = first.park(5);
    let mut app = first.ask(5);
    let request = working.reply().get("x-iwp-requestid").unwrap().to_owned();
    let mut idle = first.park(6);
    first.stop();
    let hint = idle.reply();
    assert_eq!((hint.status, hint.get("x-iwp-responsetype")), (200, Some("0")));
    assert_eq!(hint.get("x-iwp-port").unwrap(), second.port.to_string());
    // The socket still listens: the agent's reply comes on a connection of its own.
    let headers = format!("{}X-IWP-RequestId: {request}\r\n", agent(5));
    let mut replier = first.connect();
    replier.post_body(&format!("/agentreply/{}", first.port), &headers, b"done");
    assert_eq!(app.reply().body, b"done");
    assert_eq!(replier.reply().status, 200);
    first.join();
    assert!(TcpStream::connect(first.address).is_err());
}

#[test]
fn an_app_in_the_middle_of_the_move_is_sent_after_its_agent() {
    let (mut first, second) = siblings();
    let mut poll = first.park(5);
    first.stop();
    poll.reply();
    let mut app = first.ask(5);
    let mut moved = second.connect();
    moved.post(&format!("/agent/{}", second.port), &agent(5));
    let redirect = app.reply();
    assert_eq!((redirect.status, redirect.get("x-iwp-port")), (200, Some(second.port.to_string().as_str())));
    let mut app = second.ask(5);
    let request = moved.reply().get("x-iwp-requestid").unwrap().to_owned();
    let headers = format!("{}X-IWP-RequestId: {request}\r\n", agent(5));
    assert_eq!(second.post(&format!("/agentreply/{}", second.port), &headers).status, 200);
    assert_eq!(app.reply().status, 200);
}

#[test]
fn a_draining_instance_takes_nobody_in() {
    let (mut first, second) = siblings();
    let _running = (first.park(5), first.ask(5));
    first.until(|status| status["transactions"]["current"] == 1);
    first.stop();
    first.until(|status| status["state"] == "draining");
    assert_eq!(first.post("/connect", &agent(7)).status, 503);
    let poll = first.post(&format!("/agent/{}", first.port), &agent(7));
    assert_eq!(poll.get("x-iwp-port").unwrap(), second.port.to_string());
    // Its sibling has been told.
    second.until(|status| status["peers"]["ports"].as_array().unwrap().is_empty());
}

#[test]
fn a_transaction_that_does_not_end_gets_its_time_and_no_more() {
    let mut instance =
        start_at(free_port(), |config| config.timeouts.drain = Duration::from_millis(700).into());
    let _poll = instance.park(5);
    let mut app = instance.connect();
    app.post(&format!("/client/{}", instance.port), &customer(5));
    instance.until(|status| status["transactions"]["current"] == 1);
    let began = Instant::now();
    instance.stop();
    instance.join();
    assert!(began.elapsed() >= Duration::from_millis(700));
    let answer = app.reply();
    assert_eq!((answer.status, answer.reason()), (503, "this instance ended before the agent answered"));
}
