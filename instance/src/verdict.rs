//! Which of several answers to "where is this customer's agent?" is believed.
//!
//! Pure. The place itself knows; what others tell they have heard, perhaps before the agent went on, or before the place
//! went away.

use switchboard_fleet::InstanceName;

use crate::{directory::Location, peers::Peer};

/// The best answer so far.
#[derive(Debug, Default)]
pub struct Verdict(Option<(bool, Location)>);

impl Verdict {
    /// `peer` has told the instance `own` where the agent is. Gives whether it speaks of itself: the others then need not
    /// be waited for long.
    pub fn hear(&mut self, own: &InstanceName, peer: &Peer, told: Location) -> bool {
        let certain = is_at(own, peer, &told.place);
        let rank = (certain, told.since, &told.place);
        if self.0.as_ref().is_none_or(|(sure, best)| rank > (*sure, best.since, &best.place)) {
            self.0 = Some((certain, told));
        }
        certain
    }

    /// The newest place told by the place itself, or by its server; without that the newest told by anyone.
    pub fn best(self) -> Option<Location> {
        self.0.map(|(_, told)| told)
    }
}

fn is_at(own: &InstanceName, peer: &Peer, place: &InstanceName) -> bool {
    match peer {
        Peer::Server(name) => place.server == *name,
        Peer::Sibling(port) => place.server == own.server && place.port == *port,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(name: &str, since: u64) -> Location {
        let (server, port) = name.rsplit_once(':').unwrap();
        let place = InstanceName { server: server.parse().unwrap(), port: port.parse().unwrap() };
        Location { place, since }
    }

    #[test]
    fn the_place_itself_is_believed_before_hearsay_and_the_newest_among_equals() {
        let own = at("eu.example.net:8081", 0).place;
        let us = Peer::Server("us.example.net".parse().unwrap());
        let mut verdict = Verdict::default();
        assert!(!verdict.hear(&own, &us, at("eu.example.net:8082", 9)));
        assert!(!verdict.hear(&own, &Peer::Sibling(8082), at("eu.example.net:8083", 7)));
        assert!(!verdict.hear(&own, &Peer::Sibling(8082), at("us.example.net:8082", 3)));
        assert_eq!(verdict.0, Some((false, at("eu.example.net:8082", 9))));
        assert!(verdict.hear(&own, &us, at("us.example.net:8081", 2)));
        assert!(verdict.hear(&own, &Peer::Sibling(8083), at("eu.example.net:8083", 5)));
        assert!(verdict.hear(&own, &us, at("us.example.net:8085", 4)));
        assert_eq!(verdict.best(), Some(at("eu.example.net:8083", 5)));
        assert_eq!(Verdict::default().best(), None);
    }
}
