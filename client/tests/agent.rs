//! The agent against servers whose every answer the test gives.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use std::{path::Path, time::Duration};

use bytes::Bytes;
use common::{Relay, piece, pieces, text, whole, within};
use switchboard_client::{Agent, AgentConfig, AgentError, Parked, Service};
use tempfile::TempDir;
use tokio::{
    sync::{oneshot, watch},
    task::JoinHandle,
    time::Instant,
};

const EMPTY: &[(&str, &str)] = &[("x-iwp-responsetype", "0")];

/// A move is promised within two seconds; a busy machine gets more.
const MOVE: Duration = Duration::from_secs(5);

/// An agent of ID 7 that runs beside the test.
struct Running {
    parked: watch::Receiver<Option<Parked>>,
    stop: oneshot::Sender<()>,
    done: JoinHandle<Result<(), AgentError>>,
    folder: TempDir,
}

fn registered() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("agent.json"), r#"{"id": "7", "token": "secret"}"#).unwrap();
    folder
}

fn config(relays: &[&Relay], folder: &Path, service: Service) -> AgentConfig {
    let servers = relays.iter().map(|relay| relay.name.clone()).collect();
    AgentConfig::new(servers, folder.join("agent.json"), service)
}

fn run(folder: TempDir, config: AgentConfig) -> Running {
    let agent = Agent::new(config).unwrap();
    let parked = agent.parked();
    let (stop, stopped) = oneshot::channel::<()>();
    let done = tokio::spawn(agent.run(async { drop(stopped.await) }));
    Running { parked, stop, done, folder }
}

fn echo(relays: &[&Relay]) -> Running {
    let folder = registered();
    let config = config(relays, folder.path(), Service::Echo);
    run(folder, config)
}

impl Running {
    async fn parked_at(&mut self, relay: &Relay, port: u16) {
        let here = |p: &Option<Parked>| {
            p.as_ref().is_some_and(|p| p.at.server == relay.name && p.at.port == port && p.id.get() == 7)
        };
        within("parking", self.parked.wait_for(here)).await.unwrap();
    }
}

/// Hands a request to a poll.
fn request(id: &str) -> Vec<(&'static str, &str)> {
    vec![("x-iwp-requestid", id), ("content-type", "text/plain")]
}

#[tokio::test]
async fn registers_once_and_keeps_who_it_is() {
    let mut relay = Relay::start().await;
    let folder = tempfile::tempdir().unwrap();
    let told = config(&[&relay], folder.path(), Service::Echo);
    let agent = run(folder, told.clone());
    relay.next("/getuniversalid").await.ok(&[]);
    relay.next("/getuniversalid").await.answer(429, &[("retry-after", "0")], text(""));
    relay.next("/getuniversalid").await.ok(&[("x-iwp-productunivid", "7"), ("x-iwp-token", "secret")]);
    let poll = relay.take_in(8081).await;
    agent.stop.send(()).unwrap();
    within("the end", agent.done).await.unwrap().unwrap();
    poll.hung_up().await;

    let agent = run(agent.folder, told);
    let call = relay.next("/").await;
    assert_eq!(call.path, "/connect", "the second start does not register");
    assert_eq!((call.header("x-iwp-productunivid"), call.header("x-iwp-token")), ("7", "secret"));
    drop(agent);
}

#[tokio::test]
async fn an_unreadable_state_ends_it_and_a_refused_token_too() {
    let mut relay = Relay::start().await;
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("agent.json"), "{}").unwrap();
    let told = config(&[&relay], folder.path(), Service::Echo);
    let ended = within("the end", run(folder, told).done).await.unwrap();
    assert!(matches!(ended, Err(AgentError::State(_))), "{ended:?}");

    let agent = echo(&[&relay]);
    relay.next("/connect").await.answer(401, &[("x-iwp-reason", "token wrong")], text(""));
    let ended = within("the end", agent.done).await.unwrap().unwrap_err();
    assert!(matches!(ended, AgentError::TokenRefused { .. }), "{ended}");
    assert!(ended.to_string().contains("token wrong"), "{ended}");
}

#[tokio::test]
async fn echoes_piece_by_piece() {
    let mut relay = Relay::start().await;
    let agent = echo(&[&relay]);
    let poll = relay.take_in(8081).await;
    let (mut app, body) = pieces();
    poll.answer(200, &request("r1"), body);
    within("sending", app.send_data(Bytes::from("first "))).await.unwrap();

    let mut reply = relay.next("/agentreply/8081").await;
    for (name, value) in [
        ("x-iwp-productunivid", "7"),
        ("x-iwp-token", "secret"),
        ("x-iwp-requestid", "r1"),
        ("x-iwp-responsecode", "200"),
        ("content-type", "text/plain"),
    ] {
        assert_eq!(reply.header(name), value);
    }
    assert_eq!(piece(&mut reply.body).await.unwrap(), "first ", "before the request ended");
    within("sending", app.send_data(Bytes::from("last"))).await.unwrap();
    drop(app);
    assert_eq!(whole(&mut reply.body).await, "last");
    reply.ok(&[]);

    let next = relay.next("/agent/8081").await;
    next.answer(200, &request("r2"), text("sized"));
    let reply = relay.next("/agentreply/8081").await;
    assert_eq!(reply.header("content-length"), "5", "a known length stays known");
    drop(agent);
}

