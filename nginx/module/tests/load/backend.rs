//! A small HTTP/1.1 server whose every path has its own way to go wrong.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    thread,
};

pub(crate) struct Backend {
    pub(crate) address: String,
    hits: Arc<AtomicU64>,
}

impl Backend {
    /// Serves until the test program ends.
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let hits = Arc::new(AtomicU64::new(0));
        let counted = hits.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let counted = counted.clone();
                thread::spawn(move || serve(stream, &counted));
            }
        });
        Self { address, hits }
    }

    pub(crate) fn port(&self) -> &str {
        self.address.rsplit(':').next().unwrap()
    }

    /// Requests that came until now.
    pub(crate) fn hits(&self) -> u64 {
        self.hits.load(SeqCst)
    }
}

fn serve(mut stream: TcpStream, hits: &AtomicU64) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) == 0 {
            return;
        }
        let mut header = String::new();
        while header != "\r\n" {
            header.clear();
            if reader.read_line(&mut header).unwrap_or(0) == 0 {
                return;
            }
        }
        hits.fetch_add(1, SeqCst);
        let path = line.split(' ').nth(1).unwrap_or_default();
        let path = path.split('?').next().unwrap_or_default();
        let answer = match path.trim_start_matches("/buffered") {
            "/close" => return,
            "/slow" => {
                let _ = reader.read_to_end(&mut Vec::new());
                return;
            }
            "/bad" => "HTTP/1.1 200 OK\r\nX-Half: of a he".to_owned(),
            "/cut" => "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n0123456789".to_owned(),
            "/cut-chunked" => {
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n01234\r\n".to_owned()
            }
            "/stall" => "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n0123456789".to_owned(),
            "/until-close" => "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n0123456789".to_owned(),
            path => {
                let status = path.get(1..4).filter(|status| status.parse::<u16>().is_ok()).unwrap_or("200");
                format!("HTTP/1.1 {status} said so\r\nContent-Length: 3\r\n\r\nok\n")
            }
        };
        if stream.write_all(answer.as_bytes()).is_err() {
            return;
        }
        if path.ends_with("/stall") {
            let _ = reader.read_to_end(&mut Vec::new());
            return;
        }
        if path.ends_with("/bad") || path.contains("/cut") || path.contains("until-close") {
            return;
        }
    }
}
