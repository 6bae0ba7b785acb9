//! How a second front begins: with what it knows, or else with what the first tells it.

use std::{collections::BTreeSet, time::Duration};

use switchboard_fleet::{KeyRing, config::Config};
use tokio::time::{Instant, sleep, timeout_at};

use super::{
    error::SecondError,
    follow::Line,
    learnt::{self, Learnt},
    merge::Book,
    pair::{Pair, wanted},
    talk::{Answer, Certificate, Question},
};
use crate::clock::now_ms;

/// The first front is waited for so long.
const WITHIN: Duration = Duration::from_secs(3);
/// Between two questions of this time.
const PAUSE: Duration = Duration::from_millis(300);

/// What a second front begins with.
#[derive(Debug, Default)]
pub(crate) struct Begun {
    pub(crate) learnt: Learnt,
    /// What the first said of switches, if it was asked.
    pub(crate) words: Book,
    /// The [`Pair::sum`] of the certificate in place.
    pub(crate) certificate: Option<String>,
}

/// Makes sure that a second front has what it needs to begin: asks the first if nothing is known of it yet, or there is no certificate. Does
/// nothing for any other front. Takes 3 s at most. Needs a tokio runtime.
///
/// # Errors
/// There is no certificate, and none comes; or what is kept is damaged.
pub async fn prepare(config: &Config, keys: &KeyRing) -> Result<(), SecondError> {
    begin(config, keys).await.map(drop)
}

/// The configuration of a second front, with the instances that the first told it of; of any other, as it is.
///
/// # Errors
/// What is kept is damaged.
pub fn followed(config: &Config) -> Result<Config, SecondError> {
    let mut config = config.clone();
    if config.front.follow.is_some()
        && let Some(learnt) = Learnt::read(&learnt::file(&config))?
    {
        learnt.lay_over(&mut config);
        let mut ports: BTreeSet<u16> = config.instances.iter().copied().collect();
        ports.extend(&learnt.members.here);
        config.instances = ports.into_iter().collect();
    }
    Ok(config)
}

/// What this front begins with; `None` if it is no second one.
pub(crate) async fn begin(config: &Config, keys: &KeyRing) -> Result<Option<Begun>, SecondError> {
    let Some(address) = config.front.follow else { return Ok(None) };
    let (path, tls) = (learnt::file(config), wanted(config));
    let known = Learnt::read(&path)?;
    let pair = tls.as_ref().and_then(Pair::finish);
    let lacks_pair = tls.is_some() && pair.is_none();
    let mut begun = Begun {
        words: Book::default(),
        certificate: pair.map(|pair| pair.sum()),
        learnt: known.clone().unwrap_or_default(),
    };
    if known.is_some() && !lacks_pair {
        return Ok(Some(begun));
    }
    let told = first_answer(&Line::new(address, keys), config).await;
    let why = match told {
        Ok(Answer::Told(told)) => {
            begun.learnt = Learnt { at_ms: now_ms(), members: told.members, reload: false };
            begun.learnt.write(&path)?;
            begun.words = told.words;
            match (told.certificate, &tls) {
                (Certificate::New(pair), Some(tls)) => match pair.check() {
                    Ok(()) => {
                        pair.write(tls)
                            .map_err(|error| SecondError::File { path: tls.key.clone(), error })?;
                        begun.certificate = Some(pair.sum());
                        String::new()
                    }
                    Err(why) => why,
                },
                (Certificate::Unusable(why), _) => why,
                _ => "it has none: set front.tls there, or leave it out here".into(),
            }
        }
        Ok(refusal) => refused(&refusal, config, now_ms()),
        Err(why) => why,
    };
    if lacks_pair && begun.certificate.is_none() {
        return Err(SecondError::NoCertificate { address, why });
    }
    Ok(Some(begun))
}

async fn first_answer(line: &Line, config: &Config) -> Result<Answer, String> {
    let until = Instant::now() + WITHIN;
    loop {
        let question = Question {
            at_ms: now_ms(),
            server: config.server.to_string(),
            asker: 0,
            in_force: 0,
            certificate: wanted(config).map(|_| String::new()),
            words: Book::default(),
        };
        let late = || Err("it does not answer in time".into());
        let answer = timeout_at(until, line.ask(&question)).await.unwrap_or_else(|_| late());
        if answer.is_ok() || Instant::now() + PAUSE >= until {
            return answer;
        }
        sleep(PAUSE).await;
    }
}

/// Why the first took nothing, in words.
pub(crate) fn refused(answer: &Answer, config: &Config, now_ms: u64) -> String {
    match answer {
        Answer::Clock(theirs_ms) => {
            let seconds = now_ms.abs_diff(*theirs_ms) / 1000;
            format!("the clocks of the two machines differ by {seconds} s: set them right")
        }
        Answer::Server(theirs) => {
            format!("it is a front of {theirs}, and this one of {}: `server` must be the same", config.server)
        }
        Answer::Told(_) => String::new(),
    }
}
