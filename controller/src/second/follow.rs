//! The second front's side: it asks the first every second, and goes on without it if it does not answer.

use std::{io, net::SocketAddr, time::Duration};

use bytes::Bytes;
use http::{Request, StatusCode, header::HOST};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1::handshake;
use hyper_util::rt::TokioIo;
use switchboard_fleet::{KeyRing, header};
use tokio::{
    net::TcpStream,
    sync::{mpsc, oneshot},
    time::{sleep, timeout},
};

use super::{
    Ask,
    talk::{Answer, BODY_MAX, Envelope, Nonce, PATH, Question, Side},
};

/// How often the first is asked.
const EVERY: Duration = Duration::from_secs(1);
/// Not so often if it does not answer: each pause is twice as long as the one before, up to this.
const PAUSE_MAX: Duration = Duration::from_secs(10);
/// At once, when there is news to tell it.
const SOON: Duration = Duration::from_millis(50);
/// It must answer within this.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// The way to the first front.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) address: SocketAddr,
    envelope: Envelope,
}

impl Line {
    pub(crate) fn new(address: SocketAddr, keys: &KeyRing) -> Self {
        Self { address, envelope: Envelope::new(keys) }
    }

    /// Asks once.
    ///
    /// # Errors
    /// Why there is no answer, in words.
    pub(crate) async fn ask(&self, question: &Question) -> Result<Answer, String> {
        let nonce = Nonce::new();
        let sealed = self.envelope.seal(Side::Asker, &nonce, question);
        let sealed = sealed.ok_or("there are too many switches to tell them all")?;
        let answer = timeout(ANSWER_WITHIN, self.post(&nonce, sealed)).await;
        let (status, body) = answer.map_err(|_| "it does not answer in time".to_owned())??;
        if status != StatusCode::OK {
            return Err(format!("it answers {}: is key_file the same on both machines?", status.as_u16()));
        }
        let answer = self.envelope.open(Side::Answerer, &nonce, &body);
        answer.ok_or_else(|| "its answer is not of this fleet, or of another version".to_owned())
    }

    async fn post(&self, nonce: &Nonce, sealed: Vec<u8>) -> Result<(StatusCode, Bytes), String> {
        let away = |error: io::Error| format!("it cannot be reached ({error})");
        let broken = |error: hyper::Error| format!("the connection to it broke off ({error})");
        let stream = TcpStream::connect(self.address).await.map_err(away)?;
        let (mut sender, connection) = handshake(TokioIo::new(stream)).await.map_err(broken)?;
        let request = Request::post(PATH).header(HOST, self.address.to_string());
        let request = request.header(header::NONCE, nonce.value()).body(Full::<Bytes>::from(sealed));
        let request = request.map_err(|error| error.to_string())?;
        let answer = async {
            let answer = sender.send_request(request).await.map_err(broken)?;
            let status = answer.status();
            let body = Limited::new(answer.into_body(), BODY_MAX).collect().await;
            Ok((status, body.map_err(|error| format!("its answer broke off ({error})"))?.to_bytes()))
        };
        tokio::pin!(answer, connection);
        // The connection's end may be seen before the answer, though that is whole.
        tokio::select! {
            answer = &mut answer => answer,
            _ = &mut connection => answer.await,
        }
    }
}

/// Asks for ever. The controller says what to ask, and takes what is answered.
pub(crate) async fn run(line: Line, asks: mpsc::Sender<Ask>) {
    let mut pause = EVERY;
    loop {
        let (reply, question) = oneshot::channel();
        if asks.send(Ask::Next(reply)).await.is_err() {
            return;
        }
        let Ok(question) = question.await else { return };
        let answer = line.ask(&question).await;
        let is_well = answer.is_ok();
        let (reply, taken) = oneshot::channel();
        if asks.send(Ask::Answered(answer.map(Box::new), reply)).await.is_err() {
            return;
        }
        let Ok(is_news) = taken.await else { return };
        pause = if is_well { EVERY } else { (pause * 2).min(PAUSE_MAX) };
        sleep(if is_news { SOON } else { pause }).await;
    }
}
