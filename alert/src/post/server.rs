//! Where the mail server is, and how to log in.

use std::{fmt, net::IpAddr, time::Duration};

use lettre::transport::smtp::{
    authentication::{Credentials, Mechanism},
    client::{AsyncSmtpConnection, Certificate, TlsParameters},
    extension::ClientId,
};
use percent_encoding::percent_decode_str;
use tokio::time::timeout;

use super::session::{WAIT, why};

/// For a connection with TLS and login: several questions and answers.
const CONNECT: Duration = Duration::from_secs(60);

/// A mail server: `smtp://USER:PASSWORD@HOST:PORT` or `smtps://...`.
///
/// `smtps` is TLS from the first byte (port 465). `smtp` (port 25, or 587 with a login) is made TLS by STARTTLS if the server offers it; with a
/// login, or `?tls=required`, it must. To a server on loopback there is no TLS unless it is required. Certificates are verified with the
/// system's roots. Special characters of user and password are written as `%40`. Neither is ever shown.
#[derive(Clone)]
pub struct MailServer {
    host: String,
    port: u16,
    tls: Tls,
    login: Option<(String, String)>,
    hello: ClientId,
    roots: Vec<Certificate>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tls {
    /// From the first byte.
    Wrapped,
    /// By STARTTLS, or no connection.
    Required,
    /// By STARTTLS if offered.
    Offered,
    /// Over loopback.
    Needless,
}

/// The text is no mail server. It is not shown, as it may hold a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "alert.smtp: {0}: expected smtp://HOST:PORT or smtps://USER:PASSWORD@HOST:PORT, with special characters written as %40"
)]
pub struct MailServerError(&'static str);

impl MailServer {
    /// The server that `url` names; `hello` is the name by which this program introduces itself: its server's host.
    ///
    /// # Errors
    /// The text is no mail server.
    pub fn parse(url: &str, hello: &str) -> Result<Self, MailServerError> {
        let (wrapped, rest) = match (url.strip_prefix("smtp://"), url.strip_prefix("smtps://")) {
            (Some(rest), _) => (false, rest),
            (_, Some(rest)) => (true, rest),
            _ => return Err(MailServerError("it does not begin with smtp:// or smtps://")),
        };
        let (rest, required) = match rest.split_once('?') {
            None => (rest, false),
            Some((rest, "tls=required")) => (rest, true),
            Some(_) => return Err(MailServerError("after ? only tls=required may stand")),
        };
        let (login, place) = match rest.rsplit_once('@') {
            Some((login, place)) => (Some(parse_login(login)?), place),
            None => (None, rest),
        };
        let (host, port) = parse_place(place.strip_suffix('/').unwrap_or(place))?;
        let local = host == "localhost" || host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback());
        let tls = match (wrapped, required, local, login.is_some()) {
            (true, ..) => Tls::Wrapped,
            (_, true, ..) => Tls::Required,
            (_, _, true, _) => Tls::Needless,
            (_, _, _, true) => Tls::Required,
            (_, _, _, false) => Tls::Offered,
        };
        let usual = match (wrapped, login.is_some()) {
            (true, _) => 465,
            (false, true) => 587,
            (false, false) => 25,
        };
        Ok(Self { host, port: port.unwrap_or(usual), tls, login, hello: client(hello), roots: Vec::new() })
    }

    /// Trusts one more root certificate, as PEM.
    ///
    /// # Errors
    /// It is no certificate.
    pub fn trust(&mut self, pem: &[u8]) -> Result<(), MailServerError> {
        let root = Certificate::from_pem(pem).map_err(|_| MailServerError("no certificate in PEM"))?;
        self.roots.push(root);
        Ok(())
    }

    /// A connection that is ready for letters, or why there is none.
    pub(super) async fn connect(&self) -> Result<AsyncSmtpConnection, String> {
        match timeout(CONNECT, self.connect_now()).await {
            Ok(result) => result.map_err(|why| format!("{self}: {}", self.without_secrets(&why))),
            Err(_) => Err(format!("{self}: no answer within {} s", CONNECT.as_secs())),
        }
    }

    async fn connect_now(&self) -> Result<AsyncSmtpConnection, String> {
        let place = (self.host.as_str(), self.port);
        let wrap = if self.tls == Tls::Wrapped { Some(self.tls_parameters()?) } else { None };
        let connection = AsyncSmtpConnection::connect_tokio1(place, Some(WAIT), &self.hello, wrap, None);
        let mut connection = connection.await.map_err(|error| why(&error))?;
        let offered = self.tls == Tls::Offered && connection.can_starttls();
        if self.tls == Tls::Required && !connection.can_starttls() {
            return Err("it does not offer STARTTLS, which is required: nothing was sent".into());
        }
        if self.tls == Tls::Required || offered {
            connection
                .starttls(self.tls_parameters()?, &self.hello)
                .await
                .map_err(|error| format!("STARTTLS: {}", why(&error)))?;
        }
        if let Some((user, password)) = &self.login {
            let credentials = Credentials::new(user.clone(), password.clone());
            let login = connection.auth(&[Mechanism::Plain, Mechanism::Login], &credentials).await;
            login.map_err(|error| format!("login: {}", why(&error)))?;
        }
        Ok(connection)
    }

    fn tls_parameters(&self) -> Result<TlsParameters, String> {
        let mut builder = TlsParameters::builder(self.host.clone());
        for root in &self.roots {
            builder = builder.add_root_certificate(root.clone());
        }
        builder.build().map_err(|error| format!("TLS: {}", why(&error)))
    }

    /// What a server says may repeat what it was told.
    pub(super) fn without_secrets(&self, text: &str) -> String {
        match &self.login {
            Some((_, password)) if !password.is_empty() => text.replace(password.as_str(), "***"),
            _ => text.into(),
        }
    }
}

