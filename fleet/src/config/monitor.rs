//! The monitor: where it is, what it keeps, and to whom it writes.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::PathBuf,
};

use serde::Deserialize;

use super::{Config, Seconds, Secret};

/// What `switchboard-monitor` reads, and where programs report.
#[derive(Debug, Clone, Deserialize)]
#[serde(default)]
pub struct Monitor {
    /// Whether this server has a monitor of its own, which `up` runs.
    pub run: bool,
    /// Where its pages are, and where it takes reports.
    pub listen: SocketAddr,
    /// Where this server's programs report: `http://HOST:PORT` or `https://HOST:PORT`. See [`Config::monitor_url`].
    pub url: Option<String>,
    /// The address under which readers of letters reach the pages. See [`Config::monitor_page`].
    pub page: Option<String>,
    /// Where its archives are.
    pub archives: PathBuf,
    /// Chart sizes with the periods drawn in each.
    pub charts: BTreeMap<String, Vec<String>>,
    /// Names of programs that report besides instances, fronts and monitors.
    pub workers: Vec<String>,
    /// Log lines, starts and stops are kept for so many days. 0: for ever.
    pub keep_days: u32,
    /// How often the page of the fronts' backends is made anew, in ms.
    pub refresh_ms: u32,
    /// Who may switch backends from the pages.
    pub admins: Vec<Admin>,
}

/// Somebody who may switch backends.
#[derive(Debug, Clone, Deserialize)]
pub struct Admin {
    /// The name: to log in, and in the record of what was switched.
    pub name: String,
    /// The password's hash as `switchboard-monitor password` prints it: `$argon2id$...`.
    pub password: Secret,
}

/// When and to whom `switchboard-monitor` writes.
#[derive(Debug, Clone, Deserialize)]
#[serde(default)]
pub struct Alert {
    /// A worker that was not heard for so long is down.
    pub down_after: Seconds,
    /// An instance above this share of one CPU is overloaded.
    pub cpu_over: f64,
    /// The share of overloaded instances that makes it the server's problem.
    pub threshold: f64,
    /// Seconds between two letters about one thing.
    pub grace_period: Seconds,
    /// The letters' sender.
    pub from: String,
    /// The letters' readers.
    pub to: Vec<String>,
    /// The mail server: `smtp://HOST:PORT` or `smtps://USER:PASSWORD@HOST:PORT`.
    pub smtp: Secret,
    /// A URL that is called once a minute while all is well with the monitor, so that somebody outside notices its silence.
    pub dead_man: Option<Secret>,
}

impl Config {
    /// Where the programs of this server report, without a slash at the end: `monitor.url`, or else this server's own monitor.
    /// `None`: nowhere.
    pub fn monitor_url(&self) -> Option<String> {
        let monitor = &self.monitor;
        let own = || monitor.run.then(|| format!("http://{}", near(monitor.listen)));
        monitor.url.as_deref().map(trimmed).or_else(own)
    }

    /// The address of this server's monitor for a reader on any machine, without a slash at the end: `monitor.page`, or else where
    /// it listens.
    pub fn monitor_page(&self) -> String {
        let listen = self.monitor.listen;
        let own = || match self.server.host() {
            host if !listen.ip().is_unspecified() || host.is_empty() => format!("http://{listen}"),
            host if host.contains(':') => format!("http://[{host}]:{}", listen.port()),
            host => format!("http://{host}:{}", listen.port()),
        };
        self.monitor.page.as_deref().map_or_else(own, trimmed)
    }

    /// The folder where the monitor keeps its state.
    pub fn monitor_dir(&self) -> PathBuf {
        self.state_dir.join("monitor")
    }
}

fn trimmed(url: &str) -> String {
    url.trim_end_matches('/').to_owned()
}

/// How a program of the same machine reaches what listens there.
fn near(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(change: impl FnOnce(&mut Config)) -> Config {
        let mut config = Config::default();
        change(&mut config);
        config
    }

    #[test]
    fn where_programs_report() {
        let url = |change: fn(&mut Config)| config(change).monitor_url();
        assert_eq!(url(|_| {}).as_deref(), Some("http://127.0.0.1:8090"));
        assert_eq!(url(|c| c.monitor.run = false), None);
        let away = |c: &mut Config| c.monitor.url = Some("https://monitor.example.net/".into());
        assert_eq!(url(away).as_deref(), Some("https://monitor.example.net"));
        let both = |c: &mut Config| (c.monitor.run, c.monitor.url) = (false, Some("http://a:1".into()));
        assert_eq!(url(both).as_deref(), Some("http://a:1"));
        let all = |c: &mut Config| c.monitor.listen = "0.0.0.0:9".parse().unwrap();
        assert_eq!(url(all).as_deref(), Some("http://127.0.0.1:9"));
        let all = |c: &mut Config| c.monitor.listen = "[::]:9".parse().unwrap();
        assert_eq!(url(all).as_deref(), Some("http://[::1]:9"));
    }

    #[test]
    fn where_readers_look() {
        let page = |listen: &str, server: &str| {
            config(|c| {
                c.monitor.listen = listen.parse().unwrap();
                c.server = server.parse().unwrap();
            })
            .monitor_page()
        };
        assert_eq!(page("127.0.0.1:8090", "eu.example.net"), "http://127.0.0.1:8090");
        assert_eq!(page("0.0.0.0:8090", "https://eu.example.net:444"), "http://eu.example.net:8090");
        assert_eq!(page("[::]:8090", "[2001:db8::1]:80"), "http://[2001:db8::1]:8090");
        let named = config(|c| c.monitor.page = Some("https://example.net/".into()));
        assert_eq!(named.monitor_page(), "https://example.net");
    }

    #[test]
    fn secrets_are_not_shown() {
        let config = config(|c| {
            c.alert.smtp = "smtps://user:password@mail.example.net".into();
            c.alert.dead_man = Some("https://example.net/password".into());
        });
        assert!(!format!("{config:?}{}", config.alert.smtp).contains("password"));
        assert!(config.alert.smtp.expose().contains("password"));
    }
}
