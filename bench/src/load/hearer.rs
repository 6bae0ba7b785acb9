//! What stands in for other servers that an instance tells where agents are: they answer its greetings and announcements as
//! `docs/protocol.md` asks, signed, and note who is heard of when.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Instant, SystemTime},
};

use anyhow::{Context, bail};
use http::{HeaderMap, HeaderValue, Method};
use switchboard_fleet::{KeyRing, ServerName, header};

use super::{StandIn, Wire, head::Head};

/// The method under which answers are signed.
const ANSWER: &[u8] = b"ANSWER";
/// Most servers, a bit each in [`Customer`].
const SERVERS_MAX: usize = 32;

/// Servers that hear; stopped when dropped.
pub(crate) struct Hearers {
    stand_ins: Vec<StandIn>,
    heard: Arc<Mutex<Heard>>,
}

/// What they have heard, all together.
#[derive(Debug)]
pub(crate) struct Heard {
    /// Calls of `/announce`.
    pub(crate) calls: u64,
    /// Their bytes, heads and bodies.
    pub(crate) bytes: u64,
    /// By the number of the customer.
    customers: Vec<Customer>,
    /// A bit for each server.
    all: u32,
}

/// Who has heard of one customer.
#[derive(Debug, Clone, Default)]
struct Customer {
    /// A bit for each server.
    by: u32,
    by_all_at: Option<Instant>,
}

impl Hearers {
    /// So many servers of the fleet that has `keys`, for customers of numbers up to `customers`.
    pub(crate) async fn start(servers: usize, keys: &KeyRing, customers: usize) -> anyhow::Result<Self> {
        if servers > SERVERS_MAX {
            bail!("{servers} servers that hear, and there are {SERVERS_MAX} at most");
        }
        let all = (0..servers).fold(0, |all, n| all | 1 << n);
        let customers = vec![Customer::default(); customers + 1];
        let heard = Arc::new(Mutex::new(Heard { calls: 0, bytes: 0, customers, all }));
        let mut stand_ins = Vec::with_capacity(servers);
        for n in 0..servers {
            let (keys, heard) = (keys.clone(), Arc::clone(&heard));
            let serve = move |wire| serve(wire, 1 << n, keys.clone(), Arc::clone(&heard));
            stand_ins.push(StandIn::start(serve).await?);
        }
        Ok(Self { stand_ins, heard })
    }

    /// Their names.
    pub(crate) fn names(&self) -> anyhow::Result<Vec<ServerName>> {
        let name = |one: &StandIn| one.address().to_string().parse();
        self.stand_ins.iter().map(|one| name(one).context("an address is no server's name")).collect()
    }

    /// What they have heard until now.
    pub(crate) fn heard(&self) -> MutexGuard<'_, Heard> {
        lock(&self.heard)
    }
}

impl Heard {
    /// When the last of them heard of a customer for the first time; `None` if one has not.
    pub(crate) fn by_all_at(&self, customer: u64) -> Option<Instant> {
        self.customers.get(usize::try_from(customer).ok()?)?.by_all_at
    }

    /// Takes in the body of an announcement, one `ID SINCE` a line.
    fn take(&mut self, server: u32, body: &[u8]) -> anyhow::Result<()> {
        let now = Instant::now();
        for line in std::str::from_utf8(body)?.lines() {
            let id: usize = line.split(' ').next().unwrap_or_default().parse()?;
            let customer = self.customers.get_mut(id).with_context(|| format!("nobody is customer {id}"))?;
            customer.by |= server;
            if customer.by == self.all && customer.by_all_at.is_none() {
                customer.by_all_at = Some(now);
            }
        }
        Ok(())
    }
}

fn lock(heard: &Mutex<Heard>) -> MutexGuard<'_, Heard> {
    // Whoever held it when it failed has counted too little, and that is seen.
    heard.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Serves one connection of the server with this bit.
async fn serve(mut wire: Wire, server: u32, keys: KeyRing, heard: Arc<Mutex<Heard>>) -> anyhow::Result<()> {
    let mut body = Vec::new();
    while let Some(request) = wire.request().await? {
        wire.body(request.length, &mut body).await?;
        let mut headers = HeaderMap::new();
        let status = match request.path.as_str() {
            "/hello" => {
                headers.insert(header::ANNOUNCE, HeaderValue::from_static("1"));
                "200 OK"
            }
            "/announce" => {
                let mut heard = lock(&heard);
                heard.calls += 1;
                heard.bytes += (request.bytes + body.len()) as u64;
                heard.take(server, &body)?;
                "200 OK"
            }
            _ => "404 Not Found",
        };
        wire.send(answer(status, headers, &request, &keys)?.as_bytes(), &[]).await?;
    }
    Ok(())
}

/// Signed for this one question.
fn answer(status: &str, mut headers: HeaderMap, request: &Head, keys: &KeyRing) -> anyhow::Result<String> {
    let question = format!("{} {}", request.path, request.signature.as_deref().unwrap_or_default());
    let signature = keys.sign(&Method::from_bytes(ANSWER)?, &question, &headers, SystemTime::now());
    headers.insert(header::SIGNATURE, signature);
    let mut head = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n");
    for (name, value) in &headers {
        head += &format!("{name}: {}\r\n", value.to_str()?);
    }
    Ok(head + "\r\n")
}
