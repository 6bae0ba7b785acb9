//! Callers of a front, and what its controller shows.

use std::{
    io::{BufRead, BufReader, ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream},
    os::unix::net::UnixStream,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    thread::{self, JoinHandle},
};

use serde_json::Value;

use super::{PATIENCE, until};

/// How many ask at a time.
pub const CALLERS: usize = 4;

/// Callers that ask the front for `/ping` without a pause, half of them on connections that they keep.
pub struct Load {
    stop: Arc<AtomicBool>,
    asked: Arc<AtomicU64>,
    failed: Arc<Mutex<Vec<String>>>,
    callers: Vec<JoinHandle<()>>,
}

impl Load {
    pub fn start(front: SocketAddr) -> Self {
        let mut load =
            Self { stop: Arc::default(), asked: Arc::default(), failed: Arc::default(), callers: Vec::new() };
        for caller in 0..CALLERS {
            let (stop, asked, failed) = (load.stop.clone(), load.asked.clone(), load.failed.clone());
            load.callers.push(thread::spawn(move || {
                let mut kept = None;
                while !stop.load(Relaxed) {
                    if caller % 2 == 0 {
                        kept = None;
                    }
                    match ask(&mut kept, front) {
                        Ok(200) => {}
                        Ok(status) => failed.lock().unwrap().push(format!("status {status}")),
                        Err(error) => failed.lock().unwrap().push(error.to_string()),
                    }
                    asked.fetch_add(1, Relaxed);
                }
            }));
        }
        load
    }

    /// Waits for so many more requests.
    pub fn goes_on(&self, more: u64) {
        let goal = self.asked.load(Relaxed) + more;
        until("more requests", || (self.asked.load(Relaxed) >= goal).then_some(()));
    }

    /// How many were asked, and what failed.
    pub fn end(self) -> (u64, Vec<String>) {
        self.stop.store(true, Relaxed);
        self.callers.into_iter().for_each(|caller| caller.join().unwrap());
        (self.asked.load(Relaxed), Arc::into_inner(self.failed).unwrap().into_inner().unwrap())
    }
}

/// One request. The connection is kept if the answer leaves it open; one that was closed meanwhile, as nginx does with idle ones at a
/// reload, is followed by a new one, as every client does.
fn ask(kept: &mut Option<BufReader<TcpStream>>, front: SocketAddr) -> std::io::Result<u16> {
    if let Some(stream) = kept.take() {
        match ask_on(stream, kept) {
            Err(error) if error.kind() == ErrorKind::NotConnected => {}
            asked => return asked,
        }
    }
    let stream = TcpStream::connect(front)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    ask_on(BufReader::new(stream), kept)
}

fn ask_on(mut stream: BufReader<TcpStream>, kept: &mut Option<BufReader<TcpStream>>) -> std::io::Result<u16> {
    let begun = stream
        .get_mut()
        .write_all(b"POST /ping HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")
        .and_then(|()| stream.fill_buf().map(|bytes| !bytes.is_empty()));
    if !begun.unwrap_or(false) {
        return Err(ErrorKind::NotConnected.into());
    }
    let (mut line, mut status, mut length, mut stays) = (String::new(), 0, 0, true);
    loop {
        line.clear();
        if stream.read_line(&mut line)? == 0 {
            return Err(std::io::Error::other("closed in a head"));
        }
        let text = line.trim_end().to_ascii_lowercase();
        if status == 0 {
            status = text.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(999);
        } else if let Some(value) = text.strip_prefix("content-length: ") {
            length = value.parse().unwrap();
        } else if text == "connection: close" {
            stays = false;
        } else if text.is_empty() {
            break;
        }
    }
    stream.read_exact(&mut vec![0; length])?;
    *kept = stays.then_some(stream);
    Ok(status)
}

/// What the controller of the server in `folder` shows.
pub fn table(folder: &Path) -> Option<Value> {
    let mut stream = UnixStream::connect(folder.join("var/front/controller.sock")).ok()?;
    stream.write_all(b"GET /upstreams HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    serde_json::from_str(answer.split_once("\r\n\r\n")?.1).ok()
}

/// What is known of one backend.
pub fn backend(folder: &Path, port: u16) -> Option<Value> {
    let address = format!("127.0.0.1:{port}");
    let table = table(folder)?;
    let upstream =
        table["upstreams"].as_array()?.iter().find(|upstream| upstream["name"] == "instances")?.clone();
    upstream["backends"].as_array()?.iter().find(|backend| backend["address"] == *address).cloned()
}

/// Waits until it is so.
pub fn is(folder: &Path, port: u16, state: &str) {
    until(&format!("{port} {state}"), || (backend(folder, port)?["state"] == *state).then_some(()));
}
