//! Who calls: an app, or any caller of one route.

use std::net::SocketAddr;

use anyhow::bail;

use super::Wire;

/// What the answer to a call must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expect {
    /// The body that was sent, of so many bytes, 8 or more.
    Echo(usize),
    /// Nothing but status 200; no body is sent.
    Done,
    /// So many bytes, whichever they are; so many are sent.
    Bytes { sent: usize, answered: usize },
    /// A new customer's ID; no body is sent.
    Customer,
}

/// One connection that calls again and again.
pub(crate) struct Caller {
    address: SocketAddr,
    wire: Wire,
    head: String,
    body: Vec<u8>,
    answer: Vec<u8>,
    expect: Expect,
    calls: u64,
}

impl Caller {
    /// Connects. `head` is the request line and headers, each line ended, without a length and the empty line.
    pub(crate) async fn open(address: SocketAddr, head: &str, expect: Expect) -> anyhow::Result<Self> {
        let mut body = match expect {
            Expect::Echo(sent) | Expect::Bytes { sent, .. } => vec![0; sent],
            Expect::Done | Expect::Customer => Vec::new(),
        };
        rand::fill(&mut body[..]);
        let wire = Wire::open(address).await?;
        let mut caller =
            Self { address, wire, head: String::new(), body, answer: Vec::new(), expect, calls: 0 };
        caller.set_head(head);
        Ok(caller)
    }

    /// Calls with another head from now on; see [`Caller::open`].
    pub(crate) fn set_head(&mut self, head: &str) {
        self.head = format!("{head}Host: bench\r\nContent-Length: {}\r\n\r\n", self.body.len());
    }

    /// Goes on over a new connection, after a call that failed.
    pub(crate) async fn reopen(&mut self) -> anyhow::Result<()> {
        self.wire = Wire::open(self.address).await?;
        Ok(())
    }

    /// Calls once and checks the answer, to the last byte.
    ///
    /// # Errors
    /// The connection failed, or the answer is not what it must be.
    pub(crate) async fn call(&mut self) -> anyhow::Result<()> {
        self.calls += 1;
        // No two calls send the same, so that an answer to another call is found out.
        if let Some(mark) = self.body.first_chunk_mut() {
            *mark = self.calls.to_le_bytes();
        }
        self.wire.send(self.head.as_bytes(), &self.body).await?;
        let head = self.wire.answer().await?;
        self.wire.body(head.length, &mut self.answer).await?;
        if head.closes {
            self.reopen().await?;
        }
        if head.status != 200 {
            bail!("status {} to call {}", head.status, self.calls);
        }
        match self.expect {
            Expect::Echo(_) if head.nobody => bail!("no agent was found by call {}", self.calls),
            Expect::Echo(_) if self.answer != self.body => {
                bail!("a wrong body of {} bytes to call {}", self.answer.len(), self.calls)
            }
            Expect::Bytes { answered, .. } if self.answer.len() != answered => {
                bail!("a body of {} bytes and not {answered} to call {}", self.answer.len(), self.calls)
            }
            Expect::Customer if !head.has_customer => {
                bail!("no customer ID in the answer to call {}", self.calls)
            }
            _ => Ok(()),
        }
    }
}
