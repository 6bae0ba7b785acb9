//! Orders of operators.

use std::{
    sync::atomic::Ordering,
    time::{SystemTime, UNIX_EPOCH},
};

use serde_json::{Value, json};
use switchboard_controller::ControllerError;
use switchboard_fleet::front::BackendState;
use switchboard_nginx::{Setting, Switch, Switches};

use crate::{module::Mode, stage::Stage};

fn off() -> Value {
    json!({ "change": "off" })
}

fn in_ms(ms: u64) -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64 + ms
}

#[tokio::test]
async fn an_order_is_in_force_when_it_is_answered_and_outlives_everything() {
    let stage = Stage::new(2, 2).await;
    let running = stage.start().await;
    let (one, two) = (stage.address(0), stage.address(1));
    let until = in_ms(3_600_000);
    let said = stage.order("a-1", &one, off(), json!({ "until_ms": until, "seen": 0 })).await.unwrap();
    assert!(said.starts_with(&format!("{one} is off until ")), "{said}");
    assert!(said.contains(" UTC") && said.ends_with("; 1 of 2 backends serve"), "{said}");
    assert_eq!(stage.module.backend(&one)["switch"]["state"], "off");

    let table = stage.table().await;
    let backend = &table.upstream("instances").unwrap().backends[0];
    assert_eq!((table.version, backend.state, backend.until_ms), (1, BackendState::Off, Some(until)));
    assert_eq!(
        (backend.why.as_deref(), backend.switch.as_ref().unwrap().who.as_str()),
        (Some("ada: a test"), "ada")
    );
    assert_eq!(table.happened[0].what, "off");

    // Twice is once; and what was seen before is not what is there now.
    let posts = stage.module.state.lock().unwrap().posts.len();
    assert_eq!(stage.order("a-1", &one, off(), json!({ "until_ms": until })).await.unwrap(), said);
    assert_eq!(stage.module.state.lock().unwrap().posts.len(), posts);
    let refused = stage.order("a-2", &two, json!({ "change": "drain" }), json!({ "seen": 0 })).await;
    assert_eq!(refused.unwrap_err()["refused"], "changed");
    assert_eq!(stage.order("a-3", &two, off(), Value::Null).await.unwrap_err()["refused"], "last");
    assert_eq!(stage.order("a-4", "10.0.0.1:1", off(), Value::Null).await.unwrap_err()["refused"], "unknown");
    assert_eq!(
        stage.order("a-5", &two, json!({ "change": "weight", "percent": 40 }), Value::Null).await.unwrap(),
        format!("{two} has 40 % of its weight; 1 of 2 backends serve")
    );
    assert_eq!(stage.module.backend(&two)["switch"]["weight"], 40);

    // nginx forgets everything; the next look puts it right.
    stage.module.restart();
    stage.module.until(|state| state.backends[0]["switch"]["state"] == "off").await;
    stage.module.until(|state| state.backends[1]["switch"]["weight"] == 40).await;

    // So does the controller that comes after this one.
    running.stop().await;
    stage.module.restart();
    let running = stage.start().await;
    assert_eq!(stage.module.backend(&one)["switch"]["state"], "off");
    assert_eq!(stage.order("a-1", &one, off(), Value::Null).await.unwrap(), said, "it is remembered");
    let on = json!({ "change": "on" });
    assert_eq!(
        stage.order("a-6", &one, on, Value::Null).await.unwrap(),
        format!("{one} is on; 2 of 2 backends serve")
    );
    assert_eq!(stage.module.backend(&one)["switch"]["state"], "on");
    running.stop().await;

    let audit = stage.audit();
    let lines: Vec<_> =
        audit.iter().map(|line| (line["id"].as_str().unwrap(), line["done"].as_bool().unwrap())).collect();
    let expected =
        [("a-1", true), ("a-2", false), ("a-3", false), ("a-4", false), ("a-5", true), ("a-6", true)];
    assert_eq!(lines, expected);
    assert_eq!((&audit[0]["who"], &audit[0]["change"]), (&json!("ada"), &json!("off")));
    let (what, _, switches) = stage.paper.last().unwrap();
    let port = stage.instances[1].port;
    assert_eq!(
        (what, switches.get(stage.instances[0].port), switches.setting(port).weight_percent),
        ("keep", Switch::On, 40)
    );
}

