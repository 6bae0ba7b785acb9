//! One upstream for all instances, with the module.

use std::{collections::BTreeSet, fmt::Write};

use switchboard_fleet::config::Config;

use super::routing::{Routing, backend, keep_alive};
use crate::{Switch, Switches};

/// The name of the upstream that holds all instances, if nginx has the module.
pub const UPSTREAM: &str = "instances";
/// Where the module shows its numbers and takes switches, on the control socket.
pub(super) const STATUS: &str = "        location = /backends {
            switchboard_status;
        }
";
/// What every instance weighs, so that a part of it in percent is a whole number.
const WEIGHT: u32 = 100;
/// What nginx itself does while nobody holds the module's lease.
const ALONE: &str = "max_fails=3 fail_timeout=10s";
/// Memory of one place in the upstream's zone, KiB, with room to spare, and of the zone itself.
const PLACE_KIB: usize = 1;
const ZONE_KIB: usize = 256;

/// Instances that are there, and places for more.
pub(super) fn routing(config: &Config, switches: &Switches, ports: &BTreeSet<u16>) -> Routing {
    let zone = ZONE_KIB + PLACE_KIB * (ports.len() + config.front.spare);
    let mut text = format!(
        "    switchboard_zone 16m;
    map $uri $waits {{
        default \"\";
        # Polls take as long as nobody asks for their agent.
        \"~^/+agent(?:/|\\z)\" 1;
    }}
    upstream {UPSTREAM} {{
        zone {UPSTREAM} {zone}k;
        switchboard_route $port;
        switchboard_untimed $waits;
"
    );
    for port in ports {
        let setting = switches.setting(*port);
        let weight = u32::from(setting.weight_percent) * WEIGHT / 100;
        let down = if setting.switch == Switch::On { "" } else { " down" };
        let _ = writeln!(text, "        server {} weight={weight} {ALONE}{down};", backend(config, *port));
    }
    for place in 1..=config.front.spare {
        let _ = writeln!(text, "        server 0.0.0.1:{place} weight={WEIGHT} {ALONE} down;");
    }
    text += &keep_alive(config, ports.len() + config.front.spare);
    Routing { text, refusal: "$switchboard_refusal", backend: UPSTREAM }
}
