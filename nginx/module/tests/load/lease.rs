//! Who counts failures: nginx by itself, or whoever holds the lease.

use crate::{
    backend::Backend,
    front::Front,
    routes::{SERVER, nobody},
    switches::many,
};

fn upstream(servers: &[&str]) -> String {
    let servers: String =
        servers.iter().map(|one| format!("server {one} max_fails=1 fail_timeout=60s weight=100;")).collect();
    format!("upstream u {{ zone u 64k; {servers} }}")
}

#[test]
fn under_a_lease_nginx_throws_nobody_out_and_then_it_does() {
    let (dead, alive) = (nobody(), Backend::start());
    let front = Front::start(2, &upstream(&[&dead, &alive.address]), SERVER);
    let ask = || (0..20).for_each(|_| assert_eq!(front.get("/200").unwrap().0, 200));
    assert_eq!(front.status("")["lease_ms"], 0);
    front.lease(60_000);
    ask();
    let value = front.settled("u", &dead);
    assert_eq!((&value["state"], &value["max_fails"]), (&"up".into(), &0.into()));
    assert_eq!(value["connect_errors"], 10, "every other request meets it first");
    front.reload();
    assert_eq!(front.settled("u", &dead)["max_fails"], 0, "a reload does not end it");
    assert!(front.status("")["lease_ms"].as_u64().unwrap() > 30_000);

    front.lease(30);
    front.wait_for("the lease does not run out", || front.status("")["lease_ms"] == 0);
    let value = front.settled("u", &dead);
    assert_eq!((&value["state"], &value["max_fails"], &value["fails"]), (&"up".into(), &1.into(), &0.into()));
    let before = value["connect_errors"].as_u64().unwrap();
    ask();
    let value = front.settled("u", &dead);
    assert_eq!((&value["state"], &value["connect_errors"]), (&"unavailable".into(), &(before + 1).into()));
}

#[test]
fn requests_alone_notice_the_end_of_a_lease() {
    let (out, alive) = (Backend::start(), Backend::start());
    let front = Front::start(2, &upstream(&[&out.address, &alive.address]), SERVER);
    front.lease(100);
    front.switch("u", &out.address, "share=0");
    assert_eq!(front.get("/200").unwrap().0, 200);
    front.wait_for("it stays out", || {
        assert_eq!(front.get("/200").unwrap().0, 200);
        out.hits() > 0
    });
    front.assert_sound();
}

#[test]
fn shares_are_parts_of_the_weight_while_the_lease_runs() {
    let backends = many(2);
    let front = Front::start(4, &upstream(&[&backends[0].address, &backends[1].address]), SERVER);
    let share = |order: &str| front.switch("u", &backends[0].address, order);
    let hits = || {
        let before = backends[0].hits();
        (0..100).for_each(|_| assert_eq!(front.get("/200").unwrap().0, 200));
        backends[0].hits() - before
    };
    let value = share("share=25");
    assert_eq!(
        (&value["weight"], &value["share"]),
        (&100.into(), &25.into()),
        "without a lease it is kept only"
    );
    assert_eq!(hits(), 50);
    front.lease(60_000);
    assert_eq!(hits(), 20, "25 of 125");
    assert_eq!(share("weight=400")["weight"], 100, "of the operator's weight");
    assert_eq!(hits(), 50);
    assert_eq!(share("share=0")["state"], "out");
    assert_eq!(hits(), 0);
    assert_eq!(share("state=drain")["state"], "drain");
    assert_eq!(share("state=config")["state"], "out");
    front.reload();
    let value = front.status(&format!("?u=u&b={}", backends[0].address));
    assert_eq!((&value["state"], &value["share"]), (&"out".into(), &0.into()), "a reload keeps both");
    assert_eq!(hits(), 0);
    front.lease(0);
    assert_eq!(hits(), 50, "without a lease it is as configured");
    front.lease(60_000);
    assert_eq!(hits(), 0, "shares are kept for the next lease");
    assert_eq!(share("share=100")["weight"], 100);
    assert_eq!(hits(), 50);
    front.assert_sound();
}
