//! Charts as pictures, under the names of the original's files: `/cpu.1h.png`, `/cpu-max-s.6h.svg?theme=light&server=eu.example.net`.

use std::sync::Arc;

use axum::{
    body::Body,
    extract::{Path, RawQuery, State},
    response::Response,
};
use http::{HeaderValue, header};
use switchboard_archive::{ChartName, Format};
use switchboard_pages::PictureQuery;

use crate::{charting, desk::Desk, web::answers::Trouble};

/// One picture.
pub(super) async fn picture(
    State(desk): State<Arc<Desk>>,
    Path(name): Path<String>,
    RawQuery(raw): RawQuery,
) -> Result<Response, Trouble> {
    // What has no dot is no picture's name at all.
    if !name.contains('.') {
        return Err(Trouble::NotFound("There is no such page.".into()));
    }
    let name: ChartName = name.parse()?;
    let query = PictureQuery::parse(&raw.unwrap_or_default())?;
    let workers = charting::shown(&desk, &query.scope, name.period);
    let request = charting::request(&desk, name, query.theme, workers).await?;
    let picture = desk.charts.draw(&request).await?;
    let kind = match picture.format {
        Format::Png => "image/png",
        Format::Svg => "image/svg+xml",
    };
    let mut response = Response::new(Body::from(picture.bytes.clone()));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("private, max-age=30"));
    Ok(response)
}
