//! Requests that come back: the front names itself in `Via`, and refuses what names it already (RFC 9110, 7.6.3).

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};
use switchboard_fleet::config::Config;

/// The refusal: its name, status and reason.
pub(super) const REFUSAL: (&str, u16, &str) =
    ("loop", 508, "this request came through here before: a forwarding loop");

/// Bytes of the pseudonym that are taken of the name's digest.
const PSEUDONYM_BYTES: usize = 8;

/// What this front is called in `Via`. A name may hold what has no place there, and need not be known to everyone.
fn pseudonym(config: &Config) -> String {
    let digest = Sha256::digest(config.server.as_str());
    format!("switchboard-{}", HEXLOWER.encode(&digest[..PSEUDONYM_BYTES]))
}

/// `$is_loop`, empty or the refusal's name, and `$via`, what is passed on.
pub(super) fn map(config: &Config) -> String {
    let own = pseudonym(config);
    format!(
        "    map $http_via $is_loop {{
        default \"\";
        \"~(?:^|[ ,]){own}(?:[ ,(]|\\z)\" {};
    }}
    map $http_via $via {{
        default \"$http_via, 1.1 {own}\";
        \"\" \"1.1 {own}\";
    }}
",
        REFUSAL.0
    )
}
