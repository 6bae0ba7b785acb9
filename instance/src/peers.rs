//! The rest of the fleet: which servers and siblings are known, which of them answer, whom to greet next.
//!
//! Pure: what was heard, what failed, and `now` in; decisions out.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use switchboard_fleet::{InstanceName, ServerName};

/// How often a peer that answers is greeted, if there are few.
pub const GREET_EVERY: Duration = Duration::from_secs(2);
/// Greetings to peers that answer are at least so far apart on average: with many peers each is greeted less often.
const GREET_APART: Duration = Duration::from_millis(200);
/// How often a dropped peer is tried.
pub const RETRY_EVERY: Duration = Duration::from_secs(15);
/// A peer that said it is about to end has ended after this.
const LEAVE_MAX: Duration = Duration::from_secs(60);
/// A dropped peer that is not configured is forgotten after this.
const FORGET_AFTER: Duration = Duration::from_secs(3600);
/// Most peers of a kind; beyond it new names are not taken.
const PEERS_MAX: usize = 4096;

/// A server other than the own, or another port of the own server.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Peer {
    /// Any instance of another server.
    Server(ServerName),
    /// One instance of the own server.
    Sibling(u16),
}

/// Everyone known.
#[derive(Debug)]
pub struct Peers {
    own: InstanceName,
    failures_max: u32,
    known: BTreeMap<Peer, Standing>,
}

#[derive(Debug)]
struct Standing {
    configured: bool,
    alive: bool,
    failures: u32,
    /// Whether it takes `/announce`.
    announces: bool,
    /// When it was greeted last, or never.
    greeted: Option<Instant>,
    heard: Instant,
    /// When it said that it is about to end.
    left: Option<Instant>,
    /// The instances of a server, if it has listed them.
    ports: Option<BTreeSet<u16>>,
}

impl Peers {
    /// The configured peers of `own`, none of which has answered yet but all of which are taken to be there.
    pub fn new(
        own: InstanceName,
        servers: impl IntoIterator<Item = ServerName>,
        ports: impl IntoIterator<Item = u16>,
        failures_max: u32,
        now: Instant,
    ) -> Self {
        let mut peers = Self { own, failures_max, known: BTreeMap::new() };
        let names = servers.into_iter().map(Peer::Server).chain(ports.into_iter().map(Peer::Sibling));
        for peer in names.filter(|peer| !peers.is_own(peer)).collect::<Vec<_>>() {
            peers.known.insert(peer, Standing::new(true, now));
        }
        peers
    }

    /// The peer that an instance's name stands for, seen from here; `None` for the own.
    pub fn of(&self, name: &InstanceName) -> Option<Peer> {
        if name.server == self.own.server {
            (name.port != self.own.port).then_some(Peer::Sibling(name.port))
        } else {
            Some(Peer::Server(name.server.clone()))
        }
    }

    /// A peer has called, or another has named it. Gives whether it is news, so that it should be greeted at once.
    /// Brings a dropped peer back.
    pub fn heard(&mut self, peer: Peer, now: Instant) -> bool {
        if self.is_own(&peer) {
            return false;
        }
        if let Some(standing) = self.known.get_mut(&peer) {
            let news = !standing.alive;
            standing.alive = true;
            standing.left = None;
            standing.failures = if news { 0 } else { standing.failures };
            standing.heard = now;
            return news;
        }
        if self.known.len() >= PEERS_MAX {
            return false;
        }
        self.known.insert(peer, Standing::new(false, now));
        true
    }

    /// Another peer has named this one. Unlike [`Peers::heard`] this does not bring a dropped one back: hearsay can be old.
    pub fn named(&mut self, peer: Peer, now: Instant) -> bool {
        !self.known.contains_key(&peer) && self.heard(peer, now)
    }

    /// A peer has answered a call. Gives whether that brought it back.
    pub fn answered(&mut self, peer: &Peer, now: Instant) -> bool {
        let Some(standing) = self.known.get_mut(peer) else { return false };
        // While it ends it still answers, and must not be brought back by that.
        let back = !standing.alive && standing.left.is_none();
        standing.alive |= back;
        standing.failures = 0;
        standing.heard = now;
        back
    }

    /// A call to a peer has failed. Gives whether that dropped it.
    pub fn failed(&mut self, peer: &Peer) -> bool {
        let Some(standing) = self.known.get_mut(peer) else { return false };
        standing.failures = standing.failures.saturating_add(1);
        let dropped = standing.alive && standing.failures > self.failures_max;
        standing.alive &= !dropped;
        standing.left = None;
        dropped
    }

    /// A peer is sure to have ended; it comes back when it calls.
    pub fn gone(&mut self, peer: &Peer) {
        if let Some(standing) = self.known.get_mut(peer) {
            standing.alive = false;
            standing.left = None;
        }
    }

    /// A peer has said that it is about to end.
    pub fn left(&mut self, peer: &Peer, now: Instant) {
        if let Some(standing) = self.known.get_mut(peer) {
            standing.alive = false;
            standing.left = Some(now);
        }
    }

