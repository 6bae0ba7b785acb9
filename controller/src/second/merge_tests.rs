use proptest::prelude::*;

use super::*;

fn by(at_ms: u64, who: &str, until_ms: Option<u64>) -> Switched {
    Switched { who: who.into(), why: String::new(), at_ms, until_ms }
}

fn switched() -> impl Strategy<Value = Switched> {
    (0u64..6, "[ab]", prop::option::of(0u64..4)).prop_map(|(at_ms, who, until_ms)| by(at_ms, &who, until_ms))
}

fn switch() -> impl Strategy<Value = Switch> {
    prop::sample::select(vec![Switch::On, Switch::Drain, Switch::Off])
}

fn words() -> impl Strategy<Value = Setting> {
    let state = (prop::option::of(switch()), switched()).prop_map(|(is, by)| Mark { is, by });
    let weight = (prop::option::of(1u32..4), switched()).prop_map(|(is, by)| Mark { is, by });
    (prop::option::of(state), prop::option::of(weight)).prop_map(|(state, weight)| Setting { state, weight })
}

fn book() -> impl Strategy<Value = Book> {
    prop::collection::btree_map(1u16..4, words(), 0..4).prop_map(Book)
}

fn joined(a: &Book, b: &Book) -> Book {
    let mut both = a.clone();
    both.join(b.clone());
    both
}

proptest! {
    #[test]
    fn it_does_not_matter_in_which_order_words_come_and_how_often(a in book(), b in book(), c in book()) {
        prop_assert_eq!(joined(&a, &b), joined(&b, &a));
        prop_assert_eq!(joined(&a, &joined(&b, &c)), joined(&joined(&a, &b), &c));
        prop_assert_eq!(joined(&a, &a), a.clone());
        prop_assert_eq!(joined(&joined(&a, &b), &b), joined(&a, &b));
    }

    #[test]
    fn no_word_wins_for_ever(at_ms in any::<u64>(), now_ms in 0u64..1 << 50) {
        let word = Mark { is: Some(Switch::Off), by: by(at_ms, "a", None) };
        let book = Book([(1, Setting { state: Some(word), weight: None })].into()).heard(now_ms);
        let heard = book.0[&1].state.clone().unwrap();
        prop_assert!(heard.by.at_ms <= now_ms + OTHERS_AHEAD_MS);
        let mut later = Book::default();
        let at_ms = later_than(now_ms, Some(&heard.by));
        let on = Mark { is: None, by: by(at_ms, "b", None) };
        later.0.insert(1, Setting { state: Some(on.clone()), weight: None });
        prop_assert_eq!(joined(&book, &later).0[&1].state.clone(), Some(on));
    }
}

#[test]
fn what_nobody_could_have_said_is_not_heard() {
    let word = |is, who: &str, until_ms| Some(Mark { is: Some(is), by: by(5, who, until_ms) });
    let heard = |weight| !Book([(1, Setting { state: None, weight })].into()).heard(10).0.is_empty();
    assert!(heard(word(50, "ada", Some(UNTIL_MAX_MS))));
    assert!(!heard(word(0, "ada", None)) && !heard(word(100, "ada", None)));
    assert!(!heard(word(50, "a\nb", None)) && !heard(word(50, &"a".repeat(301), None)));
    assert!(!heard(word(50, "ada", Some(u64::MAX))));
    let many = Book(
        (0..=u16::MAX).map(|port| (port, Setting { state: None, weight: word(5, "a", None) })).collect(),
    );
    let heard = many.heard(10);
    assert!(heard.0.len() == PORTS_MAX && !heard.0.contains_key(&0));
}

/// A front of the play: its clock goes wrong by `skew_ms`.
struct Played {
    skew_ms: i64,
    book: Book,
}

impl Played {
    fn now_ms(&self, true_ms: u64) -> u64 {
        true_ms.saturating_add_signed(self.skew_ms)
    }

    fn say(&mut self, port: u16, is: Option<Switch>, lasts_ms: Option<u64>, who: &str, true_ms: u64) {
        let now_ms = self.now_ms(true_ms);
        let words = self.book.0.entry(port).or_default();
        let at_ms = later_than(now_ms, words.state.as_ref().map(|word| &word.by));
        let until_ms = lasts_ms.filter(|_| is.is_some()).map(|ms| now_ms + ms);
        words.state = Some(Mark { is, by: by(at_ms, who, until_ms) });
    }

