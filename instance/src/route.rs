//! Which route a request is for. Pure.

use http::Method;

use crate::refusal::Refusal;
use http::StatusCode;

/// A route of docs/protocol.md.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Route {
    Ping,
    Register,
    Connect,
    Poll,
    Locate,
    Ask,
    Reply,
    Fleet(FleetRoute, Level),
    Status,
    Metrics,
}

/// A route between instances, as docs/protocol.md describes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FleetRoute {
    /// A greeting.
    Hello,
    /// An agent has come to an instance.
    Connected,
    /// Many agents have.
    Announce,
    /// Where is an agent?
    Find,
    /// A range of customer IDs is asked for.
    Range,
    /// The fleet's range is handed over.
    Master,
    /// The fleet's range is to be handed over.
    MoveMaster,
}

/// Whom a call between instances is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Level {
    /// Any instance of the server, on behalf of all.
    Server,
    /// This instance alone.
    Instance,
}

impl FleetRoute {
    /// The path without the port.
    pub fn path(self) -> &'static str {
        match self {
            Self::Hello => "/hello",
            Self::Connected => "/connected",
            Self::Announce => "/announce",
            Self::Find => "/find",
            Self::Range => "/range",
            Self::Master => "/master",
            Self::MoveMaster => "/movemaster",
        }
    }
}

/// Finds the route of a request at the instance of `own_port`.
///
/// # Errors
/// 400 for a target that is not a plain path, 404 for an unknown one, 421 for another instance's, 405 for another
/// method than the route's.
pub(crate) fn route(method: &Method, target: &str, own_port: u16) -> Result<Route, Refusal> {
    let path = path(target);
    if !path.starts_with('/') {
        return Err(Refusal::bad("the request target must be a path"));
    }
    let empty = path.as_bytes().windows(2).any(|two| two == b"//");
    if empty || path.bytes().any(|byte| byte == b'%') {
        return Err(Refusal::bad("the path must be plain: no empty segment, no percent-encoding"));
    }
    let (name, port) = match path[1..].split_once('/') {
        Some((name, port)) => (name, Some(port)),
        None => (&path[1..], None),
    };
    let route =
        known(name, port.is_some()).ok_or_else(|| Refusal::new(StatusCode::NOT_FOUND, "no such route"))?;
    if let Some(port) = port {
        check_port(port, own_port)?;
    }
    let wanted = if matches!(route, Route::Status | Route::Metrics) { Method::GET } else { Method::POST };
    if *method == wanted {
        return Ok(route);
    }
    Err(Refusal::new(
        StatusCode::METHOD_NOT_ALLOWED,
        if wanted == Method::GET { GET_ONLY } else { POST_ONLY },
    ))
}

/// A target without its query.
pub(crate) fn path(target: &str) -> &str {
    // By bytes: a search for a `char` costs more than all the rest of this file.
    let end = target.bytes().position(|byte| byte == b'?').unwrap_or(target.len());
    &target[..end]
}

/// The reason of a 405 on a route for GET.
pub(crate) const GET_ONLY: &str = "only GET is taken here";
/// The reason of a 405 on a route for POST.
pub(crate) const POST_ONLY: &str = "only POST is taken here";

fn known(name: &str, with_port: bool) -> Option<Route> {
    use FleetRoute::*;
    let level = if with_port { Level::Instance } else { Level::Server };
    Some(match (name, with_port) {
        ("ping", _) => Route::Ping,
        ("getuniversalid", false) => Route::Register,
        ("connect", false) => Route::Connect,
        ("agent", true) => Route::Poll,
        ("client", false) => Route::Locate,
        ("client", true) => Route::Ask,
        ("agentreply", true) => Route::Reply,
        ("hello", _) => Route::Fleet(Hello, level),
        ("connected", _) => Route::Fleet(Connected, level),
        ("announce", _) => Route::Fleet(Announce, level),
        ("find", _) => Route::Fleet(Find, level),
        ("range", _) => Route::Fleet(Range, level),
        ("master", true) => Route::Fleet(Master, level),
        ("movemaster", true) => Route::Fleet(MoveMaster, level),
        ("status", false) => Route::Status,
        ("metrics", false) => Route::Metrics,
        _ => return None,
    })
}

fn check_port(text: &str, own_port: u16) -> Result<(), Refusal> {
    let digits = !text.starts_with('0') && text.len() <= 5 && text.bytes().all(|b| b.is_ascii_digit());
    match text.parse::<u16>() {
        Ok(port) if digits && port == own_port => Ok(()),
        Ok(_) if digits => {
            Err(Refusal::new(StatusCode::MISDIRECTED_REQUEST, "that port is another instance's"))
        }
        _ => Err(Refusal::bad("the path ends in no port")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn status(method: Method, target: &str) -> Result<Route, u16> {
        route(&method, target, 8081).map_err(|refusal| refusal.status.as_u16())
    }

    #[test]
    fn routes() {
        let post = |target| status(Method::POST, target);
        assert_eq!(post("/ping"), Ok(Route::Ping));
        assert_eq!(post("/client"), Ok(Route::Locate));
        assert_eq!(post("/client?a=b"), Ok(Route::Locate));
        assert_eq!(post("/client/8081"), Ok(Route::Ask));
        assert_eq!(post("/find/8081"), Ok(Route::Fleet(FleetRoute::Find, Level::Instance)));
        assert_eq!(status(Method::GET, "/status"), Ok(Route::Status));
        for (target, error) in [
            ("/", 404),
            ("/Ping", 404),
            ("/agent", 404),
            ("/agentreply", 404),
            ("/connect/8081", 404),
            ("/client/8082", 421),
            ("/client/80811", 400),
            ("/client/", 400),
            ("/client/8081/", 400),
            ("/client/08081", 400),
            ("/client/+8081", 400),
            ("//client", 400),
            ("/client//8081", 400),
            ("/%63lient", 400),
            ("/client/8081%0a", 400),
            ("http://elsewhere/ping", 400),
            ("/status", 405),
        ] {
            assert_eq!(post(target), Err(error), "{target}");
        }
        assert_eq!(status(Method::GET, "/ping"), Err(405));
        assert_eq!(status(Method::GET, "/nothing"), Err(404));
        assert_eq!(status(Method::OPTIONS, "*"), Err(400));
    }

    proptest! {
        #[test]
        fn no_target_leads_to_another_port(target in "/(client|agent|find)/[0-9/%.]{0,8}") {
            let taken = route(&Method::POST, &target, 8081);
            let expected = target.ends_with("/8081") && target.matches('/').count() == 2;
            prop_assert_eq!(taken.is_ok(), expected);
        }
    }
}
