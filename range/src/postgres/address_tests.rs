use super::*;
use proptest::prelude::*;

const DEADLINE: Duration = Duration::from_secs(6);

fn address(url: &str) -> Address {
    parse(url, DEADLINE).unwrap_or_else(|error| panic!("{url}: {error}"))
}

fn error(url: &str) -> String {
    parse(url, DEADLINE).err().unwrap_or_else(|| panic!("{url} is taken")).to_string()
}

fn mode(url: &str) -> SslMode {
    address(url).config.get_ssl_mode()
}

#[test]
fn the_place_names_host_port_and_database() {
    let place = |url: &str| address(url).place;
    assert_eq!(place("postgres://u:secret@db.example:6000/ids"), "PostgreSQL db.example:6000, database ids");
    assert_eq!(place("postgresql://u:secret@db.example"), "PostgreSQL db.example:5432, database u");
    assert_eq!(
        place("postgres://u@/ids?host=/run/postgresql"),
        "PostgreSQL /run/postgresql:5432, database ids"
    );
    assert_eq!(place("postgres://u@a:1,b:2/ids"), "PostgreSQL a:1,b:2, database ids");
    assert_eq!(place("postgres:///ids?hostaddr=10.0.0.1&user=u"), "PostgreSQL 10.0.0.1:5432, database ids");
}

#[test]
fn only_what_stays_on_this_machine_goes_without_tls() {
    for local in ["localhost", "127.0.0.1", "[::1]", "%2Frun%2Fpostgresql", "localhost,127.0.0.1"] {
        assert_eq!(mode(&format!("postgres://u@{local}/ids")), SslMode::Disable, "{local}");
    }
    for remote in ["db.example", "10.0.0.1", "localhost,db.example", "localhost.example"] {
        assert_eq!(mode(&format!("postgres://u@{remote}/ids")), SslMode::Require, "{remote}");
    }
    assert_eq!(mode("postgres://u@localhost/ids?hostaddr=10.0.0.1"), SslMode::Require);
    assert_eq!(mode("postgres://u@/ids?host=/run/postgresql&sslmode=require"), SslMode::Disable);
}

#[test]
fn the_mode_of_tls_is_as_asked() {
    assert_eq!(mode("postgres://u@db.example/ids?sslmode=disable"), SslMode::Disable);
    assert_eq!(mode("postgres://u@localhost/ids?application_name=x&sslmode=require"), SslMode::Require);
    assert_eq!(mode("postgres://u@localhost/ids?sslmode=verify-full"), SslMode::Require);
    for weak in ["prefer", "allow", "verify-ca", ""] {
        let error = error(&format!("postgres://u@localhost/ids?sslmode={weak}"));
        assert!(error.contains("use verify-full, or disable"), "{error}");
    }
}

#[test]
fn certificates_that_cannot_be_read_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("roots.pem");
    let url = format!("postgres://u@db.example/ids?sslrootcert={}", file.display());
    let absent = error(&url);
    assert!(absent.contains("roots.pem") && absent.contains("database ids"), "{absent}");
    std::fs::write(&file, "nothing").unwrap();
    assert!(error(&url).contains("there is none"), "{}", error(&url));
    let encoded = url.replace("roots", "%72oots");
    assert!(error(&encoded).contains("roots.pem"), "{}", error(&encoded));
}

#[test]
fn other_options_reach_the_driver() {
    let address =
        address("postgres://u:p%40ss@db.example/ids?connect_timeout=2&sslmode=disable&application_name=x");
    assert_eq!(address.config.get_password(), Some(&b"p@ss"[..]));
    assert_eq!(address.config.get_connect_timeout(), Some(&Duration::from_secs(2)));
    assert_eq!(address.config.get_application_name(), Some("x"));
}

#[test]
fn a_silent_host_leaves_time_for_the_next() {
    let timeout = |url| address(url).config.get_connect_timeout().copied();
    assert_eq!(timeout("postgres://u@a/ids"), None);
    assert_eq!(timeout("postgres://u@a,b,c/ids"), Some(DEADLINE / 3));
    let attributes = address("postgres://u@a,b/ids").config.get_target_session_attrs();
    assert_eq!(attributes, TargetSessionAttrs::ReadWrite);
}

#[test]
fn a_broken_url_is_refused_without_repeating_it() {
    for url in [
        "hunter2",
        "mysql://u:hunter2@h/d",
        "host=h user=u password=hunter2",
        "postgres://u:hunter2/d",
        "postgres://u:a@hunter2@h/d",
        "postgres://u:a@h/d?hunter2",
        "postgres://u:a@h/d?hunter2=1",
        "postgres://u:a@h/d?port=hunter2",
        "postgres://u:hunter2@",
        "postgres://u:a@h?x@hunter2",
        "postgres://u:a@h?sslmode=hunter2",
        "postgres://u:a@h?sslrootcert=%ff",
    ] {
        let error = error(url);
        assert!(error.starts_with("the URL of the database"), "{error}");
        assert!(!error.contains("hunter2"), "{error}");
    }
}

proptest! {
    #[test]
    fn no_text_makes_reading_fail_badly(text in "postgres://[a-z0-9:@/?&=%,.\\[\\]é-]{0,40}") {
        drop(parse(&text, DEADLINE));
    }

    /// Letters of other kinds than those of the rest, so that they are found if they are shown.
    #[test]
    fn no_password_is_shown(password in "[A-Z!#$^*:/?=&@%]{6,20}") {
        let shown = match parse(&format!("postgres://u:{password}@db.example/ids?sslmode=disable"), DEADLINE) {
            Ok(address) => format!("{} {:?}", address.place, address.config),
            Err(error) => format!("{error} {error:?}"),
        };
        for part in password.split(['@', ':', '/', '?', '&', '=', ',']).filter(|part| part.len() > 3) {
            prop_assert!(!shown.contains(part) || "USERPASSWORDHOSTPORTDATABASE".contains(part), "{}", shown);
        }
    }
}
