//! Instances that come and go.

use std::process::{Child, Command, Stdio};

use switchboard_fleet::front::BackendState;

use crate::stage::{Instance, Stage};

/// A process that runs as long as that of an instance would.
fn process() -> Child {
    Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap()
}

/// Ends it.
fn end(mut process: Child) {
    drop(process.stdin.take());
    process.wait().unwrap();
}

#[tokio::test]
async fn an_instance_that_nobody_configured_takes_part() {
    let stage = Stage::new(1, 2).await;
    let running = stage.start().await;
    let new = Instance::start().await;
    assert_eq!(stage.member("/join", new.port, 1).await, 204);
    stage.module.until(|state| state.backends.len() == 2).await;
    let table = stage.until(|table| table.upstreams[0].backends.iter().any(|one| one.check.is_some())).await;
    assert_eq!(table.slots.map(|slots| (slots.all, slots.free)), Some((2, 1)));
    // nginx that starts anew has it again with the next look.
    stage.module.restart();
    stage.module.until(|state| state.backends.len() == 2).await;
    // The next process on that port has its place now: the word of the older one does not count.
    let process = process();
    assert_eq!(stage.member("/join", new.port, process.id()).await, 204);
    assert_eq!(stage.member("/leave", new.port, 1).await, 204);
    stage.module.looked_at().await;
    assert_eq!(stage.module.backend(&new.address())["state"], "up");
    assert_eq!(stage.member("/leave", new.port, process.id()).await, 204);
    assert_eq!(stage.module.backend(&new.address())["state"], "drain", "nobody new, once that is answered");
    end(process);
    assert!(stage.until(|table| table.upstreams[0].backends.len() == 1).await.wrong.is_empty());
    running.stop().await;
    let (what, ports, _) = stage.paper.last().unwrap();
    assert_eq!((what, ports), ("keep", stage.config.instances.clone()));
}

#[tokio::test]
async fn a_configured_one_leaves_and_comes_back() {
    let stage = Stage::new(2, 0).await;
    let running = stage.start().await;
    let port = stage.instances[0].port;
    let process = process();
    assert_eq!(stage.member("/leave", port, process.id()).await, 204);
    assert_eq!(stage.module.backend(&stage.address(0))["state"], "drain");
    let table = stage.until(|table| table.upstreams[0].backends[0].state == BackendState::Draining).await;
    assert!(table.upstreams[0].backends[0].switch.is_none(), "no operator did that");
    end(process);
    stage.module.until(|state| state.backends[0]["state"] == "left").await;
    // That is known also to the controller that comes after this one, and told to the next nginx.
    running.stop().await;
    stage.module.restart();
    let running = stage.start().await;
    assert_eq!(stage.module.backend(&stage.address(0))["state"], "left");
    let table = stage.table().await;
    assert_eq!(table.upstreams[0].backends[0].state, BackendState::Left);
    assert_eq!(stage.member("/join", port, 8).await, 204);
    stage.module.until(|state| state.backends[0]["state"] == "up").await;
    let table = stage.until(|table| table.upstreams[0].backends[0].state == BackendState::SlowStart).await;
    assert!(table.upstreams[0].backends[0].share < 100);
    running.stop().await;
}

#[tokio::test]
async fn a_thousand_join_within_few_looks() {
    let stage = Stage::new(1, 1000).await;
    let running = stage.start().await;
    let looks = stage.module.state.lock().unwrap().looks;
    let joined = futures_util::future::join_all((20_000..21_000).map(|port| stage.member("/join", port, 1)));
    assert!(joined.await.into_iter().all(|status| status == 204));
    stage.module.until(|state| state.backends.len() == 1001).await;
    let table = stage.until(|table| table.upstreams[0].backends.len() == 1001).await;
    assert!(table.wrong.iter().any(|wrong| wrong.starts_with("every place for further instances is taken")));
    let looks = stage.module.state.lock().unwrap().looks - looks;
    assert!(looks < 300, "{looks}");
    running.stop().await;
}

#[tokio::test]
async fn without_a_place_nginx_is_reloaded_once() {
    let stage = Stage::new(1, 1).await;
    let running = stage.start().await;
    let ports = [30_001, 30_002, 30_003];
    let joined = futures_util::future::join_all(ports.map(|port| stage.member("/join", port, 1)));
    assert!(joined.await.into_iter().all(|status| status == 204));
    let table =
        stage.until(|table| table.wrong.iter().any(|wrong| wrong.contains("raise front.spare"))).await;
    assert_eq!(table.slots.unwrap().free, 0);
    stage.module.looked_at().await;
    stage.module.looked_at().await;
    let done = stage.paper.done.lock().unwrap().clone();
    let puts: Vec<_> = done.iter().filter(|(what, ..)| *what == "put").collect();
    assert_eq!(puts.len(), 1, "{done:?}");
    assert!(puts[0].1.len() >= 3, "{done:?}");
    running.stop().await;
}
