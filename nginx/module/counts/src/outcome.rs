//! How one attempt at a backend ended, told from what nginx still knows when it lets go of the connection.

/// What nginx shows at that moment.
#[derive(Debug, Clone, Copy, Default)]
pub struct Seen {
    /// nginx itself calls the attempt failed.
    pub failed: bool,
    /// There is a connection, or the beginning of one.
    pub connection: bool,
    /// The connection was kept from an earlier request.
    pub cached: bool,
    /// The request has begun to be sent; on TLS that is after the handshake.
    pub request_sent: bool,
    /// The read timer ran out.
    pub read_timeout: bool,
    /// The write timer, which is also that of connecting, ran out.
    pub write_timeout: bool,
    /// The status of the answer; 0 without a whole head.
    pub status: u16,
    /// Bytes of the answer that came.
    pub received: u64,
    /// The backend closed while a part of the body was missing.
    pub body_cut: bool,
}

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum End {
    /// A whole answer came, whatever its status.
    Answered = 0,
    /// The caller went away, or its request failed, before an answer began.
    ClientClosed,
    /// A kept connection had been closed meanwhile: no fault of the backend, nginx tries again.
    Stale,
    /// Refused, unreachable, or no TLS.
    ConnectError,
    /// No connection in time.
    ConnectTimeout,
    /// No bytes came in time, of the head or of the body.
    ReadTimeout,
    /// No bytes could be sent in time.
    WriteTimeout,
    /// It closed without a byte of an answer.
    NoAnswer,
    /// What came was no whole head of an answer. What does not even look like HTTP/1 is to nginx a body of HTTP/0.9.
    BadAnswer,
    /// It closed in the middle of the body.
    Cut,
}

impl End {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 10] = [
        Self::Answered,
        Self::ClientClosed,
        Self::Stale,
        Self::ConnectError,
        Self::ConnectTimeout,
        Self::ReadTimeout,
        Self::WriteTimeout,
        Self::NoAnswer,
        Self::BadAnswer,
        Self::Cut,
    ];

    /// The name of its counter.
    pub fn name(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::ClientClosed => "client_closed",
            Self::Stale => "stale",
            Self::ConnectError => "connect_errors",
            Self::ConnectTimeout => "connect_timeouts",
            Self::ReadTimeout => "read_timeouts",
            Self::WriteTimeout => "write_timeouts",
            Self::NoAnswer => "no_answer",
            Self::BadAnswer => "bad_answer",
            Self::Cut => "cut",
        }
    }

    /// What a person is told of it as the reason of a failure; `status` is the answer's, if any.
    pub fn why(self, status: u16) -> String {
        let text = match self {
            Self::Answered => return format!("answered {status}"),
            Self::ClientClosed => "the caller went away",
            Self::Stale => "the kept connection was closed",
            Self::ConnectError => "the connection was refused or failed",
            Self::ConnectTimeout => "no connection in time",
            Self::ReadTimeout => "nothing came in time",
            Self::WriteTimeout => "nothing could be sent in time",
            Self::NoAnswer => "closed without an answer",
            Self::BadAnswer => "the head of its answer was broken",
            Self::Cut => "closed in the middle of the body",
        };
        text.to_owned()
    }

    /// How the attempt that looks like `seen` ended.
    pub fn of(seen: &Seen) -> Self {
        if !seen.connection {
            // nginx could not even begin, or had it refused at once.
            return Self::ConnectError;
        }
        if seen.status > 0 {
            return match () {
                () if seen.read_timeout => Self::ReadTimeout,
                () if seen.write_timeout => Self::WriteTimeout,
                () if seen.body_cut => Self::Cut,
                () => Self::Answered,
            };
        }
        match () {
            () if seen.read_timeout => Self::ReadTimeout,
            () if seen.write_timeout && seen.request_sent => Self::WriteTimeout,
            () if seen.write_timeout => Self::ConnectTimeout,
            () if !seen.failed => Self::ClientClosed,
            () if seen.received > 0 => Self::BadAnswer,
            () if seen.cached => Self::Stale,
            () if seen.request_sent => Self::NoAnswer,
            () => Self::ConnectError,
        }
    }
}

/// One attempt, ready to be counted. Times in ms; `None` if that stage was not reached, or is not to be noted.
#[derive(Debug, Clone, Copy)]
pub struct Outcome {
    /// How it ended.
    pub end: End,
    /// The status of the answer, 0 for none.
    pub status: u16,
    /// Until connected; `None` also on a kept connection.
    pub connect_ms: Option<u64>,
    /// Until the head of the answer was there.
    pub header_ms: Option<u64>,
    /// Until the end of it.
    pub response_ms: Option<u64>,
    /// Bytes sent to the backend.
    pub sent: u64,
    /// Bytes received from it.
    pub received: u64,
    /// When it ended, ms of Unix time.
    pub at_ms: u64,
}

impl Outcome {
    /// Whether it counts against the backend.
    pub fn failed(&self) -> bool {
        match self.end {
            End::Answered => matches!(self.status, 500 | 502 | 503 | 504),
            End::ClientClosed | End::Stale => false,
            _ => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SENT: Seen = Seen {
        failed: true,
        connection: true,
        cached: false,
        request_sent: true,
        read_timeout: false,
        write_timeout: false,
        status: 0,
        received: 0,
        body_cut: false,
    };

    #[test]
    fn every_end_is_told_from_what_nginx_shows() {
        let cases = [
            (Seen { status: 200, failed: false, ..SENT }, End::Answered),
            (Seen { status: 502, ..SENT }, End::Answered),
            (Seen { status: 200, body_cut: true, ..SENT }, End::Cut),
            (Seen { status: 200, read_timeout: true, body_cut: true, ..SENT }, End::ReadTimeout),
            (Seen { connection: false, ..SENT }, End::ConnectError),
            (Seen { request_sent: false, ..SENT }, End::ConnectError),
            (Seen { request_sent: false, write_timeout: true, ..SENT }, End::ConnectTimeout),
            (Seen { write_timeout: true, ..SENT }, End::WriteTimeout),
            (Seen { read_timeout: true, ..SENT }, End::ReadTimeout),
            (SENT, End::NoAnswer),
            (Seen { received: 9, ..SENT }, End::BadAnswer),
            (Seen { cached: true, ..SENT }, End::Stale),
            (Seen { cached: true, request_sent: false, ..SENT }, End::Stale),
            (Seen { failed: false, ..SENT }, End::ClientClosed),
        ];
        for (seen, end) in cases {
            assert_eq!(End::of(&seen), end, "{seen:?}");
        }
    }

    #[test]
    fn numbers_and_order_agree() {
        for (at, end) in End::ALL.iter().enumerate() {
            assert_eq!(*end as usize, at);
        }
    }
}
