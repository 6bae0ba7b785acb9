//! `switchboard-monitor chart`: one chart into a file.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, anyhow, bail};
use switchboard_archive::{
    ChartKind, ChartName, ChartRequest, Charts, Format, Period, Program, Size, Theme, workers_in,
};
use switchboard_daemon::Outcome;
use switchboard_fleet::config;

use crate::{
    clock::{now_ms, seconds},
    watched::server_of,
};

/// The hidden argument with which this program draws for another of its kind.
pub(crate) const DRAW: &str = "draw-for-parent";

/// Arguments of `switchboard-monitor chart`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// What: cpu, bytes, agents_u, t_completed, t_unique or duration, each also with `-max` for peaks.
    #[arg(value_name = "TYPE")]
    kind: ChartKind,
    /// Over which time: 1h, 3h, 6h, 12h, 1day, 3day, 7day or 1m.
    #[arg(long, default_value = "1h", value_parser = period)]
    period: Period,
    /// S (307x150), M (547x268) or L (897x370).
    #[arg(long, default_value = "M", value_parser = size)]
    size: Size,
    /// The file, which ends in .png or .svg.
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// Of these instances only; all if not given. May be repeated.
    #[arg(long = "worker", value_name = "NAME")]
    workers: Vec<String>,
    /// Of this server's instances only.
    #[arg(long, value_name = "NAME", conflicts_with = "workers")]
    server: Option<String>,
    /// Dark lines on light ground.
    #[arg(long)]
    light: bool,
}

/// Draws from the archives as they are, whether a monitor runs or not.
pub(crate) fn run(config: &Path, args: Args) -> Outcome {
    let config = config::load(config)?;
    let format = match args.output.extension().and_then(|extension| extension.to_str()) {
        Some("png") => Format::Png,
        Some("svg") => Format::Svg,
        _ => {
            return Err(
                anyhow!("{}: expected a name that ends in .png or .svg", args.output.display()).into()
            );
        }
    };
    let mut workers = chosen(&config.monitor.archives, args.workers)?;
    if let Some(server) = &args.server {
        workers.retain(|name| server_of(name, config.server.as_str()) == server);
    }
    if workers.is_empty() {
        return Err(
            anyhow!("{}: no archives of such instances yet", config.monitor.archives.display()).into()
        );
    }
    let name = ChartName { kind: args.kind, size: args.size, period: args.period, format };
    let mut request = ChartRequest::new(name, workers, seconds(now_ms()));
    request.theme = if args.light { Theme::Light } else { Theme::Dark };
    let charts = Charts::of_folder(&config.monitor.archives, Program::this([DRAW])?);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let picture = runtime.block_on(charts.draw(&request))?;
    fs::write(&args.output, &picture.bytes)
        .with_context(|| format!("{}: cannot be written", args.output.display()))?;
    Ok(())
}

fn chosen(folder: &Path, named: Vec<String>) -> anyhow::Result<Vec<String>> {
    let there = workers_in(folder)?;
    if let Some(stranger) = named.iter().find(|name| !there.contains(name)) {
        bail!("{}: no archive of {stranger:?}; there are: {}", folder.display(), there.join(" "));
    }
    Ok(if named.is_empty() { there } else { named })
}

fn period(text: &str) -> Result<Period, String> {
    Period::of_word(text).ok_or_else(|| expected(Period::ALL.iter().map(|period| period.as_str())))
}

fn size(text: &str) -> Result<Size, String> {
    let word = text.to_ascii_lowercase();
    Size::of_word(&word).ok_or_else(|| expected(Size::ALL.iter().map(|size| size.as_str())))
}

fn expected(words: impl Iterator<Item = &'static str>) -> String {
    format!("expected one of {}", words.collect::<Vec<_>>().join(" "))
}
