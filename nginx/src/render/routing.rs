//! Which instance a path goes to, in stock nginx: the upstreams, and the maps that choose among them.
//!
//! The port in a path is only ever looked up in a map: its values name upstreams declared here, so that no caller
//! can make nginx connect anywhere else. Paths are looked at as they came, undecoded: nginx and the instance must
//! read the same port from them.

use std::{
    collections::BTreeSet,
    fmt::Write,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use switchboard_fleet::config::Config;

use super::ms;
use crate::{Switch, Switches};

/// Requests that are refused before they reach an instance: the name that the maps give them, status, reason.
pub(super) const REFUSALS: [(&str, u16, &str); 3] = [
    ("unknown-port", 404, "no instance at this port"),
    ("switched-off", 503, "this instance is switched off"),
    ("none-in-rotation", 503, "no instance is in rotation"),
];

/// How requests find their instance.
pub(super) struct Routing {
    /// What is to stand in `http {}`.
    pub(super) text: String,
    /// The variable that is empty, or names one of [`REFUSALS`].
    pub(super) refusal: &'static str,
    /// The upstream, or the variable that names it.
    pub(super) backend: &'static str,
}

/// Connections kept to instances by each worker of nginx: this many, and more if there are many instances.
const KEPT: usize = 128;

/// The rest of an upstream: connections that are kept.
pub(super) fn keep_alive(config: &Config, instances: usize) -> String {
    // Closed by nginx before the instance does it, so that no request is sent into a closing connection.
    let idle = ms(config.timeouts.idle.get().mul_f64(0.8).min(Duration::from_secs(60)));
    let kept = KEPT.max(instances * 2);
    format!(
        "        keepalive {kept};\n        keepalive_requests 10000;\n        keepalive_timeout {idle};\n    }}\n"
    )
}

/// An upstream for everyone and one for each port, and the maps that choose.
pub(super) fn stock(config: &Config, switches: &Switches, ports: &BTreeSet<u16>) -> Routing {
    let text = upstreams(config, switches, ports) + &ways(switches, ports);
    Routing { text, refusal: "$refusal", backend: "$backend" }
}

fn upstreams(config: &Config, switches: &Switches, ports: &BTreeSet<u16>) -> String {
    // No instance is ever counted out (`max_fails=0`): one that is down costs a refused connection, one that was
    // restarted is back at once, and no caller can throw one out by requests that make it hang up.
    let mut text = String::new();
    let in_rotation: Vec<_> = ports.iter().filter(|port| switches.get(**port) == Switch::On).collect();
    if !in_rotation.is_empty() {
        text += "    upstream round_robin {\n";
        for port in &in_rotation {
            let weight = switches.setting(**port).weight_percent;
            let _ = writeln!(text, "        server {} weight={weight} max_fails=0;", backend(config, **port));
        }
        text += &keep_alive(config, in_rotation.len());
    }
    for port in ports.iter().filter(|port| switches.get(**port) != Switch::Off) {
        let _ = writeln!(
            text,
            "    upstream instance_{port} {{\n        server {} max_fails=0;",
            backend(config, *port)
        );
        text += &keep_alive(config, 1);
    }
    text
}

fn ways(switches: &Switches, ports: &BTreeSet<u16>) -> String {
    let any_on = ports.iter().any(|port| switches.get(*port) == Switch::On);
    let (everyone, refusal) = if any_on { ("round_robin", "") } else { ("", "none-in-rotation") };
    let mut backends =
        format!("    map $port $backend {{\n        default \"\";\n        \"\" \"{everyone}\";\n");
    let mut refusals =
        format!("    map $port $refusal {{\n        default unknown-port;\n        \"\" \"{refusal}\";\n");
    for port in ports {
        if switches.get(*port) == Switch::Off {
            let _ = writeln!(refusals, "        {port} switched-off;");
        } else {
            let _ = writeln!(backends, "        {port} instance_{port};");
            let _ = writeln!(refusals, "        {port} \"\";");
        }
    }
    format!("{backends}    }}\n{refusals}    }}\n")
}

/// The port in the path, and what is said of a request that nobody answered.
pub(super) fn maps() -> String {
    "    map $request_uri $port {
        default \"\";
        \"~^[^?]*/(?<port_in_path>[0-9]+)(?:\\?|\\z)\" $port_in_path;
    }
    map $upstream_connect_time $unreached {
        default 1;
        \"~[0-9]\" \"\";
    }
    map $unreached $unanswered {
        default \"no instance answers\";
        \"\" \"the instance broke off\";
    }
    map \"\" $nothing {
        default \"\";
    }
"
    .into()
}

/// Where nginx reaches the instance at `port`: an instance that listens on every address is met on loopback.
pub fn backend(config: &Config, port: u16) -> SocketAddr {
    let address = match config.listen.address {
        IpAddr::V4(address) if address.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(address) if address.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        address => address,
    };
    SocketAddr::new(address, port)
}
