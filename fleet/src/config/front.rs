//! nginx, in front of the instances.

use std::{
    net::{IpAddr, SocketAddr},
    path::PathBuf,
};

use serde::Deserialize;

use super::{Config, Seconds};

/// nginx.
#[derive(Debug, Clone, Deserialize)]
#[serde(default)]
pub struct Front {
    /// Where nginx listens.
    pub listen: Vec<SocketAddr>,
    /// The socket by which the front is controlled.
    pub control: PathBuf,
    /// TLS on the addresses of `listen`, if set.
    pub tls: Option<FrontTls>,
    /// The module that counts and switches in nginx.
    pub module: ModuleChoice,
    /// Places for instances that come without a reload of nginx, besides the configured ones. Needs the module.
    pub spare: usize,
    /// When another instance is tried.
    pub retry: Retry,
    /// Where the controller answers further fronts of this server, on other machines; nowhere if not set.
    pub share: Option<SocketAddr>,
    /// The first front of this server, its `share`, if this is a further one: it has no instances of its own, and takes backends, switches
    /// and certificates from there.
    pub follow: Option<SocketAddr>,
    /// The machines of this server's other fronts: what they say of a caller's address counts, as with this one's.
    pub others: Vec<IpAddr>,
}

/// The front's certificate.
#[derive(Debug, Clone, Deserialize)]
pub struct FrontTls {
    /// PEM file: the certificate, followed by its chain.
    pub certificate: PathBuf,
    /// PEM file: the private key.
    pub key: PathBuf,
}

/// The module that counts and switches in nginx.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum ModuleChoice {
    /// The one beside this program, or where nginx keeps its modules; none if it is at neither place, or nginx does not load it.
    Auto,
    /// None: nothing is counted, and every switch is a reload.
    None,
    /// This file, and no other.
    At(PathBuf),
}

impl TryFrom<String> for ModuleChoice {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match text.as_str() {
            "auto" => Ok(Self::Auto),
            "none" => Ok(Self::None),
            path if path.contains('/') => Ok(Self::At(path.into())),
            _ => Err(format!("expected \"auto\", \"none\" or a path with a slash in it, found {text:?}")),
        }
    }
}

/// When a request that failed at one instance is given to another. Not asked for by its port: such a request is for that instance alone.
#[derive(Debug, Clone, Deserialize)]
#[serde(default)]
pub struct Retry {
    /// The failures, in nginx's words (`proxy_next_upstream`).
    pub on: Vec<String>,
    /// Which methods are repeated once something was sent. A request of which nothing was sent always is.
    pub methods: Methods,
    /// How many instances are tried in all. 0: every one.
    pub tries: u32,
    /// No further one is tried after so long. 0: no limit.
    pub within: Seconds,
}

impl Retry {
    /// The failures that nginx knows.
    pub const KNOWN: [&str; 10] = [
        "error",
        "timeout",
        "invalid_header",
        "http_500",
        "http_502",
        "http_503",
        "http_504",
        "http_403",
        "http_404",
        "http_429",
    ];
}

/// Which methods are repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum Methods {
    /// Those that may be repeated by what HTTP says of them: not POST, PATCH and LOCK.
    Idempotent,
    /// All. A POST may then be carried out twice, if its body was sent whole before.
    All,
}

impl TryFrom<String> for Methods {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match text.as_str() {
            "idempotent" => Ok(Self::Idempotent),
            "all" => Ok(Self::All),
            _ => Err(format!("expected \"idempotent\" or \"all\", found {text:?}")),
        }
    }
}

impl Config {
    /// The front's name on pages: its server's, with a `#2` if it is a further one.
    pub fn front_name(&self) -> String {
        if self.front.follow.is_some() { format!("{}#2", self.server) } else { self.server.to_string() }
    }

    /// The folder where the front and its controller keep their state.
    pub fn front_dir(&self) -> PathBuf {
        self.state_dir.join("front")
    }

    /// The socket of the front's controller, for programs of this user on this machine.
    pub fn controller_socket(&self) -> PathBuf {
        self.front_dir().join("controller.sock")
    }
}
