//! Apps: they ask where the agent is, go there, and follow where they are sent.

use std::{rc::Rc, time::Duration};

use switchboard_fleet::{CustomerId, InstanceName};

use crate::{
    network::{self, Caller, Trouble},
    transact::{self, Asked, Content, ENDING},
    world::{World, count},
};

/// As in the app of `client/`.
const LOCATE: Duration = Duration::from_secs(10);
const ASK: Duration = Duration::from_secs(120);
const HOPS_MAX: u32 = 5;
const PAUSE: Duration = Duration::from_millis(200);

/// How a question ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    Answer,
    Nobody,
    Error(&'static str),
}

/// Asks the first server that answers, and goes where it says.
pub(crate) async fn ask_fleet(world: &Rc<World>, id: CustomerId) -> Ended {
    let first = world.random.index(world.servers.len());
    for n in 0..world.servers.len() {
        let server = (first + n) % world.servers.len();
        let asked = network::call_server(world, Caller::Client, server, move |hub| transact::locate(hub, id));
        match world.kernel.timeout(LOCATE, asked).await {
            Some(Ok(Some(place))) => return follow(world, id, world.machine(&place)).await,
            Some(Ok(None)) => return Ended::Nobody,
            Some(Err(_)) | None => {}
        }
    }
    Ended::Error("no server answers")
}

/// As [`ask_fleet`], again and again for a while until the agent is there, or where the answer says so (`X-IWP-Retry`).
pub(crate) async fn ask_patiently(world: &Rc<World>, id: CustomerId, patience: Duration) -> Ended {
    let began = world.kernel.now();
    loop {
        let ended = ask_fleet(world, id).await;
        let again = matches!(ended, Ended::Nobody | Ended::Error(ENDING));
        if !again || world.kernel.now() - began > patience {
            return ended;
        }
        world.kernel.sleep(PAUSE).await;
    }
}

/// Asks at an instance, and wherever it is sent on to.
pub(crate) async fn follow(world: &Rc<World>, id: CustomerId, mut machine: usize) -> Ended {
    let content = Content { id, nonce: world.kernel.number() };
    for _ in 0..=HOPS_MAX {
        let asked = network::call(world, Caller::Client, machine, move |hub| transact::ask(hub, content));
        match world.kernel.timeout(ASK, asked).await {
            Some(Ok(Asked::Reply(reply, _running))) => {
                world.kernel.sleep(world.random.millis(0, 20)).await;
                let told = reply.read();
                if told != content {
                    world.fault(format!("{content:?} was answered by {told:?}"));
                }
                count(&world.tally.answers);
                return Ended::Answer;
            }
            Some(Ok(Asked::Elsewhere(place))) => {
                count(&world.tally.redirects);
                machine = world.machine(&place);
            }
            Some(Ok(Asked::Nobody)) => {
                count(&world.tally.nobody);
                return Ended::Nobody;
            }
            Some(Ok(Asked::Refused(reason))) => return failed(world, reason),
            Some(Err(Trouble::Gone)) => return failed(world, "nobody listens there"),
            Some(Err(Trouble::Broken)) => return failed(world, "the connection broke"),
            None => return failed(world, "no answer"),
        }
    }
    failed(world, "sent on too often")
}

fn failed(world: &World, reason: &'static str) -> Ended {
    count(&world.tally.errors);
    Ended::Error(reason)
}

/// Where an instance says that the agent is, without asking it anything.
pub(crate) async fn locate(world: &Rc<World>, id: CustomerId, machine: usize) -> Option<InstanceName> {
    let asked = network::call(world, Caller::Client, machine, move |hub| transact::locate(hub, id));
    world.kernel.timeout(LOCATE, asked).await?.ok()?
}
