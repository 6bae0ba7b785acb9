//! Which instances get traffic: the rules, without files.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

/// How much traffic the front gives to one instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Switch {
    /// Its share of the round robin, and its own path `/ROUTE/PORT`.
    #[default]
    On,
    /// Its own path only: who is there may finish, nobody new comes.
    Drain,
    /// Nothing: its own path is answered with 503.
    Off,
}

impl fmt::Display for Switch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::On => "on",
            Self::Drain => "drain",
            Self::Off => "off",
        })
    }
}

/// The change would leave no instance in the round robin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "instance {port} is the last one in rotation: switching it to `{switch}` would stop all new connections; use --force if that is meant"
)]
pub struct LastInRotation {
    /// The instance.
    pub port: u16,
    /// What it was to become.
    pub switch: Switch,
}

/// How one instance is switched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Kept", into = "Kept")]
pub struct Setting {
    /// How much traffic it gets.
    pub switch: Switch,
    /// Its part of an instance's usual weight, 1 to 100 %.
    pub weight_percent: u8,
}

impl Default for Setting {
    fn default() -> Self {
        Self { switch: Switch::On, weight_percent: WHOLE }
    }
}

/// The usual weight in percent.
const WHOLE: u8 = 100;

/// A setting as it stands in a file: the switch alone if the weight is the usual one.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Kept {
    Switch(Switch),
    Both { switch: Switch, weight_percent: u8 },
}

impl From<Kept> for Setting {
    fn from(kept: Kept) -> Self {
        match kept {
            Kept::Switch(switch) => Self { switch, weight_percent: WHOLE },
            Kept::Both { switch, weight_percent } => {
                Self { switch, weight_percent: weight_percent.clamp(1, WHOLE) }
            }
        }
    }
}

impl From<Setting> for Kept {
    fn from(Setting { switch, weight_percent }: Setting) -> Self {
        if weight_percent == WHOLE { Self::Switch(switch) } else { Self::Both { switch, weight_percent } }
    }
}

/// The switches of a server's instances. Ports not mentioned are on, with their whole weight.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Switches(BTreeMap<u16, Setting>);

impl Switches {
    /// How the instance at `port` is switched.
    pub fn get(&self, port: u16) -> Switch {
        self.setting(port).switch
    }

    /// How the instance at `port` is switched, and its weight.
    pub fn setting(&self, port: u16) -> Setting {
        self.0.get(&port).copied().unwrap_or_default()
    }

    /// Changes one, whatever is left then.
    pub fn set(&mut self, port: u16, setting: Setting) {
        if setting == Setting::default() {
            self.0.remove(&port);
        } else {
            self.0.insert(port, setting);
        }
    }

    /// The switches after one change; `ports` are all instances of the server.
    ///
    /// # Errors
    /// [`LastInRotation`] if nothing of `ports` would be on any more, though something was, and it is not forced.
    pub fn with(
        &self,
        port: u16,
        switch: Switch,
        ports: &[u16],
        force: bool,
    ) -> Result<Self, LastInRotation> {
        let mut next = self.clone();
        next.set(port, Setting { switch, ..self.setting(port) });
        let any_on = |switches: &Self| ports.iter().any(|p| switches.get(*p) == Switch::On);
        if !force && any_on(self) && !any_on(&next) {
            return Err(LastInRotation { port, switch });
        }
        Ok(next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any_switch() -> impl Strategy<Value = Switch> {
        prop_oneof![Just(Switch::On), Just(Switch::Drain), Just(Switch::Off)]
    }

    proptest! {
        #[test]
        fn unforced_changes_never_empty_the_rotation(
            changes in prop::collection::vec((1u16..5, any_switch()), 0..40),
        ) {
            let ports = [1, 2, 3, 4];
            let mut switches = Switches::default();
            for (port, switch) in changes {
                if let Ok(next) = switches.with(port, switch, &ports, false) {
                    prop_assert_eq!(next.get(port), switch);
                    for other in ports.into_iter().filter(|p| *p != port) {
                        prop_assert_eq!(next.get(other), switches.get(other));
                    }
                    switches = next;
                }
                prop_assert!(ports.iter().any(|p| switches.get(*p) == Switch::On));
            }
        }
    }

    #[test]
    fn the_last_one_goes_only_by_force() {
        let ports = [8081, 8082];
        let one = Switches::default().with(8081, Switch::Drain, &ports, false).unwrap();
        let refused = LastInRotation { port: 8082, switch: Switch::Off };
        assert_eq!(one.with(8082, Switch::Off, &ports, false), Err(refused));
        let none = one.with(8082, Switch::Off, &ports, true).unwrap();
        assert!(
            none.with(8081, Switch::Off, &ports, false).is_ok(),
            "nothing is lost that was not lost before"
        );
        assert_eq!(none.with(8081, Switch::On, &ports, false).unwrap().get(8081), Switch::On);
    }

    #[test]
    fn a_weight_is_kept_and_older_files_are_read() {
        let old = r#"{"8081":"off"}"#;
        let mut switches: Switches = serde_json::from_str(old).unwrap();
        assert_eq!(serde_json::to_string(&switches).unwrap(), old);
        switches.set(8082, Setting { switch: Switch::On, weight_percent: 20 });
        let text = serde_json::to_string(&switches).unwrap();
        assert_eq!(serde_json::from_str::<Switches>(&text).unwrap(), switches);
        assert_eq!(switches.setting(8082).weight_percent, 20);
        switches.set(8081, Setting::default());
        switches.set(8082, Setting::default());
        assert_eq!(switches, Switches::default());
    }
}
