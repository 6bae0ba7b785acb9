//! A letter as plain text.

use super::story::Story;

/// Lines end with `\n`; names start at the margin, what is said of them follows.
pub(super) fn text(story: &Story, footer: &[String]) -> String {
    let mut out = format!("[{}] {}\n", story.label, story.title);
    let mut block = |lines: &mut dyn Iterator<Item = String>| {
        let lines: Vec<String> = lines.collect();
        if !lines.is_empty() {
            out.push('\n');
            for line in lines {
                out.push_str(&line);
                out.push('\n');
            }
        }
    };
    block(&mut story.sentences.iter().cloned());
    block(&mut story.rows.iter().map(|(name, words)| format!("  {name}: {words}")));
    block(&mut story.notes.iter().cloned());
    // A line that mail programs take for the beginning of what is not the text.
    block(&mut std::iter::once("-- ".to_owned()).chain(footer.iter().cloned()));
    out
}
