//! The backends of the fronts, and what may be done with them.

mod backend_page;
mod cell;
pub(crate) mod columns;
mod confirm;
mod find;
pub(crate) mod heat;
pub(crate) mod look;
mod page;
mod query;
pub(crate) mod row;
mod switch;
pub(crate) mod view;

pub use backend_page::BackendPage;
pub use confirm::{Confirm, Outcome};
pub use find::{Missing, Named};
pub use page::Upstreams;
pub use query::{Format, Show, Sort, UpstreamsQuery};
pub use switch::{SwitchForm, Until};
pub use view::FrontView;
