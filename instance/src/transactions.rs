//! Which app a reply belongs to. Pure; `A` is how the waiting app is reached.

use std::collections::VecDeque;
use std::fmt;

use data_encoding::HEXLOWER;
use hashbrown::{HashMap, HashSet};
use switchboard_fleet::CustomerId;

/// Ended transactions that are remembered, so that a second reply to one is told apart from a reply to none.
const ANSWERED_MAX: usize = 4096;

/// One transaction: 128 random bits, so that nobody can guess another's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RequestId(pub u128);

impl RequestId {
    /// Reads what [`fmt::Display`] writes: 32 hexadecimal digits.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let mut number = [0; 16];
        let read = text.len() == 2 * number.len() && HEXLOWER.decode_mut(text, &mut number).is_ok();
        read.then(|| Self(u128::from_be_bytes(number)))
    }
}

impl RequestId {
    /// The bytes of what [`fmt::Display`] writes.
    pub(crate) fn digits(self) -> [u8; 32] {
        let mut digits = [0; 32];
        HEXLOWER.encode_mut(&self.0.to_be_bytes(), &mut digits);
        digits
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::str::from_utf8(&self.digits()).unwrap_or_default())
    }
}

/// Why a reply reaches no app.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotTaken {
    /// The transaction is another customer's.
    WrongCustomer,
    /// The transaction has been replied to.
    Second,
    /// No app waits for it, or there never was such a transaction.
    NoApp,
}

/// The running transactions of one instance.
#[derive(Debug)]
pub struct Transactions<A> {
    running: HashMap<RequestId, Transaction<A>>,
    answered: HashSet<RequestId>,
    answered_order: VecDeque<RequestId>,
}

#[derive(Debug)]
struct Transaction<A> {
    id: CustomerId,
    /// Gone once a reply has been taken.
    app: Option<A>,
}

impl<A> Default for Transactions<A> {
    fn default() -> Self {
        Self { running: HashMap::new(), answered: HashSet::new(), answered_order: VecDeque::new() }
    }
}

impl<A> Transactions<A> {
    /// Transactions running now.
    pub fn len(&self) -> usize {
        self.running.len()
    }

    /// Whether none is running.
    pub fn is_empty(&self) -> bool {
        self.running.is_empty()
    }

    /// A request goes to an agent of `id`. `request` must be fresh; the caller draws it at random.
    pub fn begin(&mut self, request: RequestId, id: CustomerId, app: A) {
        self.running.insert(request, Transaction { id, app: Some(app) });
    }

    /// A reply has come from an agent of `id`: gives the app that waits for it.
    ///
    /// # Errors
    /// [`NotTaken`]; the transaction goes on as if this reply had not come.
    pub fn reply(&mut self, request: RequestId, id: CustomerId) -> Result<A, NotTaken> {
        match self.running.get_mut(&request) {
            Some(transaction) if transaction.id != id => Err(NotTaken::WrongCustomer),
            Some(transaction) => transaction.app.take().ok_or(NotTaken::Second),
            None if self.answered.contains(&request) => Err(NotTaken::Second),
            None => Err(NotTaken::NoApp),
        }
    }

    /// The app does not wait any more: gives what was to reach it, unless a reply has been taken. From then on it is as
    /// if the transaction had not been.
    pub fn withdraw(&mut self, request: RequestId) -> Option<A> {
        self.running.get(&request)?.app.as_ref()?;
        self.running.remove(&request)?.app
    }

    /// Takes every app that still waits for a reply, as an instance does whose time is up.
    pub fn take_waiting(&mut self) -> Vec<A> {
        self.running.values_mut().filter_map(|transaction| transaction.app.take()).collect()
    }

    /// The transaction is over, answered or not.
    pub fn end(&mut self, request: RequestId) {
        let Some(transaction) = self.running.remove(&request) else { return };
        if transaction.app.is_some() {
            return;
        }
        if self.answered_order.len() == ANSWERED_MAX
            && let Some(oldest) = self.answered_order.pop_front()
        {
            self.answered.remove(&oldest);
        }
        self.answered.insert(request);
        self.answered_order.push_back(request);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn id(number: u64) -> CustomerId {
        CustomerId::new(number).unwrap()
    }

    #[test]
    fn a_reply_is_taken_once_and_from_its_customer_only() {
        let mut all = Transactions::default();
        all.begin(RequestId(7), id(1), "app");
        assert_eq!(all.reply(RequestId(7), id(2)), Err(NotTaken::WrongCustomer));
        assert_eq!(all.reply(RequestId(7), id(1)), Ok("app"));
        assert_eq!(all.reply(RequestId(7), id(1)), Err(NotTaken::Second));
        all.end(RequestId(7));
        assert_eq!(all.reply(RequestId(7), id(1)), Err(NotTaken::Second));
        assert_eq!(all.reply(RequestId(8), id(1)), Err(NotTaken::NoApp));
    }

    #[test]
    fn an_unanswered_end_leaves_no_app() {
        let mut all = Transactions::default();
        all.begin(RequestId(7), id(1), "app");
        all.end(RequestId(7));
        assert_eq!(all.reply(RequestId(7), id(1)), Err(NotTaken::NoApp));
    }

    #[test]
    fn what_is_withdrawn_leaves_no_app_unless_a_reply_was_taken() {
        let mut all = Transactions::default();
        all.begin(RequestId(7), id(1), "app");
        assert_eq!(all.withdraw(RequestId(7)), Some("app"));
        assert_eq!(all.withdraw(RequestId(7)), None);
        assert_eq!(all.reply(RequestId(7), id(1)), Err(NotTaken::NoApp));
        all.begin(RequestId(8), id(1), "app");
        all.reply(RequestId(8), id(1)).unwrap();
        assert_eq!((all.withdraw(RequestId(8)), all.len()), (None, 1));
    }

    #[test]
    fn memory_of_the_answered_is_bounded() {
        let mut all = Transactions::default();
        for number in 0..ANSWERED_MAX as u128 + 10 {
            all.begin(RequestId(number), id(1), ());
            all.reply(RequestId(number), id(1)).unwrap();
            all.end(RequestId(number));
        }
        assert_eq!((all.answered.len(), all.answered_order.len()), (ANSWERED_MAX, ANSWERED_MAX));
        assert!(all.is_empty());
    }

    proptest! {
        #[test]
        fn request_ids_have_one_form(text in "[0-9a-fA-F]{30,34}") {
            let read = RequestId::parse(text.as_bytes());
            prop_assert_eq!(read.is_some(), text.len() == 32 && text == text.to_ascii_lowercase());
            prop_assert!(read.is_none_or(|id| id.to_string() == text));
        }

        #[test]
        fn request_ids_survive_text(number: u128) {
            prop_assert_eq!(RequestId(number).to_string(), format!("{number:032x}"));
            prop_assert_eq!(RequestId::parse(RequestId(number).to_string().as_bytes()), Some(RequestId(number)));
        }
    }
}
