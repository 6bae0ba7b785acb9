//! What is served by HTTP: reports and tables in, pages and pictures out; orders in, from those who are logged in.

mod answers;
mod forms;
mod gallery;
mod live;
mod login;
mod pictures;
mod server;
mod shares;
mod show;
mod state;
mod status;
mod switch;
mod upstreams;
mod visitor;

use std::{sync::Arc, time::Duration};

use axum::{
    Extension, Router,
    extract::{Request, State},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use http::{HeaderName, HeaderValue, StatusCode, header};
use switchboard_fleet::front::Parked;
use switchboard_pages::{Asset, CONTENT_SECURITY_POLICY};
use tokio::{net::TcpListener, sync::oneshot, time::timeout};

use crate::{
    admission::{self, Caller},
    desk::Desk,
    fronts, intake,
};
use answers::Trouble;
use visitor::Visitor;

/// A page must be made within this.
const PAGE_WITHIN: Duration = Duration::from_secs(20);

/// What every answer says: nothing from elsewhere, nothing inline, in nobody's frame.
const HEADERS: [(HeaderName, &str); 4] = [
    (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

/// Serves until `ended`.
pub(crate) async fn serve(listener: TcpListener, desk: Arc<Desk>, ended: oneshot::Receiver<()>) {
    server::serve(listener, router(desk), ended).await;
}

fn router(desk: Arc<Desk>) -> Router {
    let pages = Router::new()
        .route("/", get(show::overview))
        .route("/charts", get(show::charts))
        .route("/workers/{name}", get(show::worker))
        .route("/incidents", get(show::incidents))
        .route("/incidents/{id}", get(show::incident_page))
        .route("/log", get(show::log))
        .route("/upstreams", get(upstreams::upstreams))
        .route("/upstreams/switch", get(switch::confirm).post(switch::switch))
        .route("/upstreams/switched", get(switch::switched))
        .route("/metrics", get(upstreams::metrics))
        .route("/login", get(login::page).post(login::login))
        .route("/logout", post(login::logout))
        .route("/events", get(live::events))
        .route("/status", get(status::status))
        .route("/{picture}", get(pictures::picture))
        .fallback(show::nowhere);
    let pages = Asset::ALL
        .into_iter()
        .fold(pages, |pages, asset| pages.route(asset.path, get(async move || show::asset(asset))))
        .layer(middleware::from_fn_with_state(desk.clone(), only_viewers));
    Router::new()
        .route("/report", post(intake::report))
        .route(Parked::PATH, post(fronts::parked))
        .merge(pages)
        .layer(middleware::map_response(secured))
        .with_state(desk)
}

/// Lets those see the pages who may, waits for none for ever, and puts what goes wrong on a page.
async fn only_viewers(
    State(desk): State<Arc<Desk>>,
    Extension(caller): Extension<Caller>,
    mut request: Request,
    next: Next,
) -> Response {
    if let Err(error) = admission::viewer(caller, request.headers(), desk.config.monitor.page.as_deref()) {
        return (StatusCode::FORBIDDEN, format!("{error}\n")).into_response();
    }
    let visitor = Visitor::of(&desk, request.headers());
    request.extensions_mut().insert(visitor.clone());
    let mut response = match timeout(PAGE_WITHIN, next.run(request)).await {
        Ok(response) => response,
        Err(_) => Trouble::late().into_response(),
    };
    if let Some(trouble) = response.extensions_mut().remove::<Arc<Trouble>>().and_then(Arc::into_inner) {
        response = trouble.page(show::frame(&desk, &visitor));
    }
    // A page of somebody who is logged in stays in no cache, and goes to nobody else.
    if visitor.session().is_some() {
        response.headers_mut().entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    }
    response
}

async fn secured(mut response: Response) -> Response {
    for (name, value) in HEADERS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}