    /// A peer has shown whether it takes `/announce`.
    pub fn shown_announce(&mut self, peer: &Peer, announces: bool) {
        if let Some(standing) = self.known.get_mut(peer) {
            standing.announces = announces;
        }
    }

    /// Whether a peer takes `/announce`.
    pub fn announces(&self, peer: &Peer) -> bool {
        self.known.get(peer).is_some_and(|standing| standing.announces)
    }

    /// A server has said which of its instances are there.
    pub fn shown_ports(&mut self, server: &Peer, ports: BTreeSet<u16>) {
        if let Some(standing) = self.known.get_mut(server) {
            standing.ports = Some(ports);
        }
    }

    /// An instance of another server has called: it is there, or about to end, whatever its server has listed.
    pub fn shown_port(&mut self, name: &InstanceName, leaving: bool) {
        let listed = self.known.get_mut(&Peer::Server(name.server.clone()));
        if let Some(ports) = listed.and_then(|standing| standing.ports.as_mut()) {
            if leaving {
                ports.remove(&name.port)
            } else {
                ports.insert(name.port)
            };
        }
    }

    /// Whether the instance of this name may be expected to answer: of another server only those that it listed last.
    pub fn is_alive(&self, name: &InstanceName) -> bool {
        let Some(peer) = self.of(name) else { return true };
        let Some(standing) = self.known.get(&peer) else { return false };
        let listed = standing.ports.as_ref().is_none_or(|ports| ports.contains(&name.port));
        standing.alive && (listed || matches!(peer, Peer::Sibling(_)))
    }

    /// Whether this server is configured, and so may be contacted whoever names it.
    pub fn is_configured(&self, server: &ServerName) -> bool {
        *server == self.own.server
            || self.known.get(&Peer::Server(server.clone())).is_some_and(|standing| standing.configured)
    }

    /// All peers that answer.
    pub fn alive(&self) -> impl Iterator<Item = &Peer> {
        self.known.iter().filter(|(_, standing)| standing.alive).map(|(peer, _)| peer)
    }

    /// All peers that want to hear where agents are: those that answer, and those about to end, whose last apps still
    /// look for theirs.
    pub fn listeners(&self) -> impl Iterator<Item = &Peer> {
        self.known
            .iter()
            .filter(|(_, standing)| standing.alive || standing.left.is_some())
            .map(|(peer, _)| peer)
    }

    /// Other servers that answer.
    pub fn servers(&self) -> impl Iterator<Item = &ServerName> {
        self.alive().filter_map(|peer| if let Peer::Server(name) = peer { Some(name) } else { None })
    }

    /// Other ports of the own server that answer.
    pub fn ports(&self) -> impl Iterator<Item = u16> {
        self.alive().filter_map(|peer| if let Peer::Sibling(port) = peer { Some(*port) } else { None })
    }

    /// Whom to greet now. They count as greeted with this call.
    pub fn due(&mut self, now: Instant) -> Vec<Peer> {
        self.known
            .retain(|_, s| s.alive || s.configured || now.saturating_duration_since(s.heard) < FORGET_AFTER);
        let alive = u32::try_from(self.alive().count()).unwrap_or(u32::MAX);
        let usual = GREET_EVERY.max(GREET_APART.saturating_mul(alive));
        let mut due = Vec::new();
        for (peer, standing) in &mut self.known {
            if standing.left.is_some_and(|at| now.saturating_duration_since(at) >= LEAVE_MAX) {
                standing.left = None;
            }
            let every = if standing.alive { usual } else { RETRY_EVERY };
            if standing.greeted.is_none_or(|at| now.saturating_duration_since(at) >= every) {
                standing.greeted = Some(now);
                due.push(peer.clone());
            }
        }
        due
    }

    /// A peer should be greeted at the next [`Peers::due`], whenever it was last.
    pub fn greet_soon(&mut self, peer: &Peer) {
        if let Some(standing) = self.known.get_mut(peer) {
            standing.greeted = None;
        }
    }

    fn is_own(&self, peer: &Peer) -> bool {
        match peer {
            Peer::Server(name) => *name == self.own.server,
            Peer::Sibling(port) => *port == self.own.port,
        }
    }
}

