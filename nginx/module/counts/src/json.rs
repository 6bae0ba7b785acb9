//! JSON into one text, piece by piece.

use std::fmt::{Display, Write};

/// A text of JSON that grows. Whoever writes closes what was opened.
#[derive(Debug, Default)]
pub struct Json {
    text: String,
}

impl Json {
    /// Begins an object, as a value.
    pub fn object(&mut self) -> &mut Self {
        self.comma();
        self.text.push('{');
        self
    }

    /// Ends an object.
    pub fn end(&mut self) -> &mut Self {
        self.text.push('}');
        self
    }

    /// Begins a list, as a value.
    pub fn list(&mut self) -> &mut Self {
        self.comma();
        self.text.push('[');
        self
    }

    /// Ends a list.
    pub fn end_list(&mut self) -> &mut Self {
        self.text.push(']');
        self
    }

    /// The name of the value that comes next.
    pub fn name(&mut self, name: &str) -> &mut Self {
        self.text(name);
        self.text.push(':');
        self
    }

    /// A number, `true`, `false` or `null`.
    pub fn bare(&mut self, value: impl Display) -> &mut Self {
        self.comma();
        let _ = write!(self.text, "{value}");
        self
    }

    /// A number, or `null`.
    pub fn maybe(&mut self, value: Option<impl Display>) -> &mut Self {
        match value {
            Some(value) => self.bare(value),
            None => self.bare("null"),
        }
    }

    /// A text.
    pub fn text(&mut self, value: &str) -> &mut Self {
        self.comma();
        self.text.push('"');
        for letter in value.chars() {
            match letter {
                '"' => self.text.push_str("\\\""),
                '\\' => self.text.push_str("\\\\"),
                letter if letter.is_control() => {
                    let _ = write!(self.text, "\\u{:04x}", u32::from(letter));
                }
                letter => self.text.push(letter),
            }
        }
        self.text.push('"');
        self
    }

    /// The whole text.
    pub fn done(mut self) -> String {
        self.text.push('\n');
        self.text
    }

    fn comma(&mut self) {
        if !matches!(self.text.bytes().last(), None | Some(b'{' | b'[' | b':')) {
            self.text.push(',');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_is_json() {
        let mut json = Json::default();
        json.object().name("a\"\\\n").bare(1).name("b").list().text("x:").text("[").end_list();
        json.name("c").object().end().name("d").maybe(None::<u8>).end();
        assert_eq!(json.done(), "{\"a\\\"\\\\\\u000a\":1,\"b\":[\"x:\",\"[\"],\"c\":{},\"d\":null}\n");
    }
}
