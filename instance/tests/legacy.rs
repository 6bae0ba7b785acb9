//! Programs of the original service: a desktop, an app and an instance, none of which knows what is new.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use std::{
    io::{BufRead, BufReader, Write},
    net::{SocketAddr, TcpListener},
    sync::mpsc,
    thread,
    time::Duration,
};

use support::{Instance, customer, free_port, start, start_at};

#[test]
fn a_desktop_and_an_app_without_anything_new() {
    let instance = start(|config| config.admit.legacy_agents = true);
    let port = instance.port;
    instance.until(|status| status["ids"]["left"].as_u64().unwrap() > 0);
    let registered = instance.post("/getuniversalid", "");
    let id: u64 = registered.get("X-IWP-ProductUnivId").unwrap().parse().unwrap();
    let connected = instance.post("/connect", &customer(id));
    assert_eq!((connected.status, connected.get("X-IWP-Port")), (200, Some(port.to_string().as_str())));
    let mut poll = instance.connect();
    poll.post(&format!("/agent/{port}"), &customer(id));
    instance.until(|status| status["agents"]["parked"] == 1);

    let located = instance.post("/client", &customer(id));
    assert_eq!((located.status, located.get("X-IWP-Port")), (200, Some(port.to_string().as_str())));
    let mut app = instance.connect();
    app.post_body(
        &format!("/client/{port}"),
        &format!("{}Content-Type: text/xml\r\n", customer(id)),
        b"<a/>",
    );
    let request = poll.reply();
    assert_eq!((request.get("content-length"), request.get("content-type")), (Some("4"), Some("text/xml")));
    let headers = format!(
        "{}X-IWP-RequestId: {}\r\nX-iwp-responsecode: 200\r\n",
        customer(id),
        request.get("x-iwp-requestid").unwrap()
    );
    let mut replier = instance.connect();
    replier.post_body(&format!("/agentreply/{port}"), &headers, b"<b/>");
    let answer = app.reply();
    assert_eq!(
        (answer.status, answer.body.as_slice(), answer.get("content-length")),
        (200, &b"<b/>"[..], Some("4"))
    );
    assert_eq!(replier.reply().status, 200);
}

#[test]
fn nothing_found_is_status_200() {
    let instance = start(|config| {
        config.admit.legacy_agents = true;
        config.timeouts.agent = Duration::from_millis(50).into();
    });
    for path in
        ["/client".to_owned(), format!("/client/{}", instance.port), format!("/agent/{}", instance.port)]
    {
        let reply = instance.post(&path, &customer(77));
        assert_eq!((reply.status, reply.get("X-IWP-ResponseType")), (200, Some("0")), "{path}");
    }
}

#[test]
fn an_empty_range_is_status_200_without_an_id() {
    let instance = start(|config| {
        config.master.port = free_port();
        config.instances.push(config.master.port);
        config.timeouts.lookup = Duration::from_millis(200).into();
    });
    let reply = instance.post("/getuniversalid", "");
    assert_eq!((reply.status, reply.get("X-IWP-ProductUnivId")), (200, None));
}

/// An instance of the original service: it answers what it is asked, knows no signatures, and notes the calls.
struct Original {
    port: u16,
    calls: mpsc::Receiver<Call>,
}

#[derive(Debug)]
struct Call {
    path: String,
    headers: Vec<(String, String)>,
}

impl Call {
    fn get(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }
}

impl Original {
    /// Listens, and answers each call with what `answer` says for its path: header lines, or `None` for 404.
    fn start(port: u16, answer: fn(&str) -> Option<&'static str>) -> Self {
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], port))).unwrap();
        let port = listener.local_addr().unwrap().port();
        let (seen, calls) = mpsc::channel();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let seen = seen.clone();
                thread::spawn(move || {
                    let mut reader = BufReader::new(stream);
                    while let Some(call) = read_call(&mut reader) {
                        let head = match answer(
                            call.path.trim_end_matches(|c: char| c.is_ascii_digit()).trim_end_matches('/'),
                        ) {
                            Some(headers) => format!("HTTP/1.1 200 OK\r\n{headers}"),
                            None => "HTTP/1.1 404 Not Found\r\n".to_owned(),
                        };
                        if write!(reader.get_mut(), "{head}Content-Length: 0\r\n\r\n").is_err() {
                            return;
                        }
                        if seen.send(call).is_err() {
                            return;
                        }
                    }
                });
            }
        });
        Self { port, calls }
    }

    /// The next call to this route, whatever comes before it.
    fn next(&self, route: &str) -> Call {
        loop {
            let call = self.calls.recv_timeout(support::PATIENCE).unwrap();
            if call.path == route || call.path == format!("{route}/{}", self.port) {
                return call;
            }
        }
    }
}

fn read_call(reader: &mut impl BufRead) -> Option<Call> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        if line == "\r\n" {
            break;
        }
        lines.push(line.trim_end().to_owned());
    }
    let path = lines.first()?.split(' ').nth(1)?.to_owned();
    let headers: Vec<_> = lines[1..]
        .iter()
        .filter_map(|line| line.split_once(": "))
        .map(|(n, v)| (n.to_owned(), v.to_owned()))
        .collect();
    let call = Call { path, headers };
    let length = call.get("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(call)
}

