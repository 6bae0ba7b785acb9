//! Changing a front in force: switches, new configurations, and those that must not come into force.

use std::{fs, net::TcpListener};

use crate::scene::{End, Scene, free_port};
use switchboard_fleet::config::{Config, FrontTls};
use switchboard_nginx::{Front, FrontError, Switch};

#[test]
fn an_instance_is_drained_switched_off_and_on_again() {
    let scene = Scene::new(2, |_| {});
    let port = scene.port(0);
    let path = format!("/agent/{port}");
    let switch = |to| assert!(scene.front.switch(&scene.config, port, to, false).unwrap().live);

    switch(Switch::Drain);
    assert!((0..10).all(|_| scene.serve("/ping") == 1), "no new ones");
    assert_eq!(scene.serve(&path), 0, "who is there may finish");

    switch(Switch::Off);
    assert!((0..10).all(|_| scene.serve("/ping") == 1));
    let answer = End::read(scene.post(&path));
    assert_eq!(
        (answer.status(), answer.header("X-IWP-Reason")),
        (503, vec!["this instance is switched off"])
    );

    let last = scene.front.switch(&scene.config, scene.port(1), Switch::Off, false);
    assert!(matches!(last, Err(FrontError::Refused(_))));
    assert_eq!(scene.front.switches().unwrap().get(port), Switch::Off, "kept on disk");
    assert_eq!(scene.front.switches().unwrap().get(scene.port(1)), Switch::On);

    scene.front.switch(&scene.config, scene.port(1), Switch::Drain, true).unwrap();
    let answer = End::read(scene.post("/ping"));
    assert_eq!((answer.status(), answer.header("X-IWP-Reason")), (503, vec!["no instance is in rotation"]));

    switch(Switch::On);
    assert_eq!((scene.serve(&path), scene.serve("/ping")), (0, 0));
}

#[test]
fn a_parked_poll_outlives_a_change() {
    let scene = Scene::new(2, |_| {});
    let caller = scene.post("/agent");
    let (_, mut instance) = scene.arrival();
    scene.front.switch(&scene.config, scene.port(0), Switch::Off, false).unwrap();
    instance.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    assert_eq!(End::read(caller).body(2), "ok");
}

#[test]
fn new_instances_come_and_old_ones_go() {
    let scene = Scene::new(2, |_| {});
    let mut config = scene.config.clone();
    let gone = config.instances.pop().unwrap();
    scene.front.apply(&config).unwrap();
    assert_eq!(End::read(scene.post(&format!("/client/{gone}"))).status(), 404);
    assert!((0..10).all(|_| scene.serve("/ping") == 0));
    scene.front.apply(&scene.config).unwrap();
    assert_eq!(scene.serve(&format!("/client/{gone}")), 1);
}

#[test]
fn what_nginx_refuses_leaves_the_old_front_as_it_was() {
    let scene = Scene::new(1, |_| {});
    let before = scene.front.status(&scene.config).unwrap();
    assert!(before.pid.is_some() && before.generation.is_some());

    let bad = scene.config.state_dir.join("bad.pem");
    fs::write(&bad, "no certificate").unwrap();
    let mut config = scene.config.clone();
    config.front.tls = Some(FrontTls { certificate: bad.clone(), key: bad });
    let error = scene.front.apply(&config).unwrap_err();
    assert!(matches!(error, FrontError::Rejected { .. }));
    let text = error.to_string();
    assert!(text.contains("bad.pem") && !text.contains('\n'), "{text}");
    assert_eq!(scene.front.status(&scene.config).unwrap(), before);
    assert_eq!(scene.serve("/ping"), 0);
}

#[test]
fn an_address_in_use_brings_the_old_front_back() {
    let scene = Scene::new(1, |_| {});
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let before = scene.front.status(&scene.config).unwrap();
    let mut config = scene.config.clone();
    config.front.listen.push(taken.local_addr().unwrap());
    let error = scene.front.apply(&config).unwrap_err();
    assert!(matches!(error, FrontError::NotInForce { .. }));
    assert!(error.to_string().contains(&taken.local_addr().unwrap().to_string()), "{error}");
    assert_eq!(scene.front.status(&scene.config).unwrap(), before);
    assert_eq!(scene.serve("/ping"), 0);
    assert!(scene.front.apply(&scene.config).unwrap().live, "and it can still be changed");
}

#[test]
fn a_busy_address_is_named_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let mut config = in_folder(folder.path());
    config.front.listen = vec![address];
    let front = Front::new(&config).unwrap();
    let generation = front.apply(&config).unwrap().generation;
    let error = front.start(&config, generation).unwrap_err();
    assert!(matches!(error, FrontError::Address { address: named, .. } if named == address));
}

#[test]
fn nginx_takes_what_is_rendered() {
    let folder = tempfile::tempdir().unwrap();
    let odd = folder.path().join("a \"b\" \\c;{}'#");
    fs::create_dir(&odd).unwrap();
    let signed = rcgen::generate_simple_self_signed(["front.test".to_owned()]).unwrap();
    let tls = FrontTls { certificate: odd.join("cert.pem"), key: odd.join("key.pem") };
    fs::write(&tls.certificate, signed.cert.pem()).unwrap();
    fs::write(&tls.key, signed.signing_key.serialize_pem()).unwrap();

    let base = in_folder(&odd);
    let mut many = base.clone();
    many.instances = (20_000..22_000).collect();
    let mut small = base.clone();
    (small.limits.header_bytes, small.limits.buffer_bytes, small.limits.body_bytes) = (1, 1, 0);
    (small.limits.connections, small.timeouts.head) = (0, std::time::Duration::ZERO.into());
    let mut large = base.clone();
    (large.limits.header_bytes, large.limits.buffer_bytes) = (1 << 20, 8 << 20);
    (large.limits.connections, large.limits.body_bytes) = (usize::MAX, u64::MAX);
    let mut everywhere = base.clone();
    everywhere.front.listen = vec![format!("[::1]:{}", free_port()).parse().unwrap(), base.front.listen[0]];
    everywhere.listen.address = "::".parse().unwrap();
    let mut secure = base.clone();
    secure.front.tls = Some(tls);
    for config in [base, many, small, large, everywhere, secure] {
        let applied = Front::new(&config).unwrap().apply(&config).unwrap();
        assert!(!applied.live);
    }
}

/// A configuration whose front keeps to `folder` and listens on a free port.
fn in_folder(folder: &std::path::Path) -> Config {
    let mut config = Config { state_dir: folder.join("var"), ..Config::default() };
    config.front.control = folder.join("run/front.sock");
    config.front.listen = vec![format!("127.0.0.1:{}", free_port()).parse().unwrap()];
    config
}
