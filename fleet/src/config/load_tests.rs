use super::*;
use std::fs;

/// A folder with these files in it.
fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("instance")).unwrap();
    for (name, text) in files {
        fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

fn variables(pairs: &[(&str, &str)]) -> Variables {
    pairs.iter().map(|(name, value)| (name.into(), value.into())).collect()
}

/// Loads, and gives the faults with the folder's name taken out.
fn faults_of(files: &[(&str, &str)], port: Option<u16>, env: &[(&str, &str)]) -> Vec<String> {
    let folder = folder(files);
    let faults = load_from(&folder.path().join("fleet.toml"), port, &variables(env)).unwrap_err();
    let prefix = format!("{}/", folder.path().display());
    faults.to_string().lines().map(|line| line.replace(&prefix, "")).collect()
}

fn load_text(text: &str, env: &[(&str, &str)]) -> Result<Config, Faults> {
    let folder = folder(&[("fleet.toml", text)]);
    load_from(&folder.path().join("fleet.toml"), None, &variables(env))
}

fn sample(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../conf").join(name)
}

#[test]
fn the_sample_is_the_default() {
    let path = sample("fleet.toml");
    let mut default = Config::default();
    start_at(&mut default, path.parent().unwrap());
    let loaded = load_from(&path, None, &Vec::new()).unwrap();
    assert_eq!(format!("{loaded:#?}"), format!("{default:#?}"));

    let whole = whole_from(&path, &Vec::new()).unwrap();
    assert_eq!(whole.instances.keys().copied().collect::<Vec<_>>(), default.instances);
    assert_eq!(format!("{:?}", whole.instances[&8082]), format!("{default:?}"));
    let master = &whole.instances[&8081];
    assert!(master.is_master(8081) && master.range_file.is_some());
    assert_eq!(master.range_file(8081), default.range_file(8081));
    assert_eq!(master.master_range_file(8081), default.master_range_file(8081));
}

#[test]
fn the_sample_has_every_key() {
    let path = sample("fleet.toml");
    let text = fs::read_to_string(&path).unwrap();
    let shown = format!("{:#?}", load_from(&path, None, &Vec::new()).unwrap());
    // Every field is on a line of its own: `    name: value`.
    let keys = shown.lines().filter_map(|line| line.trim().split_once(": ")).map(|(key, _)| key);
    let keys: Vec<_> = keys.filter(|key| key.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')).collect();
    assert!(keys.len() > 50 && keys.contains(&"dead_man"), "{keys:?}");
    for key in keys {
        let stands = |line: &str| {
            line.trim_start_matches("# ").split_once('=').is_some_and(|(name, _)| name.trim() == key)
        };
        assert!(
            text.lines().any(stands)
                || text.contains(&format!("[{key}]"))
                || text.contains(&format!(".{key}]")),
            "{key}"
        );
    }
}

#[test]
fn the_sample_of_a_second_server_knows_the_first() {
    let first = load_from(&sample("fleet.toml"), None, &Vec::new()).unwrap();
    let second = load_from(&sample("second/fleet.toml"), None, &Vec::new()).unwrap();
    assert_eq!(second.servers, std::slice::from_ref(&first.server));
    assert_eq!(second.master, first.master);
    assert_eq!(second.instances, [8181, 8182]);
    assert_eq!(second.key_file, sample("second/../fleet.key"));
    assert_ne!(second.front.listen, first.front.listen);
    // One monitor for both.
    assert!(!second.monitor.run);
    assert_eq!(second.monitor_url(), first.monitor_url());
}

#[test]
fn later_layers_win_key_by_key() {
    let folder = folder(&[
        (
            "fleet.toml",
            "[timeouts]\nagent = 1\ncache = 1\nclient = 1.5\n[listen]\nhttps = { certificate = \"c\", key = \"k\" }",
        ),
        (
            "instance/8081.toml",
            "log_file = \"/log\"\n[timeouts]\ncache = 2\nclient = 2\n[listen.https]\nport = 8443",
        ),
    ]);
    let path = folder.path().join("fleet.toml");
    let env = variables(&[
        ("SWITCHBOARD__TIMEOUTS__CLIENT", "3"),
        ("SWITCHBOARD__SERVERS", "a.example, b.example"),
        ("SWITCHBOARD__ADMIT__LEGACY_AGENTS", "true"),
        ("SWITCHBOARD__ADMIT__LEGACY_PEERS", ""),
        ("SWITCHBOARD__MASTER__PORT", "8082"),
        ("SWITCHBOARD__MONITOR__CHARTS__S", "1h,6h"),
        ("SWITCHBOARD__RANGE__ORDER", "scattered"),
        ("SWITCHBOARD__RANGE__STORE", "postgres://switchboard:secret@db.example/ids"),
        ("SWITCHBOARD_CONFIG", "elsewhere"),
    ]);
    let config = load_from(&path, Some(8081), &env).unwrap();
    let seconds = |time: super::super::Seconds| time.get().as_secs_f64();
    let t = &config.timeouts;
    assert_eq!([t.agent, t.cache, t.client, t.no_reply].map(seconds), [1.0, 2.0, 3.0, 30.0]);
    assert_eq!(config.servers.iter().map(|s| s.as_str()).collect::<Vec<_>>(), ["a.example", "b.example"]);
    assert!(config.admit.legacy_agents && config.admit.legacy_peers.is_empty());
    assert_eq!(config.master, config.instance_name(8082));
    assert_eq!(config.monitor.charts["S"], ["1h", "6h"]);
    assert_eq!(config.range.order, super::super::Order::Scattered);
    assert_eq!(config.range.store.as_ref().unwrap().expose(), "postgres://switchboard:secret@db.example/ids");
    assert!(!format!("{config:?}").contains("secret"));
    let https = config.listen.https.as_ref().unwrap();
    assert_eq!((https.port, &https.certificate), (8443, &folder.path().join("c")));
    assert_eq!(config.log_file, Some("/log".into()));
    assert_eq!(config.key_file, folder.path().join("fleet.key"));
}

#[test]
fn every_fault_is_told_at_once_with_its_place() {
    let fleet = "server = 7\n\
                 instances = [8081,\n  \"x\", 8082, 70000, 8082.5]\n\
                 [timeouts]\nagent = 15.7\nclient = \"10\"\nno_replay = 3\ncache = -1\n\
                 [limits]\nheaders = 15.7\nconnections = 5\n\
                 [range]\nrefill_below = nan\norder = \"random\"\nstore = \"mysql://a:secret@b/c\"\n\
                 [timeout]\nagent = 1\n[listen]\naddress = \"here\"\nhttps = { certificate = \"c\", prot = 1 }\n";
    let instance = "stats = 5\n[limits]\nbody_bytes = 99999999999999999999\n";
    let env = [("SWITCHBOARD__LIMITS__LOCATIONS", "15.7"), ("SWITCHBOARD__TIMEOUTS__HEAD", "0")];
    let faults = faults_of(&[("fleet.toml", fleet), ("instance/8081.toml", instance)], Some(8081), &env);
    let expected = [
        "fleet.toml:1: server: expected ",
        "fleet.toml:3: instances: expected a whole number from 0 to 65535, found \"x\"",
        "fleet.toml:3: instances: expected a whole number from 0 to 65535, found 70000",
        "fleet.toml:3: instances: expected a whole number from 0 to 65535, found 8082.5",
        "fleet.toml:6: timeouts.client: expected a number, found \"10\"",
        "fleet.toml:7: timeouts.no_replay: unknown key; did you mean `no_reply`?",
        "fleet.toml:8: timeouts.cache: -1 is no time in seconds: expected 0 to 31536000",
        "fleet.toml:10: limits.headers: expected a whole number, 0 or more, found 15.7",
        "fleet.toml:11: limits.connections: 5 is out of bounds: expected 16 or more",
        "fleet.toml:13: range.refill_below: NaN is out of bounds",
        "fleet.toml:14: range.order: expected",
        "fleet.toml:15: range.store: no database: expected postgres://USER:PASSWORD@HOST/DATABASE",
        "fleet.toml:16: timeout: unknown key; did you mean `timeouts`?",
        "fleet.toml:19: listen.address: invalid IP address syntax",
        "fleet.toml:20: listen.https.key: missing",
        "fleet.toml:20: listen.https.port: missing",
        "fleet.toml:20: listen.https.prot: unknown key; did you mean `port`?",
        "instance/8081.toml:1: stats: expected a table, found 5",
        "instance/8081.toml:3: limits.body_bytes: expected a whole number, 0 or more, found 100000000000000000000",
        "environment variable SWITCHBOARD__LIMITS__LOCATIONS: limits.locations: expected a whole number",
        "environment variable SWITCHBOARD__TIMEOUTS__HEAD: timeouts.head: 0 is no time",
    ];
    assert_eq!(faults.len(), expected.len(), "{faults:#?}");
    for (fault, expected) in faults.iter().zip(expected) {
        assert!(fault.starts_with(expected), "{fault}\nexpected {expected}");
    }
}

#[test]
fn a_file_that_cannot_be_read_does_not_hide_the_faults_of_others() {
    let faults = faults_of(
        &[
            ("fleet.toml", "server = \n\n[limits]\nheaders = 64\nheaders = 65\n"),
            ("instance/1.toml", "tiemouts = 1"),
        ],
        Some(1),
        &[("SWITCHBOARD__NOTHING", "1")],
    );
    let places: Vec<_> = faults.iter().map(|fault| fault.split(": ").next().unwrap()).collect();
    let variable = "environment variable SWITCHBOARD__NOTHING";
    assert_eq!(places, ["fleet.toml:1", "fleet.toml:5", "instance/1.toml:1", variable], "{faults:#?}");
    assert!(faults[1].contains("duplicate key"), "{}", faults[1]);

    let missing = faults_of(&[("instance/1.toml", "tiemouts = 1")], Some(1), &[]);
    assert!(missing[0].starts_with("fleet.toml: there is no such file;"), "{missing:?}");
    assert!(missing[1].starts_with("instance/1.toml:1: tiemouts: unknown key"), "{missing:?}");
}

#[test]
fn a_wrong_value_that_a_later_layer_covers_is_still_a_fault() {
    let env = [("SWITCHBOARD__STATS__PERIOD", "10")];
    let faults = faults_of(&[("fleet.toml", "[stats]\nperiod = \"often\"")], None, &env);
    assert_eq!(faults, ["fleet.toml:2: stats.period: expected a number, found \"often\""]);
}

#[test]
fn every_item_of_a_variables_list_is_judged() {
    let env = [("SWITCHBOARD__INSTANCES", "8081, x,8082,-1, 9.5")];
    let faults = load_text("", &env).unwrap_err();
    assert_eq!(faults.iter().count(), 3, "{faults}");
    assert!(
        faults
            .iter()
            .all(|f| f.file() == "environment variable SWITCHBOARD__INSTANCES" && f.line().is_none())
    );
    let config = load_text("", &[("SWITCHBOARD__INSTANCES", "8081, 8083")]).unwrap();
    assert_eq!(config.instances, [8081, 8083]);
}

#[test]
fn the_whole_is_judged_with_the_files_of_all_instances() {
    let folder = folder(&[
        ("fleet.toml", "[stats]\nperiod = 0"),
        ("instance/8081.toml", "[stats]\nperiod = 0"),
        ("instance/8082.toml", "log_file = 1"),
    ]);
    let faults = whole_from(&folder.path().join("fleet.toml"), &Vec::new()).unwrap_err();
    let places: Vec<_> = faults.iter().map(|f| (PathBuf::from(f.file()), f.line())).collect();
    let at = |name: &str, line| (folder.path().join(name), Some(line));
    assert_eq!(places, [at("fleet.toml", 2), at("instance/8081.toml", 2), at("instance/8082.toml", 1)]);
}

#[test]
fn instances_do_not_share_a_port_for_https() {
    let fleet = "[listen]\nhttps = { port = 8443, certificate = \"c\", key = \"k\" }";
    let folder = folder(&[("fleet.toml", fleet)]);
    let path = folder.path().join("fleet.toml");
    let faults = whole_from(&path, &Vec::new()).unwrap_err();
    let expected = "listen.https.port: 8443 is instance 8081's too: set a port of its own here";
    let place = folder.path().join("instance/8082.toml");
    assert_eq!(faults.to_string(), format!("{}: {expected}", place.display()));
    fs::write(place, "[listen.https]\nport = 8444").unwrap();
    assert!(whole_from(&path, &Vec::new()).is_ok());
}

proptest::proptest! {
    #[test]
    fn no_text_makes_loading_fail_badly(text in "(\\PC|\n|[\\[\\]{}=\".,'#0-9a-z])*") {
        let _ = load_text(&text, &[("SWITCHBOARD__LISTEN", &text)]);
    }
}
