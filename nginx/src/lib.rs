//! nginx in front of a server's instances: one small configuration, rendered from the server's own, applied
//! without ever leaving a broken front behind.
//!
//! Read in this order: [`Switches`] says which instances get traffic, [`render`] turns configuration and
//! switches into `nginx.conf`, [`Front`] puts that text in force and proves that it is. `render` and the rules
//! of `Switches` are pure; files and processes are [`Front`]'s.

mod compare;
mod control;
mod error;
mod front;
mod process;
mod render;
mod site;
mod store;
mod switches;

pub use control::{InstanceState, probe};
pub use error::FrontError;
pub use front::{Applied, Front, Status};
pub use render::{UPSTREAM, backend, render};
pub use site::Site;
pub use switches::{LastInRotation, Setting, Switch, Switches};
