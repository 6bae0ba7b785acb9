//! The URL of the database: where it is, and how it is spoken to.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use percent_encoding::percent_decode_str;
use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, pem::PemObject},
};
use tokio_postgres::{
    Config,
    config::{Host, SslMode, TargetSessionAttrs},
};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::error::StoreError;

/// A database that can be connected to.
pub(super) struct Address {
    pub(super) config: Config,
    /// Used only if `config` says so.
    pub(super) tls: MakeRustlsConnect,
    /// Host, port and database, to be shown.
    pub(super) place: String,
}

/// Options that are ours and not the driver's: it knows no checking of certificates.
#[derive(Default)]
struct Tls {
    mode: Option<SslMode>,
    roots: Option<PathBuf>,
}

pub(super) fn parse(url: &str, deadline: Duration) -> Result<Address, StoreError> {
    let (text, tls) = without_tls_options(url)?;
    // What the driver says of a broken URL may repeat a part of it, and so of a password.
    let mut config: Config = text.parse().map_err(|_| wrong("cannot be read"))?;
    let hosts = config.get_hosts().len().max(config.get_hostaddrs().len());
    if hosts == 0 {
        return Err(wrong("names no host (of a Unix socket: ?host=/run/postgresql)"));
    }
    config.ssl_mode(tls_mode(&config, tls.mode));
    if config.get_target_session_attrs() == TargetSessionAttrs::Any {
        config.target_session_attrs(TargetSessionAttrs::ReadWrite);
    }
    if hosts > 1 && config.get_connect_timeout().is_none() {
        // So that a silent host leaves time for the next one.
        config.connect_timeout(deadline / u32::try_from(hosts).unwrap_or(u32::MAX));
    }
    if config.get_application_name().is_none() {
        config.application_name("switchboard");
    }
    let place = place(&config);
    let roots = match config.get_ssl_mode() {
        SslMode::Disable => RootCertStore::empty(),
        _ => roots(tls.roots.as_deref(), &place)?,
    };
    let tls = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|_| wrong("cannot be used with TLS"))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Address { config, tls: MakeRustlsConnect::new(tls), place })
}

fn wrong(reason: &'static str) -> StoreError {
    StoreError::Url { reason }
}

/// The URL without the options that are ours.
fn without_tls_options(url: &str) -> Result<(String, Tls), StoreError> {
    if !["postgres://", "postgresql://"].iter().any(|scheme| url.starts_with(scheme)) {
        return Err(wrong("does not begin with postgres://"));
    }
    // As the driver does: all before the first @ is user and password.
    let (user, rest) = url.split_at(url.find('@').map_or(0, |at| at + 1));
    if rest.contains('@') {
        // Else a part of the password would be taken for the host, and be shown.
        return Err(wrong("has more than one @ (in a user name or password, write %40)"));
    }
    let (place, options) = rest.split_once('?').unwrap_or((rest, ""));
    let mut tls = Tls::default();
    let mut others = Vec::new();
    for option in options.split('&').filter(|option| !option.is_empty()) {
        match option.split_once('=') {
            Some(("sslmode", mode)) => tls.mode = Some(ssl_mode(mode)?),
            Some(("sslrootcert", path)) => tls.roots = Some(decoded(path)?),
            _ => others.push(option),
        }
    }
    Ok((format!("{user}{place}?{}", others.join("&")), tls))
}

fn ssl_mode(text: &str) -> Result<SslMode, StoreError> {
    match text {
        "disable" => Ok(SslMode::Disable),
        "require" | "verify-full" => Ok(SslMode::Require),
        _ => Err(wrong("has an sslmode that promises too little: use verify-full, or disable")),
    }
}

fn decoded(text: &str) -> Result<PathBuf, StoreError> {
    let text =
        percent_decode_str(text).decode_utf8().map_err(|_| wrong("has an sslrootcert that is no text"))?;
    Ok(PathBuf::from(text.into_owned()))
}

/// What never leaves this machine needs no TLS; the server's own certificate would often not name it.
fn tls_mode(config: &Config, asked: Option<SslMode>) -> SslMode {
    let unix = |host: &Host| matches!(host, Host::Unix(_));
    let local = |host: &Host| match host {
        Host::Unix(_) => true,
        Host::Tcp(name) => {
            name == "localhost" || name.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback())
        }
    };
    let (hosts, addresses) = (config.get_hosts(), config.get_hostaddrs());
    let addresses_local = addresses.iter().all(|ip| ip.is_loopback());
    match asked {
        // PostgreSQL has no TLS there.
        _ if addresses.is_empty() && hosts.iter().all(unix) => SslMode::Disable,
        Some(mode) => mode,
        None if addresses_local && hosts.iter().all(local) => SslMode::Disable,
        None => SslMode::Require,
    }
}

/// The certificates of the file, or the system's.
fn roots(file: Option<&Path>, place: &str) -> Result<RootCertStore, StoreError> {
    let from = file.map_or("the system's store".to_owned(), |path| path.display().to_string());
    let failed = |cause| StoreError::Certificates { place: place.to_owned(), from: from.clone(), cause };
    let certificates = match file {
        Some(path) => CertificateDer::pem_file_iter(path)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(|error| failed(error.to_string()))?,
        None => rustls_native_certs::load_native_certs().certs,
    };
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(certificates);
    if roots.is_empty() { Err(failed("there is none".to_owned())) } else { Ok(roots) }
}

fn place(config: &Config) -> String {
    let (hosts, addresses, ports) = (config.get_hosts(), config.get_hostaddrs(), config.get_ports());
    let port = |n: usize| ports.get(n).or(ports.first()).copied().unwrap_or(5432);
    let name = |n: usize| match hosts.get(n) {
        Some(Host::Tcp(name)) => name.clone(),
        Some(Host::Unix(path)) => path.display().to_string(),
        None => addresses.get(n).map_or(String::new(), |ip| ip.to_string()),
    };
    let servers: Vec<_> =
        (0..hosts.len().max(addresses.len())).map(|n| format!("{}:{}", name(n), port(n))).collect();
    // Without a name it is the user's own.
    let database = config.get_dbname().or(config.get_user()).unwrap_or("of this system's user");
    format!("PostgreSQL {}, database {database}", servers.join(","))
}

#[cfg(test)]
#[path = "address_tests.rs"]
mod tests;
