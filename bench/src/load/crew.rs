//! Load in processes of its own: a process may open only so many files, and has one thread.

use std::process::{Child, Command, Stdio};

use anyhow::{Context, bail};
use tokio::{io::AsyncReadExt, process::ChildStdout};

use super::Load;

/// One such process; ended when dropped, and by itself when this program ends, as its standard input does then.
pub(super) struct Crew(Child);

impl Drop for Crew {
    fn drop(&mut self) {
        // Nothing that it has is to be kept.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Load {
    /// Starts this program again as `who`, with `arguments`. It ends with the load; that it ends by itself is an error of
    /// the load.
    pub(crate) fn start_crew(
        &mut self,
        who: impl Into<String>,
        arguments: impl IntoIterator<Item = String>,
    ) -> anyhow::Result<()> {
        let who = who.into();
        let process = Command::new(std::env::current_exe()?)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("{who} cannot be started"))?;
        let mut crew = Crew(process);
        let stdout = crew.0.stdout.take().context("a process without standard output")?;
        let mut stdout = ChildStdout::from_std(stdout)?;
        self.crews.push(crew);
        self.tasks.spawn(async move {
            // It says nothing: its standard output ends when it does.
            stdout.read_to_end(&mut Vec::new()).await?;
            bail!("{who} have ended; what went wrong is above")
        });
        Ok(())
    }
}
