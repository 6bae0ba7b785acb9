//! What the program says is wrong with it.

/// What it says at present, and whether a state has told it.
#[derive(Debug, Default)]
pub(crate) struct Wrong {
    said: Vec<String>,
    is_news: bool,
}

impl Wrong {
    /// Takes in what is said now, and whether it is news.
    pub(crate) fn say(&mut self, said: Vec<String>) -> bool {
        if said == self.said {
            return false;
        }
        self.said = said;
        self.is_news = true;
        true
    }

    /// Whether no state has told it yet.
    pub(crate) fn is_news(&self) -> bool {
        self.is_news
    }

    /// What a state tells.
    pub(crate) fn tell(&mut self) -> Vec<String> {
        self.is_news = false;
        self.said.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_again_is_no_news() {
        let mut wrong = Wrong::default();
        assert!(!wrong.say(Vec::new()) && !wrong.is_news());
        assert!(wrong.say(vec!["a".into()]) && wrong.is_news());
        assert_eq!(wrong.tell(), ["a"]);
        assert!(!wrong.say(vec!["a".into()]) && !wrong.is_news());
        assert_eq!(wrong.tell(), ["a"], "each state says it");
        assert!(wrong.say(Vec::new()) && wrong.is_news());
        assert!(wrong.tell().is_empty());
    }
}
