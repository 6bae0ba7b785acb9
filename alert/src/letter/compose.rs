//! The letter itself: headers and parts.

use std::time::{Duration, UNIX_EPOCH};

use lettre::{
    Message,
    message::{
        Attachment, Mailbox, MultiPart, MultiPartBuilder, MultiPartKind, SinglePart,
        header::{ContentType, HeaderName, HeaderValue},
    },
};
use sha2::{Digest, Sha256};
use switchboard_fleet::{ServerName, config::Alert};

use super::{
    html,
    story::Story,
    text,
    words::{line, moment},
};
use crate::rules::Event;

/// Most characters of a subject.
const SUBJECT_MAX: usize = 150;

/// A letter as it goes to the mail server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    /// Its name: the incident's and the letter's number, of `0-9 a-z -`.
    pub name: String,
    /// The sender's bare address.
    pub from: String,
    /// The readers' bare addresses.
    pub to: Vec<String>,
    /// The letter, headers first; lines end with `\r\n`.
    pub message: Vec<u8>,
}

/// Writes the letters of one monitor.
#[derive(Debug, Clone)]
pub struct Writer {
    from: Mailbox,
    to: Vec<Mailbox>,
    /// The server's host, as it may stand in a Message-ID.
    host: String,
    own: String,
    page: Option<String>,
}

/// Why no letter can be written.
#[derive(Debug, thiserror::Error)]
pub enum LetterError {
    /// The configuration has no such address.
    #[error("alert.{key}: {address:?} is no mail address: expected NAME <USER@DOMAIN> or USER@DOMAIN")]
    Address {
        /// `from` or `to`.
        key: &'static str,
        /// What stands there.
        address: String,
    },
    /// The parts do not make a letter.
    #[error("the letter {name} cannot be composed: {reason}")]
    Compose {
        /// The letter's name.
        name: String,
        /// Why not.
        reason: String,
    },
}

impl Writer {
    /// Writes as configured, from the monitor on `own`. `page` is the address of its pages, if readers can reach them.
    ///
    /// # Errors
    /// An address that is none.
    pub fn new(config: &Alert, own: &ServerName, page: Option<&str>) -> Result<Self, LetterError> {
        let to = config.to.iter().map(|address| mailbox("to", address)).collect::<Result<_, _>>()?;
        let page = page.map(|page| line(page.trim_end_matches('/'), 2000));
        Ok(Self {
            from: mailbox("from", &config.from)?,
            to,
            host: atom(own.host()),
            own: line(own.authority(), 300),
            page,
        })
    }

    /// The letter that tells `event`, with a chart as PNG; `None` if it is not to be told, or nobody reads.
    ///
    /// # Errors
    /// The parts do not make a letter: not to be expected.
    pub fn write(&self, event: &Event, chart: Option<&[u8]>) -> Result<Option<Letter>, LetterError> {
        let Some(number) = event.letter.filter(|_| !self.to.is_empty()) else { return Ok(None) };
        let name = format!("{}-{number}", event.incident);
        let message = self
            .compose(event, &name, number, chart)
            .map_err(|error| LetterError::Compose { name: name.clone(), reason: error.to_string() })?;
        Ok(Some(Letter {
            name,
            from: self.from.email.to_string(),
            to: self.to.iter().map(|mailbox| mailbox.email.to_string()).collect(),
            message: message.formatted(),
        }))
    }

    fn compose(
        &self,
        event: &Event,
        name: &str,
        number: u32,
        chart: Option<&[u8]>,
    ) -> Result<Message, Box<dyn std::error::Error>> {
        let story = Story::of(event);
        let first = self.message_id(&format!("{}-0", event.incident));
        let date = UNIX_EPOCH + Duration::from_millis(event.at_ms);
        let mut builder = Message::builder()
            .from(self.from.clone())
            .date(date)
            .message_id(Some(self.message_id(name)))
            .subject(line(&format!("[{}] {}", story.label, story.title), SUBJECT_MAX))
            .raw_header(raw("Auto-Submitted", "auto-generated"))
            .raw_header(raw("X-Auto-Response-Suppress", "All"));
        for reader in &self.to {
            builder = builder.to(reader.clone());
        }
        if number > 0 {
            builder = builder.in_reply_to(first.clone()).references(first);
        }
        Ok(builder.multipart(self.parts(event, name, &story, chart)?)?)
    }

    fn parts(
        &self,
        event: &Event,
        name: &str,
        story: &Story,
        chart: Option<&[u8]>,
    ) -> Result<MultiPart, Box<dyn std::error::Error>> {
        let link = self.page.as_ref().map(|page| format!("{page}/incidents/{}", event.incident));
        let footer = self.footer(event);
        let text_footer: Vec<String> = footer.iter().chain(&link).cloned().collect();
        let plain = text::text(story, &text_footer);
        let content_id = chart.map(|_| format!("chart.{name}.{}@{}", self.host, self.domain()));
        let page = html::html(story, &footer, link.as_deref(), content_id.as_deref());
        // The same event makes the same bytes, and nothing in a letter can know the boundary that follows from the whole of it.
        let sum = Sha256::digest(format!("{name}\n{plain}\n{page}"));
        let boundary: String = sum.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        let plain = SinglePart::plain(plain.replace('\n', "\r\n"));
        let page = SinglePart::html(page.replace('\n', "\r\n"));
        let alternative =
            multipart(MultiPartKind::Alternative, format!("alternative-{boundary}")).singlepart(plain);
        Ok(match (chart, content_id) {
            (Some(chart), Some(id)) => {
                let image = Attachment::new_inline_with_name(id, "chart.png".into());
                let image = image.body(chart.to_vec(), ContentType::parse("image/png")?);
                let related = multipart(MultiPartKind::Related, format!("related-{boundary}"));
                alternative.multipart(related.singlepart(page).singlepart(image))
            }
            _ => alternative.singlepart(page),
        })
    }

    fn footer(&self, event: &Event) -> Vec<String> {
        vec![
            format!("Incident {}, open since {}.", event.incident, moment(event.opened_ms)),
            format!(
                "Written by the monitor on {} at {}. Silence planned work with `switchboard-monitor silence`.",
                self.own,
                moment(event.at_ms)
            ),
        ]
    }

    fn message_id(&self, name: &str) -> String {
        format!("<{name}.{}@{}>", self.host, self.domain())
    }

    fn domain(&self) -> String {
        atom(self.from.email.domain())
    }
}

fn multipart(kind: MultiPartKind, boundary: String) -> MultiPartBuilder {
    MultiPart::builder().kind(kind).boundary(boundary)
}

fn mailbox(key: &'static str, address: &str) -> Result<Mailbox, LetterError> {
    address.parse().map_err(|_| LetterError::Address { key, address: line(address, 300) })
}

fn raw(name: &'static str, value: &str) -> HeaderValue {
    HeaderValue::new(HeaderName::new_from_ascii_str(name), value.into())
}

/// Text that may stand on either side of a Message-ID.
fn atom(text: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' };
    let atom: String = text.chars().map(plain).collect();
    let dots = atom.starts_with('.') || atom.ends_with('.') || atom.contains("..");
    if atom.is_empty() || dots { "switchboard".into() } else { atom }
}

#[cfg(test)]
#[path = "compose_tests.rs"]
mod tests;