#[tokio::test]
async fn a_request_broken_off_is_not_echoed_as_whole() {
    let mut relay = Relay::start().await;
    let _agent = echo(&[&relay]);
    let (mut app, body) = pieces();
    relay.take_in(8081).await.answer(200, &request("r"), body);
    within("sending", app.send_data(Bytes::from("half"))).await.unwrap();
    let mut reply = relay.next("/agentreply/8081").await;
    assert_eq!(piece(&mut reply.body).await.unwrap(), "half");
    app.abort("the app hung up".into());
    assert!(within("the break", http_body_util::BodyExt::frame(&mut reply.body)).await.unwrap().is_err());
}

#[tokio::test]
async fn answers_while_the_next_request_comes() {
    let mut relay = Relay::start().await;
    let _agent = echo(&[&relay]);
    let (first, body) = pieces();
    relay.take_in(8081).await.answer(200, &request("slow"), body);
    relay.next("/agent/8081").await.answer(200, &request("quick"), text("x"));
    let mut ids = Vec::new();
    for _ in 0..2 {
        let reply = relay.next("/agentreply/").await;
        ids.push(reply.header("x-iwp-requestid").to_owned());
        if ids.last().unwrap() == "quick" {
            reply.ok(&[]);
        }
    }
    ids.sort();
    assert_eq!(ids, ["quick", "slow"]);
    drop(first);
}

#[tokio::test]
async fn forwards_to_a_local_service() {
    let (mut relay, mut local) = (Relay::start().await, Relay::start().await);
    let folder = registered();
    let base = format!("http://{}/api", local.name).parse().unwrap();
    let told = config(&[&relay], folder.path(), Service::Forward(base));
    let _agent = run(folder, told);
    let mut headers = request("r1");
    headers.extend([("x-iwp-method", "PUT"), ("x-iwp-path", "/a?b=c"), ("x-own", "kept")]);
    let (mut app, body) = pieces();
    relay.take_in(8081).await.answer(200, &headers, body);
    within("sending", app.send_data(Bytes::from("up"))).await.unwrap();

    let mut call = local.next("/api/a?b=c").await;
    assert_eq!((call.method.as_str(), call.header("x-own")), ("PUT", "kept"));
    assert_eq!(call.header("host"), local.name.authority());
    assert!(call.headers.keys().all(|name| !name.as_str().starts_with("x-iwp-")), "{:?}", call.headers);
    assert_eq!(piece(&mut call.body).await.unwrap(), "up", "before the request ended");
    let (mut service, body) = pieces();
    let answer =
        [("x-answer", "yes"), ("x-iwp-requestid", "forged"), ("connection", "x-hop"), ("x-hop", "1")];
    let rest = call.answer_reading(404, &answer, body);
    within("sending", service.send_data(Bytes::from("down"))).await.unwrap();

    let mut reply = relay.next("/agentreply/8081").await;
    assert_eq!((reply.header("x-iwp-responsecode"), reply.header("x-answer")), ("404", "yes"));
    assert_eq!((reply.header("x-iwp-requestid"), reply.header("x-hop")), ("r1", ""));
    assert_eq!(piece(&mut reply.body).await.unwrap(), "down", "before either body ended");
    drop((app, service));
    assert_eq!((whole(rest).await, whole(&mut reply.body).await), (Bytes::new(), Bytes::new()));
    reply.ok(&[]);
}

#[tokio::test]
async fn a_local_service_that_is_down_and_a_path_that_leads_astray() {
    let (mut relay, mut local) = (Relay::start().await, Relay::start().await);
    local.kill().await;
    let folder = registered();
    let base = format!("http://{}", local.name).parse().unwrap();
    let told = config(&[&relay], folder.path(), Service::Forward(base));
    let _agent = run(folder, told);
    let (mut app, body) = pieces();
    relay.take_in(8081).await.answer(200, &request("r1"), body);
    let reply = relay.next("/agentreply/8081").await;
    assert_eq!(reply.header("x-iwp-responsecode"), "502");
    assert!(reply.header("x-iwp-reason").contains("local service failed"), "{:?}", reply.headers);
    for _ in 0..3 {
        let sent = within("sending", app.send_data(Bytes::from("on"))).await;
        assert!(sent.is_ok(), "the request is not cut before the reply is there");
    }
    reply.ok(&[]);

    let mut astray = request("r2");
    astray.push(("x-iwp-path", "http://elsewhere/"));
    relay.next("/agent/8081").await.answer(200, &astray, text(""));
    assert_eq!(relay.next("/agentreply/8081").await.header("x-iwp-responsecode"), "400");
}

