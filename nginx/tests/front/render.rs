//! What holds for every rendered configuration.

use std::collections::BTreeSet;

use proptest::prelude::*;
use switchboard_fleet::config::Config;
use switchboard_nginx::{Site, Switch, Switches, render};

fn site() -> Site {
    Site { dir: "/state/front".into(), base: "/base".into(), workers: 2, open_files: 20_000, module: None }
}

fn any_switch() -> impl Strategy<Value = Switch> {
    prop_oneof![Just(Switch::On), Just(Switch::Drain), Just(Switch::Off)]
}

/// The upstreams that a text declares.
fn declared(text: &str) -> BTreeSet<&str> {
    text.lines().filter_map(|line| line.trim().strip_prefix("upstream ")?.strip_suffix(" {")).collect()
}

/// The entries of `map $port VARIABLE`.
fn map<'t>(text: &'t str, variable: &str) -> Vec<(&'t str, &'t str)> {
    let start = format!("map $port {variable} {{");
    let lines =
        text.lines().skip_while(|line| line.trim() != start).skip(1).take_while(|line| line.trim() != "}");
    lines.map(|line| line.trim().trim_end_matches(';').split_once(' ').unwrap()).collect()
}

proptest! {
    #[test]
    fn callers_reach_exactly_the_declared_instances_that_are_not_off(
        wanted in prop::collection::btree_map(1u16.., any_switch(), 1..20),
    ) {
        let ports: Vec<u16> = wanted.keys().copied().collect();
        let mut switches = Switches::default();
        for (port, switch) in &wanted {
            switches = switches.with(*port, *switch, &ports, true).unwrap();
        }
        let config = Config { instances: ports.clone(), ..Config::default() };
        let text = render(&config, &switches, &site(), 1);
        let declared = declared(&text);
        let backends = map(&text, "$backend");
        for (_, backend) in &backends {
            prop_assert!(*backend == "\"\"" || declared.contains(backend.trim_matches('"')), "{backend}");
        }
        let refusals = map(&text, "$refusal");
        for (port, switch) in wanted {
            let port = port.to_string();
            let instance = format!("instance_{port}");
            let of = |map: &[(&str, &str)]| map.iter().find(|(key, _)| *key == port).map(|(_, to)| (*to).to_owned());
            let off = switch == Switch::Off;
            prop_assert_eq!(of(&backends), (!off).then(|| instance.clone()));
            prop_assert_eq!(of(&refusals), Some(if off { "switched-off".into() } else { "\"\"".into() }));
            prop_assert_eq!(declared.contains(instance.as_str()), !off);
            let round_robin = text.split("upstream round_robin {").nth(1).and_then(|rest| rest.split('}').next());
            let in_rotation = round_robin.unwrap_or_default().contains(&format!("server 127.0.0.1:{port} "));
            prop_assert_eq!(in_rotation, switch == Switch::On);
        }
        prop_assert_eq!(declared.contains("round_robin"), ports.iter().any(|p| switches.get(*p) == Switch::On));
        prop_assert_eq!(text.matches('{').count(), text.matches('}').count());
    }

    #[test]
    fn nginx_waits_longer_than_the_instance(
        agent in 0u64..1000, client in 0u64..1000, no_reply in 0u64..1000, stall in 0u64..1000,
    ) {
        let mut config = Config::default();
        let seconds = |s| std::time::Duration::from_secs(s).into();
        config.timeouts.agent = seconds(agent);
        config.timeouts.client = seconds(client);
        config.timeouts.no_reply = seconds(no_reply);
        config.timeouts.stall = seconds(stall);
        let text = render(&config, &Switches::default(), &site(), 1);
        let longest = [agent, client, no_reply, stall].into_iter().max().unwrap_or_default();
        let line = format!("proxy_read_timeout {}ms;", (longest + 15) * 1000);
        prop_assert!(text.contains(&line));
    }
}

#[test]
fn limits_and_places_of_the_configuration() {
    let mut config = Config::default();
    config.limits.body_bytes = 12345;
    config.listen.address = "0.0.0.0".parse().unwrap();
    let text = render(&config, &Switches::default(), &site(), 77);
    for line in [
        "client_max_body_size 12345;",
        "large_client_header_buffers 2 8192;",
        "listen 127.0.0.1:8080 backlog=4096 so_keepalive=60s:10s:6;",
        "listen \"unix:/base/run/front.sock\";",
        "return 200 \"77\\n\";",
        "server 127.0.0.1:8081 weight=100 max_fails=0;",
        "pid \"/state/front/nginx.pid\";",
    ] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
}
