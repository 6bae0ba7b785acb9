//! Two controllers of one server, each against a stand-in for nginx's module.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(dead_code, reason = "the stage is another test's")]

#[path = "control/module.rs"]
mod module;
#[path = "control/stage.rs"]
mod stage;

use std::{
    fs,
    future::Future,
    net::Ipv4Addr,
    os::unix::fs::PermissionsExt,
    path::Path,
    sync::atomic::{AtomicU8, Ordering},
    time::Duration,
};

use rcgen::generate_simple_self_signed;
use serde_json::json;
use switchboard_controller::{followed, prepare};
use switchboard_fleet::{
    KeyRing,
    config::FrontTls,
    front::{BackendState, Table},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::{sleep, timeout},
};

use module::Module;
use stage::Stage;

/// So many pairs of fronts were made.
static NUMBER: AtomicU8 = AtomicU8::new(0);

const PATIENCE: Duration = Duration::from_secs(30);

/// Two stages of one server: the second takes the instances of the first, and has another one in its own configuration.
async fn two(instances: usize) -> (Stage, Stage) {
    let mut first = Stage::new(instances, 4).await;
    // An address of its own: while the first is away, nobody else gets the port there.
    let [.., high, low] = std::process::id().to_be_bytes();
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let address = Ipv4Addr::new(127, 100 + number, high, low.clamp(1, 254));
    let share = TcpListener::bind((address, 0)).await.unwrap().local_addr().unwrap();
    first.config.front.share = Some(share);
    let mut second = Stage::new(1, 4).await;
    second.config.front.follow = Some(share);
    for config in [&mut first.config, &mut second.config] {
        config.health.slow_start = Duration::ZERO.into();
    }
    // The stand-in's nginx has started with what was told.
    second.module.stop();
    let addresses = first.instances.iter().map(stage::Instance::address).collect();
    second.module = Module::start(&second.config.front.control, addresses, 4);
    (first, second)
}

/// Waits until something is so.
async fn until<T, F: Future<Output = Option<T>>>(what: &str, is: impl Fn() -> F) -> T {
    let wait = async {
        loop {
            match is().await {
                Some(thing) => return thing,
                None => sleep(Duration::from_millis(20)).await,
            }
        }
    };
    timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("{what}: not within {PATIENCE:?}"))
}

fn state(table: &Table, address: &str) -> Option<BackendState> {
    let upstream = table.upstream("instances")?;
    upstream.backends.iter().find(|backend| backend.address == address).map(|backend| backend.state)
}

/// Whether the stage's nginx sends nobody new there.
fn gets_nobody(stage: &Stage, address: &str) -> bool {
    let backend = stage.module.backend(address);
    backend.is_null() || backend["state"] == "left" || backend["switch"]["state"] == "drain"
}

/// Waits until a backend is so in what the stage's nginx has, and as the table tells it.
async fn is(stage: &Stage, address: &str, expected: BackendState) -> Table {
    stage.until(|table| state(table, address) == Some(expected)).await
}

fn change(word: &str) -> serde_json::Value {
    json!({ "change": word })
}

fn certify(tls: &FrontTls) {
    let signed = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    fs::write(&tls.key, signed.signing_key.serialize_pem()).unwrap();
    fs::write(&tls.certificate, signed.cert.pem()).unwrap();
}

fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

