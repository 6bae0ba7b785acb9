//! What an address names among the fronts.

use switchboard_fleet::front::{Backend, Table, Upstream};

use super::UpstreamsQuery;
use crate::{query::quoted, text::shown};

/// What an address names and nobody knows. Its words say which part of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing(String);

impl std::fmt::Display for Missing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Missing {}

/// What a query names.
#[derive(Debug, Clone, PartialEq)]
pub enum Named<'a> {
    /// Fronts, with all they have.
    Fronts(Vec<&'a Table>),
    /// One upstream of one front.
    Upstream(&'a Table, &'a Upstream),
    /// One backend.
    Backend(&'a Table, &'a Upstream, &'a Backend),
}

impl UpstreamsQuery {
    /// What it names among `fronts`. The front need not be named where only one of them has what is named.
    ///
    /// # Errors
    /// The front, upstream or backend that there is not; or several that are meant.
    pub fn find<'a>(&self, fronts: &[&'a Table]) -> Result<Named<'a>, Missing> {
        let mut fronts = fronts.to_vec();
        if let Some(name) = &self.front {
            fronts.retain(|table| table.front == *name);
            if fronts.is_empty() {
                return Err(Missing(format!("There is no front {}.", quoted(name))));
            }
        }
        let Some(name) = &self.u else { return Ok(Named::Fronts(fronts)) };
        let found = fronts.iter().filter_map(|table| Some((*table, table.upstream(name)?)));
        let mut upstreams: Vec<(&Table, &Upstream)> = found.collect();
        if upstreams.is_empty() {
            return Err(Missing(format!("There is no upstream {}{}.", quoted(name), self.at_front())));
        }
        let Some(address) = &self.b else {
            let (table, upstream) =
                one(&upstreams, |(table, _)| table, || format!("upstream {}", quoted(name)))?;
            return Ok(Named::Upstream(table, upstream));
        };
        let has =
            |upstream: &'a Upstream| upstream.backends.iter().find(|backend| backend.address == *address);
        upstreams.retain(|(_, upstream)| has(upstream).is_some());
        let what = || format!("backend {} in upstream {}", quoted(address), quoted(name));
        if upstreams.is_empty() {
            return Err(Missing(format!("There is no {}{}.", what(), self.at_front())));
        }
        let (table, upstream) = one(&upstreams, |(table, _)| table, what)?;
        has(upstream).map(|backend| Named::Backend(table, upstream, backend)).ok_or_else(|| Missing(what()))
    }

    fn at_front(&self) -> String {
        self.front.as_ref().map_or(String::new(), |front| format!(" at front {}", quoted(front)))
    }
}

/// The only one, or which there are.
fn one<'a, T: Copy>(
    found: &[T],
    front: impl Fn(&T) -> &'a Table,
    what: impl Fn() -> String,
) -> Result<T, Missing> {
    if let [only] = found {
        return Ok(*only);
    }
    let names: Vec<String> = found.iter().take(5).map(|one| shown(&front(one).front)).collect();
    Err(Missing(format!(
        "There is {} at {} fronts: add front= and one of {}.",
        what(),
        found.len(),
        names.join(", ")
    )))
}
