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

/// The stages, as a request meets them. A function belongs to the first that knows it; one that none knows, such as a map's, to
/// whichever calls it. Files tell more than names here: what a generic function of a library does is in its file, whoever uses it.
pub(crate) const STAGES: &[Stage] = &[
    Stage {
        name: "tasks, timers, sockets: tokio, mio",
        patterns: &["/tokio-1", "/mio-", "/socket2-", "tokio::", "mio::"],
    },
    Stage {
        name: "connections: their lines, and since when each waits",
        patterns: &[
            "/instance/src/server",
            "/instance/src/connection",
            "/instance/src/wire/line",
            "/instance/src/wire/traffic",
            "/instance/src/wire/standing",
            "/instance/src/wire/watch",
            "/instance/src/wire/socket",
        ],
    },
    Stage {
        name: "heads read, and what of them travels on",
        patterns: &[
            "/httparse-",
            "/instance/src/wire/head",
            "/instance/src/wire/field",
            "/instance/src/wire/name",
            "httparse::",
        ],
    },
    Stage {
        name: "routes and callers",
        patterns: &["/instance/src/service", "/instance/src/route", "/instance/src/caller"],
    },
    // valgrind's processor has no instructions for it, as most others have: here it is more than it is.
    Stage {
        name: "SHA-256 of tokens, without the processor's help",
        patterns: &["/sha2-", "/hmac-", "/fleet/src/key", "sha2::", "hmac::"],
    },
    Stage {
        name: "who waits for whom: agents, exchange",
        patterns: &["/instance/src/agents", "/instance/src/meeting", "/instance/src/exchange"],
    },
    Stage {
        name: "transactions, replies",
        patterns: &["/instance/src/transact", "/instance/src/running", "/instance/src/reply"],
    },
    Stage {
        name: "bodies carried",
        patterns: &[
            "/instance/src/wire/carry",
            "/instance/src/wire/body",
            "/instance/src/wire/pipe",
            "/instance/src/wire/turns",
            "/instance/src/spool",
        ],
    },
    Stage { name: "heads written", patterns: &["/instance/src/wire/answer", "/instance/src/wire/speaker"] },
    Stage {
        name: "directory, the rest of the fleet",
        patterns: &[
            "/instance/src/directory",
            "/instance/src/outbox",
            "/instance/src/announcement",
            "/instance/src/peers",
            "/instance/src/between",
        ],
    },
    // With glibc's debug information by file; without, by the functions that it shows.
    Stage {
        name: "memory: taken, given back, copied",
        patterns: &[
            "/malloc/",
            "/multiarch/memmove",
            "/multiarch/memset",
            "malloc",
            "memcpy",
            "memmove",
            "memset",
        ],
    },
    Stage {
        name: "other of the instance's",
        patterns: &["/instance/src/", "/fleet/src/", "switchboard_instance::", "switchboard_fleet::"],
    },
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
