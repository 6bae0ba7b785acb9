use super::*;

fn parsed(url: &str) -> (String, u16, Tls, Option<(String, String)>) {
    let server = MailServer::parse(url, "eu.example.net").unwrap();
    (server.host, server.port, server.tls, server.login)
}

#[test]
fn addresses_of_mail_servers() {
    let login = |user: &str, password: &str| Some((user.to_owned(), password.to_owned()));
    let table = [
        ("smtp://localhost:25", ("localhost", 25, Tls::Needless, None)),
        ("smtp://127.0.0.1/", ("127.0.0.1", 25, Tls::Needless, None)),
        ("smtp://[::1]:2525", ("::1", 2525, Tls::Needless, None)),
        ("smtp://localhost?tls=required", ("localhost", 25, Tls::Required, None)),
        ("smtp://mail.example.net", ("mail.example.net", 25, Tls::Offered, None)),
        ("smtp://a:b@mail.example.net", ("mail.example.net", 587, Tls::Required, login("a", "b"))),
        ("smtps://mail.example.net", ("mail.example.net", 465, Tls::Wrapped, None)),
        ("smtps://a%40b:p%3A%2F@[fe80::1]:1", ("fe80::1", 1, Tls::Wrapped, login("a@b", "p:/"))),
        ("smtp://a:p@ss@h:9", ("h", 9, Tls::Required, login("a", "p@ss"))),
    ];
    for (url, (host, port, tls, login)) in table {
        assert_eq!(parsed(url), (host.into(), port, tls, login), "{url}");
    }
}

#[test]
fn what_is_wrong_with_an_address_is_said_without_the_password() {
    let table = [
        ("http://a:secret@b", "begin"),
        ("smtp://a:secret@b?tls=no", "tls=required"),
        ("smtp://secret@b", "no password"),
        ("smtp://a:secret@", "no host"),
        ("smtp://a:secret@b:0", "port"),
        ("smtp://a:secret@b:99999", "port"),
        ("smtp://a:secret%0d%0aQUIT@b", "control"),
        ("smtp://a:secret@b c", "no host"),
        ("smtp://a:secret@[::1", "]"),
    ];
    for (url, part) in table {
        let error = MailServer::parse(url, "h").unwrap_err().to_string();
        assert!(error.contains(part) && !error.contains("secret"), "{url}: {error}");
    }
    let server = MailServer::parse("smtp://user:secret@h", "h").unwrap();
    let shown = format!("{server} {server:?} {}", server.without_secrets("535 secret is wrong"));
    assert!(!shown.contains("secret") && !shown.contains("user"), "{shown}");
}
