//! `switchboard call`: asks an agent something, as an app.

use std::{
    io::{self, IsTerminal, Write},
    os::fd::AsFd,
    time::Duration,
};

use anyhow::{Context, anyhow, bail};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, header, uri::PathAndQuery};
use http_body::Body as _;
use http_body_util::BodyExt;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use switchboard_client::{App, AppConfig, Body, Upload};
use switchboard_daemon::Outcome;
use switchboard_fleet::{
    CustomerId, ServerName,
    header::{HOP_BY_HOP, REASON},
};
use tokio::time::timeout;

use crate::agent::{seconds, server_name};

/// The next piece of a reply comes within this.
const STALL: Duration = Duration::from_secs(300);
/// Replies longer than this show their progress.
const LONG: u64 = 1024 * 1024;

/// What `switchboard call` is told.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The servers of the fleet; the closest is asked first.
    #[arg(long = "server", value_name = "URL", required = true, num_args = 1.., value_parser = server_name)]
    servers: Vec<ServerName>,
    /// The agent's customer ID.
    #[arg(long)]
    id: CustomerId,
    /// The request's body: text, @FILE, or - for standard input.
    #[arg(
        long,
        value_name = "TEXT|@FILE|-",
        default_value = "",
        hide_default_value = true,
        allow_hyphen_values = true
    )]
    data: String,
    /// The method at the agent's local service [default: POST].
    #[arg(long)]
    method: Option<Method>,
    /// The path there [default: /].
    #[arg(long, value_parser = path)]
    path: Option<PathAndQuery>,
    /// A header for the agent; may be repeated.
    #[arg(short = 'H', long = "header", value_name = "K: V", value_parser = end_to_end)]
    headers: Vec<(HeaderName, HeaderValue)>,
    /// How long to look for an agent that is not there.
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = seconds)]
    wait: Duration,
    /// Print the reply's status and headers too.
    #[arg(short, long)]
    include: bool,
}

fn path(text: &str) -> Result<PathAndQuery, String> {
    match text.parse() {
        Ok(path) if text.starts_with('/') && !text.contains('#') => Ok(path),
        _ => Err("not a path: it starts with / and holds neither spaces nor #".into()),
    }
}

/// A header that reaches the agent.
fn end_to_end(text: &str) -> Result<(HeaderName, HeaderValue), String> {
    let (name, value) = text.split_once(':').ok_or("not of the form `Name: value`")?;
    let name: HeaderName = name.trim().parse().map_err(|_| "not a header name before the colon")?;
    let value = value.trim().parse().map_err(|_| "not a header value after the colon")?;
    if HOP_BY_HOP.contains(&name.as_str()) || name == header::HOST {
        return Err(format!("{name} belongs to one connection and does not reach an agent"));
    }
    Ok((name, value))
}

/// Asks, and prints the reply's body as it comes. A reply of 400 or more is a failure.
pub(crate) fn run(args: Args) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let done = runtime.block_on(ask(args));
    // A read of standard input that still waits must not keep the command from ending.
    runtime.shutdown_background();
    Ok(done?)
}

async fn ask(args: Args) -> anyhow::Result<()> {
    let mut upload = upload(&args.data)?;
    let mut headers = HeaderMap::new();
    for (name, value) in args.headers {
        headers.append(name, value);
    }
    let app = App::new(AppConfig {
        servers: args.servers,
        id: args.id,
        headers,
        method: args.method,
        path: args.path,
        wait: args.wait,
    })?;
    let reply = app.call(&mut upload).await?;
    let status = reply.status();
    let reason = reply.headers().get(REASON).and_then(|value| value.to_str().ok());
    let reason = reason.map_or_else(String::new, |reason| format!(": {reason}"));
    if args.include {
        print_head(&reply)?;
    }
    print_body(reply.into_body()).await?;
    if status.as_u16() >= 400 {
        bail!("agent {} answered {status}{reason}", args.id);
    }
    Ok(())
}

fn upload(data: &str) -> anyhow::Result<Upload> {
    match data.strip_prefix('@') {
        Some(file) => Ok(Upload::file(file)),
        None if data == "-" => {
            let input = io::stdin().as_fd().try_clone_to_owned().context("standard input cannot be read")?;
            Ok(Upload::stream(tokio::fs::File::from_std(input.into())))
        }
        None => Ok(Upload::bytes(data.to_owned())),
    }
}

fn print_head(reply: &Response<Body>) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    write!(out, "{:?} {}\r\n", reply.version(), reply.status())?;
    for (name, value) in reply.headers() {
        write!(out, "{name}: ")?;
        out.write_all(value.as_bytes())?;
        out.write_all(b"\r\n")?;
    }
    out.write_all(b"\r\n")?;
    Ok(out.flush()?)
}

async fn print_body(mut body: Body) -> anyhow::Result<()> {
    let progress = progress(body.size_hint().exact());
    let cut = "the reply broke off: what was printed is not all of it";
    while let Some(frame) = timeout(STALL, body.frame()).await.context(cut)? {
        let frame = frame.map_err(|error| anyhow!("{cut} ({error})"))?;
        if let Some(piece) = frame.data_ref() {
            let mut out = io::stdout().lock();
            match out.write_all(piece).and_then(|()| out.flush()) {
                // The reader has seen enough, as `head` does.
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
                written => written.context("standard output")?,
            }
            progress.inc(piece.len() as u64);
        }
    }
    progress.finish_and_clear();
    Ok(())
}

/// A bar on standard error for a long body, unless the bar would run through the body itself.
fn progress(length: Option<u64>) -> ProgressBar {
    let long = length.is_none_or(|length| length > LONG);
    if !long || io::stdout().is_terminal() || !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let (bar, template) = match length {
        Some(length) => (ProgressBar::new(length), "{bar:40} {bytes}/{total_bytes} {bytes_per_sec} {eta}"),
        None => (ProgressBar::no_length(), "{spinner} {bytes} {bytes_per_sec}"),
    };
    bar.set_draw_target(ProgressDrawTarget::stderr());
    match ProgressStyle::with_template(template) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
