//! Names of spool files: the life that wrote the file and the first number in it, so that names sort as the reports do.

/// Which spool file; sorts from the oldest to the newest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct FileName {
    /// The life of the program that wrote it.
    pub(crate) boot: u64,
    /// The number of its first report.
    pub(crate) first: u64,
}

impl FileName {
    /// The name in a folder.
    pub(crate) fn text(self) -> String {
        format!("{:020}-{:020}.jsonl", self.boot, self.first)
    }

    /// Back from [`FileName::text`]; `None` for any other name.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (boot, first) = text.strip_suffix(".jsonl")?.split_once('-')?;
        let name = Self { boot: boot.parse().ok()?, first: first.parse().ok()? };
        (name.text() == text).then_some(name)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_name_is_its_text_and_sorts_like_it(a: (u64, u64), b: (u64, u64)) {
            let name = |(boot, first)| FileName { boot, first };
            prop_assert_eq!(FileName::parse(&name(a).text()), Some(name(a)));
            prop_assert_eq!(name(a).cmp(&name(b)), name(a).text().cmp(&name(b).text()));
        }

        #[test]
        fn other_names_are_none(text in "[0-9+ -]{0,45}(.jsonl)?(.tmp)?") {
            if let Some(name) = FileName::parse(&text) {
                prop_assert_eq!(name.text(), text);
            }
        }
    }
}