#[tokio::test]
async fn follows_a_drain_hint() {
    let (mut here, mut there) = (Relay::start().await, Relay::start().await);
    let mut agent = echo(&[&here]);
    here.take_in(8081).await.ok(&[("x-iwp-responsetype", "0"), ("x-iwp-port", "8082")]);
    let poll = here.next("/agent/").await;
    assert_eq!(poll.path, "/agent/8082", "a sibling: polled at once");
    agent.parked_at(&here, 8082).await;

    let far = [("x-iwp-responsetype", "0"), ("x-iwp-host", there.name.as_str()), ("x-iwp-port", "9")];
    poll.ok(&far);
    there.next("/agent/9").await.answer(200, &request("r"), text("x"));
    there.next("/agentreply/9").await.ok(&[]);
}

#[tokio::test]
async fn an_empty_or_failed_poll_is_followed_by_the_next() {
    let mut relay = Relay::start().await;
    let _agent = echo(&[&relay]);
    relay.take_in(8081).await.ok(EMPTY);
    relay.next("/agent/8081").await.answer(404, &[], text(""));
    relay.take_in(8082).await.answer(503, &[], text(""));
    relay.take_in(8083).await;
}

#[tokio::test]
async fn moves_when_its_server_dies() {
    let (mut a, mut b) = (Relay::start().await, Relay::start().await);
    b.mute(true);
    let mut agent = echo(&[&a, &b]);
    let poll = a.take_in(8081).await;
    agent.parked_at(&a, 8081).await;
    b.mute(false);
    a.kill().await;
    let killed = Instant::now();
    b.take_in(8091).await.answer(200, &request("r"), text("still here"));
    assert!(killed.elapsed() < MOVE, "{:?}", killed.elapsed());
    assert_eq!(whole(b.next("/agentreply/8091").await.body).await, "still here");
    drop(poll);
}

#[tokio::test]
async fn moves_when_its_server_falls_silent_and_cuts_nothing() {
    let (mut a, mut b) = (Relay::start().await, Relay::start().await);
    b.mute(true);
    let mut agent = echo(&[&a, &b]);
    let poll = a.take_in(8081).await;
    agent.parked_at(&a, 8081).await;
    b.mute(false);
    a.mute(true);
    let muted = Instant::now();
    let moved = b.take_in(8091).await;
    assert!(muted.elapsed() < MOVE, "{:?}", muted.elapsed());
    agent.parked_at(&b, 8091).await;

    a.mute(false);
    poll.answer(200, &request("late"), text("on its way"));
    assert_eq!(whole(a.next("/agentreply/8081").await.body).await, "on its way");
    drop(moved);
}

#[tokio::test]
async fn returns_to_a_closer_server() {
    let (mut near, mut far) = (Relay::start().await, Relay::start().await);
    near.mute(true);
    far.ping_takes(Duration::from_millis(200));
    let folder = registered();
    let mut told = config(&[&near, &far], folder.path(), Service::Echo);
    told.look_around = Duration::from_millis(100);
    let mut agent = run(folder, told);
    let old = far.take_in(8091).await;
    near.mute(false);
    let _new = near.take_in(8081).await;
    agent.parked_at(&near, 8081).await;
    old.answer(200, &request("r"), text("x"));
    far.next("/agentreply/8091").await.ok(&[]);
}

#[tokio::test]
async fn finishes_running_answers_before_it_ends() {
    let mut relay = Relay::start().await;
    let agent = echo(&[&relay]);
    let (mut app, body) = pieces();
    relay.take_in(8081).await.answer(200, &request("r"), body);
    let mut reply = relay.next("/agentreply/8081").await;
    let parked = relay.next("/agent/8081").await;
    agent.stop.send(()).unwrap();
    parked.hung_up().await;
    within("sending", app.send_data(Bytes::from("the end"))).await.unwrap();
    drop(app);
    assert_eq!(whole(&mut reply.body).await, "the end");
    reply.ok(&[]);
    within("the end", agent.done).await.unwrap().unwrap();
}

#[test]
fn what_it_cannot_do_is_said_at_once() {
    let agent = |servers: &[&str], service, polls| {
        let servers = servers.iter().map(|s| s.parse().unwrap()).collect();
        let told = AgentConfig { polls, ..AgentConfig::new(servers, "agent.json", service) };
        Agent::new(told).map(drop)
    };
    assert!(matches!(agent(&[], Service::Echo, 1), Err(AgentError::NoServers)));
    assert!(matches!(agent(&["a"], Service::Echo, 0), Err(AgentError::Polls(0))));
    let nowhere = Service::Forward("localhost:3000".parse().unwrap());
    assert!(matches!(agent(&["a"], nowhere, 1), Err(AgentError::ForwardUrl(_))));
}
