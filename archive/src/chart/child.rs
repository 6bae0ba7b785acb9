//! The drawing process, seen from the program that started it.

use std::{
    ffi::OsString,
    io,
    path::{Path, PathBuf},
    process::Stdio,
};

use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    process::{Child, ChildStdin, ChildStdout, Command},
};

use crate::chart::serve::{Answer, Ask, GREETING};

/// Most bytes of an answer, or of a line.
const BYTES_MAX: usize = 32 << 20;

/// How the drawing process is started: a program that then calls [`serve_drawing`](crate::serve_drawing).
#[derive(Debug, Clone)]
pub struct Program {
    path: PathBuf,
    arguments: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
}

impl Program {
    /// This very program with other arguments.
    ///
    /// # Errors
    /// The system does not say where it is.
    pub fn this<A: Into<OsString>>(arguments: impl IntoIterator<Item = A>) -> io::Result<Self> {
        let arguments = arguments.into_iter().map(Into::into).collect();
        Ok(Self { path: std::env::current_exe()?, arguments, environment: Vec::new() })
    }

    /// Adds a variable to its environment.
    #[must_use]
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }
}

/// A drawing process; it ends with this value.
#[derive(Debug)]
pub(crate) struct Drawer {
    // Ends the process when dropped.
    _process: Child,
    requests: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Drawer {
    /// Starts the program in the folder of the archives, and waits until it greets.
    pub(crate) async fn start(program: &Program, folder: &Path) -> io::Result<Self> {
        let mut process = Command::new(&program.path)
            .args(&program.arguments)
            .envs(program.environment.iter().map(|(name, value)| (name, value)))
            .current_dir(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let pipe = || io::Error::other("no pipe to the drawing process");
        let requests = process.stdin.take().ok_or_else(pipe)?;
        let answers = BufReader::new(process.stdout.take().ok_or_else(pipe)?);
        let mut drawer = Self { _process: process, requests, answers };
        while drawer.line().await?.trim_end() != GREETING {}
        Ok(drawer)
    }

    /// Asks and waits for the answer. A drawer that was left while it was waited for must not be asked again.
    pub(crate) async fn ask(&mut self, ask: &Ask) -> io::Result<(Answer, Vec<u8>)> {
        let mut line = serde_json::to_vec(ask)?;
        line.push(b'\n');
        self.requests.write_all(&line).await?;
        self.requests.flush().await?;
        let answer: Answer = serde_json::from_str(&self.line().await?)?;
        let mut bytes = Vec::new();
        if let Answer::Bytes(count) = answer {
            if count > BYTES_MAX {
                return Err(io::Error::other(format!("an answer of {count} bytes")));
            }
            bytes.resize(count, 0);
            self.answers.read_exact(&mut bytes).await?;
        }
        Ok((answer, bytes))
    }

    async fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        let count = (&mut self.answers).take(BYTES_MAX as u64).read_line(&mut line).await?;
        if count == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the drawing process ended"));
        }
        Ok(line)
    }
}
