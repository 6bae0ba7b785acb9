//! `switchboard check`: reads the whole configuration and says every fault, changing nothing.

use std::path::Path;

use switchboard_daemon::Outcome;
use switchboard_fleet::config::{Config, Faults, Files, Whole, check_files, load_whole};

/// Says every fault of the configuration and of what it needs on disk, or what it describes.
pub(crate) fn run(config: &Path) -> Outcome {
    let whole = load_whole(config)?;
    let files = look(&whole);
    Faults::none_of(files.faults)?;
    print(&format!("{}: good\n{}", config.display(), describe(&whole)));
    for note in files.notes {
        print(&format!("note: {note}"));
    }
    Ok(())
}

/// What the server and its instances find on disk, each note once.
fn look(whole: &Whole) -> Files {
    let mut all = check_files(&whole.server);
    for files in whole.instances.values().map(check_files) {
        all.faults.extend(files.faults);
        all.notes.extend(files.notes);
    }
    all.notes.sort();
    all.notes.dedup();
    all
}

fn describe(whole: &Whole) -> String {
    let Whole { server, instances } = whole;
    let mut lines = vec![format!("server {}, front on {}", server.server, list(&server.front.listen))];
    lines.extend(instances.iter().map(|(port, config)| describe_instance(*port, config)));
    lines.push(match server.servers.as_slice() {
        [] => "other servers: none".into(),
        others => format!("other servers: {}", list(others)),
    });
    lines.push(format!("master of the customer IDs: {}", server.master));
    lines.push(match (&server.monitor, server.monitor_url()) {
        (monitor, Some(url)) if monitor.run => format!("monitor on {}, reports go to {url}", monitor.listen),
        (_, Some(url)) => format!("monitor: none here, reports go to {url}"),
        (_, None) => "monitor: none".into(),
    });
    lines.join("\n")
}

fn describe_instance(port: u16, config: &Config) -> String {
    let mut line = format!("instance {}:{port}", config.listen.address);
    if let Some(https) = &config.listen.https {
        line.push_str(&format!(", HTTPS on {}", https.port));
    }
    if config.is_master(port) {
        line.push_str(", the master");
    }
    line
}

fn list<T: ToString>(items: &[T]) -> String {
    items.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

#[allow(clippy::print_stdout, reason = "this is where the command speaks to a person")]
fn print(text: &str) {
    println!("{text}");
}
