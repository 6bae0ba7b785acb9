//! Text of strangers, so that what it says is what is seen.

use std::fmt::Write;

use askama::filters::Safe;

/// Whether a character is not seen, or turns the direction of what follows.
fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}')
        || matches!(c, '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// A name or another single line: hidden characters are written as `\u{202e}`.
pub(crate) fn shown(text: &str) -> String {
    show(text, |_| false)
}

/// Most bytes of a message on a page.
const LONGEST: usize = 4000;

/// A message: the same, but lines stay lines, and a very long one is cut.
pub(crate) fn lines(text: &str) -> String {
    let end = (0..=LONGEST.min(text.len())).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    let (start, rest) = text.split_at(end);
    let mut out = show(&start.replace("\r\n", "\n"), |c| matches!(c, '\n' | '\t'));
    if !rest.is_empty() {
        // Writing to a String does not fail.
        let _ = write!(out, " … and {} bytes more", rest.len());
    }
    out
}

/// A value that a page carries and does not show: as it is, but for what HTML cannot hold.
pub(crate) fn carried(text: &str) -> String {
    text.replace(char::is_control, "\u{fffd}")
}

fn show(text: &str, is_wanted: impl Fn(char) -> bool) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if is_hidden(c) && !is_wanted(c) {
            // Writing to a String does not fail.
            let _ = write!(out, "\\u{{{:x}}}", u32::from(c));
        } else {
            out.push(c);
        }
    }
    out
}

/// A name as HTML that is broken into lines, if it must be, where it has parts.
pub(crate) fn parts(text: &str) -> Safe<String> {
    if text.is_empty() {
        return Safe("(no name)".into());
    }
    let mut out = String::with_capacity(text.len());
    for c in shown(text).chars() {
        match c {
            '<' => out.push_str("&#60;"),
            '>' => out.push_str("&#62;"),
            '&' => out.push_str("&#38;"),
            '"' => out.push_str("&#34;"),
            '\'' => out.push_str("&#39;"),
            '/' | ':' => out.extend([c.encode_utf8(&mut [0; 4]), "<wbr>"]),
            other => out.push(other),
        }
    }
    Safe(out)
}

/// `a`, `a and b`, `a, b and c`; at most `max` are named.
pub(crate) fn list(names: &[String], max: usize) -> String {
    let mut named: Vec<String> = names.iter().take(max).map(|name| shown(name)).collect();
    if names.len() > max {
        named.push(format!("{} more", names.len() - max));
    }
    match named.split_last() {
        None => String::new(),
        Some((one, [])) => one.clone(),
        Some((last, rest)) => format!("{} and {last}", rest.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_hides_is_seen() {
        assert_eq!(
            shown("a\u{202e}b\0\n\u{200b}ä中\u{2069}"),
            "a\\u{202e}b\\u{0}\\u{a}\\u{200b}ä中\\u{2069}"
        );
        assert_eq!(lines("a\r\n\tb\u{1b}[1m\rc"), "a\n\tb\\u{1b}[1m\\u{d}c");
    }

    #[test]
    fn what_is_carried_is_the_same() {
        assert_eq!(carried("a\u{202e}\"<b\0\n"), "a\u{202e}\"<b\u{fffd}\u{fffd}");
    }

    #[test]
    fn parts_are_text_and_nothing_else() {
        assert_eq!(parts("a/<b>:\"'&\u{202e}").0, "a/<wbr>&#60;b&#62;:<wbr>&#34;&#39;&#38;\\u{202e}");
    }

    #[test]
    fn lists_as_people_say_them() {
        let names: Vec<String> = ["a", "b", "c"].map(String::from).into();
        assert_eq!(list(&[], 5), "");
        assert_eq!(list(&names[..1], 5), "a");
        assert_eq!(list(&names[..2], 5), "a and b");
        assert_eq!(list(&names, 5), "a, b and c");
        assert_eq!(list(&names, 1), "a and 2 more");
    }
}
