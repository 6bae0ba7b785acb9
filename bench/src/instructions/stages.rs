//! Which function belongs to which stage of a request's way: to be edited as the code changes.

/// A stage and the patterns by which its functions are known.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stage {
    /// As it is shown.
    pub(crate) name: &'static str,
    /// Pieces of a name. One with a `/` is looked for in the path of the source file, and so finds what was inlined elsewhere as
    /// well; any other in the function's own name.
    pub(super) patterns: &'static [&'static str],
}

/// The stages, as a request meets them. A function belongs to the first that knows it; one that none knows, such as `memcpy`, to
/// whichever calls it.
pub(crate) const STAGES: &[Stage] = &[
    // valgrind's processor has no instructions for it, as most others have: here it is more than it is.
    Stage {
        name: "SHA-256 of tokens, without the processor's help",
        patterns: &["sha2::", "/sha2-", "hmac::", "/hmac-", "fleet::key", "/fleet/src/key"],
    },
    Stage {
        name: "framing looked at",
        patterns: &[
            "instance::framing",
            "/instance/src/framing",
            "instance::guarded",
            "/instance/src/guarded",
        ],
    },
    Stage {
        name: "routes and callers",
        patterns: &[
            "instance::service",
            "/instance/src/service",
            "instance::route",
            "/instance/src/route",
            "instance::caller",
            "/instance/src/caller",
        ],
    },
    Stage {
        name: "agents, exchange",
        patterns: &[
            "instance::agents",
            "/instance/src/agents",
            "instance::meeting",
            "/instance/src/meeting",
            "instance::exchange",
            "/instance/src/exchange",
        ],
    },
    Stage {
        name: "transactions, replies",
        patterns: &["instance::transact", "/instance/src/transact", "instance::reply", "/instance/src/reply"],
    },
    Stage {
        name: "bodies",
        patterns: &[
            "instance::relay",
            "/instance/src/relay",
            "instance::spool",
            "/instance/src/spool",
            "instance::body",
            "/instance/src/body",
        ],
    },
    Stage {
        name: "directory, the rest of the fleet",
        patterns: &[
            "instance::directory",
            "/instance/src/directory",
            "instance::outbox",
            "/instance/src/outbox",
            "instance::peers",
            "/instance/src/peers",
        ],
    },
    Stage {
        name: "other of the instance's",
        patterns: &["switchboard_instance::", "/instance/src/", "switchboard_fleet::", "/fleet/src/"],
    },
    Stage {
        name: "heads read",
        patterns: &["httparse::", "/httparse-", "Http1Transaction>::parse", "/proto/h1/decode"],
    },
    Stage { name: "heads written", patterns: &["Http1Transaction>::encode", "/proto/h1/encode"] },
    Stage { name: "the HTTP library's connections", patterns: &["hyper::", "/hyper-"] },
    Stage { name: "tasks, timers, sockets", patterns: &["tokio::", "/tokio-"] },
];

/// The stage of a function, or of what comes from a source file, by its place in `stages`.
pub(crate) fn of(stages: &[Stage], function: Option<&str>, file: &str) -> Option<usize> {
    stages.iter().position(|stage| {
        stage.patterns.iter().any(|pattern| match pattern.contains('/') {
            true => file.contains(pattern),
            false => function.is_some_and(|name| name.contains(pattern)),
        })
    })
}