#[tokio::test]
async fn a_switch_ends_by_itself() {
    let stage = Stage::new(2, 0).await;
    let running = stage.start().await;
    let one = stage.address(0);
    stage.order("b-1", &one, off(), json!({ "until_ms": in_ms(1500) })).await.unwrap();
    assert_eq!(stage.module.backend(&one)["state"], "off");
    stage.module.until(|state| state.backends[0]["switch"]["state"] == "on").await;
    let table = stage.until(|table| table.happened[0].what == "on").await;
    assert!(
        table.happened[0].who.is_none() && table.happened[0].why.contains("ada"),
        "{:?}",
        table.happened[0]
    );
    assert_eq!(stage.audit().len(), 2);
    running.stop().await;
}

#[tokio::test]
async fn what_nginx_does_not_do_is_not_done() {
    let stage = Stage::new(2, 0).await;
    let running = stage.start().await;
    stage.module.state.lock().unwrap().mode = Mode::Refusing;
    let refused = stage.order("c-1", &stage.address(0), off(), Value::Null).await.unwrap_err();
    assert_eq!(refused["refused"], "failed");
    assert!(
        refused["why"].as_str().unwrap().ends_with("no room for this backend; all is as before"),
        "{refused}"
    );
    let table = stage.table().await;
    assert_eq!(table.upstreams[0].backends[0].state, BackendState::Up);
    assert_eq!(table.version, 2, "whoever saw the one in between looks again");
    // One that does not run is told as soon as it does.
    stage.module.state.lock().unwrap().mode = Mode::Module;
    stage.module.stop();
    let said = stage.order("c-2", &stage.address(0), off(), Value::Null).await.unwrap();
    assert!(said.ends_with("is off; nginx does not answer: it is told as soon as it does"), "{said}");
    assert!(stage.table().await.wrong[0].starts_with("nginx does not answer at "));
    stage.module.restart();
    stage.module.until(|state| state.backends[0]["switch"]["state"] == "off").await;
    running.stop().await;
}

#[tokio::test]
async fn without_the_module_a_switch_is_a_reload() {
    let stage = Stage::new(2, 0).await;
    stage.module.state.lock().unwrap().mode = Mode::Bare;
    let before = Setting { switch: Switch::Drain, weight_percent: 100 };
    stage.paper.kept.lock().unwrap().set(stage.instances[1].port, before);
    let running = stage.start().await;
    let table = stage.table().await;
    assert_eq!(table.nginx.module, None);
    assert!(table.wrong[0].starts_with("nginx runs without the module"), "{:?}", table.wrong);
    assert_eq!(
        table.upstreams[0].backends.iter().filter(|one| one.state == BackendState::Draining).count(),
        1
    );
    assert!(!table.upstreams[0].backends[0].counted);

    stage.order("d-1", &stage.address(1), json!({ "change": "on" }), Value::Null).await.unwrap();
    assert_eq!(stage.paper.last().unwrap().2, Switches::default());
    stage.order("d-2", &stage.address(0), off(), Value::Null).await.unwrap();
    let (what, _, switches) = stage.paper.last().unwrap();
    assert_eq!((what, switches.get(stage.instances[0].port)), ("put", Switch::Off));
    stage.paper.refuses.store(true, Ordering::Relaxed);
    let on = json!({ "change": "on" });
    let refused = stage.order("d-3", &stage.address(0), on, Value::Null).await.unwrap_err();
    assert!(refused["why"].as_str().unwrap().contains("it does not like it"), "{refused}");
    let table = stage.table().await;
    assert_eq!(table.upstreams[0].backends.iter().filter(|one| one.state == BackendState::Off).count(), 1);
    running.stop().await;
}

#[tokio::test]
async fn one_front_has_one_controller_and_damage_is_told() {
    let stage = Stage::new(1, 0).await;
    let running = stage.start().await;
    assert!(matches!(stage.try_start().await.err(), Some(ControllerError::Running { .. })));
    let half = json!({ "change": "weight", "percent": 50 });
    stage.order("e-1", &stage.address(0), half, Value::Null).await.unwrap();
    running.stop().await;
    assert!(!stage.socket().exists());
    let path = stage.config.front_dir().join("controller.json");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace("\"is\":50", "\"is\":51")).unwrap();
    let error = stage.try_start().await.err().unwrap().to_string();
    assert!(error.contains("controller.json") && error.contains("or delete it"), "{error}");
    // Left behind by one that was killed.
    std::fs::write(&path, text).unwrap();
    drop(std::os::unix::net::UnixListener::bind(stage.socket()).unwrap());
    stage.start().await.stop().await;
}