impl fmt::Display for MailServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "mail server {}:{}", self.host, self.port)
    }
}

impl fmt::Debug for MailServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MailServer({}:{}, {:?}, ..)", self.host, self.port, self.tls)
    }
}

fn parse_login(login: &str) -> Result<(String, String), MailServerError> {
    let (user, password) = login.split_once(':').ok_or(MailServerError("the user has no password"))?;
    let decode = |text: &str| {
        let text =
            percent_decode_str(text).decode_utf8().map_err(|_| MailServerError("the login is not UTF-8"))?;
        if text.contains(char::is_control) {
            return Err(MailServerError("the login has control characters"));
        }
        Ok(text.into_owned())
    };
    Ok((decode(user)?, decode(password)?))
}

fn parse_place(place: &str) -> Result<(String, Option<u16>), MailServerError> {
    let (host, port) = match place.strip_prefix('[').map(|rest| rest.split_once(']')) {
        Some(Some((host, port))) => (host, port.strip_prefix(':')),
        Some(None) => return Err(MailServerError("the address has no ]")),
        None => place.split_once(':').map_or((place, None), |(host, port)| (host, Some(port))),
    };
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':');
    if host.is_empty() || !host.chars().all(plain) {
        return Err(MailServerError("it has no host"));
    }
    let port = port
        .map(|port| port.parse().ok().filter(|port| *port > 0))
        .map(|port| port.ok_or(MailServerError("the port is no number from 1 to 65535")));
    Ok((host.into(), port.transpose()?))
}

fn client(hello: &str) -> ClientId {
    match hello.parse() {
        Ok(IpAddr::V4(ip)) => ClientId::Ipv4(ip),
        Ok(IpAddr::V6(ip)) => ClientId::Ipv6(ip),
        Err(_) => {
            let plain = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-');
            let name: String = hello.chars().filter(plain).collect();
            ClientId::Domain(if name.is_empty() { "localhost".into() } else { name })
        }
    }
}

#[cfg(test)]
#[path = "server_tests.rs"]
mod tests;