/// An instance of ours with one of the original service as its sibling.
fn beside(answer: fn(&str) -> Option<&'static str>) -> (Instance, Original) {
    let original = Original::start(0, answer);
    let port = original.port;
    let instance = start_at(free_port(), |config| {
        config.instances.push(port);
        config.admit.legacy_agents = true;
        config.admit.legacy_peers = vec!["127.0.0.0/8".parse().unwrap()];
    });
    (instance, original)
}

fn quiet(route: &str) -> Option<&'static str> {
    ["/hello", "/connected", "/find", "/range"].contains(&route).then_some("")
}

#[test]
fn an_original_sibling_is_told_in_its_own_words() {
    let (instance, original) = beside(quiet);
    let hello = original.next("/hello");
    let own = instance.port.to_string();
    assert_eq!(hello.get("X-IWP-Port"), Some(own.as_str()));
    assert_eq!(hello.get("X-IWP-Host"), Some(format!("127.0.0.1:{own}").as_str()));
    instance.post("/connect", &customer(5));
    let connected = original.next("/connected");
    assert_eq!(
        (connected.get("X-IWP-ProductUnivId"), connected.get("X-IWP-Port")),
        (Some("5"), Some(own.as_str()))
    );
    assert!(connected.get("X-IWP-Since").is_some());
}

#[test]
fn an_original_sibling_is_asked_and_believed() {
    let (instance, original) = beside(|route| match route {
        "/find" => Some("X-IWP-Host: 127.0.0.1:1\r\nX-IWP-Port: 1\r\n"),
        other => quiet(other),
    });
    original.next("/hello");
    // It names a server that is not configured: nobody is sent there.
    assert_eq!(instance.post("/client", &customer(5)).get("X-IWP-ResponseType"), Some("0"));
    assert_eq!(original.next("/find").get("X-IWP-ProductUnivId"), Some("5"));
}

#[test]
fn calls_of_an_original_instance_need_no_signature_from_its_network() {
    let (instance, original) = beside(quiet);
    let name = format!("X-IWP-Host: 127.0.0.1:{}\r\nX-IWP-Port: {}\r\n", instance.port, original.port);
    let own = instance.port;
    let hello = instance.post(&format!("/hello/{own}"), &name);
    assert_eq!(hello.status, 200);
    assert!(hello.get("X-IWP-Ports").unwrap().split(',').any(|port| port == original.port.to_string()));
    assert!(hello.get("X-IWP-Signature").is_none());
    assert_eq!(instance.post(&format!("/connected/{own}"), &format!("{name}{}", customer(9))).status, 200);
    let found = instance.post(&format!("/find/{own}"), &customer(9));
    assert_eq!(found.get("X-IWP-Port"), Some(original.port.to_string().as_str()));
    let range = instance.post(&format!("/range/{own}"), "X-IWP-Range-Size: 1000\r\n");
    let (from, to): (u64, u64) = (
        range.get("X-IWP-Range-From").unwrap().parse().unwrap(),
        range.get("X-IWP-Range-To").unwrap().parse().unwrap(),
    );
    assert_eq!(to - from, 999);
    // The desktop that moved there: apps are sent after it.
    let redirect = instance.post(&format!("/client/{own}"), &customer(9));
    assert_eq!(
        (redirect.status, redirect.get("X-IWP-Port")),
        (200, Some(original.port.to_string().as_str()))
    );
    // A server that is not configured is not taken on an unsigned word.
    let stranger = "X-IWP-Host: evil.example\r\nX-IWP-Port: 80\r\n";
    assert_eq!(instance.post(&format!("/hello/{own}"), stranger).status, 403);
    assert_eq!(
        instance.post(&format!("/connected/{own}"), &format!("{stranger}{}", customer(9))).status,
        403
    );
}

#[test]
fn without_leave_an_unsigned_call_is_refused() {
    let instance = start(|_| {});
    let name = format!("X-IWP-Host: 127.0.0.1:{0}\r\nX-IWP-Port: {0}\r\n", instance.port);
    for route in ["hello", "connected", "announce", "find", "range"] {
        for path in [format!("/{route}"), format!("/{route}/{}", instance.port)] {
            let headers = format!("{name}{}X-IWP-Range-Size: 10\r\n", customer(1));
            assert_eq!(instance.post(&path, &headers).status, 401, "{path}");
            let forged = format!("{headers}X-IWP-Signature: t=1,v1={}\r\n", "0".repeat(64));
            assert_eq!(instance.post(&path, &forged).status, 401, "{path}");
        }
    }
}

#[test]
fn ranges_come_from_an_original_master() {
    let original = Original::start(0, |route| match route {
        "/range" => Some("X-IWP-Range-From: 500\r\nX-IWP-Range-To: 599\r\n"),
        other => quiet(other),
    });
    let port = original.port;
    let instance = start_at(free_port(), |config| {
        config.instances.push(port);
        config.master = config.instance_name(port);
        config.admit.legacy_peers = vec!["127.0.0.0/8".parse().unwrap()];
    });
    assert_eq!(original.next("/range").get("X-IWP-Range-Size"), Some("1000"));
    instance.until(|status| status["ids"]["left"] == 100);
    assert_eq!(instance.post("/getuniversalid", "").get("X-IWP-ProductUnivId"), Some("500"));
}