    fn look(&mut self, true_ms: u64) {
        let now_ms = self.now_ms(true_ms);
        for words in self.book.0.values_mut() {
            if let Some(over) = words.state.as_ref().and_then(|word| word.over(now_ms)) {
                words.state = Some(over);
            }
        }
    }

    fn tell(&self, true_ms: u64) -> Book {
        self.book.clone().own(self.now_ms(true_ms))
    }

    fn hear(&mut self, told: Book, true_ms: u64) {
        let now_ms = self.now_ms(true_ms);
        self.book = std::mem::take(&mut self.book).own(now_ms);
        self.book.join(told.heard(now_ms));
    }
}

/// A step of the play.
#[derive(Debug, Clone)]
enum Step {
    Say {
        front: usize,
        port: u16,
        is: Option<Switch>,
        lasts_ms: Option<u64>,
    },
    /// A question, and its answer.
    Exchange,
    /// The answer is lost.
    Half,
    /// Something that was told once comes again, as late as it likes.
    Again {
        at: prop::sample::Index,
        front: usize,
    },
    /// A front comes back with what it knew before.
    Back {
        at: prop::sample::Index,
        front: usize,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let state = prop::option::of(prop::sample::select(vec![Switch::Drain, Switch::Off]));
    let say = (0usize..2, 1u16..4, state, prop::option::of(1u64..5000))
        .prop_map(|(front, port, is, lasts_ms)| Step::Say { front, port, is, lasts_ms });
    let index = || (any::<prop::sample::Index>(), 0usize..2);
    prop_oneof![
        4 => say,
        3 => Just(Step::Exchange),
        1 => Just(Step::Half),
        1 => index().prop_map(|(at, front)| Step::Again { at, front }),
        1 => index().prop_map(|(at, front)| Step::Back { at, front }),
    ]
}

fn exchange(fronts: &mut [Played; 2], true_ms: u64, told: &mut Vec<Book>) {
    let question = fronts[1].tell(true_ms);
    fronts[0].hear(question.clone(), true_ms);
    let answer = fronts[0].tell(true_ms);
    fronts[1].hear(answer.clone(), true_ms);
    told.extend([question, answer]);
}

proptest! {
    #[test]
    fn two_fronts_end_alike_and_the_last_word_counts(
        skews_ms in prop::array::uniform2(-14_000i64..14_000),
        steps in prop::collection::vec((step(), 1u64..4000), 0..60),
        last in (0usize..2, 1u16..4, prop::option::of(switch())),
    ) {
        let mut true_ms = 1 << 40;
        let mut fronts = skews_ms.map(|skew_ms| Played { skew_ms, book: Book::default() });
        let mut told = vec![Book::default()];
        for (step, pause_ms) in steps {
            true_ms += pause_ms;
            fronts.iter_mut().for_each(|front| front.look(true_ms));
            match step {
                Step::Say { front, port, is, lasts_ms } => fronts[front].say(port, is, lasts_ms, "a", true_ms),
                Step::Exchange => exchange(&mut fronts, true_ms, &mut told),
                Step::Half => {
                    let question = fronts[1].tell(true_ms);
                    fronts[0].hear(question.clone(), true_ms);
                    told.push(question);
                }
                Step::Again { at, front } => fronts[front].hear(at.get(&told).clone(), true_ms),
                Step::Back { at, front } => fronts[front].book = at.get(&told).clone(),
            }
        }
        exchange(&mut fronts, true_ms, &mut told);
        prop_assert_eq!(&fronts[0].book, &fronts[1].book);
        // Whoever speaks then is heard, whatever the clocks say.
        let (front, port, is) = last;
        fronts[front].say(port, is, None, "last", true_ms);
        let word = fronts[front].book.0[&port].state.clone();
        exchange(&mut fronts, true_ms, &mut told);
        for book in [&fronts[0].book, &fronts[1].book] {
            prop_assert_eq!(&book.0[&port].state, &word);
        }
        // What ends by itself ends at both.
        true_ms += 60_000;
        fronts.iter_mut().for_each(|front| front.look(true_ms));
        prop_assert_eq!(&fronts[0].book, &fronts[1].book);
        exchange(&mut fronts, true_ms, &mut told);
        prop_assert_eq!(&fronts[0].book, &fronts[1].book);
    }
}
