//! What a person sees once everything runs: where it listens, and what to try next.

use std::fmt::Write;

use switchboard_fleet::config::Config;

use super::Program;

/// Where everything listens, and commands that work as they stand.
/// `page` is the monitor's, if one runs.
pub(super) fn text(program: &Program, config: &Config, page: Option<&str>) -> String {
    let mut text = String::from("up:\n");
    let scheme = if config.front.tls.is_some() { "https" } else { "http" };
    for address in &config.front.listen {
        let _ = writeln!(text, "  front     {scheme}://{address}");
    }
    if let Some(first) = config.front.follow {
        let _ = writeln!(text, "  follows   {first}");
    }
    let own = if config.front.follow.is_some() { &[][..] } else { &config.instances };
    for port in own {
        let master = if config.is_master(*port) { " (master)" } else { "" };
        let _ = writeln!(
            text,
            "  instance  http://{}{master}",
            std::net::SocketAddr::new(config.listen.address, *port)
        );
    }
    if let Some(page) = page {
        let _ = writeln!(text, "  monitor   {page}");
    }
    let (this, url) = (command(), config.server.url(""));
    let path = shell_word(&program.config.display().to_string());
    let _ = write!(
        text,
        "try, in another terminal:
  {this} agent --echo --server {url} --state agent.json
  {this} call --server {url} --id ID --data hello      (the ID that the agent prints)
  {this} front status --config {path}
  {this} range show --config {path}
  {this} reload --config {path}                        (after a change of the configuration)
Ctrl-C stops everything in peace."
    );
    if let Some(page) = page {
        let _ = write!(text, "\nsee       {page}");
    }
    text
}

/// How this program was called.
pub(super) fn command() -> String {
    shell_word(&std::env::args().next().unwrap_or_else(|| "switchboard".into()))
}

/// A word that a shell takes as it stands.
fn shell_word(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-:+@%=".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text.into();
    }
    format!("'{}'", text.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_for_a_shell() {
        assert_eq!(shell_word("var/demo/fleet.toml"), "var/demo/fleet.toml");
        assert_eq!(shell_word("my fleet's.toml"), "'my fleet'\\''s.toml'");
        assert_eq!(shell_word(""), "''");
    }
}
