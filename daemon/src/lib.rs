//! What the programs have in common that stay: how they [end](Failure), [until when](stop) they run, [where they log](log_to), and a
//! [socket](PrivateSocket) for their own user.

mod ending;
mod failure;
mod log;
mod socket;

pub use ending::stop;
pub use failure::{Failure, Outcome};
pub use log::log_to;
pub use socket::PrivateSocket;
