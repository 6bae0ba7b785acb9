//! One letter over one connection, word by word, so that each answer can be told apart.

use std::{error::Error as _, future::Future, time::Duration};

use lettre::{
    Address,
    transport::smtp::{
        Error,
        client::AsyncSmtpConnection,
        commands::{Data, Mail, Rcpt, Rset},
        extension::{Extension, MailBodyParameter, MailParameter},
        response::Response,
    },
};
use tokio::time::timeout;

use super::entry::{Entry, Fate};
use crate::letter::line;

/// The time for an answer to one command.
pub(super) const WAIT: Duration = Duration::from_secs(60);
/// The time for the content and its answer: a server may look at it for long.
const WAIT_CONTENT: Duration = Duration::from_secs(300);
/// Answers to a whole letter that speak of this program's login, not of the letter: an admin can put them right.
const ABOUT_LOGIN: [u16; 4] = [530, 534, 535, 538];

/// How a try went on.
pub(super) enum Course {
    /// The readers' fates say it; why some still wait, if they do. The connection is good for more.
    Answered(Option<String>),
    /// The connection is gone. Nothing was accepted.
    Lost(String),
    /// The connection is gone after the content was begun: it may have been accepted.
    Unknown(String),
}

/// An answer that is not the one hoped for.
enum Failure {
    Later(String),
    Refused(String),
    Lost(String),
}

/// Offers the letter to those readers that wait; their fates are changed. `about_to_send` is called before the content.
pub(super) async fn offer<F>(
    connection: &mut AsyncSmtpConnection,
    entry: &mut Entry,
    about_to_send: impl FnOnce(Entry) -> F,
) -> Course
where
    F: Future<Output = Result<(), String>>,
{
    let message = entry.on_the_wire();
    let waiting = |entry: &Entry| -> Vec<usize> {
        let readers = entry.state.readers.iter().enumerate();
        readers.filter(|(_, reader)| reader.fate == Fate::Waiting).map(|(index, _)| index).collect()
    };
    let Ok(from) = entry.state.from.parse::<Address>() else {
        return settle(entry, &waiting(entry), Failure::Refused("the sender is no address".into()));
    };
    if let Err(failure) = say(connection, Mail::new(Some(from), parameters(connection, &message))).await {
        let readers = waiting(entry);
        return close(connection, settle(entry, &readers, failure)).await;
    }
    let mut accepted = Vec::new();
    let mut later = None;
    for index in waiting(entry) {
        let reader = &mut entry.state.readers[index];
        let Ok(address) = reader.address.parse::<Address>() else {
            reader.fate = Fate::Refused("no address".into());
            continue;
        };
        match say(connection, Rcpt::new(address, Vec::new())).await {
            Ok(_) => accepted.push(index),
            Err(Failure::Later(why)) => later = Some(format!("{}: {why}", reader.address)),
            Err(Failure::Refused(why)) => reader.fate = Fate::Refused(why),
            Err(Failure::Lost(why)) => return Course::Lost(why),
        }
    }
    if accepted.is_empty() {
        return close(connection, Course::Answered(later)).await;
    }
    let before = entry.state.sending;
    entry.state.sending = true;
    if let Err(why) = about_to_send(entry.clone()).await {
        entry.state.sending = before;
        return close(connection, Course::Answered(Some(why))).await;
    }
    if let Err(failure) = say(connection, Data).await {
        entry.state.sending = before;
        return close(connection, settle(entry, &accepted, failure)).await;
    }
    match content(connection, &message).await {
        Ok(_) => {
            entry.state.sending = false;
            accepted.iter().for_each(|index| entry.state.readers[*index].fate = Fate::Sent);
            Course::Answered(later)
        }
        Err(Failure::Lost(why)) => Course::Unknown(why),
        Err(failure) => {
            entry.state.sending = before;
            close(connection, settle(entry, &accepted, failure)).await
        }
    }
}

fn settle(entry: &mut Entry, readers: &[usize], failure: Failure) -> Course {
    match failure {
        Failure::Later(why) => Course::Answered(Some(why)),
        Failure::Lost(why) => Course::Lost(why),
        Failure::Refused(why) => {
            for index in readers {
                entry.state.readers[*index].fate = Fate::Refused(why.clone());
            }
            Course::Answered(None)
        }
    }
}

/// Makes the connection ready for the next letter.
async fn close(connection: &mut AsyncSmtpConnection, course: Course) -> Course {
    if let Course::Answered(_) = course
        && let Err(Failure::Lost(_)) = say(connection, Rset).await
    {
        // What was answered before still holds; the next letter finds the connection broken.
        connection.abort().await;
    }
    course
}

fn parameters(connection: &AsyncSmtpConnection, message: &[u8]) -> Vec<MailParameter> {
    let mut parameters = Vec::new();
    if !message.is_ascii() && connection.server_info().supports_feature(Extension::EightBitMime) {
        parameters.push(MailParameter::Body(MailBodyParameter::EightBitMime));
    }
    parameters
}

async fn say<C: std::fmt::Display>(
    connection: &mut AsyncSmtpConnection,
    command: C,
) -> Result<Response, Failure> {
    answer(timeout(WAIT, connection.command(command)).await.ok(), WAIT)
}

async fn content(connection: &mut AsyncSmtpConnection, message: &[u8]) -> Result<Response, Failure> {
    answer(timeout(WAIT_CONTENT, connection.message(message)).await.ok(), WAIT_CONTENT)
}

fn answer(got: Option<Result<Response, Error>>, waited: Duration) -> Result<Response, Failure> {
    let error = match got {
        None => return Err(Failure::Lost(format!("no answer within {} s", waited.as_secs()))),
        Some(Ok(response)) => return Ok(response),
        Some(Err(error)) => error,
    };
    let text = why(&error);
    let code = error.status().map(u16::from);
    Err(match code {
        // It closes the connection with these words.
        Some(421) | None => Failure::Lost(text),
        Some(code) if error.is_permanent() && !ABOUT_LOGIN.contains(&code) => Failure::Refused(text),
        Some(_) => Failure::Later(text),
    })
}

/// An error with its causes, in one line.
pub(super) fn why(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let inner_text = inner.to_string();
        if !text.contains(&inner_text) {
            text.push_str(": ");
            text.push_str(&inner_text);
        }
        cause = inner.source();
    }
    line(&text, 300)
}
