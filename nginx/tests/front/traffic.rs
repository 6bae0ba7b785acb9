//! What callers and instances see of each other through a real nginx.

use std::{io::Write, net::TcpListener, thread};

use crate::scene::{End, Scene, free_port};

#[test]
fn a_path_with_a_port_goes_there_and_anything_else_round_robin() {
    let scene = Scene::new(3, |_| {});
    for index in 0..3 {
        assert_eq!(scene.serve(&format!("/client/{}", scene.port(index))), index);
    }
    // More requests than nginx may have workers: one of them must have come around.
    let seen: std::collections::BTreeSet<_> = (0..30).map(|_| scene.serve("/ping")).collect();
    assert_eq!(seen, [0, 1, 2].into());
}

#[test]
fn paths_reach_the_instance_as_they_were_sent() {
    let scene = Scene::new(2, |_| {});
    let (first, second) = (scene.port(0), scene.port(1));
    for path in [
        format!("//client//{first}"),
        format!("/client/{first}?to=/{second}"),
        format!("/a/../client/./{first}"),
        format!("/%63lient/{first}"),
    ] {
        let _caller = scene.post(&path);
        let (index, instance) = scene.arrival();
        assert_eq!(index, 0, "{path}");
        assert!(instance.head.starts_with(&format!("POST {path} HTTP/1.1\n")), "{}", instance.head);
    }
    // These do not end in a port as sent, so they go to anyone, who will find the path wrong.
    for path in [format!("/client/{first}%0a"), format!("/client%2f{first}"), format!("/client/%3{first}")] {
        let _caller = scene.post(&path);
        let (_, instance) = scene.arrival();
        assert!(instance.head.starts_with(&format!("POST {path} HTTP/1.1\n")), "{}", instance.head);
    }
}

#[test]
fn the_front_says_who_called_whatever_the_caller_says() {
    let scene = Scene::new(1, |_| {});
    let _caller = scene.send(
        "POST /ping HTTP/1.1\r\nHost: front.test:99\r\nX-Real-IP: 6.6.6.6\r\nX-Forwarded-For: 6.6.6.6\r\n\
         Connection: close\r\nX_Under: 1\r\nX.Dot: 2\r\nContent-Length: 0\r\n\r\n",
    );
    let (_, instance) = scene.arrival();
    assert_eq!(instance.header("X-Real-IP"), ["127.0.0.1"]);
    assert_eq!(instance.header("X-Forwarded-For"), ["127.0.0.1"]);
    assert_eq!(instance.header("Host"), ["front.test:99"]);
    assert_eq!(instance.header("Connection"), [""; 0]);
    assert_eq!((instance.header("X_Under"), instance.header("X.Dot")), (vec!["1"], vec!["2"]));
}

