//! How a command ends: 0 done, 1 failed, 2 wrong usage or configuration.

use std::process::ExitCode;

use switchboard_fleet::config::Faults;

/// Why a command ends without having done its work.
#[derive(Debug)]
pub enum Failure {
    /// Something went wrong on the way: exit status 1.
    Failed(anyhow::Error),
    /// Wrong usage or configuration: exit status 2.
    Configuration(anyhow::Error),
}

/// What a command returns.
pub type Outcome = Result<(), Failure>;

impl Failure {
    /// Says it on standard error, a line each behind the name of the `program`, and gives the exit status.
    #[allow(clippy::print_stderr, reason = "this is where a command speaks to a person")]
    pub fn report(&self, program: &str) -> ExitCode {
        let (error, status) = match self {
            Self::Failed(error) => (error, 1),
            Self::Configuration(error) => (error, 2),
        };
        for line in format!("{error:#}").lines() {
            eprintln!("{program}: {line}");
        }
        ExitCode::from(status)
    }
}

impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        let error = error.into();
        if error.is::<Faults>() { Self::Configuration(error) } else { Self::Failed(error) }
    }
}