#[tokio::test]
async fn what_is_switched_at_either_front_is_switched_at_both() {
    let (first, second) = two(3).await;
    let (one, other) = (first.start().await, second.start().await);
    let [a, b, c] = [0, 1, 2].map(|at| first.address(at));
    is(&second, &c, BackendState::Up).await;
    let until_ms = 4_000_000_000_000_u64.min(now_ms() + 3_600_000);
    first.order("1", &a, change("off"), json!({ "why": "from here", "until_ms": until_ms })).await.unwrap();
    let table = is(&second, &a, BackendState::Off).await;
    let shown = |table: &Table| table.upstream("instances").unwrap().backends[0].switch.clone().unwrap();
    let there = table
        .upstream("instances")
        .unwrap()
        .backends
        .iter()
        .find(|one| one.address == a)
        .unwrap()
        .switch
        .clone();
    let here = first.table().await;
    assert_eq!(there.as_ref(), Some(&shown(&here)));
    assert_eq!(
        there.map(|by| (by.who, by.why, by.until_ms)),
        Some(("ada".into(), "from here".into(), Some(until_ms)))
    );
    assert!(table.happened.iter().any(|one| one.what == "off" && one.why.contains("at another front")));
    assert!(second.audit().iter().any(|line| line["change"] == "off" && line["who"] == "ada"));

    second.order("2", &a, change("on"), json!({ "why": "from there" })).await.unwrap();
    is(&first, &a, BackendState::Up).await;
    second.order("3", &b, change("drain"), json!({})).await.unwrap();
    is(&first, &b, BackendState::Draining).await;
    first.order("4", &c, json!({ "change": "weight", "percent": 30 }), json!({})).await.unwrap();
    second.module.until(|state| state.backends.iter().any(|one| one["switch"]["weight"] == 30)).await;
    // Who had seen something else is told so.
    let seen = json!({ "seen": 0 });
    assert_eq!(second.order("5", &c, change("off"), seen).await.unwrap_err()["refused"], "changed");
    one.stop().await;
    other.stop().await;
}

#[tokio::test]
async fn each_goes_on_alone_and_they_agree_again() {
    let (first, second) = two(3).await;
    let (one, other) = (first.start().await, second.start().await);
    let [a, b, c] = [0, 1, 2].map(|at| first.address(at));
    first.order("1", &a, change("off"), json!({})).await.unwrap();
    is(&second, &a, BackendState::Off).await;
    one.stop().await;

    // Also after its own restart; what its configuration says of instances does not count.
    second.until(|table| table.wrong.iter().any(|why| why.contains("is not heard"))).await;
    other.stop().await;
    let other = second.start().await;
    let table = is(&second, &a, BackendState::Off).await;
    assert_eq!(state(&table, &c), Some(BackendState::Up));
    let mut ports = first.config.instances.clone();
    ports.sort_unstable();
    assert_eq!(followed(&second.config).unwrap().instances, ports);
    second.order("2", &a, change("on"), json!({})).await.unwrap();
    second.order("3", &b, change("off"), json!({})).await.unwrap();
    other.stop().await;

    // The first knows nothing of that, nor does the second of this; the later word counts.
    let one = first.start().await;
    is(&first, &a, BackendState::Off).await;
    first.order("4", &b, change("drain"), json!({})).await.unwrap();
    let other = second.start().await;
    is(&first, &a, BackendState::Up).await;
    is(&second, &b, BackendState::Draining).await;
    is(&first, &b, BackendState::Draining).await;
    second.until(|table| !table.wrong.iter().any(|why| why.contains("is not heard"))).await;
    one.stop().await;
    other.stop().await;
}

#[tokio::test]
async fn who_joins_and_leaves_the_first_joins_and_leaves_the_second() {
    let (mut first, second) = two(2).await;
    let late = stage::Instance::start().await;
    let (one, other) = (first.start().await, second.start().await);
    assert_eq!(first.member("/join", late.port, 7).await, 204);
    is(&second, &late.address(), BackendState::Up).await;
    // When it is told that it may go, nobody new is sent there by either.
    assert_eq!(first.member("/leave", late.port, 7).await, 204);
    assert!(gets_nobody(&second, &late.address()));
    // A configured one too.
    let port = first.config.instances[0];
    assert_eq!(first.member("/leave", port, 8).await, 204);
    assert!(gets_nobody(&second, &first.address(0)));
    assert_eq!(first.member("/join", port, 9).await, 204);
    is(&second, &first.address(0), BackendState::Up).await;

    // One that the configuration does not have any more.
    one.stop().await;
    first.config.instances.pop();
    let one = first.start().await;
    let gone = first.address(1);
    is(&second, &gone, BackendState::Left).await;
    // A second that is away is not waited for.
    other.stop().await;
    sleep(Duration::from_secs(3)).await;
    let began = std::time::Instant::now();
    assert_eq!(first.member("/leave", port, 9).await, 204);
    assert!(began.elapsed() < Duration::from_millis(1400), "{:?}", began.elapsed());
    one.stop().await;
}

