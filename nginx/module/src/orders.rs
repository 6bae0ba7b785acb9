//! Orders: switches, shares, the lease, and who joins and leaves.
//!
//! An order is kept in the shared memory first, which outlives reloads and workers, and then put into nginx's peers: here, and
//! by every other process as soon as it looks. The lock is let go before the answer is written.

use std::net::SocketAddr;

use switchboard_counts::{Json, Key, Order, Part, Query};

use crate::{
    address::Named,
    conf::Main,
    now_ms,
    shared::{Locked, Shared},
    status::{Answer, found, refusal, write_backend},
    upstreams::{Backend, Upstream},
};

const NO_ROOM: &str = "there is no room for this backend: raise switchboard_zone";

pub(crate) fn carry_out(main: &Main, shared: &Shared, query: &Query) -> Answer {
    main.synchronise();
    let (upstream, backend) = match found(main, shared, query) {
        Ok(found) => found.unzip(),
        Err(answer) => return answer,
    };
    match (query.order, upstream, backend.flatten()) {
        (None, ..) => refusal(400, "what shall be? Give state, weight, share, lease_ms, join or leave"),
        (Some(Order::Lease(ms)), ..) => lease(main, shared, ms),
        (Some(Order::Join(address)), Some(upstream), _) => join(main, shared, upstream, address),
        (Some(Order::Leave(address)), Some(upstream), _) => leave(main, shared, upstream, address),
        (Some(order), Some(upstream), Some(backend)) => set(main, shared, upstream, backend, order),
        _ => refusal(400, "which one? Give u=NAME&b=ADDRESS"),
    }
}

/// A switch or a share.
fn set(main: &Main, shared: &Shared, upstream: &Upstream, backend: &Backend, order: Order) -> Answer {
    if !upstream.zone {
        return no_zone(upstream);
    }
    let Some(record) = backend.record(shared) else { return refusal(507, NO_ROOM) };
    let locked = shared.lock();
    match order {
        Order::Switch(wish) => {
            record.wish(wish, now_ms());
            locked.changed();
        }
        Order::Share(share) if record.set_share(share) => locked.changed(),
        _ => {}
    }
    main.refresh(shared, &locked);
    shown(shared, locked, backend)
}

fn lease(main: &Main, shared: &Shared, ms: u64) -> Answer {
    let locked = shared.lock();
    locked.lease(ms);
    main.refresh(shared, &locked);
    drop(locked);
    let mut json = Json::default();
    json.object().name("lease_ms").bare(shared.lease_ms().unwrap_or(0)).end();
    (200, json.done())
}

fn join(main: &Main, shared: &Shared, upstream: &Upstream, address: SocketAddr) -> Answer {
    if let Some(answer) = fixed(upstream) {
        return answer;
    }
    let named = Named::of(address);
    let locked = shared.lock();
    let mut claims = locked.claims(main.configuration);
    let Some(at) = claims.claim(Key::of(&upstream.name, &named.name)) else { return refusal(507, NO_ROOM) };
    let place = claims.record(at).place();
    place.set(upstream.number, address);
    let before = place.put(Part::Joined);
    if before != Part::Joined || upstream.backend_at(shared, address).is_none() {
        locked.moved();
    }
    main.refresh(shared, &locked);
    if let Some(backend) = upstream.backend_at(shared, address) {
        return shown(shared, locked, backend);
    }
    place.put(if before == Part::Left { before } else { Part::AsDeclared });
    locked.moved();
    main.refresh(shared, &locked);
    let (all, _) = upstream.slots_free(shared);
    refusal(
        507,
        &format!("none of the {all} spare slots is free: add `server 0.0.0.1:NUMBER down;` lines and reload"),
    )
}

fn leave(main: &Main, shared: &Shared, upstream: &Upstream, address: SocketAddr) -> Answer {
    if let Some(answer) = fixed(upstream) {
        return answer;
    }
    let locked = shared.lock();
    main.refresh(shared, &locked);
    let Some(backend) = upstream.backend_at(shared, address) else {
        let name = &upstream.name;
        return refusal(404, &format!("there is no backend {address} in upstream {name}"));
    };
    let (at, record) = (backend.record.get(), backend.record(shared));
    let Some(record) = record else { return refusal(507, NO_ROOM) };
    if record.place().put(Part::Left) != Part::Left {
        locked.moved();
        main.refresh(shared, &locked);
        // A slot with nothing under way is nobody's already; the answer is still about who had it.
        backend.record.set(at);
    }
    shown(shared, locked, backend)
}

fn shown(shared: &Shared, locked: Locked<'_>, backend: &Backend) -> Answer {
    drop(locked);
    let mut json = Json::default();
    write_backend(&mut json, shared, backend);
    (200, json.done())
}

/// Why nobody can join or leave `upstream`, if so.
fn fixed(upstream: &Upstream) -> Option<Answer> {
    if upstream.route.is_none() {
        let name = &upstream.name;
        let text =
            format!("nobody joins or leaves upstream {name}: add switchboard_route to it, and spare slots");
        return Some(refusal(409, &text));
    }
    (!upstream.zone).then(|| no_zone(upstream))
}

fn no_zone(upstream: &Upstream) -> Answer {
    let name = &upstream.name;
    refusal(409, &format!("every worker has backends of its own in upstream {name}: add a zone to it"))
}