#[test]
fn what_the_front_refuses_has_a_reason_and_no_body() {
    let scene = Scene::new(1, |config| {
        config.limits.body_bytes = 1000;
        config.instances.push(free_port());
    });
    let (port, dead) = (scene.port(0), scene.port(1));
    let post = |path: &str| {
        format!("POST {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
    };
    let long = "x".repeat(20_000);
    for (request, status, reason) in [
        (post("/client/1"), 404, "no instance at this port"),
        (post("/client/999999999999"), 404, "no instance at this port"),
        (post(&format!("/client/0{port}")), 404, "no instance at this port"),
        (post("/status"), 404, "no such path here"),
        (post("/%73tatus"), 404, "no such path here"),
        (post("//metrics"), 404, "no such path here"),
        (post(&format!("/status/{port}")), 404, "no such path here"),
        (post("/.front/404"), 404, "no such path here"),
        (post(&format!("/client/{dead}")), 502, "no instance answers"),
        ("POST /a\u{1}b HTTP/1.1\r\nHost: a\r\n\r\n".into(), 400, "malformed request"),
        ("POST /ping HTTP/1.1\r\n\r\n".into(), 400, "malformed request"),
        (
            "POST /ping HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 1001\r\n\r\n".into(),
            413,
            "body over limits.body_bytes",
        ),
        (post(&format!("/{long}")), 414, "request line over limits.header_bytes"),
        (
            format!("POST /ping HTTP/1.1\r\nHost: a\r\nX: {long}\r\n\r\n"),
            431,
            "head over limits.header_bytes",
        ),
    ] {
        let answer = End::read(scene.send(&request));
        let what = &request[..request.len().min(60)];
        assert_eq!((answer.status(), answer.header("X-IWP-Reason")), (status, vec![reason]), "{what}");
        assert_eq!(answer.header("Content-Length"), ["0"], "{what}");
        assert_eq!(answer.header("Server"), ["nginx"], "the version is nobody's business");
        assert_eq!(answer.header("Connection"), ["close"], "{what}");
    }
    assert!(scene.nothing_arrived());
}

#[test]
fn bodies_pass_as_they_come_both_ways() {
    let scene = Scene::new(1, |_| {});
    let head = "POST /client HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    let mut caller = scene.send(&format!("{head}5\r\nfirst\r\n"));
    let (_, mut instance) = scene.arrival();
    assert_eq!(instance.body(10), "5\r\nfirst\r\n", "before the caller has sent more");
    caller.write_all(b"4\r\nlast\r\n0\r\n\r\n").unwrap();
    assert_eq!(instance.body(14), "4\r\nlast\r\n0\r\n\r\n");
    instance.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n");
    let mut answer = End::read(caller);
    assert_eq!(answer.body(8), "3\r\none\r\n", "before the instance has sent more");
    instance.write("3\r\ntwo\r\n0\r\n\r\n");
    assert_eq!(answer.body(13), "3\r\ntwo\r\n0\r\n\r\n");
}

#[test]
fn a_body_that_breaks_off_is_not_made_whole() {
    let scene = Scene::new(1, |_| {});
    let caller = scene.post("/client");
    let (_, mut instance) = scene.arrival();
    instance.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n");
    let mut answer = End::read(caller);
    assert_eq!(answer.body(8), "3\r\none\r\n");
    drop(instance);
    assert_eq!(answer.rest(), "", "no last chunk");
}

#[test]
fn an_early_answer_reaches_a_caller_that_is_still_sending() {
    let scene = Scene::new(1, |_| {});
    let mut caller = scene.send("POST /client HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\nbegin");
    let (_, mut instance) = scene.arrival();
    instance.write(
        "HTTP/1.1 413 Too Large\r\nX-IWP-Reason: enough\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
    );
    // Taken and thrown away while the answer is on its way.
    caller.write_all(&[b'x'; 100_000]).unwrap();
    let answer = End::read(caller);
    assert_eq!((answer.status(), answer.header("X-IWP-Reason")), (413, vec!["enough"]));
}

#[test]
fn headers_of_an_answer_steer_nothing_in_the_front() {
    let scene = Scene::new(1, |_| {});
    let caller = scene.post("/agent");
    let (_, mut instance) = scene.arrival();
    instance.write(
        "HTTP/1.1 200 OK\r\nX-Accel-Redirect: /.front/404\r\nX-Accel-Limit-Rate: 1\r\nServer: theirs\r\n\
         Location: http://round_robin/x\r\nContent-Length: 2\r\n\r\nok",
    );
    let mut answer = End::read(caller);
    assert_eq!((answer.status(), answer.body(2).as_str()), (200, "ok"));
    assert_eq!(answer.header("X-Accel-Redirect"), ["/.front/404"]);
    assert_eq!(answer.header("X-Accel-Limit-Rate"), ["1"]);
    assert_eq!(answer.header("Server"), ["theirs"]);
    assert_eq!(answer.header("Location"), ["http://round_robin/x"]);
}

#[test]
fn a_dead_instance_is_passed_over() {
    let scene = Scene::new(1, |config| config.instances.insert(0, free_port()));
    for _ in 0..10 {
        assert_eq!(scene.serve("/ping"), 0);
    }
}

#[test]
fn a_request_that_comes_back_is_refused() {
    let scene = Scene::new(1, |_| {});
    let caller = scene.send(
        "POST /client HTTP/1.1\r\nHost: a\r\nVia: 1.0 fred, 1.1 p.example.net\r\nContent-Length: 0\r\n\r\n",
    );
    let (_, mut instance) = scene.arrival();
    let via = instance.header("Via").join(" and ");
    assert!(via.starts_with("1.0 fred, 1.1 p.example.net, 1.1 switchboard-"), "{via}");
    let back =
        format!("POST /client HTTP/1.1\r\nHost: a\r\nVia: {via}, 1.1 other\r\nContent-Length: 0\r\n\r\n");
    let answer = End::read(scene.send(&back));
    assert_eq!(answer.status(), 508);
    assert_eq!(answer.header("X-IWP-Reason"), ["this request came through here before: a forwarding loop"]);
    instance.write("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(End::read(caller).status(), 200);

    // A name that only begins like ours is somebody else's.
    let alike = format!("POST /client HTTP/1.1\r\nHost: a\r\nVia: {via}0\r\nContent-Length: 0\r\n\r\n");
    let caller = scene.send(&alike);
    let (_, mut instance) = scene.arrival();
    instance.write("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(End::read(caller).status(), 200);
}

#[test]
fn no_more_are_tried_than_configured() {
    let live = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = live.local_addr().unwrap().port();
    thread::spawn(move || {
        while let Ok((stream, _)) = live.accept() {
            End::read(stream).write("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
        }
    });
    let scene = Scene::new(0, |config| {
        config.instances = vec![free_port(), port];
        config.front.retry.tries = 1;
    });
    let answers: Vec<End> = (0..16).map(|_| End::read(scene.post("/ping"))).collect();
    let (bad, good): (Vec<&End>, Vec<&End>) = answers.iter().partition(|answer| answer.status() == 502);
    assert!(good.iter().all(|answer| answer.status() == 200) && good.len() >= 7, "{}", good.len());
    assert!(
        bad.iter().all(|answer| answer.header("X-IWP-Retry") == ["1"]) && bad.len() >= 7,
        "{}",
        bad.len()
    );
}

#[test]
fn an_answer_is_tried_elsewhere_if_that_is_configured() {
    let scene = Scene::new(2, |config| config.front.retry.on = vec!["error".into(), "http_503".into()]);
    let get = "GET /ping HTTP/1.1\r\nHost: a\r\n\r\n";
    let caller = scene.send(get);
    let (first, mut instance) = scene.arrival();
    instance.write("HTTP/1.1 503 No\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
    let (second, mut instance) = scene.arrival();
    assert_ne!(first, second);
    instance.write("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(End::read(caller).status(), 200);

    // Never what may not be repeated.
    let caller = scene.post("/ping");
    let (_, mut instance) = scene.arrival();
    instance.write("HTTP/1.1 503 No\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(End::read(caller).status(), 503);
    assert!(scene.nothing_arrived());
}
