//! `/upstreams/switch`: what a switch would leave, and making it.

use std::sync::Arc;

use axum::{
    Extension,
    body::Body,
    extract::{RawQuery, State},
    response::{Html, IntoResponse, Response},
};
use http::{Request, StatusCode};
use switchboard_fleet::front::Capacity;
use switchboard_pages::{Confirm, Outcome, Page, SwitchForm, value};

use super::{answers::Trouble, forms, login, show, upstreams, visitor::Visitor};
use crate::{
    clock::now_ms,
    desk::Desk,
    fronts::{NotDone, Ordered, Seen},
};

/// What is wanted, and what it would leave.
pub(super) async fn confirm(
    State(desk): State<Arc<Desk>>,
    Extension(visitor): Extension<Visitor>,
    RawQuery(raw): RawQuery,
) -> Result<Response, Trouble> {
    let raw = raw.unwrap_or_default();
    if raw.is_empty() {
        return Err(Trouble::NotFound(
            "Nothing is chosen here: choose a backend on the page of backends.".into(),
        ));
    }
    if visitor.session().is_none() {
        return Ok(login::first(&format!("/upstreams/switch?{raw}")));
    }
    let wish = SwitchForm::parse(&raw)?;
    let seen = front(&desk.fronts.look(Some(&wish.front), None).await, &wish)?;
    let Some(upstream) = seen.table.upstream(&wish.place.upstream) else { return Err(nowhere(&wish)) };
    let capacity = Capacity::after(upstream, &wish.place.backend, wish.change);
    let page = Confirm { frame: show::frame(&desk, &visitor), front: upstreams::view(&seen), wish, capacity };
    Ok(Html(page.html()).into_response())
}

/// Gives the order, and says on a page of its own what became of it.
pub(super) async fn switch(
    State(desk): State<Arc<Desk>>,
    Extension(visitor): Extension<Visitor>,
    request: Request<Body>,
) -> Result<Response, Trouble> {
    let (_, body) = forms::read(&desk, request).await?;
    let wish = SwitchForm::parse(&body)?;
    let Some(session) = visitor.session() else {
        return Ok(login::first(&SwitchForm { csrf: None, ..wish }.address()));
    };
    forms::own(session, wish.csrf.as_deref())?;
    front(&desk.fronts.seen(), &wish)?;
    let order = wish.order(format!("{:032x}", rand::random::<u128>()), session.name.clone(), now_ms())?;
    let (id, who) = (order.id.clone(), order.who.clone());
    tracing::info!(
        who,
        front = wish.front,
        upstream = order.place.upstream,
        backend = order.place.backend,
        change = ?order.change,
        until_ms = order.until_ms,
        force = order.force,
        why = order.why,
        order = id,
        "a switch is ordered"
    );
    // On a task of its own: what became of it is noted although the browser may have gone.
    let noted = tokio::spawn(async move {
        let ordered = desk.fronts.order(&wish.front, order).await;
        tell(&ordered, &who);
    });
    noted.await.map_err(|_| Trouble::Unavailable("The monitor failed: look at its log.".into()))?;
    Ok(login::to(&format!("/upstreams/switched?order={id}")))
}

/// What became of an order.
pub(super) async fn switched(
    State(desk): State<Arc<Desk>>,
    Extension(visitor): Extension<Visitor>,
    RawQuery(raw): RawQuery,
) -> Result<Response, Trouble> {
    let id = value(&raw.unwrap_or_default(), "order").unwrap_or_default();
    let Some(Ordered { front, place, outcome, .. }) = desk.fronts.outcome(&id) else {
        return Err(Trouble::NotFound(
            "There is no such order, or it is long ago: the page of the backend says how it is.".into(),
        ));
    };
    let outcome = outcome.map_err(|error| match error {
        NotDone::NotGiven(error) => Trouble::NotFound(sentence(&error)),
        error => Trouble::Unanswered(sentence(&error)),
    })?;
    let status = if outcome.is_ok() { StatusCode::OK } else { StatusCode::CONFLICT };
    let page = Outcome { frame: show::frame(&desk, &visitor), front, at: place, outcome };
    Ok((status, Html(page.html())).into_response())
}

fn front(all: &[Seen], wish: &SwitchForm) -> Result<Seen, Trouble> {
    let seen = all.iter().find(|seen| seen.table.front == wish.front);
    seen.filter(|seen| seen.table.backend(&wish.place).is_some()).cloned().ok_or_else(|| nowhere(wish))
}

fn nowhere(wish: &SwitchForm) -> Trouble {
    let SwitchForm { front, place, .. } = wish;
    Trouble::NotFound(format!(
        "There is no backend {:?} in an upstream {:?} of a front {front:?}.",
        place.backend, place.upstream
    ))
}

fn sentence(error: &dyn std::error::Error) -> String {
    let text = error.to_string();
    let mut letters = text.chars();
    letters.next().map_or(String::new(), |first| format!("{}{}.", first.to_uppercase(), letters.as_str()))
}

fn tell(ordered: &Ordered, who: &str) {
    let Ordered { id, front, outcome, .. } = ordered;
    match outcome {
        Ok(Ok(what)) => tracing::info!(who, front, order = id, what, "switched"),
        Ok(Err(refused)) => tracing::warn!(who, front, order = id, "not switched: {refused}"),
        Err(error) => tracing::warn!(who, front, order = id, "not switched: {error}"),
    }
}
