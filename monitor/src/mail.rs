//! Letters leave, and what becomes of them is told.

use std::sync::Arc;

use switchboard_alert::post::{Outcome, PostError, Postman};

use crate::desk::Desk;

/// Takes letters to the mail server for ever.
pub(crate) async fn forever(desk: Arc<Desk>, postman: Postman) {
    let wake = desk.letters.clone();
    postman.run(wake, |outcome| tell(&desk, outcome)).await;
}

fn tell(desk: &Desk, outcome: Result<Outcome, PostError>) {
    let fault = match outcome {
        Ok(Outcome::Sent { name, refused }) => {
            tracing::info!(letter = name, "letter sent");
            for (reader, why) in refused {
                tracing::warn!(letter = name, reader, why, "the mail server refuses a reader");
            }
            None
        }
        Ok(Outcome::Waits { name, why }) => {
            tracing::warn!(letter = name, why, "letter waits");
            Some(why)
        }
        Ok(Outcome::Away { why }) => {
            // Each try fails for the same reason: it is told when it changes.
            if desk.mail_fault().as_ref() != Some(&why) {
                tracing::warn!(why, "the mail server is away: letters wait");
            }
            Some(why)
        }
        Ok(Outcome::GivenUp { name, why, kept }) => {
            tracing::error!(letter = name, why, kept = %kept.display(), "nobody took the letter");
            Some(why)
        }
        Ok(Outcome::Damaged { kept }) => {
            tracing::error!(kept = %kept.display(), "a file in the outbox is no letter");
            None
        }
        Err(error) => {
            tracing::error!(%error, "the outbox");
            Some(error.to_string())
        }
    };
    desk.set_mail_fault(fault);
    desk.changed();
}
