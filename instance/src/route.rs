//! Which route a request is for. Pure.

use http::Method;
use switchboard_fleet::number;

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
pub(crate) fn route(method: &Method, target: &[u8], own_port: u16) -> Result<Route, Refusal> {
    let (name, port) = segments(path(target))?;
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

/// The one or two segments of a path.
fn segments(path: &[u8]) -> Result<(&[u8], Option<&[u8]>), Refusal> {
    let Some(segments) = path.strip_prefix(b"/") else {
        return Err(Refusal::bad("the request target must be a path"));
    };
    let (mut border, mut past) = (None, b'/');
    for (place, &byte) in segments.iter().enumerate() {
        if byte == b'%' || (byte, past) == (b'/', b'/') {
            return Err(Refusal::bad("the path must be plain: no empty segment, no percent-encoding"));
        }
        if byte == b'/' && border.is_none() {
            border = Some(place);
        }
        past = byte;
    }
    Ok(match border {
        Some(place) => (&segments[..place], Some(&segments[place + 1..])),
        None => (segments, None),
    })
}

/// A target without its query.
pub(crate) fn path(target: &[u8]) -> &[u8] {
    target.split(|byte| *byte == b'?').next().unwrap_or_default()
}

/// The reason of a 405 on a route for GET.
pub(crate) const GET_ONLY: &str = "only GET is taken here";
/// The reason of a 405 on a route for POST.
pub(crate) const POST_ONLY: &str = "only POST is taken here";

fn known(name: &[u8], with_port: bool) -> Option<Route> {
    use FleetRoute::*;
    let level = if with_port { Level::Instance } else { Level::Server };
    Some(match (name, with_port) {
        (b"ping", _) => Route::Ping,
        (b"getuniversalid", false) => Route::Register,
        (b"connect", false) => Route::Connect,
        (b"agent", true) => Route::Poll,
        (b"client", false) => Route::Locate,
        (b"client", true) => Route::Ask,
        (b"agentreply", true) => Route::Reply,
        (b"hello", _) => Route::Fleet(Hello, level),
        (b"connected", _) => Route::Fleet(Connected, level),
        (b"announce", _) => Route::Fleet(Announce, level),
        (b"find", _) => Route::Fleet(Find, level),
        (b"range", _) => Route::Fleet(Range, level),
        (b"master", true) => Route::Fleet(Master, level),
        (b"movemaster", true) => Route::Fleet(MoveMaster, level),
        (b"status", false) => Route::Status,
        (b"metrics", false) => Route::Metrics,
        _ => return None,
    })
}

fn check_port(text: &[u8], own_port: u16) -> Result<(), Refusal> {
    let plain = text.len() <= 5 && !text.starts_with(b"0");
    let port = number(text).filter(|_| plain);
    match port.and_then(|port| u16::try_from(port).ok()) {
        Some(port) if port == own_port => Ok(()),
        Some(_) => Err(Refusal::new(StatusCode::MISDIRECTED_REQUEST, "that port is another instance's")),
        None => Err(Refusal::bad("the path ends in no port")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn status(method: Method, target: &str) -> Result<Route, u16> {
        route(&method, target.as_bytes(), 8081).map_err(|refusal| refusal.status.as_u16())
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
            let taken = route(&Method::POST, target.as_bytes(), 8081);
            let expected = target.ends_with("/8081") && target.matches('/').count() == 2;
            prop_assert_eq!(taken.is_ok(), expected);
        }
    }
}
