//! XML.

use serde_json::Value;
use switchboard_fleet::front::Table;

use super::{Missing, Named};
use crate::UpstreamsQuery;

/// XML: what [`json`](super::json) says, by these rules.
/// - The root is `upstreams`, with a `front` for each; with `u` it is `upstream`, with `b` it is `backend`.
/// - An element has the name that JSON has; the elements of a list follow each other, each with the name of one: `front`, `upstream`,
///   `backend`, `column`.
/// - Attributes are a front's `name`, an upstream's `name` and `implicit`, a backend's `address` and `state`. Answers by class are
///   `<class name="2xx">7</class>`.
/// - A list of numbers is those numbers with spaces between. What is `null` in JSON is left out.
/// - Characters that XML cannot hold are written as U+FFFD.
///
/// # Errors
/// What the query names and nobody knows.
pub fn xml(fronts: &[&Table], query: &UpstreamsQuery) -> Result<String, Missing> {
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let value = |value: serde_json::Result<Value>| value.unwrap_or(Value::Null);
    match query.find(fronts)? {
        Named::Fronts(tables) => {
            out.push_str("<upstreams>");
            for table in tables {
                element(&mut out, "front", &value(serde_json::to_value(table)));
            }
            out.push_str("</upstreams>");
        }
        Named::Upstream(_, upstream) => element(&mut out, "upstream", &value(serde_json::to_value(upstream))),
        Named::Backend(_, _, backend) => element(&mut out, "backend", &value(serde_json::to_value(backend))),
    }
    out.push('\n');
    Ok(out)
}

fn element(out: &mut String, name: &str, value: &Value) {
    match value {
        Value::Null => {}
        Value::Bool(_) | Value::Number(_) => simple(out, name, &value.to_string()),
        Value::String(text) => simple(out, name, &escaped(text)),
        Value::Array(list) if name == "classes" => classes(out, list),
        Value::Array(list) if !list.is_empty() && list.iter().all(Value::is_number) => {
            simple(out, name, &numbers(list))
        }
        Value::Array(list) => {
            for one in list {
                match one {
                    // A minute without requests stays where it is.
                    Value::Array(column) => simple(out, of_one(name), &numbers(column)),
                    _ => element(out, of_one(name), one),
                }
            }
        }
        Value::Object(fields) => {
            let attributes = attributes(name);
            out.extend(["<", name]);
            for (key, attribute) in attributes {
                let value = match fields.get(*key) {
                    Some(Value::String(text)) => escaped(text),
                    Some(other) => other.to_string(),
                    None => continue,
                };
                out.extend([" ", attribute, "=\"", &value, "\""]);
            }
            out.push('>');
            for (key, value) in
                fields.iter().filter(|(key, _)| !attributes.iter().any(|(known, _)| known == key))
            {
                element(out, key, value);
            }
            out.extend(["</", name, ">"]);
        }
    }
}

/// Fields that are attributes of an element, each with its name there.
fn attributes(element: &str) -> &'static [(&'static str, &'static str)] {
    match element {
        "front" => &[("front", "name")],
        "upstream" => &[("name", "name"), ("implicit", "implicit")],
        "backend" => &[("address", "address"), ("state", "state")],
        _ => &[],
    }
}

/// The name of one element of a list.
fn of_one(list: &str) -> &str {
    match list {
        "upstreams" | "backends" | "columns" => list.trim_end_matches('s'),
        other => other,
    }
}

fn simple(out: &mut String, name: &str, text: &str) {
    out.extend(["<", name, ">", text, "</", name, ">"]);
}

fn classes(out: &mut String, list: &[Value]) {
    for (class, count) in (1..).zip(list) {
        out.push_str(&format!("<class name=\"{class}xx\">{count}</class>"));
    }
}

fn numbers(list: &[Value]) -> String {
    let numbers: Vec<String> = list.iter().map(Value::to_string).collect();
    numbers.join(" ")
}

/// Text as it may stand in an element or an attribute.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&apos;"),
            // Readers make a space of them in an attribute, and a line's end of the last anywhere.
            '\t' => out.push_str("&#9;"),
            '\n' => out.push_str("&#10;"),
            '\r' => out.push_str("&#13;"),
            '\0'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_that_xml_cannot_hold() {
        assert_eq!(
            escaped("a<b>&\"'\t\r\n\0\u{1b}\u{ffff}ä"),
            "a&lt;b&gt;&amp;&quot;&apos;&#9;&#13;&#10;\u{fffd}\u{fffd}\u{fffd}ä"
        );
    }

    #[test]
    fn lists_and_attributes() {
        let mut out = String::new();
        let value = serde_json::json!({
            "name": "a", "implicit": false, "at": null,
            "backends": [{"address": "b", "state": "up", "answers": {"classes": [0, 5]}}],
            "columns": [[1, 2], []], "bounds_ms": [1, 10], "wrong": ["x", "y"], "none": []
        });
        element(&mut out, "upstream", &value);
        let backend = "<backend address=\"b\" state=\"up\"><answers><class name=\"1xx\">0</class><class name=\"2xx\">5</class></answers></backend>";
        let lists = "<bounds_ms>1 10</bounds_ms><column>1 2</column><column></column><wrong>x</wrong><wrong>y</wrong>";
        assert_eq!(out, format!("<upstream name=\"a\" implicit=\"false\">{backend}{lists}</upstream>"));
    }
}
