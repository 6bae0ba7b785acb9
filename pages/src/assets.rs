//! What pages fetch besides: embedded in the program.

/// A file that pages fetch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asset {
    /// Its path: `/style.css`.
    pub path: &'static str,
    /// Its `Content-Type`.
    pub content_type: &'static str,
    /// Its content.
    pub body: &'static str,
    /// Another one for another content; pages ask for `PATH?v=TAG`, so that it may be kept for ever.
    pub tag: u32,
}

pub(crate) const STYLE: Asset =
    asset("/style.css", "text/css; charset=utf-8", include_str!("../assets/style.css"));
pub(crate) const SCRIPT: Asset =
    asset("/script.js", "text/javascript; charset=utf-8", include_str!("../assets/script.js"));
pub(crate) const ICON: Asset = asset("/favicon.svg", "image/svg+xml", include_str!("../assets/favicon.svg"));

impl Asset {
    /// All there are.
    pub const ALL: [Self; 3] = [STYLE, SCRIPT, ICON];

    /// How pages ask for it.
    pub fn address(self) -> String {
        format!("{}?v={:08x}", self.path, self.tag)
    }
}

const fn asset(path: &'static str, content_type: &'static str, body: &'static str) -> Asset {
    Asset { path, content_type, body, tag: sum(body.as_bytes()) }
}

/// FNV-1a: two versions of a file hardly ever share it.
const fn sum(bytes: &[u8]) -> u32 {
    let (mut sum, mut at) = (0x811c_9dc5_u32, 0);
    while at < bytes.len() {
        sum = (sum ^ bytes[at] as u32).wrapping_mul(0x0100_0193);
        at += 1;
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_a_tag_of_its_own() {
        assert_eq!(sum(b"a"), 0xe40c_292c);
        let tags: std::collections::BTreeSet<u32> = Asset::ALL.iter().map(|asset| asset.tag).collect();
        assert_eq!(tags.len(), Asset::ALL.len());
    }
}
