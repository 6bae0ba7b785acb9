//! A page as a browser without JavaScript understands it.

#![allow(dead_code, reason = "the tests use different parts")]

use html5ever::{ParseOpts, parse_document, tendril::TendrilSink, tree_builder::TreeBuilderOpts};
use markup5ever_rcdom::{Handle, NodeData, RcDom};

/// A page that was parsed.
pub(crate) struct Document {
    dom: RcDom,
}

impl Document {
    pub(crate) fn of(html: &str) -> Self {
        let tree_builder =
            TreeBuilderOpts { scripting_enabled: false, exact_errors: true, ..TreeBuilderOpts::default() };
        let options = ParseOpts { tree_builder, ..ParseOpts::default() };
        Self { dom: parse_document(RcDom::default(), options).one(html) }
    }

    /// What a browser has to put right.
    pub(crate) fn errors(&self) -> Vec<String> {
        self.dom.errors.borrow().iter().map(ToString::to_string).collect()
    }

    /// All elements in the order of the page.
    pub(crate) fn all(&self) -> Vec<Element> {
        let mut found = Vec::new();
        collect(&self.dom.document, &mut found);
        found
    }

    pub(crate) fn named(&self, name: &str) -> Vec<Element> {
        self.all().into_iter().filter(|element| element.name() == name).collect()
    }
}

/// An element.
#[derive(Clone)]
pub(crate) struct Element(Handle);

impl Element {
    pub(crate) fn name(&self) -> String {
        let NodeData::Element { name, .. } = &self.0.data else { return String::new() };
        name.local.to_string()
    }

    pub(crate) fn attributes(&self) -> Vec<(String, String)> {
        let NodeData::Element { attrs, .. } = &self.0.data else { return Vec::new() };
        attrs.borrow().iter().map(|one| (one.name.local.to_string(), one.value.to_string())).collect()
    }

    pub(crate) fn get(&self, name: &str) -> Option<String> {
        self.attributes().into_iter().find(|(key, _)| key == name).map(|(_, value)| value)
    }

    /// Elements within it.
    pub(crate) fn all(&self) -> Vec<Element> {
        let mut found = Vec::new();
        for child in self.0.children.borrow().iter() {
            collect(child, &mut found);
        }
        found
    }

    pub(crate) fn children(&self) -> Vec<Element> {
        let is_element = |node: &&Handle| matches!(node.data, NodeData::Element { .. });
        self.0.children.borrow().iter().filter(is_element).cloned().map(Element).collect()
    }

    /// The text in it, with what stands for pictures.
    pub(crate) fn text(&self) -> String {
        let mut out = String::new();
        write(&self.0, &mut out);
        out.trim().to_owned()
    }
}

fn collect(node: &Handle, found: &mut Vec<Element>) {
    if matches!(node.data, NodeData::Element { .. }) {
        found.push(Element(node.clone()));
    }
    for child in node.children.borrow().iter() {
        collect(child, found);
    }
}

fn write(node: &Handle, out: &mut String) {
    if let NodeData::Text { contents } = &node.data {
        out.push_str(&contents.borrow());
    }
    if let Some(alt) = Element(node.clone()).get("alt") {
        out.push_str(&alt);
    }
    for child in node.children.borrow().iter() {
        write(child, out);
    }
}
