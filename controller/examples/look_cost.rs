//! How much CPU time a look at 2 and at 1,000 backends takes.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "an example for developers")]

use std::{
    convert::Infallible,
    fmt::Write,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    thread,
    time::Duration,
};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Request, Response, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use nix::{
    sys::resource::{UsageWho, getrusage},
    sys::time::TimeValLike,
};
use switchboard_controller::{Files, run_with};
use switchboard_fleet::{KeyRing, config::Config};
use switchboard_nginx::{FrontError, Switches};
use tokio::net::UnixListener;

const LOOKS: u64 = 20;

/// nginx's files, which nobody needs here.
struct NoFiles;

impl Files for NoFiles {
    fn switches(&self) -> Result<Switches, FrontError> {
        Ok(Switches::default())
    }

    fn keep(&self, _: &Config, _: &Switches) -> Result<(), FrontError> {
        Ok(())
    }

    fn put(&self, _: &Config, _: &Switches) -> Result<(), FrontError> {
        Ok(())
    }
}

fn main() {
    for backends in [2, 1000] {
        let (each, most_bytes) = measure(backends);
        println!(
            "{backends} backends: a look takes {each:?} of CPU time; nginx's answer has {most_bytes} bytes"
        );
    }
}

/// CPU time of this thread for one look, and the length of nginx's answer.
fn measure(backends: u16) -> (Duration, u64) {
    let folder = tempfile::tempdir().unwrap();
    let mut config = Config { state_dir: folder.path().into(), ..Config::default() };
    config.instances = (20_000..20_000 + backends).collect();
    config.front.control = folder.path().join("nginx.sock");
    // Hardly any checks: what they cost does not depend on looks.
    config.health.check_every = Duration::from_secs(86_400).into();
    config.monitor.run = false;
    let (looks, bytes) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    serve(&config.front.control, backends, Arc::clone(&looks), Arc::clone(&bytes));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut begin = Duration::ZERO;
    let looked = Arc::clone(&looks);
    let stop = async {
        while looked.load(Relaxed) < 3 {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        begin = cpu();
        let first = looked.load(Relaxed);
        while looked.load(Relaxed) < first + LOOKS {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let keys = KeyRing::new([[7; 32]]);
    runtime.block_on(run_with(config, keys, None, Arc::new(NoFiles), || {}, stop)).unwrap();
    ((cpu() - begin) / LOOKS as u32, bytes.load(Relaxed))
}

/// CPU time of this thread.
fn cpu() -> Duration {
    let usage = getrusage(UsageWho::RUSAGE_THREAD).unwrap();
    let micros = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
    Duration::from_micros(micros as u64)
}

/// A stand-in for nginx, on a thread of its own.
fn serve(socket: &Path, backends: u16, looks: Arc<AtomicU64>, bytes: Arc<AtomicU64>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let listener = {
        let _guard = runtime.enter();
        UnixListener::bind(socket).unwrap()
    };
    let answer = move |request: Request<Incoming>| {
        let shown = request.method() == "GET" && request.uri().path() == "/backends";
        let text = if shown { shown_at(backends, looks.fetch_add(1, Relaxed)) } else { "{}".into() };
        bytes.fetch_max(text.len() as u64, Relaxed);
        async move { Ok::<_, Infallible>(Response::new(Full::new(Bytes::from(text)))) }
    };
    thread::spawn(move || {
        runtime.block_on(async {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let service = service_fn(answer.clone());
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        })
    });
}

/// What the module shows at the `look`th look: every backend answers 50 requests a second.
fn shown_at(backends: u16, look: u64) -> String {
    let count = look * 50;
    let times = format!(
        r#"{{"count":{count},"sum_ms":{},"p50_ms":5,"p99_ms":50,"buckets":[0,1,2,{count},4,5,6,7,8,9,10,11,12]}}"#,
        count * 7
    );
    let backend = |port: u16| {
        format!(
            r#"{{"address":"127.0.0.1:{port}","server":"127.0.0.1:{port}","backup":false,"state":"up","weight":100,
"configured":{{"down":false,"weight":100}},"switch":null,"fails":0,"max_fails":0,"fail_timeout_s":10,"connections":3,
"max_connections":0,"counted":true,"share":100,"slot":false,"requests":{count},"in_flight":1,"responses":{{"1xx":0,
"2xx":{count},"3xx":0,"4xx":0,"5xx":0,"499":0,"500":0,"502":0,"503":0,"504":0}},"answered":{count},"client_closed":0,
"stale":0,"connect_errors":0,"connect_timeouts":0,"read_timeouts":0,"write_timeouts":0,"no_answer":0,"bad_answer":0,
"cut":0,"failures":0,"last_failure":null,"bytes_sent":1,"bytes_received":1,"connect":{times},"header":{times},
"response":{times}}}"#
        )
    };
    let mut text = String::from(
        r#"{"version":"0.1.0","lease_ms":4000,"bounds_ms":[0,1,2,3,5,8,13,20,32,50,80,130,200,320,500,800,1300,2000,5000,10000,
60000],"upstreams":[{"name":"instances","implicit":false,"zone":true,"file":"nginx.conf","line":1,"no_live":0,
"route":true,"slots":{"all":16,"free":16},"backends":["#,
    );
    for port in 20_000..20_000 + backends {
        let comma = if port > 20_000 { "," } else { "" };
        let _ = write!(text, "{comma}{}", backend(port));
    }
    text + "]}]}"
}
