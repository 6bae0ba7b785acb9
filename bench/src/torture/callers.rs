//! New customers: connections that register as fast as they are answered, and every ID that they got.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
    time::{sleep, timeout},
};

use crate::tally::Given;

/// Connections for each instance.
const CONNECTIONS: usize = 4;
/// An answer must have come within this; longer than an instance waits for a disk.
const ANSWER_MAX: Duration = Duration::from_secs(10);
/// After a call without an ID, and after a connection that failed: others are to have the processor meanwhile.
const PAUSE: Duration = Duration::from_millis(2);
/// Most answers of an unexpected kind that are kept.
const STRANGE_MAX: usize = 10;
/// Bytes of an answer; heads are much shorter.
const ANSWER_BYTES_MAX: usize = 4096;
const HEADERS_MAX: usize = 32;
const CALL: &[u8] = b"POST /getuniversalid HTTP/1.1\r\nHost: torture\r\nContent-Length: 0\r\n\r\n";

/// What the callers saw.
#[derive(Debug, Default)]
pub(crate) struct Calls {
    /// Every ID that was answered.
    pub(crate) given: Vec<Given>,
    /// How many of them by each instance.
    pub(crate) by_instance: Vec<u64>,
    /// Answers without an ID.
    pub(crate) without: u64,
    /// Calls whose answer did not come whole.
    pub(crate) broken: u64,
    /// Answers that are not as they should be: how many, and some of them.
    pub(crate) strange: (u64, Vec<String>),
}

/// Callers at work; stopped when dropped.
pub(crate) struct Callers {
    tasks: JoinSet<()>,
    calls: Arc<Mutex<Calls>>,
}

/// How a call ended that was answered.
enum Answered {
    Id(u64),
    Without,
    Strange(String),
}

/// What a caller does next.
enum Next {
    Call,
    Pause,
    Connect,
}

impl Callers {
    /// Starts some for each of the instances at `addresses`.
    pub(crate) fn start(addresses: &[SocketAddr]) -> Self {
        let calls = Calls { by_instance: vec![0; addresses.len()], ..Calls::default() };
        let calls = Arc::new(Mutex::new(calls));
        let (mut tasks, began) = (JoinSet::new(), Instant::now());
        for (address, instance) in addresses.iter().zip(0..) {
            for _ in 0..CONNECTIONS {
                tasks.spawn(call_forever(*address, instance, began, calls.clone()));
            }
        }
        Self { tasks, calls }
    }

    /// IDs answered so far.
    pub(crate) fn count(&self) -> u64 {
        lock(&self.calls).given.len() as u64
    }

    /// The same for each instance.
    pub(crate) fn by_instance(&self) -> Vec<u64> {
        lock(&self.calls).by_instance.clone()
    }

    /// Ends them, and gives what they saw.
    pub(crate) fn stop(mut self) -> Calls {
        self.tasks.abort_all();
        std::mem::take(&mut *lock(&self.calls))
    }
}

async fn call_forever(address: SocketAddr, instance: u8, began: Instant, calls: Arc<Mutex<Calls>>) {
    loop {
        if let Ok(mut stream) = TcpStream::connect(address).await {
            loop {
                let answered = timeout(ANSWER_MAX, exchange(&mut stream)).await;
                let answered = answered.unwrap_or_else(|late| Err(late.into()));
                let at_ms = u32::try_from(began.elapsed().as_millis()).unwrap_or(u32::MAX);
                let next = lock(&calls).note(answered, at_ms, instance);
                match next {
                    Next::Call => {}
                    Next::Pause => sleep(PAUSE).await,
                    Next::Connect => break,
                }
            }
        }
        sleep(PAUSE).await;
    }
}

impl Calls {
    /// Keeps how a call ended; gives what comes next.
    fn note(&mut self, answered: anyhow::Result<Answered>, at_ms: u32, instance: u8) -> Next {
        match answered {
            Ok(Answered::Id(id)) => {
                self.given.push(Given { id, at_ms, instance });
                if let Some(count) = self.by_instance.get_mut(usize::from(instance)) {
                    *count += 1;
                }
                Next::Call
            }
            Ok(Answered::Without) => {
                self.without += 1;
                Next::Pause
            }
            Ok(Answered::Strange(what)) => {
                self.strange.0 += 1;
                if self.strange.1.len() < STRANGE_MAX {
                    self.strange.1.push(what);
                }
                Next::Connect
            }
            // That it breaks is what this is about.
            Err(_) => {
                self.broken += 1;
                Next::Connect
            }
        }
    }
}

/// Asks and reads the head of the answer whole.
async fn exchange(stream: &mut TcpStream) -> anyhow::Result<Answered> {
    stream.set_nodelay(true)?;
    stream.write_all(CALL).await?;
    let (mut answer, mut end) = ([0; ANSWER_BYTES_MAX], 0);
    loop {
        match stream.read(&mut answer[end..]).await? {
            0 => bail!("the connection ended"),
            more => end += more,
        }
        if let Some(answered) = parse(&answer[..end]) {
            return Ok(answered);
        }
    }
}

/// What an answer says; `None` if its head is not whole.
fn parse(bytes: &[u8]) -> Option<Answered> {
    let strange = || Answered::Strange(String::from_utf8_lossy(bytes).into_owned());
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut answer = httparse::Response::new(&mut headers);
    match answer.parse(bytes) {
        Ok(httparse::Status::Partial) => return None,
        // A body, or a second answer, is nothing that was asked for.
        Ok(httparse::Status::Complete(length)) if length == bytes.len() && answer.code == Some(200) => {}
        _ => return Some(strange()),
    }
    let id = answer.headers.iter().find(|header| header.name.eq_ignore_ascii_case("x-iwp-productunivid"));
    Some(match id.map(|header| number(header.value)) {
        None => Answered::Without,
        Some(Ok(id)) => Answered::Id(id),
        Some(Err(_)) => strange(),
    })
}

fn number(value: &[u8]) -> anyhow::Result<u64> {
    std::str::from_utf8(value)?.parse().context("no number")
}

/// Nothing is left half done by a panic: each change is one.
fn lock(calls: &Mutex<Calls>) -> MutexGuard<'_, Calls> {
    calls.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_counts_when_the_head_is_whole() {
        let text = "HTTP/1.1 200 OK\r\nX-IWP-ProductUnivId: 1234\r\ncontent-length: 0\r\n\r\n";
        for cut in 0..text.len() {
            assert!(parse(&text.as_bytes()[..cut]).is_none(), "{cut}");
        }
        assert!(matches!(parse(text.as_bytes()), Some(Answered::Id(1234))));
    }

    #[test]
    fn answers_are_told_apart() {
        let parse = |text: &str| parse(text.as_bytes()).unwrap();
        assert!(matches!(parse("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"), Answered::Without));
        for strange in [
            "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n",
            "HTTP/1.1 200 OK\r\nx-iwp-productunivid: 1x\r\n\r\n",
            "HTTP/1.1 200 OK\r\nx-iwp-productunivid: 18446744073709551616\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\na",
            "POST / HTTP/1.1\r\n\r\n",
        ] {
            assert!(matches!(parse(strange), Answered::Strange(_)), "{strange:?}");
        }
    }
}
