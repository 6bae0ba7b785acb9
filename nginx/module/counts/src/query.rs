//! The question in a path's `?`: `u=NAME`, `b=ADDRESS`, and for a switch `state=` and `weight=`.

/// The longest value that is taken, in bytes after decoding.
const VALUE_BYTES: usize = 512;
/// The greatest weight that can be set.
const WEIGHT: u32 = 10_000;

/// What the operator wants a backend to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum State {
    /// As the configuration says.
    Config = 0,
    /// Gets requests, whatever the configuration says.
    On,
    /// Gets no new requests; those under way end in peace.
    Drain,
    /// The same for nginx, and meant to stay so.
    Off,
}

impl State {
    const ALL: [Self; 4] = [Self::Config, Self::On, Self::Drain, Self::Off];

    /// Its word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Config => "config",
            Self::On => "on",
            Self::Drain => "drain",
            Self::Off => "off",
        }
    }

    /// The state with this number; an unknown number is as the configuration says.
    pub fn from_number(number: u32) -> Self {
        Self::ALL.into_iter().find(|state| *state as u32 == number).unwrap_or(Self::Config)
    }

    fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }
}

/// A switch that is asked for; what is `None` stays as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Wish {
    /// The new state. [`State::Config`] forgets the weight too, unless one is given.
    pub state: Option<State>,
    /// The new weight, from 1 to 10,000.
    pub weight: Option<u32>,
}

/// A question.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Query {
    /// The upstream's name.
    pub upstream: Option<String>,
    /// The backend's address as nginx shows it.
    pub backend: Option<String>,
    /// What shall become of it.
    pub wish: Wish,
}

impl Query {
    /// Reads what stands behind the `?`.
    ///
    /// # Errors
    /// A sentence for the caller: an unknown, repeated, malformed or senseless part.
    pub fn read(args: &[u8]) -> Result<Self, String> {
        let mut query = Self::default();
        for part in args.split(|byte| *byte == b'&').filter(|part| !part.is_empty()) {
            let mut halves = part.splitn(2, |byte| *byte == b'=');
            let (name, value) = (halves.next().unwrap_or_default(), halves.next().unwrap_or_default());
            let value = decoded(value)?;
            match name {
                b"u" => once("u", &mut query.upstream, value)?,
                b"b" => once("b", &mut query.backend, value)?,
                b"state" => {
                    let state = State::named(&value).ok_or("state is none of on, off, drain, config")?;
                    once("state", &mut query.wish.state, state)?;
                }
                b"weight" => {
                    let weight = value.parse().ok().filter(|weight| (1..=WEIGHT).contains(weight));
                    let weight =
                        weight.ok_or("weight is no number from 1 to 10000; for none use state=drain")?;
                    once("weight", &mut query.wish.weight, weight)?;
                }
                _ => return Err("only u, b, state and weight are known here".to_owned()),
            }
        }
        if query.backend.is_some() && query.upstream.is_none() {
            return Err("b=ADDRESS needs u=NAME, the upstream it is in".to_owned());
        }
        Ok(query)
    }
}

fn once<T>(name: &str, place: &mut Option<T>, value: T) -> Result<(), String> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(format!("{name} is given twice")),
    }
}

fn decoded(text: &[u8]) -> Result<String, String> {
    let mut bytes = Vec::with_capacity(text.len().min(VALUE_BYTES));
    let mut rest = text;
    while let [first, tail @ ..] = rest {
        rest = tail;
        bytes.push(match (first, tail) {
            (b'%', [high, low, tail @ ..]) => {
                rest = tail;
                let digit = |byte: &u8| (*byte as char).to_digit(16).map(|digit| digit as u8);
                let pair = digit(high).zip(digit(low));
                pair.map(|(high, low)| high * 16 + low).ok_or("a % without two hex digits")?
            }
            (b'%', _) => return Err("a % without two hex digits".to_owned()),
            (byte, _) => *byte,
        });
        if bytes.len() > VALUE_BYTES {
            return Err(format!("a value is longer than {VALUE_BYTES} bytes"));
        }
    }
    String::from_utf8(bytes).map_err(|_| "a value is no UTF-8".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_are_read() {
        let query = Query::read(b"u=fleet&b=%5B%3a:1%5D:80&state=drain&weight=7").unwrap();
        assert_eq!(query.upstream.as_deref(), Some("fleet"));
        assert_eq!(query.backend.as_deref(), Some("[::1]:80"));
        assert_eq!(query.wish, Wish { state: Some(State::Drain), weight: Some(7) });
        assert_eq!(Query::read(b"").unwrap(), Query::default());
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        let long = [b"u=".as_slice(), &[b'a'; 513]].concat();
        let refused: [&[u8]; 14] = [
            b"b=1.2.3.4:5",
            b"x=1",
            b"u=a&u=b",
            b"u=%",
            b"u=%1",
            b"u=%zz",
            b"u=%ff",
            b"state=",
            b"state=OFF",
            b"weight=0",
            b"weight=10001",
            b"weight=-1",
            b"weight=99999999999999999999",
            &long,
        ];
        for args in refused {
            assert!(Query::read(args).is_err(), "{}", String::from_utf8_lossy(args));
        }
    }

    #[test]
    fn states_survive_their_numbers() {
        for state in State::ALL {
            assert_eq!(State::from_number(state as u32), state);
        }
        assert_eq!(State::from_number(77), State::Config);
    }
}
