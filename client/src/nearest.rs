//! Which server is close: all are pinged at once, and the round trips compared.

use std::time::Duration;

use http::{HeaderMap, StatusCode};
use switchboard_fleet::ServerName;
use tokio::{
    task::JoinSet,
    time::{Instant, timeout_at},
};

use crate::{
    body,
    http::{Http, Trouble},
};

/// The longest wait for pings when nobody answers.
const NOBODY: Duration = Duration::from_secs(2);
/// After the first answer the others get so long.
const OTHERS: Duration = Duration::from_millis(500);
/// A closer server must be closer by this much: smaller differences are noise.
const CLEARLY: Duration = Duration::from_millis(5);

/// A server and the round trip to it, if it answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Measured {
    /// The server.
    pub(crate) server: ServerName,
    /// The time of one ping over an open connection.
    pub(crate) round_trip: Option<Duration>,
}

/// POST /ping; `path` may name one instance.
pub(crate) async fn ping(http: &Http, server: &ServerName, path: &str) -> Result<StatusCode, Trouble> {
    Ok(http.post(server, path, HeaderMap::new(), body::empty()).await?.status())
}

/// Pings all servers at once. Takes at most two seconds, and half a second after the first answer.
pub(crate) async fn measure(http: &Http, servers: &[ServerName]) -> Vec<Measured> {
    let mut measured: Vec<_> =
        servers.iter().map(|server| Measured { server: server.clone(), round_trip: None }).collect();
    let mut pings = JoinSet::new();
    for (index, server) in servers.iter().cloned().enumerate() {
        let http = http.clone();
        pings.spawn(async move { (index, round_trip(&http, &server).await) });
    }
    let mut deadline = Instant::now() + NOBODY;
    while let Ok(Some(ended)) = timeout_at(deadline, pings.join_next()).await {
        if let Ok((index, Some(time))) = ended {
            measured[index].round_trip = Some(time);
            deadline = deadline.min(Instant::now() + OTHERS);
        }
    }
    measured
}

/// The second ping counts: the first one opens the connection.
async fn round_trip(http: &Http, server: &ServerName) -> Option<Duration> {
    ping(http, server, "/ping").await.ok().filter(StatusCode::is_success)?;
    let begun = Instant::now();
    ping(http, server, "/ping").await.ok().filter(StatusCode::is_success)?;
    Some(begun.elapsed())
}

/// The closest first; those that did not answer last, in the order given.
pub(crate) fn rank(measured: &[Measured]) -> Vec<ServerName> {
    let mut sorted: Vec<_> = measured.iter().collect();
    sorted.sort_by_key(|m| (m.round_trip.is_none(), m.round_trip));
    sorted.into_iter().map(|m| m.server.clone()).collect()
}

/// A server that is clearly closer than `current`: by a fifth and by more than noise.
pub(crate) fn closer<'a>(measured: &'a [Measured], current: &ServerName) -> Option<&'a ServerName> {
    let here = measured.iter().find(|m| m.server == *current)?.round_trip?;
    let (best, time) =
        measured.iter().filter_map(|m| Some((&m.server, m.round_trip?))).min_by_key(|(_, time)| *time)?;
    (best != current && time + CLEARLY < here && time < here.mul_f64(0.8)).then_some(best)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn measured(times: &[Option<u64>]) -> Vec<Measured> {
        let server = |i| format!("s{i}.example.net").parse().unwrap();
        let one = |(i, t): (usize, &Option<u64>)| Measured {
            server: server(i),
            round_trip: t.map(Duration::from_millis),
        };
        times.iter().enumerate().map(one).collect()
    }

    fn names(servers: &[ServerName]) -> Vec<&str> {
        servers.iter().map(|s| &s.as_str()[..2]).collect()
    }

    #[test]
    fn silent_servers_come_last_in_their_order() {
        let m = measured(&[None, Some(30), None, Some(10)]);
        assert_eq!(names(&rank(&m)), ["s3", "s1", "s0", "s2"]);
    }

    proptest! {
        #[test]
        fn a_move_to_a_closer_server_is_never_moved_back(
            times in proptest::collection::vec(proptest::option::of(0u64..200), 1..6), at in 0usize..6
        ) {
            let m = measured(&times);
            let here = &m[at % m.len()];
            if let Some(there) = closer(&m, &here.server) {
                let time = m.iter().find(|m| m.server == *there).unwrap().round_trip;
                prop_assert!(time.unwrap() + CLEARLY < here.round_trip.unwrap());
                prop_assert_eq!(closer(&m, there), None);
            }
        }
    }
}
