//! What an admin sees of a fleet: data in, HTML out.
//!
//! Each page is a struct that is filled and then asked for its text:
//! ```
//! use switchboard_pages::{ErrorPage, Frame, Page};
//!
//! let frame = Frame { server: "eu.example.net".into(), version: "0.1.0".into(), now_ms: 1_795_374_180_000, open_incidents: 0, admin: None };
//! let html = ErrorPage::not_found(frame, "There is no worker of this name.").html();
//! assert!(html.starts_with("<!DOCTYPE html>"));
//! ```
//! | address | page | what the address says |
//! |---|---|---|
//! | `/` | [`Overview`] | |
//! | `/charts` | [`Gallery`] | [`GalleryQuery`] |
//! | `/workers/NAME` | [`WorkerPage`] | the name, percent-encoded |
//! | `/incidents`, `/incidents/ID` | [`Incidents`], [`IncidentPage`] | `before`, by [`value`] |
//! | `/log` | [`Log`] | [`LogQuery`] |
//! | `/upstreams` | [`Upstreams`], or [`BackendPage`] if it names one; in other forms [`machine`] | [`UpstreamsQuery`] |
//! | `/upstreams/switch` | [`Confirm`], and after a POST [`Outcome`] | [`SwitchForm`] |
//! | `/login` | [`Login`] | `next`, by [`value`] |
//! | anything else | [`ErrorPage`] | |
//! | `/cpu.1h.svg` and the like | | [`PictureQuery`] |
//! | `/style.css`, `/script.js`, `/favicon.svg` | [`Asset`] | |
//!
//! Pages need nothing from elsewhere and no inline script or style: [`CONTENT_SECURITY_POLICY`] is to be sent with each. They work without
//! JavaScript. With it they fetch themselves anew whenever `/events`, a stream of server-sent events, has one named `changed`; those of backends
//! also every `refresh_ms`, and those on which somebody is about to decide not at all.
//!
//! Names and messages come from strangers: askama escapes them, `text` makes visible what would turn or hide text, `url` encodes them.
//! All times are ms since 1970 and shown in UTC.

mod assets;
mod charts;
mod error;
mod frame;
mod health;
mod incidents;
mod log;
mod login;
pub mod machine;
mod moment;
mod numbers;
mod overview;
mod query;
mod scope;
mod summary;
mod text;
mod upstreams;
mod url;
mod worker;
mod worker_page;

pub use assets::Asset;
pub use charts::{Chart, Gallery};
pub use error::ErrorPage;
pub use frame::{Admin, CONTENT_SECURITY_POLICY, Frame, Page};
pub use health::{Health, SILENT_AFTER_MS, Signs};
pub use incidents::{Incident, IncidentPage, Incidents};
pub use log::{Line, Log, What};
pub use login::Login;
pub use overview::{Fault, Overview, Server};
pub use query::{BadQuery, GalleryQuery, LogQuery, PictureQuery, Point, Shown, value};
pub use scope::Scope;
pub use upstreams::{
    BackendPage, Confirm, Format, FrontView, Named, Outcome, Show, Sort, SwitchForm, Until, Upstreams,
    UpstreamsQuery,
};
pub use worker::Worker;
pub use worker_page::{Life, Missing, WorkerPage};
