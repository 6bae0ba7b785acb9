//! No two things of one server may listen on the same port of overlapping addresses.

use std::net::{IpAddr, SocketAddr};

use super::{Config, path::KeyPath, rules::Breach};

/// Something that listens.
struct Listener {
    key: KeyPath,
    address: SocketAddr,
}

impl Listener {
    fn new(key: KeyPath, ip: IpAddr, port: u16) -> Self {
        Self { key, address: SocketAddr::new(ip, port) }
    }

    fn clashes(&self, other: &Self) -> bool {
        let (a, b) = (self.address, other.address);
        let overlap = a.ip() == b.ip() || a.ip().is_unspecified() || b.ip().is_unspecified();
        overlap && a.port() == b.port() && a.port() != 0
    }
}

/// Ports that are 0, missing or taken twice.
pub(super) fn breaches(config: &Config) -> Vec<Breach> {
    let mut found = Vec::new();
    if config.front.listen.is_empty() {
        let message = "empty: expected at least one address such as \"127.0.0.1:8080\"".into();
        found.push(Breach::new(["front.listen".into()], message));
    }
    let fixed = fixed(config);
    let key = KeyPath::from("instances");
    let address = config.listen.address;
    let instances = config.instances.iter().enumerate();
    let instances: Vec<_> = instances.map(|(i, port)| Listener::new(key.item(i), address, *port)).collect();
    for listener in fixed.iter().chain(&instances).filter(|listener| listener.address.port() == 0) {
        found.push(Breach::new([listener.key.clone()], "0 is no port: expected 1 to 65535".into()));
    }
    for (index, listener) in fixed.iter().enumerate() {
        let others = fixed[..index].iter().chain(&instances).filter(|other| listener.clashes(other));
        found.extend(others.map(|other| clash(listener, other)));
    }
    found
}

/// Everything but the instances. A clash is told at what is not the front's.
fn fixed(config: &Config) -> Vec<Listener> {
    let mut fixed = Vec::new();
    for (index, address) in config.front.listen.iter().enumerate() {
        fixed.push(Listener { key: KeyPath::from("front.listen").item(index), address: *address });
    }
    if let Some(address) = config.front.share {
        fixed.push(Listener { key: "front.share".into(), address });
    }
    if config.monitor.run {
        fixed.push(Listener { key: "monitor.listen".into(), address: config.monitor.listen });
    }
    if let Some(https) = &config.listen.https {
        fixed.push(Listener::new("listen.https.port".into(), config.listen.address, https.port));
    }
    fixed
}

fn clash(listener: &Listener, other: &Listener) -> Breach {
    let of_front = listener.key.meets(&"front.listen".into());
    let (told, by) = if of_front { (other, listener) } else { (listener, other) };
    let keys = [told.key.clone(), by.key.clone(), "listen.address".into()];
    Breach::new(keys, format!("{} is taken by {} already", told.address, by.key))
}
