//! The fronts' backends in forms for programs. All are pure: tables in, text out. What the query names is what is written: all fronts, one
//! upstream, or one backend of it.

mod exposition;
mod prometheus;
mod xml;

pub use prometheus::prometheus;
use switchboard_fleet::front::Table;
pub use xml::xml;

use crate::UpstreamsQuery;
pub use crate::upstreams::{Missing, Named};

/// JSON: `{"fronts":[...]}` with each front's [`Table`]; with `u` one [`Upstream`](switchboard_fleet::front::Upstream), with `b` one
/// [`Backend`](switchboard_fleet::front::Backend). The names are those of the types.
///
/// # Errors
/// What the query names and nobody knows.
pub fn json(fronts: &[&Table], query: &UpstreamsQuery) -> Result<String, Missing> {
    let written = match query.find(fronts)? {
        Named::Fronts(tables) => {
            serde_json::to_string(&tables).map(|tables| format!("{{\"fronts\":{tables}}}"))
        }
        Named::Upstream(_, upstream) => serde_json::to_string(upstream),
        Named::Backend(_, _, backend) => serde_json::to_string(backend),
    };
    // No part of a table fails to be written; if one does, there is nothing to say.
    Ok(written.unwrap_or_else(|_| "null".into()))
}
