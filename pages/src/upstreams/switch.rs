//! What a form says that shall become of a backend.

use switchboard_fleet::front::{Change, Order, Place};

use crate::{
    query::{BadQuery, known, quoted, value},
    url,
};

/// A switch as a form has it: `front=NAME&u=UPSTREAM&b=ADDRESS&change=weight&weight=50&why=TEXT&until=1h&force=yes&seen=7&csrf=TOKEN`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SwitchForm {
    /// The front's name.
    pub front: String,
    /// Which of its backends.
    pub place: Place,
    /// What shall become of it.
    pub change: Change,
    /// Why, for the record; may be empty, at most [`Order::WORDS_MAX`] bytes.
    pub why: String,
    /// For how long.
    pub until: Until,
    /// Also if no backend of the upstream is left in service.
    pub force: bool,
    /// The version of the table that was looked at.
    pub seen: Option<u64>,
    /// What the login gave: without it nothing may be changed.
    pub csrf: Option<String>,
}

/// When a switch ends by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Until {
    /// Never.
    #[default]
    ForEver,
    /// So many minutes after it is made: 15, 60 or 240.
    Minutes(u32),
    /// At the next time that clocks show this, in UTC.
    Clock {
        /// From 0 to 23.
        hour: u32,
        /// From 0 to 59.
        minute: u32,
    },
}

const MINUTE_MS: u64 = 60_000;
const DAY_MS: u64 = 86_400_000;

impl Until {
    /// The choices of a form: what it sends, and what it shows.
    pub(crate) const CHOICES: [(&'static str, &'static str, Self); 4] = [
        ("", "for ever", Self::ForEver),
        ("15min", "for 15 min", Self::Minutes(15)),
        ("1h", "for 1 h", Self::Minutes(60)),
        ("4h", "for 4 h", Self::Minutes(240)),
    ];

    /// One of the choices, or a time of day.
    fn of_word(word: &str) -> Option<Self> {
        let choice = Self::CHOICES.iter().find(|(known, _, _)| *known == word).map(|(_, _, until)| *until);
        choice.or_else(|| clock(word))
    }

    fn word(self) -> String {
        match self {
            Self::ForEver => String::new(),
            Self::Minutes(15) => "15min".into(),
            Self::Minutes(minutes) => format!("{}h", minutes / 60),
            Self::Clock { hour, minute } => format!("{hour:02}:{minute:02}"),
        }
    }

    /// The moment, ms since 1970, if the switch is made at `now_ms`. A time of day is the next one, at most a day ahead.
    pub fn at_ms(self, now_ms: u64) -> Option<u64> {
        match self {
            Self::ForEver => None,
            Self::Minutes(minutes) => Some(now_ms.saturating_add(u64::from(minutes) * MINUTE_MS)),
            Self::Clock { hour, minute } => {
                let of_day = (u64::from(hour) * 60 + u64::from(minute)) * MINUTE_MS;
                let today = (now_ms - now_ms % DAY_MS).saturating_add(of_day);
                Some(if today > now_ms { today } else { today.saturating_add(DAY_MS) })
            }
        }
    }
}

/// `19:30`.
fn clock(text: &str) -> Option<Until> {
    let (hour, minute) = text.trim().split_once(':')?;
    let number = |text: &str, below: u32| {
        let digits = (1..=2).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse().ok().filter(|number| digits && *number < below)
    };
    Some(Until::Clock { hour: number(hour, 24)?, minute: number(minute, 60).filter(|_| minute.len() == 2)? })
}

const KEYS: [&str; 11] =
    ["front", "u", "b", "change", "weight", "why", "until", "at", "force", "seen", "csrf"];

impl SwitchForm {
    /// Most bytes of a form as it is sent.
    pub const BYTES_MAX: usize = 8192;

    /// Reads what stands behind the `?` of `/upstreams/switch`, or what was posted there.
    ///
    /// # Errors
    /// What is missing, too long, or none of what is known.
    pub fn parse(raw: &str) -> Result<Self, BadQuery> {
        if raw.len() > Self::BYTES_MAX {
            return Err(BadQuery(format!("the form: longer than {} bytes", Self::BYTES_MAX)));
        }
        known(raw, &KEYS)?;
        let needed = |key: &str, what: &str| {
            value(raw, key).ok_or_else(|| BadQuery(format!("{key}: is missing; expected {what}")))
        };
        let form = Self {
            front: needed("front", "a front's name")?,
            place: Place {
                upstream: needed("u", "an upstream's name")?,
                backend: needed("b", "a backend's address")?,
            },
            change: change(&needed("change", "on, drain, off or weight")?, raw)?,
            why: why(raw)?,
            until: until(raw)?,
            force: yes(raw, "force")?,
            seen: seen(raw)?,
            csrf: value(raw, "csrf"),
        };
        if form.change == Change::On && form.until != Until::ForEver {
            return Err(BadQuery("until: On has no end; leave it at \"for ever\"".into()));
        }
        Ok(form)
    }

