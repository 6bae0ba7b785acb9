//! Short questions over HTTP: to the front's control socket, and to an instance's `/status`.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    os::unix::net::UnixStream,
    path::Path,
    time::Duration,
};

use serde::Deserialize;

use crate::{FrontError, Setting, UPSTREAM};

/// How long each step of an answer may take.
const PATIENCE: Duration = Duration::from_secs(1);
/// Most bytes of an answer that are read.
const ANSWER_MAX: u64 = 64 << 10;

/// The generation of the configuration that nginx serves, if it answers.
pub(crate) fn generation(control: &Path) -> Option<u64> {
    let stream = UnixStream::connect(control).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    stream.set_write_timeout(Some(PATIENCE)).ok()?;
    let (status, body) = get(stream, "/generation").ok()?;
    (status == 200).then(|| body.trim().parse().ok()).flatten()
}

/// Switches `address` in the running nginx, by the module.
///
/// # Errors
/// What the module said, or the system.
pub(crate) fn switch(control: &Path, address: SocketAddr, setting: Setting) -> Result<(), FrontError> {
    let error = |why: String| FrontError::Module { address, why };
    let Setting { switch, weight_percent } = setting;
    // At the module a weight is nginx's, and every instance has 100.
    let path = format!("/backends?u={UPSTREAM}&b={address}&state={switch}&weight={weight_percent}");
    let ask = || -> io::Result<(u16, String)> {
        let stream = UnixStream::connect(control)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        call(stream, "POST", &path)
    };
    match ask() {
        Ok((200, _)) => Ok(()),
        Ok((status, text)) => Err(error(format!("{status} {}", text.trim()))),
        Err(io) => Err(error(io.to_string())),
    }
}

/// What an instance says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InstanceState {
    /// It answers, with the `state` of its `/status`: `starting`, `ready` or `draining`.
    Answers(String),
    /// It does not, and what the system said.
    Silent(String),
}

/// Asks the instance at `address` how it is; a second for each step: connecting, and every piece of the answer.
pub fn probe(address: SocketAddr) -> InstanceState {
    #[derive(Deserialize)]
    struct Answer {
        state: String,
    }
    let ask = || -> io::Result<String> {
        let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let (_, body) = get(stream, "/status")?;
        Ok(serde_json::from_str::<Answer>(&body)?.state)
    };
    ask().map_or_else(|error| InstanceState::Silent(error.to_string()), InstanceState::Answers)
}

/// One GET; the other side closes the connection after its answer.
fn get(stream: impl Read + Write, path: &str) -> io::Result<(u16, String)> {
    call(stream, "GET", path)
}

fn call(mut stream: impl Read + Write, method: &str, path: &str) -> io::Result<(u16, String)> {
    let request = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.take(ANSWER_MAX).read_to_string(&mut answer)?;
    parse(&answer).ok_or_else(|| io::Error::other("the answer is not HTTP"))
}

fn parse(answer: &str) -> Option<(u16, String)> {
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.strip_prefix("HTTP/1.")?.split(' ').nth(1)?.parse().ok()?;
    Some((status, body.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers() {
        assert_eq!(parse("HTTP/1.1 200 OK\r\nServer: nginx\r\n\r\n17\n"), Some((200, "17\n".into())));
        for bad in ["", "HTTP/1.1 200 OK\r\n", "SSH-2.0\r\n\r\n", "HTTP/1.1 two\r\n\r\n"] {
            assert_eq!(parse(bad), None);
        }
    }

    #[test]
    fn nobody_there() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        assert!(matches!(probe(address), InstanceState::Silent(_)));
    }
}
