//! Charts: what can be asked for, and how it is drawn. `name`, `request`, `plan` and `table` are pure; `serve` is the process that
//! draws; `charts` is what the monitor holds.

mod charts;
mod child;
mod name;
mod plan;
mod request;
mod serve;
mod style;
mod table;

pub use charts::{Charts, DrawError, Picture};
pub use child::Program;
pub use name::{ChartKind, ChartName, Format, InvalidChartName, Period, Size, Source, Unit};
pub use request::{Band, ChartRequest, Mark, MarkKind, Reason, Theme};
pub use serve::serve_drawing;
pub use table::{Row, Table};
