//! Whether two texts of `nginx.conf` say the same, and which is the newer. Pure.

use crate::render::{BACKENDS, BACKENDS_END};

/// The lines of a configuration that do not name a backend, and not its number.
pub(crate) fn besides_backends(text: &str) -> impl Iterator<Item = &str> {
    let names_backend = |line: &&str| {
        let line = line.trim_start();
        // Places for more instances are there or not, whoever has them.
        let changes = ["server ", "zone instances ", "keepalive ", "return 200 "];
        let changes = changes.iter().any(|start| line.starts_with(start)) && line.ends_with(';');
        line.starts_with("# Rendered ") || (changes && !line.starts_with("server 0.0.0.1:"))
    };
    text.lines().filter(move |line| !names_backend(line))
}

/// The lines that stand for a configuration: not those that name backends, and not those that follow from the machine and from who calls.
pub(crate) fn configured(text: &str) -> impl Iterator<Item = &str> {
    // Stock nginx has an upstream and words in maps for each of them.
    let is_stock = !text.contains("switchboard_route");
    let mut inside = false;
    besides_backends(text).skip_while(|line| *line != "http {").filter(move |line| {
        inside = (inside || *line == BACKENDS.trim_end()) && *line != BACKENDS_END.trim_end();
        let is_passing = inside && is_stock || line.starts_with("# a file of ");
        !is_passing
    })
}

/// Numbers grow, also when the file before was lost: an nginx still serving that one must not pass for the new.
pub(crate) fn next_generation(before: Option<&str>, now_ms: u64) -> u64 {
    generation_of(before).map_or(now_ms, |last| now_ms.max(last.saturating_add(1)))
}

/// The number in the first line of a configuration.
pub(crate) fn generation_of(text: Option<&str>) -> Option<u64> {
    text?.lines().next()?.rsplit(' ').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use switchboard_fleet::config::Config;

    use super::*;
    use crate::{Setting, Site, Switch, Switches, render};

    #[test]
    fn other_backends_are_no_other_configuration() {
        let site = Site {
            dir: "/front".into(),
            base: "/".into(),
            workers: 1,
            open_files: 1000,
            module: Some("/m.so".into()),
        };
        let text = |change: fn(&mut Config)| {
            let mut config = Config::default();
            change(&mut config);
            let generation = config.limits.body_bytes;
            render(&config, &Switches::default(), &site, generation)
        };
        let same = |change| besides_backends(&text(|_| {})).eq(besides_backends(&text(change)));
        assert!(same(|config| config.instances = (9000..9100).collect()));
        assert!(!same(|config| config.front.listen.push("127.0.0.1:9".parse().unwrap())));
        assert!(!same(|config| config.front.retry.tries = 9));
        assert!(!same(|config| config.front.spare = 9));
        assert!(!same(|config| config.limits.body_bytes = 9));
    }

    #[test]
    fn what_the_machine_says_is_no_configuration() {
        let site =
            Site { dir: "/front".into(), base: "/".into(), workers: 1, open_files: 1000, module: None };
        let (config, switches) = (Config::default(), Switches::default());
        let text = render(&config, &switches, &site, 1) + "# a file of 7\n";
        let other = Site { workers: 8, open_files: 9000, ..site };
        assert!(configured(&text).eq(configured(&render(&config, &switches, &other, 2))));
        assert!(configured(&text).count() > 50);
        let mut switched = Switches::default();
        switched.set(8082, Setting { switch: Switch::Off, weight_percent: 50 });
        let grown = Config { instances: vec![8081, 8082, 8083], ..config.clone() };
        for module in [None, Some("/m.so".into())] {
            let site = Site { module, ..other.clone() };
            let before = render(&config, &switches, &site, 1);
            assert!(configured(&before).eq(configured(&render(&grown, &switched, &site, 2))));
            let mut changed = config.clone();
            changed.limits.body_bytes = 9;
            assert!(!configured(&before).eq(configured(&render(&changed, &switches, &site, 2))));
        }
    }

    #[test]
    fn generations_grow() {
        assert_eq!(next_generation(None, 50), 50);
        assert_eq!(next_generation(Some("# x generation 7\nrest 99"), 50), 50);
        assert_eq!(next_generation(Some("# x generation 70\n"), 50), 71);
        assert_eq!(next_generation(Some(""), 50), 50);
    }
}