impl Standing {
    fn new(configured: bool, now: Instant) -> Self {
        Self {
            configured,
            alive: true,
            failures: 0,
            announces: false,
            greeted: None,
            heard: now,
            left: None,
            ports: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn server(text: &str) -> ServerName {
        text.parse().unwrap()
    }

    fn peers(now: Instant) -> Peers {
        let own = InstanceName { server: server("eu.example.net"), port: 8081 };
        Peers::new(own, [server("us.example.net"), server("eu.example.net")], [8081, 8082], 5, now)
    }

    #[test]
    fn a_peer_is_dropped_after_too_many_failures_in_a_row_and_comes_back_when_it_calls() {
        let now = Instant::now();
        let mut peers = peers(now);
        let us = Peer::Server(server("us.example.net"));
        let name = InstanceName { server: server("us.example.net"), port: 9 };
        assert!((0..5).all(|_| !peers.failed(&us)));
        peers.answered(&us, now);
        assert!((0..5).all(|_| !peers.failed(&us)));
        assert!(peers.is_alive(&name));
        assert!(peers.failed(&us));
        assert!(!peers.is_alive(&name));
        assert!(!peers.named(us.clone(), now));
        assert!(!peers.is_alive(&name));
        assert!(peers.heard(us, now));
        assert!(peers.is_alive(&name));
    }

    #[test]
    fn an_answer_brings_a_dropped_peer_back_and_says_so_once() {
        let now = Instant::now();
        let mut peers = peers(now);
        let sibling = Peer::Sibling(8082);
        assert!(!peers.answered(&sibling, now), "it was never away");
        peers.gone(&sibling);
        assert!(peers.answered(&sibling, now));
        assert!(!peers.answered(&sibling, now));
        peers.left(&sibling, now);
        assert!(!peers.answered(&sibling, now), "it still answers while it ends");
        assert!(!peers.answered(&Peer::Sibling(9), now), "a stranger");
    }

    #[test]
    fn of_another_server_only_the_instances_it_lists_are_alive() {
        let now = Instant::now();
        let mut peers = peers(now);
        let us = Peer::Server(server("us.example.net"));
        let name = |port| InstanceName { server: server("us.example.net"), port };
        let alive = |peers: &Peers| [1, 2, 3].map(|port| peers.is_alive(&name(port)));
        peers.shown_port(&name(3), true);
        assert_eq!(
            alive(&peers),
            [true; 3],
            "it has listed nothing yet, as an instance of the original does"
        );
        peers.shown_ports(&us, BTreeSet::from([1, 2]));
        assert_eq!(alive(&peers), [true, true, false]);
        peers.shown_port(&name(3), false);
        peers.shown_port(&name(1), true);
        assert_eq!(alive(&peers), [false, true, true]);
        peers.gone(&us);
        assert_eq!(alive(&peers), [false; 3]);
    }

    #[test]
    fn a_peer_that_leaves_still_listens_until_it_fails() {
        let now = Instant::now();
        let mut peers = peers(now);
        let sibling = Peer::Sibling(8082);
        peers.left(&sibling, now);
        peers.answered(&sibling, now);
        assert_eq!((peers.ports().count(), peers.listeners().count()), (0, 2));
        peers.failed(&sibling);
        assert_eq!((peers.ports().count(), peers.listeners().count()), (0, 1));
        peers.left(&sibling, now);
        peers.heard(sibling, now);
        assert_eq!(peers.ports().count(), 1);
    }

    #[test]
    fn the_own_name_is_nobody_else() {
        let now = Instant::now();
        let mut peers = peers(now);
        assert!(!peers.heard(Peer::Sibling(8081), now));
        assert!(!peers.heard(Peer::Server(server("eu.example.net")), now));
        assert_eq!(peers.alive().count(), 2);
        assert_eq!(peers.of(&InstanceName { server: server("eu.example.net"), port: 8081 }), None);
    }

    #[test]
    fn greetings_are_regular_and_configured_peers_never_forgotten() {
        let now = Instant::now();
        let mut peers = peers(now);
        assert_eq!(peers.due(now).len(), 2);
        assert_eq!(peers.due(now).len(), 0);
        peers.heard(Peer::Sibling(8083), now);
        assert_eq!(peers.due(now), [Peer::Sibling(8083)]);
        let later = now + GREET_EVERY;
        assert_eq!(peers.due(later).len(), 3);
        for peer in peers.due(later + GREET_EVERY) {
            assert_eq!((0..6).filter(|_| peers.failed(&peer)).count(), 1);
        }
        assert_eq!(peers.due(later + GREET_EVERY * 2).len(), 0);
        assert_eq!(peers.due(later + RETRY_EVERY * 2).len(), 3);
        assert_eq!(peers.due(later + FORGET_AFTER).len(), 2);
    }

    #[test]
    fn many_peers_are_greeted_less_often() {
        let now = Instant::now();
        let mut peers = peers(now);
        for port in 1..=98 {
            peers.heard(Peer::Sibling(port), now);
        }
        assert_eq!(peers.due(now).len(), 100);
        assert_eq!(peers.due(now + GREET_EVERY).len(), 0);
        assert_eq!(peers.due(now + GREET_APART * 100).len(), 100);
    }

    proptest! {
        #[test]
        fn whatever_is_heard_stays_bounded(ports in prop::collection::vec(1u16.., 0..6000)) {
            let now = Instant::now();
            let mut peers = peers(now);
            for port in ports {
                peers.heard(Peer::Sibling(port), now);
            }
            prop_assert!(peers.alive().count() <= PEERS_MAX);
        }
    }
}