#[tokio::test]
async fn the_certificate_follows_as_a_pair() {
    let (mut first, mut second) = two(1).await;
    let folder = first.config.state_dir.clone();
    let own = FrontTls { certificate: folder.join("certificate.pem"), key: folder.join("key.pem") };
    let there = second.config.front_dir().join("tls");
    let there = FrontTls { certificate: there.join("certificate.pem"), key: there.join("key.pem") };
    first.config.front.tls = Some(own.clone());
    second.config.front.tls = Some(there.clone());
    let keys = Stage::keys();
    let error = prepare(&second.config, &keys).await.unwrap_err().to_string();
    assert!(error.contains("needs the first") && error.contains("cannot be reached"), "{error}");
    assert!(second.try_start().await.is_err());

    certify(&own);
    let one = first.start().await;
    prepare(&second.config, &keys).await.unwrap();
    assert_eq!(text(&there.key), text(&own.key));
    for path in [&there.key, &there.certificate] {
        assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600);
    }
    let other = second.start().await;
    let reloads = || second.paper.done.lock().unwrap().iter().filter(|(what, ..)| *what == "put").count();
    let before = reloads();

    // Half renewed, it is not taken.
    let old = text(&there.certificate);
    fs::write(&own.key, generate_simple_self_signed(["a".to_owned()]).unwrap().signing_key.serialize_pem())
        .unwrap();
    second.until(|table| table.wrong.iter().any(|why| why.contains("do not belong together"))).await;
    assert_eq!((text(&there.certificate), reloads()), (old, before));
    certify(&own);
    until("the new pair", || async {
        (text(&there.key) == text(&own.key) && reloads() > before).then_some(())
    })
    .await;
    assert_eq!(text(&there.certificate), text(&own.certificate));
    second.until(|table| !table.wrong.iter().any(|why| why.contains("certificate"))).await;
    assert_eq!(reloads(), before + 1);
    other.stop().await;
    one.stop().await;

    // It is there without the first.
    second.start().await.stop().await;
}

