//! A transaction, the agents' side: `/agentreply/PORT`.

use std::{rc::Rc, time::Instant};

use http::StatusCode;
use hyper::{Request, Response, body::Incoming};
use switchboard_fleet::{CustomerId, header};
use tokio::sync::oneshot;

use crate::{
    agents::remove_instance_voice,
    body::{AnswerBody, Content},
    caller::{number, text},
    counters::count,
    hub::{Answer, Hub},
    refusal::Refusal,
    relay::{Passage, Relay},
    transact::{Reply, check_length, too_long},
    transactions::{NotTaken, RequestId},
};

/// Carries an agent's reply to the app that waits for it; answers when the app has all of it.
///
/// # Errors
/// 400, 413: the reply's own fault. 500: not this customer's transaction. 501: replied to before. 502: no app waits,
/// or it broke off.
pub(crate) async fn reply(
    hub: Rc<Hub>,
    id: CustomerId,
    request: Request<Incoming>,
) -> Result<Answer, Refusal> {
    let (parts, body) = request.into_parts();
    let mut headers = parts.headers;
    let request =
        text(&headers, header::REQUEST_ID).ok_or_else(|| Refusal::bad("X-IWP-RequestId is missing"))?;
    let request = RequestId::parse(request).ok_or_else(no_app)?;
    let status = status(number(&headers, &header::RESPONSE_CODE));
    let length = check_length(&body, hub.config.limits.body_bytes);
    let app = hub.transactions.borrow_mut().reply(request, id).map_err(not_taken)?;
    let status = match status.and_then(|status| length.map(|()| status)) {
        Ok(status) => status,
        Err(refusal) => {
            let reason = format!("the agent's reply was refused: {}", refusal.reason);
            // The app may be gone; the agent is told all the same.
            let _ = app.send(Err(Refusal::new(StatusCode::BAD_GATEWAY, reason)));
            return Err(refusal);
        }
    };
    header::keep_end_to_end(&mut headers);
    remove_instance_voice(&mut headers);
    // The front has put the desktop's address there; that is no app's business.
    headers.remove(header::REAL_IP);
    headers.remove(header::FORWARDED_FOR);
    let (taken, app_took) = oneshot::channel();
    let mut ending = Ending { hub: hub.clone(), app_took, completed: false };
    if matches!(status.as_u16(), 204 | 205 | 304) {
        // Such an answer has no body (RFC 9110 §6.4.1): the app has all of it with the head.
        app.send(Ok(Reply { status, headers, body: Content::Empty, taken })).map_err(|_| no_app())?;
        ending.await_app().await?;
        return Ok(Response::new(AnswerBody::empty()));
    }
    let (relay, passage) = Relay::new(body, hub.config.limits.body_bytes, hub.counters.bytes.clone());
    app.send(Ok(Reply { status, headers, body: Content::Relay(relay), taken })).map_err(|_| no_app())?;
    match passage.await {
        Ok(Passage::Whole) => {
            ending.complete();
            Ok(Response::new(AnswerBody::empty()))
        }
        Ok(Passage::TooLong) => Err(too_long()),
        Ok(Passage::SenderLeft) => Err(Refusal::bad("the body broke off, or is malformed").closing()),
        Ok(Passage::Unread(_) | Passage::ReaderLeft) | Err(_) => {
            Err(Refusal::new(StatusCode::BAD_GATEWAY, "the app broke off").closing())
        }
    }
}

/// The status that the app is to see: 200 if the agent names none.
fn status(code: Result<Option<u64>, Refusal>) -> Result<StatusCode, Refusal> {
    let wrong = || Refusal::bad("X-iwp-responsecode is no number from 200 to 599");
    let code = u16::try_from(code.map_err(|_| wrong())?.unwrap_or(200)).map_err(|_| wrong())?;
    StatusCode::from_u16(code).ok().filter(|_| (200..=599).contains(&code)).ok_or_else(wrong)
}

fn not_taken(why: NotTaken) -> Refusal {
    match why {
        NotTaken::WrongCustomer => {
            Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "the transaction is another customer's").closing()
        }
        NotTaken::Second => {
            Refusal::new(StatusCode::NOT_IMPLEMENTED, "the transaction has been replied to").closing()
        }
        NotTaken::NoApp => no_app(),
    }
}

fn no_app() -> Refusal {
    Refusal::new(StatusCode::BAD_GATEWAY, "no app waits for this reply").closing()
}

/// Counts the end of a transaction that got its reply, on drop: also when the agent goes in the middle.
struct Ending {
    hub: Rc<Hub>,
    /// Says when the transaction began, once the app has taken the reply; if it has not, the app's side counts.
    app_took: oneshot::Receiver<Instant>,
    completed: bool,
}

impl Ending {
    fn complete(mut self) {
        self.completed = true;
    }

    /// Waits until the app has taken a reply that is complete with its head.
    async fn await_app(&mut self) -> Result<(), Refusal> {
        let began = (&mut self.app_took).await.map_err(|_| no_app())?;
        count(&self.hub.counters.completed);
        self.hub.periods.finished(true, began.elapsed());
        Ok(())
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        let Ok(began) = self.app_took.try_recv() else { return };
        let counters = &self.hub.counters;
        count(if self.completed { &counters.completed } else { &counters.failed });
        self.hub.periods.finished(self.completed, began.elapsed());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_from_200_to_599() {
        assert_eq!(status(Ok(None)).unwrap(), 200);
        assert_eq!(status(Ok(Some(200))).unwrap(), 200);
        assert_eq!(status(Ok(Some(599))).unwrap(), 599);
        for code in [Ok(Some(199)), Ok(Some(600)), Ok(Some(1 << 40)), Err(Refusal::bad(""))] {
            assert_eq!(status(code).unwrap_err().status, 400);
        }
    }
}
