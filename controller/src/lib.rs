//! The controller of a front. About once a second it looks at nginx and at the instances, and puts right what is not as it should be.
//!
//! # The way of a look
//! `module` reads what nginx's module counted (`seen`) → `counted` and `past` make rates and times of it, `checks` brings what
//! instances say of themselves → `rules` decides about health → with the operators' `switches` and the `members` that is what should
//! be (`wanted`) → `reconcile` compares that with what nginx has → `module` tells nginx the difference → `table` shows it all. `look` has
//! these steps in order; `judge` and `show` are the longer ones. So it does not matter what was lost where: the next look puts it right.
//!
//! Between looks come questions and orders: from programs of this machine (`local`), and from the pages by the call that is parked at
//! the monitor (`park`). `orders` carries out what an operator wants. What must not be forgotten is in `kept` (when: `saving`), who did what in
//! `audit`; nginx's own files are written by `files`. What other fronts of the same server say, and are told, is in `second`.
//!
//! Pure are `seen`, `counted`, `past`, `rules`, `switches`, `members`, `reconcile` and `table`.

mod audit;
mod checks;
mod clock;
mod controller;
mod counted;
mod error;
mod files;
mod judge;
mod kept;
mod local;
mod look;
mod members;
mod module;
mod orders;
mod park;
mod past;
mod reconcile;
mod rules;
mod run;
mod saving;
mod second;
mod seen;
mod show;
mod switches;
mod table;
mod voice;
mod wanted;

pub use error::ControllerError;
pub use files::Files;
pub use run::{run, run_with};
pub use second::{SecondError, followed, prepare};
