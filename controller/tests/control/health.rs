//! Instances that are not well.

use std::{sync::atomic::Ordering, time::Duration};

use switchboard_fleet::front::BackendState;

use crate::stage::Stage;

#[tokio::test]
async fn a_bad_one_goes_and_comes_back() {
    let mut stage = Stage::new(2, 0).await;
    let health = &mut stage.config.health;
    (health.cool_off, health.slow_start) = (Duration::from_secs(1).into(), Duration::ZERO.into());
    let running = stage.start().await;
    let one = stage.address(0);
    stage.until(|table| table.upstreams[0].backends.iter().all(|one| one.check.is_some())).await;
    assert!(stage.module.state.lock().unwrap().lease_ms > 0);

    stage.instances[0].well.store(false, Ordering::Relaxed);
    stage.module.until(|state| state.backends[0]["share"] == 0).await;
    let table = stage.until(|table| table.upstreams[0].backends[0].state == BackendState::Ejected).await;
    let backend = &table.upstreams[0].backends[0];
    assert!(
        backend.until_ms.is_some() && backend.why.as_deref().unwrap().contains("it answered 503"),
        "{backend:?}"
    );
    assert_eq!(backend.check.as_ref().unwrap().fault.as_deref(), Some("it answered 503: it is starting"));
    assert!(table.happened.iter().any(|happened| happened.what == "ejected"));
    // It stays out after a restart of nginx, and of the controller.
    stage.module.restart();
    stage.module.until(|state| state.backends[0]["share"] == 0).await;
    running.stop().await;
    stage.module.restart();
    let running = stage.start().await;
    assert_eq!(stage.module.backend(&one)["share"], 0);

    // If the other one is bad too, both get what there is.
    stage.instances[1].well.store(false, Ordering::Relaxed);
    stage.module.until(|state| state.backends[0]["share"] == 100).await;
    let table = stage.until(|table| table.panic.is_some()).await;
    assert!(table.upstreams[0].backends.iter().all(|one| one.state == BackendState::Up && one.share == 100));
    assert!(table.wrong.iter().any(|wrong| wrong.contains("all get traffic")), "{:?}", table.wrong);
    // Then nginx counts by itself, and spares those that nobody reaches.
    stage.module.until(|state| state.lease_ms == 0).await;
    running.stop().await;
}

#[tokio::test]
async fn it_comes_back_by_good_checks() {
    let mut stage = Stage::new(2, 0).await;
    let health = &mut stage.config.health;
    (health.cool_off, health.slow_start) = (Duration::from_secs(1).into(), Duration::ZERO.into());
    let running = stage.start().await;
    stage.instances[0].well.store(false, Ordering::Relaxed);
    stage.module.until(|state| state.backends[0]["share"] == 0).await;
    stage.instances[0].well.store(true, Ordering::Relaxed);
    stage.module.until(|state| state.backends[0]["share"] == 100).await;
    stage.until(|table| table.upstreams[0].backends[0].state == BackendState::Up).await;
    running.stop().await;
}

#[tokio::test]
async fn without_ejecting_nobody_goes() {
    let mut stage = Stage::new(2, 0).await;
    stage.config.health.eject = false;
    stage.instances[0].well.store(false, Ordering::Relaxed);
    let running = stage.start().await;
    let table = stage.until(|table| table.happened.iter().any(|one| one.what == "would-eject")).await;
    let backend = &table.upstreams[0].backends[0];
    assert_eq!((backend.state, backend.share), (BackendState::Up, 100));
    assert_eq!(stage.module.backend(&stage.address(0))["share"], 100);
    running.stop().await;
}

#[tokio::test]
async fn counts_are_shown() {
    let stage = Stage::new(2, 0).await;
    let running = stage.start().await;
    let answers = |backend: &mut serde_json::Value, requests: u64| {
        backend["requests"] = requests.into();
        backend["answered"] = requests.into();
        backend["responses"] = serde_json::json!({ "2xx": requests, "499": 3, "502": 1 });
        backend["response"] =
            serde_json::json!({ "count": requests, "sum_ms": requests * 5, "buckets": [0, requests] });
    };
    {
        let mut state = stage.module.state.lock().unwrap();
        answers(&mut state.backends[0], 30);
        answers(&mut state.backends[1], 10);
    }
    let table = stage.until(|table| table.upstreams[0].backends[0].traffic > 0.0).await;
    let backend = &table.upstreams[0].backends[0];
    assert!((backend.traffic - 0.75).abs() < 1e-9 && backend.per_second > 0.0, "{backend:?}");
    assert_eq!((backend.recent.count, backend.recent.p99_ms, backend.answers.classes[1]), (30, Some(10), 30));
    assert_eq!(table.heat.len(), 2);
    let heat = table.heat.iter().find(|heat| heat.place.backend == stage.address(0)).unwrap();
    assert_eq!(heat.columns.iter().flatten().sum::<u64>(), 30);
    assert_eq!(heat.bounds_ms, [1, 10, 100]);
    assert_eq!((table.nginx.generation, table.nginx.module.as_deref()), (Some(42), Some("9.9.9")));
    assert_eq!(table.upstreams[0].at, "nginx.conf:7");
    running.stop().await;
}
