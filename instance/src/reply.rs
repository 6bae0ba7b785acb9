//! A transaction, the agents' side: `/agentreply/PORT`.

use std::{future::poll_fn, rc::Rc};

use bytes::BytesMut;
use http::StatusCode;
use switchboard_fleet::CustomerId;

use crate::{
    caller::number,
    hub::{Answer, Hub},
    refusal::Refusal,
    running::Asked,
    service::Said,
    transact::check_length,
    transactions::{NotTaken, RequestId},
    wire::{
        answer,
        carry::{Intake, Outlet, Passage, poll_carry},
        field::{self, Fields, pass_on},
        head::Head,
        line::Line,
        name::{FROM_WHERE, Name, Names},
    },
};

/// Carries an agent's reply to the app that waits for it; answers when the app has been sent all of it.
///
/// # Errors
/// 400, 413: the reply's own fault. 500: not this customer's transaction. 501: replied to before. 502: no app waits,
/// or it broke off.
pub(crate) async fn reply(
    hub: Rc<Hub>,
    line: Rc<Line>,
    id: CustomerId,
    head: Box<Head>,
) -> Result<Said, Refusal> {
    let request = head.field(Name::RequestId).ok_or_else(|| Refusal::bad("X-IWP-RequestId is missing"))?;
    let request = RequestId::parse(request).ok_or_else(no_app)?;
    let status = status(number(&*head, Name::ResponseCode));
    let length = check_length(&head.body, hub.config.limits.body_bytes);
    let app = hub.transactions.borrow_mut().reply(request, id).map_err(not_taken)?;
    let status = match status.and_then(|status| length.map(|()| status)) {
        Ok(status) => status,
        Err(refusal) => {
            let reason = format!("the agent's reply was refused: {}", refusal.reason);
            app.refuse(&hub, Refusal::new(StatusCode::BAD_GATEWAY, reason));
            return Err(refusal);
        }
    };
    let asked = app.asked().await.ok_or_else(no_app)?;
    hub.begin(&asked.app, |to| write_reply(&head, status, request, asked.app.line(), to));
    match carry(&hub, line, &head, status, asked).await {
        Passage::Whole => Ok(Said::Now(Answer::default())),
        Passage::Unread | Passage::ReaderLeft => {
            Err(Refusal::new(StatusCode::BAD_GATEWAY, "the app broke off").closing())
        }
        why => Err(why.refusal()),
    }
}

fn write_reply(head: &Head, status: StatusCode, request: RequestId, app: &Line, to: &mut BytesMut) {
    // The front has put the desktop's address there; that is no app's business.
    let own = FROM_WHERE.and(Names::of(&[Name::RequestId]));
    answer::status_line(status, to);
    pass_on(head, own, to);
    // By this the app knows that the agent speaks, and not an instance.
    field::write(to, Name::RequestId, &request.digits());
    if bears_body(status) {
        answer::length(&head.body, to);
    } else if answer::has_body(status) {
        field::write_number(to, Name::ContentLength, 0);
    }
    if !head.has(Name::Date) {
        answer::date(app, to);
    }
}

/// Whether the app gets the reply's body (RFC 9110 §15.3.5, §15.3.6, §15.4.5).
fn bears_body(status: StatusCode) -> bool {
    answer::has_body(status) && status != StatusCode::RESET_CONTENT
}

async fn carry(hub: &Rc<Hub>, line: Rc<Line>, head: &Head, status: StatusCode, asked: Asked) -> Passage {
    let Asked { app, running } = asked;
    let mut body = Intake::new(line, hub.config.limits.body_bytes);
    let outlet = Outlet::new(app, head.body.left().is_none(), hub.counters.bytes.clone());
    let passage = if bears_body(status) {
        poll_fn(|cx| poll_carry(cx, &mut body, &outlet)).await
    } else {
        poll_fn(|cx| outlet.poll_flush(cx)).await.err().unwrap_or(Passage::Whole)
    };
    if passage == Passage::Whole {
        Asked { app: outlet.speaker, running }.complete();
    }
    passage
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
