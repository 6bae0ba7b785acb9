//! Signed calls of the command to instances of the fleet.

use std::time::Duration;

use anyhow::Context;
use http::{HeaderMap, HeaderValue};
use switchboard_fleet::{InstanceName, KeyRing, ServerName, config::Config, header};
use switchboard_instance::{Call, FleetRoute, Outgoing, peers::Peer};
use switchboard_range::Mark;

/// An instance may first have to ask another one.
const DEADLINE: Duration = Duration::from_secs(10);

/// Speaks with the key of the fleet.
pub(super) struct Fleet {
    calls: Outgoing,
    server: ServerName,
}

impl Fleet {
    /// Calls on behalf of `own`, an instance of this server.
    pub(super) fn new(config: &Config, own: InstanceName) -> anyhow::Result<Self> {
        let keys = KeyRing::read(&config.key_file)?;
        let calls = Outgoing::new(own, config.listen.address, keys, DEADLINE, false)?;
        Ok(Self { calls, server: config.server.clone() })
    }

    /// Has `master` hand the fleet's range over to `to`.
    pub(super) async fn move_master(&self, master: &InstanceName, to: &InstanceName) -> anyhow::Result<()> {
        let mut headers = HeaderMap::new();
        headers.insert(header::TO, HeaderValue::try_from(to.to_string())?);
        let call = Call { headers, ..Call::default() };
        let asked = self.calls.call_instance(master, FleetRoute::MoveMaster, call).await;
        asked.with_context(|| format!("the master {master}"))?;
        Ok(())
    }

    /// Whether an instance answers.
    pub(super) async fn answers(&self, instance: &InstanceName) -> bool {
        let call = Call { on_behalf: Some(instance.clone()), ..Call::default() };
        self.calls.call_instance(instance, FleetRoute::Hello, call).await.is_ok()
    }

    /// The newest state of the fleet's ledger that `peer` knows.
    pub(super) async fn mark(&self, peer: &Peer) -> anyhow::Result<Option<Mark>> {
        // To itself an instance is no newcomer: the question leaves no trace.
        let on_behalf = match peer {
            Peer::Sibling(port) => Some(InstanceName { server: self.server.clone(), port: *port }),
            Peer::Server(_) => None,
        };
        let call = Call { on_behalf, ..Call::default() };
        let answer = self.calls.call(peer, FleetRoute::Hello, call).await?;
        let mark = answer.get(header::RANGE_MARK).and_then(|mark| mark.to_str().ok());
        mark.map(|mark| mark.parse().map_err(Into::into)).transpose()
    }
}
