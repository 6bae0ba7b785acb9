//! JSON into one text, piece by piece.

use std::fmt::Write;

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

    /// The name of the value that comes next: a word, written as it is.
    pub fn name(&mut self, name: &'static str) -> &mut Self {
        self.comma();
        self.text.push('"');
        self.text.push_str(name);
        self.text.push_str("\":");
        self
    }

    /// A number, `true` or `false`.
    pub fn bare(&mut self, value: impl Bare) -> &mut Self {
        self.comma();
        value.write(&mut self.text);
        self
    }

    /// A number, or `null`.
    pub fn maybe(&mut self, value: Option<impl Bare>) -> &mut Self {
        match value {
            Some(value) => self.bare(value),
            None => self.null(),
        }
    }

    /// `null`.
    pub fn null(&mut self) -> &mut Self {
        self.comma();
        self.text.push_str("null");
        self
    }

    /// A text.
    pub fn text(&mut self, value: &str) -> &mut Self {
        self.comma();
        self.text.push('"');
        if value.bytes().all(|byte| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\')) {
            self.text.push_str(value);
            self.text.push('"');
            return self;
        }
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

    /// Makes room for `bytes` more: a thousand backends are most of a megabyte.
    pub fn reserve(&mut self, bytes: usize) {
        self.text.reserve(bytes);
    }

    /// The whole text.
    pub fn done(mut self) -> String {
        self.text.push('\n');
        self.text
    }

    fn comma(&mut self) {
        if !matches!(self.text.as_bytes().last(), None | Some(b'{' | b'[' | b':')) {
            self.text.push(',');
        }
    }
}

/// What JSON writes without quotes.
pub trait Bare {
    /// Appends it.
    fn write(self, text: &mut String);
}

impl Bare for bool {
    fn write(self, text: &mut String) {
        text.push_str(if self { "true" } else { "false" });
    }
}

macro_rules! whole_numbers {
    ($($number:ty)*) => {
        $(impl Bare for $number {
            fn write(self, text: &mut String) {
                text.push_str(itoa::Buffer::new().format(self));
            }
        })*
    };
}

whole_numbers!(u8 u32 u64 usize i64 isize);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_is_json() {
        let mut json = Json::default();
        json.object().name("a").bare(1_u8).name("b").list().text("x:").text("[").text("\"\\\n").end_list();
        json.name("c").object().end().name("d").maybe(None::<u8>).end();
        assert_eq!(json.done(), "{\"a\":1,\"b\":[\"x:\",\"[\",\"\\\"\\\\\\u000a\"],\"c\":{},\"d\":null}\n");
    }
}
