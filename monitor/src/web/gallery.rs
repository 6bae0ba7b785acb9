//! The charts of a page, with their numbers.

use std::time::Duration;

use switchboard_archive::{ChartName, ChartRequest, DrawError, Format, Period, Size, Theme};
use switchboard_pages::{Chart, Gallery, GalleryQuery};
use tokio::time::{Instant, timeout_at};

use crate::{
    charting,
    clock::{now_ms, seconds},
    desk::Desk,
    web::answers::Trouble,
};

/// The numbers of all charts of a page must be there within this.
const NUMBERS_WITHIN: Duration = Duration::from_secs(5);

/// What the overview shows: small charts over the shortest period of `monitor.charts`.
pub(super) fn first(desk: &Desk) -> GalleryQuery {
    let shortest =
        Size::ALL.iter().flat_map(|size| periods(desk, *size)).min_by_key(|period| period.seconds());
    GalleryQuery { period: shortest.unwrap_or(Period::Hour), size: Size::S, ..GalleryQuery::default() }
}

/// The periods to which a gallery of a size has links: those of `monitor.charts`, or all if it has none of this size.
pub(super) fn quick(desk: &Desk, size: Size) -> Vec<Period> {
    let configured = periods(desk, size);
    if configured.is_empty() { Period::ALL.to_vec() } else { configured }
}

/// The periods of a size in `monitor.charts`.
fn periods(desk: &Desk, size: Size) -> Vec<Period> {
    let words = desk.config.monitor.charts.get(&size.as_str().to_uppercase());
    words.into_iter().flatten().filter_map(|word| Period::of_word(word)).collect()
}

/// The charts that a query asks for.
pub(super) async fn charts(desk: &Desk, query: &GalleryQuery) -> Result<Vec<Chart>, Trouble> {
    let workers = charting::shown(desk, &query.scope, query.period);
    let newest_s = workers.iter().filter_map(|worker| desk.archives.newest_s(worker)).max().unwrap_or(0);
    let now_s = seconds(now_ms());
    // Another minute, another picture; and another one when a sample comes late in the minute.
    let version = u64::try_from(now_s / 60 * 60 + newest_s).unwrap_or(0);
    // A page is shown without its numbers rather than not at all.
    let until = Instant::now() + NUMBERS_WITHIN;
    let mut charts = Vec::new();
    for kind in Gallery::kinds(query) {
        let name = ChartName { kind, size: query.size, period: query.period, format: Format::Svg };
        let mut request = ChartRequest::new(name, workers.clone(), now_s);
        request.theme = Theme::Dark;
        let found = match timeout_at(until, desk.charts.values(&request)).await {
            Ok(found) => found,
            Err(_) => Err(DrawError::Late),
        };
        let (table, fault) = match found {
            Ok(table) => (Some(switchboard_archive::Table::clone(&table)), None),
            Err(DrawError::Nothing) => (None, Some("Nothing has been recorded yet.".into())),
            Err(error) => (None, Some(error.to_string())),
        };
        charts.push(Chart {
            kind,
            period: query.period,
            size: query.size,
            scope: query.scope.clone(),
            version,
            table,
            fault,
        });
    }
    Ok(charts)
}