/// What a plain question gets.
async fn plain(address: std::net::SocketAddr, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request).await.unwrap();
    let mut answer = Vec::new();
    // It may be closed before all was read.
    drop(timeout(PATIENCE, stream.read_to_end(&mut answer)).await.unwrap());
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn whoever_has_no_key_gets_and_changes_nothing() {
    let (mut first, mut second) = two(2).await;
    let share = first.config.front.share.unwrap();
    let one = first.start().await;
    let [a, b] = [0, 1].map(|at| first.address(at));
    first.order("1", &a, change("off"), json!({})).await.unwrap();
    let nonce = "0123456789abcdef0123456789abcdef";
    let long = vec![b'x'; 5 << 20];
    for (head, body) in [
        ("GET /share".to_owned(), &b""[..]),
        ("GET /upstreams".to_owned(), b""),
        ("POST /share".to_owned(), b"{}"),
        (format!("POST /share\nX-IWP-Nonce: {nonce}"), b"{}"),
        (format!("POST /share\nX-IWP-Nonce: {nonce}"), &long),
        ("POST /orders".to_owned(), b"{}"),
    ] {
        let (line, headers) = head.split_once('\n').unwrap_or((&head, "X-A: a"));
        let head =
            format!("{line} HTTP/1.1\r\nHost: a\r\n{headers}\r\nContent-Length: {}\r\n\r\n", body.len());
        let mut stream = TcpStream::connect(share).await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        drop(stream.write_all(body).await);
        let mut answer = Vec::new();
        drop(timeout(PATIENCE, stream.read_to_end(&mut answer)).await.unwrap());
        let answer = String::from_utf8_lossy(&answer);
        // One that is too long may be cut off before it hears that.
        assert!(
            answer.starts_with("HTTP/1.1 400 ") || (answer.is_empty() && body.len() > 100),
            "{line}: {answer}"
        );
        assert!(answer.ends_with("\r\n\r\n") || answer.is_empty(), "{answer}");
    }
    assert!(plain(share, b"\x16\x03\x01nonsense\r\n\r\n").await.len() < 200);

    // A question that is heard on the way opens nothing later: what it says is older than what is known.
    let (listener, heard) = (TcpListener::bind("127.0.0.1:0").await.unwrap(), std::sync::Arc::default());
    second.config.front.follow = Some(listener.local_addr().unwrap());
    tokio::spawn(eavesdrop(listener, share, std::sync::Arc::clone(&heard)));
    let other = second.start().await;
    second.order("2", &b, change("drain"), json!({ "force": true })).await.unwrap();
    is(&first, &b, BackendState::Draining).await;
    second.order("3", &b, change("on"), json!({})).await.unwrap();
    is(&first, &b, BackendState::Up).await;
    other.stop().await;
    let said: Vec<Vec<u8>> = heard.lock().unwrap().clone();
    assert!(said.len() > 2);
    for question in said {
        assert!(plain(share, &question).await.starts_with("HTTP/1.1 200 "), "it is of now, and of the fleet");
    }
    let table = first.table().await;
    assert_eq!((state(&table, &a), state(&table, &b)), (Some(BackendState::Off), Some(BackendState::Up)));
    one.stop().await;

    // A first front of another server, or with another key.
    first.config.server = "127.0.0.9:9".parse().unwrap();
    let one = first.start().await;
    second.config.front.follow = Some(share);
    let other = second.start().await;
    second.until(|table| table.wrong.iter().any(|why| why.contains("`server` must be the same"))).await;
    other.stop().await;
    one.stop().await;
    let error = prepare_with_another_key(&second, share).await;
    assert!(error.contains("key_file") || error.contains("reached"), "{error}");
}

/// Passes everything on, and keeps the questions.
async fn eavesdrop(
    listener: TcpListener,
    to: std::net::SocketAddr,
    heard: std::sync::Arc<std::sync::Mutex<Vec<Vec<u8>>>>,
) {
    loop {
        let (mut asker, _) = listener.accept().await.unwrap();
        let heard = heard.clone();
        tokio::spawn(async move {
            let mut first = TcpStream::connect(to).await.unwrap();
            let mut question = Vec::new();
            let (mut asked, mut answered) = ([0; 32768], [0; 32768]);
            // The answer ends the connection.
            loop {
                tokio::select! {
                    read = asker.read(&mut asked) => {
                        let Ok(count @ 1..) = read else { break };
                        question.extend_from_slice(&asked[..count]);
                        first.write_all(&asked[..count]).await.unwrap();
                    }
                    read = first.read(&mut answered) => {
                        let Ok(count @ 1..) = read else { break };
                        drop(asker.write_all(&answered[..count]).await);
                    }
                }
            }
            heard.lock().unwrap().push(question);
        });
    }
}

async fn prepare_with_another_key(second: &Stage, share: std::net::SocketAddr) -> String {
    let folder = tempfile::tempdir().unwrap();
    let mut config = second.config.clone();
    (config.state_dir, config.front.follow) = (folder.path().into(), Some(share));
    let tls = config.front_dir().join("tls");
    config.front.tls = Some(FrontTls { certificate: tls.join("certificate.pem"), key: tls.join("key.pem") });
    prepare(&config, &KeyRing::new([[8; 32]])).await.unwrap_err().to_string()
}

fn now_ms() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    u64::try_from(since.as_millis()).unwrap()
}