    /// The order that says the same, given by `who` at `now_ms`; `id` names it.
    ///
    /// # Errors
    /// A name or a reason that is longer than orders can carry.
    pub fn order(
        &self,
        id: impl Into<String>,
        who: impl Into<String>,
        now_ms: u64,
    ) -> Result<Order, BadQuery> {
        let (id, who) = (id.into(), who.into());
        for (key, text) in [("who", &who), ("why", &self.why)] {
            if text.len() > Order::WORDS_MAX {
                return Err(too_long(key));
            }
        }
        Ok(Order {
            id,
            place: self.place.clone(),
            change: self.change,
            who,
            why: self.why.clone(),
            until_ms: self.until.at_ms(now_ms).filter(|_| self.change != Change::On),
            force: self.force,
            seen: self.seen,
        })
    }

    /// The address of the page that shows what it would do: all of it but what only a POST carries.
    pub fn address(&self) -> String {
        let fields = self.fields();
        let pairs: Vec<(&str, &str)> = fields.iter().map(|(key, value)| (*key, &**value)).collect();
        format!("/upstreams/switch{}", url::query(&pairs))
    }

    /// What a form carries on, with what is empty left out.
    pub(crate) fn fields(&self) -> Vec<(&'static str, String)> {
        let weight = match self.change {
            Change::Weight { percent } => percent.to_string(),
            _ => String::new(),
        };
        let fields = [
            ("front", self.front.clone()),
            ("u", self.place.upstream.clone()),
            ("b", self.place.backend.clone()),
            ("change", self.change.word().into()),
            ("weight", weight),
            ("why", self.why.clone()),
            ("until", self.until.word()),
            ("seen", self.seen.map_or(String::new(), |seen| seen.to_string())),
        ];
        fields.into_iter().filter(|(_, value)| !value.is_empty()).collect()
    }
}

fn change(word: &str, raw: &str) -> Result<Change, BadQuery> {
    match word {
        "on" => Ok(Change::On),
        "drain" => Ok(Change::Drain),
        "off" => Ok(Change::Off),
        "weight" => {
            let given = value(raw, "weight").unwrap_or_default();
            let percent = given.trim().parse().ok().filter(|percent| (1..=100).contains(percent));
            let percent = percent.ok_or_else(|| {
                BadQuery(format!("weight: {} is no whole number from 1 to 100", quoted(&given)))
            })?;
            Ok(Change::Weight { percent })
        }
        other => Err(BadQuery(format!("change: {} is none of on, drain, off, weight", quoted(other)))),
    }
}

fn why(raw: &str) -> Result<String, BadQuery> {
    let why = value(raw, "why").unwrap_or_default().trim().to_owned();
    if why.len() > Order::WORDS_MAX {
        return Err(too_long("why"));
    }
    if why.contains(char::is_control) {
        return Err(BadQuery("why: one line without control characters".into()));
    }
    Ok(why)
}

/// A choice or, where none was made, the time that was typed.
fn until(raw: &str) -> Result<Until, BadQuery> {
    let (choice, at) = (value(raw, "until").unwrap_or_default(), value(raw, "at").unwrap_or_default());
    let word = match (choice.as_str(), at.as_str()) {
        ("", typed) => typed,
        (chosen, "") => chosen,
        _ => return Err(BadQuery("until: choose how long or type a time, not both".into())),
    };
    Until::of_word(word.trim()).ok_or_else(|| {
        BadQuery(format!("until: {} is none of 15min, 1h, 4h, or a time in UTC as 19:30", quoted(word)))
    })
}

fn yes(raw: &str, key: &str) -> Result<bool, BadQuery> {
    match value(raw, key).as_deref() {
        None | Some("no") => Ok(false),
        Some("yes") => Ok(true),
        Some(other) => Err(BadQuery(format!("{key}: {} is neither yes nor no", quoted(other)))),
    }
}

fn seen(raw: &str) -> Result<Option<u64>, BadQuery> {
    let Some(given) = value(raw, "seen") else { return Ok(None) };
    let number = given.parse().map(Some);
    number.map_err(|_| BadQuery(format!("seen: {} is no version of a table", quoted(&given))))
}

fn too_long(key: &str) -> BadQuery {
    BadQuery(format!("{key}: longer than {} bytes", Order::WORDS_MAX))
}
