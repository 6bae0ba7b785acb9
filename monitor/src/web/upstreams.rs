//! `/upstreams`: the backends of the fronts, for people and for programs; and `/metrics`.

use std::sync::Arc;

use axum::{
    Extension,
    extract::{RawQuery, State},
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde_json::json;
use switchboard_fleet::front::{Place, Table};
use switchboard_pages::{
    BackendPage, Format, FrontView, Page, SILENT_AFTER_MS, Upstreams, UpstreamsQuery, machine, value,
};
use tokio::task::spawn_blocking;

use super::{answers::Trouble, show, visitor::Visitor};
use crate::{clock::now_ms, desk::Desk, fronts::Seen};

/// What is asked for, in the form that is asked for.
pub(super) async fn upstreams(
    State(desk): State<Arc<Desk>>,
    Extension(visitor): Extension<Visitor>,
    headers: HeaderMap,
    RawQuery(raw): RawQuery,
) -> Result<Response, Trouble> {
    let raw = raw.unwrap_or_default();
    let query = match UpstreamsQuery::parse(&raw) {
        Ok(query) => query,
        Err(error) => {
            return said(wanted(&raw, &headers), StatusCode::BAD_REQUEST, Trouble::Bad(error.to_string()));
        }
    };
    let format = query.format.unwrap_or_else(|| accepted(&headers));
    let place = query.u.clone().zip(query.b.clone()).map(|(upstream, backend)| Place { upstream, backend });
    let fronts = desk.fronts.look(query.front.as_deref(), place.as_ref()).await;
    let frame = show::frame(&desk, &visitor);
    let refresh_ms = desk.config.monitor.refresh_ms;
    // A table may have thousands of rows: meanwhile others are answered.
    let made = spawn_blocking(move || match format {
        Format::Html => page(&fronts, query, place, frame, refresh_ms),
        format => text(&fronts, &query, format),
    });
    match made.await.map_err(|_| Trouble::Unavailable("The monitor failed: look at its log.".into()))? {
        Ok(body) => Ok(answer(format, StatusCode::OK, body)),
        Err(missing) => said(format, StatusCode::NOT_FOUND, Trouble::NotFound(missing.to_string())),
    }
}

/// All that Prometheus reads.
pub(super) async fn metrics(State(desk): State<Arc<Desk>>) -> Response {
    let fronts = desk.fronts.look(None, None).await;
    let made = spawn_blocking(move || text(&fronts, &UpstreamsQuery::default(), Format::Prometheus)).await;
    match made {
        Ok(Ok(body)) => answer(Format::Prometheus, StatusCode::OK, body),
        _ => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// A front as pages take it.
pub(super) fn view(seen: &Seen) -> FrontView {
    FrontView { table: Table::clone(&seen.table), heard_ms: seen.heard_ms }
}

type Made = Result<String, machine::Missing>;

fn page(
    fronts: &[Seen],
    query: UpstreamsQuery,
    place: Option<Place>,
    frame: switchboard_pages::Frame,
    refresh_ms: u32,
) -> Made {
    query.find(&tables(fronts))?;
    let is_named = |seen: &&Seen| query.front.as_ref().is_none_or(|name| *name == seen.table.front);
    let mut named = fronts.iter().filter(is_named);
    if let Some(place) = place
        && let Some(seen) = named.clone().find(|seen| seen.table.backend(&place).is_some())
    {
        return Ok(BackendPage { frame, front: view(seen), place, refresh_ms }.html());
    }
    // Where one upstream is asked for, fronts without it would be empty headings.
    let has_it = |seen: &&Seen| query.u.as_ref().is_none_or(|name| seen.table.upstream(name).is_some());
    let fronts = named.by_ref().filter(has_it).map(view).collect();
    Ok(Upstreams { frame, fronts, query, refresh_ms }.html())
}

fn text(fronts: &[Seen], query: &UpstreamsQuery, format: Format) -> Made {
    match format {
        Format::Json => machine::json(&tables(fronts), query),
        Format::Xml => machine::xml(&tables(fronts), query),
        // What is not heard of any more has no numbers now: they must not look as if they stood still.
        Format::Prometheus | Format::Html => {
            let since_ms = now_ms().saturating_sub(SILENT_AFTER_MS);
            let heard = fronts.iter().filter(|seen| seen.heard_ms >= since_ms).map(|seen| &*seen.table);
            machine::prometheus(&heard.collect::<Vec<_>>(), query)
        }
    }
}

fn tables(fronts: &[Seen]) -> Vec<&Table> {
    fronts.iter().map(|seen| &*seen.table).collect()
}

/// Says what is wrong in the form that was asked for.
fn said(format: Format, status: StatusCode, trouble: Trouble) -> Result<Response, Trouble> {
    let what = trouble.to_string();
    let body = match format {
        Format::Html => return Err(trouble),
        Format::Json => format!("{}\n", json!({ "error": what })),
        Format::Xml => {
            let text = what.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
            format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<error>{text}</error>\n")
        }
        Format::Prometheus => format!("# {}\n", what.replace(['\n', '\r'], " ")),
    };
    Ok(answer(format, status, body))
}

fn answer(format: Format, status: StatusCode, body: String) -> Response {
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(format.content_type())),
        (header::VARY, HeaderValue::from_static("Accept, Cookie")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    (status, headers, body).into_response()
}

/// The form that is asked for, also by a query that cannot be understood otherwise.
fn wanted(raw: &str, headers: &HeaderMap) -> Format {
    let word = value(raw, "format").unwrap_or_default();
    let named = [Format::Html, Format::Json, Format::Xml, Format::Prometheus]
        .into_iter()
        .find(|f| f.as_str() == word);
    named.unwrap_or_else(|| accepted(headers))
}

/// The form that the caller likes best. A page, unless it says so.
fn accepted(headers: &HeaderMap) -> Format {
    let lines = headers.get_all(header::ACCEPT).iter().filter_map(|line| line.to_str().ok());
    let mut best = (0.0, Format::Html);
    for item in lines.flat_map(|line| line.split(',')) {
        let mut parts = item.split(';').map(str::trim);
        let kind = parts.next().unwrap_or_default().to_ascii_lowercase();
        let quality = parts.find_map(|part| part.strip_prefix("q=")?.parse::<f64>().ok()).unwrap_or(1.0);
        let format = match kind.as_str() {
            "text/html" | "application/xhtml+xml" | "*/*" | "text/*" => Format::Html,
            "application/json" => Format::Json,
            "application/xml" | "text/xml" => Format::Xml,
            "text/plain" => Format::Prometheus,
            _ => continue,
        };
        // Of two that are liked alike, the first.
        if quality > best.0 {
            best = (quality, format);
        }
    }
    best.1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_is_what_the_caller_likes_best() {
        let accepted =
            |line: &str| accepted(&[(header::ACCEPT, line.parse().unwrap())].into_iter().collect());
        for (line, format) in [
            ("text/html,application/xhtml+xml,application/xml;q=0.9,image/webp,*/*;q=0.8", Format::Html),
            ("*/*", Format::Html),
            ("", Format::Html),
            ("application/json", Format::Json),
            ("application/json, text/plain, */*", Format::Json),
            ("text/xml;q=0.5, application/json;q=0.4", Format::Xml),
            (
                "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.4,*/*;q=0.1",
                Format::Prometheus,
            ),
            ("application/json;q=0, text/html;q=0.1", Format::Html),
            ("image/png", Format::Html),
            ("APPLICATION/JSON;q=nonsense", Format::Json),
        ] {
            assert_eq!(accepted(line), format, "{line}");
        }
        assert_eq!(super::accepted(&HeaderMap::new()), Format::Html);
        assert_eq!(wanted("format=xml&x=1", &HeaderMap::new()), Format::Xml);
    }
}
