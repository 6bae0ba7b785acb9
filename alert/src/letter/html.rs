//! A letter as HTML: inline styles only, legible on light and dark, and without images.

use super::story::{Story, Tone};

/// The whole page; `chart` is the content ID of an inline image.
pub(super) fn html(story: &Story, footer: &[String], link: Option<&str>, chart: Option<&str>) -> String {
    let mut out = String::with_capacity(4096);
    out.push_str(concat!(
        "<!DOCTYPE html><html lang=\"en\"><head><meta charset=\"utf-8\">",
        "<meta name=\"viewport\" content=\"width=device-width\">",
        "<meta name=\"color-scheme\" content=\"light dark\"><title>"
    ));
    push(&mut out, &story.title);
    // No colour of text or page is set, so that a mail program's own fit together.
    out.push_str(
        "</title></head><body style=\"margin:0;padding:16px;font:16px/1.5 system-ui,sans-serif\">\n<h1 style=\"font-size:20px;margin:0 0 12px\">",
    );
    out.push_str(&format!(
        "<span style=\"background:{};color:#ffffff;padding:2px 8px;border-radius:4px\">{}</span> ",
        colour(story.tone),
        story.label
    ));
    push(&mut out, &story.title);
    out.push_str("</h1>\n");
    paragraphs(&mut out, &story.sentences);
    rows(&mut out, &story.rows);
    paragraphs(&mut out, &story.notes);
    if let Some(chart) = chart {
        out.push_str(&format!(
            "<p style=\"margin:0 0 12px\"><img src=\"cid:{chart}\" alt=\"Chart of the hour before\" style=\"max-width:100%;height:auto;border:0\"></p>\n"
        ));
    }
    if let Some(link) = link {
        out.push_str("<p style=\"margin:0 0 12px\"><a href=\"");
        push(&mut out, link);
        out.push_str("\">Open the incident</a></p>\n");
    }
    out.push_str(
        "<div style=\"border-top:1px solid #888888;padding-top:8px;font-size:13px;line-height:1.5\">",
    );
    for (index, line) in footer.iter().enumerate() {
        if index > 0 {
            out.push_str("<br>\n");
        }
        push(&mut out, line);
    }
    out.push_str("</div>\n</body></html>\n");
    out
}

fn paragraphs(out: &mut String, lines: &[String]) {
    for line in lines {
        out.push_str("<p style=\"margin:0 0 12px\">");
        push(out, line);
        out.push_str("</p>\n");
    }
}

fn rows(out: &mut String, rows: &[(String, String)]) {
    if rows.is_empty() {
        return;
    }
    out.push_str("<table style=\"border-collapse:collapse;margin:0 0 12px\">\n");
    let cell = "style=\"text-align:left;vertical-align:top;font-weight:normal;border:1px solid #888888;padding:4px 8px\"";
    for (name, words) in rows {
        out.push_str(&format!("<tr><th scope=\"row\" {cell}><b>"));
        push(out, name);
        out.push_str(&format!("</b></th><td {cell}>"));
        push(out, words);
        out.push_str("</td></tr>\n");
    }
    out.push_str("</table>\n");
}

/// White on each of these has a contrast of at least 4.5.
fn colour(tone: Tone) -> &'static str {
    match tone {
        Tone::Bad => "#b3261e",
        Tone::Warning => "#8a5300",
        Tone::Good => "#1b6e3a",
    }
}

/// Text, and never more than text.
fn push(out: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
    }
}
