//! The measure for archives and charts: one `rrdtool` that is fed by its standard input.

use std::{
    path::Path,
    process::{Command as Once, Stdio},
};

use anyhow::{Context, bail};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout, Command},
};

/// A running rrdtool; ended when dropped.
pub(crate) struct Rrdtool {
    // Ends the process when dropped; it also ends with its standard input.
    _process: Child,
    orders: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
}

impl Rrdtool {
    /// Starts one that works in `folder`.
    pub(crate) fn start(program: &Path, folder: &Path) -> anyhow::Result<Self> {
        let mut process = Command::new(program)
            .arg("-")
            .current_dir(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("{}: cannot be started", program.display()))?;
        let orders = process.stdin.take().context("rrdtool has no standard input")?;
        let answers = process.stdout.take().context("rrdtool has no standard output")?;
        Ok(Self { _process: process, orders, answers: BufReader::new(answers).lines() })
    }

    /// Has it do `orders`, each a line without its end, and waits until all are done.
    ///
    /// # Errors
    /// It refuses one, or it ends.
    pub(crate) async fn obey(&mut self, orders: &[String]) -> anyhow::Result<()> {
        let text = orders.iter().map(|order| format!("{order}\n")).collect::<String>();
        let (input, answers) = (&mut self.orders, &mut self.answers);
        let tell = async {
            input.write_all(text.as_bytes()).await?;
            Ok(input.flush().await?)
        };
        let hear = async {
            let mut done = 0;
            while done < orders.len() {
                let line = answers.next_line().await?.context("rrdtool has ended")?;
                if line.starts_with("ERROR") {
                    bail!("rrdtool says {line}");
                }
                done += usize::from(line.starts_with("OK "));
            }
            Ok(())
        };
        // Both at once: it reads no further while nobody reads what it answers.
        tokio::try_join!(tell, hear)?;
        Ok(())
    }
}

/// Its version, such as `1.7.2`.
pub(crate) fn version(program: &Path) -> anyhow::Result<String> {
    let said = Once::new(program).arg("--version").output()?.stdout;
    let text = String::from_utf8_lossy(&said);
    Ok(text.split_whitespace().nth(1).unwrap_or_default().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine;

    #[tokio::test]
    async fn orders_are_done_or_refused() {
        let program = machine::find("rrdtool").expect("rrdtool, which `make setup-tests` installs");
        let folder = tempfile::tempdir().unwrap();
        let mut rrdtool = Rrdtool::start(&program, folder.path()).unwrap();
        let create = "create a.rrd --start 1000000000 DS:a:GAUGE:600:U:U RRA:LAST:0.5:1:10";
        rrdtool.obey(&[create.into(), "update a.rrd 1000000300:1".into()]).await.unwrap();
        let many: Vec<_> = (2..3000).map(|n| format!("update a.rrd {}:1", 1_000_000_000 + 300 * n)).collect();
        rrdtool.obey(&many).await.unwrap();
        let error = rrdtool.obey(&["update a.rrd 1000000300:1".into()]).await.unwrap_err();
        assert!(error.to_string().starts_with("rrdtool says ERROR"), "{error}");
    }
}
