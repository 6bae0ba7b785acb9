//! Callers.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
};

use crate::front::Front;

/// One request on a connection of its own; the status and the body of the answer, `None` if none came whole.
pub(crate) fn ask(mut stream: impl Read + Write, method: &str, path: &str) -> Option<(u16, String)> {
    let request =
        format!("{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some((status, body.to_owned()))
}

/// A caller that keeps its connection.
pub(crate) struct Caller<'a> {
    front: &'a Front,
    stream: Option<BufReader<TcpStream>>,
}

impl<'a> Caller<'a> {
    pub(crate) fn new(front: &'a Front) -> Self {
        Self { front, stream: None }
    }

    /// The status of the answer. A kept connection that nginx has closed meanwhile is made anew, as every caller does.
    pub(crate) fn get(&mut self, path: &str) -> Result<u16, String> {
        let kept = self.stream.is_some();
        match self.once(path) {
            Err(_) if kept => self.once(path),
            result => result,
        }
    }

    fn once(&mut self, path: &str) -> Result<u16, String> {
        let mut stream = self.stream.take().unwrap_or_else(|| BufReader::new(self.front.connect()));
        let text = |error: std::io::Error| error.to_string();
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n");
        stream.get_mut().write_all(request.as_bytes()).map_err(text)?;
        let (mut status, mut length, mut keep) = (0, 0, true);
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line).map_err(text)? == 0 {
                return Err("closed before the answer".to_owned());
            }
            let line = line.trim_end().to_ascii_lowercase();
            if let Some(rest) = line.strip_prefix("http/1.1 ") {
                status = rest[..3].parse().unwrap();
            } else if let Some(rest) = line.strip_prefix("content-length: ") {
                length = rest.parse().unwrap();
            } else if line == "connection: close" {
                keep = false;
            } else if line.is_empty() {
                break;
            }
        }
        stream.read_exact(&mut vec![0; length]).map_err(text)?;
        self.stream = keep.then_some(stream);
        Ok(status)
    }
}
