//! Customer IDs.

use std::{fmt, num::NonZeroU64, str::FromStr};

/// A customer's ID: a decimal number from 1 to 18446744073709551615.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CustomerId(NonZeroU64);

/// The text is not a decimal number from 1 to 18446744073709551615.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a decimal number from 1 to 18446744073709551615")]
pub struct InvalidCustomerId;

impl CustomerId {
    /// The ID with this number, or `None` for 0, which names nobody.
    pub const fn new(number: u64) -> Option<Self> {
        match NonZeroU64::new(number) {
            Some(number) => Some(Self(number)),
            None => None,
        }
    }

    /// Reads digits: no sign, no white space, at most 20 of them.
    ///
    /// # Errors
    /// They are no number from 1 to 18446744073709551615.
    pub fn from_digits(digits: &[u8]) -> Result<Self, InvalidCustomerId> {
        let number = number(digits).filter(|_| digits.len() <= 20);
        number.and_then(Self::new).ok_or(InvalidCustomerId)
    }

    /// The number, 1 or more.
    pub const fn get(self) -> u64 {
        self.0.get()
    }
}

/// The number that decimal digits are: no sign, no white space. `None` for anything else, for nothing, and for more than 64 bits.
pub fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u64, |number, digit| {
        let digit = digit.wrapping_sub(b'0');
        if digit > 9 { None } else { number.checked_mul(10)?.checked_add(digit.into()) }
    })
}

impl FromStr for CustomerId {
    type Err = InvalidCustomerId;

    /// As [`CustomerId::from_digits`].
    fn from_str(text: &str) -> Result<Self, InvalidCustomerId> {
        Self::from_digits(text.as_bytes())
    }
}

impl fmt::Display for CustomerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for CustomerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_number_but_zero_survives_text(number in 1u64..) {
            let id = CustomerId::new(number).unwrap();
            prop_assert_eq!(id.to_string().parse(), Ok(id));
        }

        #[test]
        fn text_with_anything_but_digits_is_refused(text in "[0-9]{0,5}[^0-9][0-9]{0,5}") {
            prop_assert_eq!(text.parse::<CustomerId>(), Err(InvalidCustomerId));
        }
    }

    #[test]
    fn bounds() {
        assert_eq!("0".parse::<CustomerId>(), Err(InvalidCustomerId));
        assert_eq!("".parse::<CustomerId>(), Err(InvalidCustomerId));
        assert_eq!("18446744073709551615".parse::<CustomerId>().unwrap().get(), u64::MAX);
        assert_eq!("18446744073709551616".parse::<CustomerId>(), Err(InvalidCustomerId));
        assert_eq!("000000000000000000001".parse::<CustomerId>(), Err(InvalidCustomerId));
    }
}
