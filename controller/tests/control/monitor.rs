//! The call at the monitor.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use serde_json::json;
use switchboard_fleet::{
    KeyRing,
    front::{Parked, Place, Waiting},
    header,
};
use tokio::{net::TcpListener, sync::mpsc, time::timeout};

use crate::stage::{Stage, order};

/// How the stand-in proves who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Proof {
    Good,
    None,
    OtherKey,
    OtherNonce,
    OtherBody,
}

/// A monitor that answers each call with what is next, and shows what came.
struct Monitor {
    url: String,
    answers: Arc<Mutex<Vec<(Proof, Waiting)>>>,
    parked: mpsc::UnboundedReceiver<Parked>,
}

impl Monitor {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let answers: Arc<Mutex<Vec<(Proof, Waiting)>>> = Arc::default();
        let (send, parked) = mpsc::unbounded_channel();
        let all = Arc::clone(&answers);
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (all, send) = (Arc::clone(&all), send.clone());
                let service = service_fn(move |request: Request<Incoming>| {
                    let (all, send) = (Arc::clone(&all), send.clone());
                    async move { Ok::<_, Infallible>(answer(request, &all, &send).await) }
                });
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        });
        Self { url, answers, parked }
    }

    async fn next(&mut self) -> Parked {
        timeout(Duration::from_secs(30), self.parked.recv()).await.unwrap().unwrap()
    }
}

async fn answer(
    request: Request<Incoming>,
    answers: &Mutex<Vec<(Proof, Waiting)>>,
    send: &mpsc::UnboundedSender<Parked>,
) -> Response<Full<Bytes>> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    assert_eq!((head.method, head.uri.path()), (Method::POST, Parked::PATH));
    let keys = Stage::keys();
    keys.verify(&Method::POST, Parked::PATH, &head.headers, SystemTime::now()).unwrap();
    assert_eq!(head.headers[header::DIGEST].to_str().unwrap(), KeyRing::digest(&body));
    send.send(serde_json::from_slice(&body).unwrap()).unwrap();
    let next = answers.lock().unwrap().pop();
    let (proof, waiting) = next.unwrap_or((Proof::Good, Waiting::default()));
    let body = serde_json::to_vec(&waiting).unwrap();
    let mut headers = HeaderMap::new();
    let nonce = if proof == Proof::OtherNonce { 5u64.into() } else { head.headers[header::NONCE].clone() };
    headers.insert(header::NONCE, nonce);
    headers.insert(header::DIGEST, HeaderValue::try_from(KeyRing::digest(&body)).unwrap());
    let keys = if proof == Proof::OtherKey { KeyRing::new([[8; 32]]) } else { keys };
    if proof != Proof::None {
        let method = Method::from_bytes(b"ANSWER").unwrap();
        let signature = keys.sign(&method, Parked::PATH, &headers, SystemTime::now());
        headers.insert(header::SIGNATURE, signature);
    }
    let body = if proof == Proof::OtherBody { [&body[..], b" "].concat() } else { body };
    let mut answer = Response::new(Full::from(body));
    *answer.headers_mut() = headers;
    answer
}

fn orders(id: &str, backend: &str) -> Waiting {
    let order = order(id, backend, json!({ "change": "off" }), json!({}));
    let place = Place { upstream: "instances".into(), backend: backend.into() };
    Waiting { orders: vec![serde_json::from_value(order).unwrap()], heat: vec![place] }
}

#[tokio::test]
async fn signed_orders_are_carried_out_and_answered_with_the_next_call() {
    let mut monitor = Monitor::start().await;
    let mut stage = Stage::new(2, 0).await;
    stage.config.monitor.url = Some(monitor.url.clone());
    monitor.answers.lock().unwrap().push((Proof::Good, orders("m-1", &stage.address(0))));
    let running = stage.start().await;
    let first = monitor.next().await;
    assert_eq!((first.done.len(), first.table.upstreams.len()), (0, 1));
    let second = monitor.next().await;
    assert_eq!(second.done.len(), 1, "{:?}", second.done);
    assert_eq!(second.done[0].id, "m-1");
    assert!(second.done[0].outcome.as_ref().unwrap().ends_with("is off; 1 of 2 backends serve"));
    assert_eq!(stage.module.backend(&stage.address(0))["state"], "off");
    assert!(monitor.next().await.done.is_empty(), "said once");
    running.stop().await;
}

async fn ignores(proof: Proof) {
    let mut monitor = Monitor::start().await;
    let mut stage = Stage::new(2, 0).await;
    stage.config.monitor.url = Some(monitor.url.clone());
    for _ in 0..6 {
        monitor.answers.lock().unwrap().push((proof, orders("m-1", &stage.address(0))));
    }
    let running = stage.start().await;
    monitor.next().await;
    let is_said = |wrong: &String| wrong.contains("are ignored: the answer is not the monitor's");
    stage.until(|table| table.wrong.iter().any(is_said)).await;
    assert_eq!(stage.module.backend(&stage.address(0))["state"], "up", "{proof:?}");
    monitor.answers.lock().unwrap().clear();
    let second = monitor.next().await;
    assert!(second.done.is_empty() && second.table.version == 0);
    stage.until(|table| !table.wrong.iter().any(is_said)).await;
    running.stop().await;
}

#[tokio::test]
async fn unsigned_orders_are_ignored() {
    ignores(Proof::None).await;
}

#[tokio::test]
async fn orders_of_another_fleet_are_ignored() {
    ignores(Proof::OtherKey).await;
}

#[tokio::test]
async fn orders_of_before_are_ignored() {
    ignores(Proof::OtherNonce).await;
}

#[tokio::test]
async fn changed_orders_are_ignored() {
    ignores(Proof::OtherBody).await;
}
