//! Which backend a request means that names a port, and why one is refused.

/// What is at a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum At {
    /// This backend, by its number.
    Backend(u32),
    /// Backends that an operator has switched off.
    Off,
}

/// What a request means, by its variable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meant {
    /// Any backend in the rotation.
    Any,
    /// The one at this port.
    Port(u16),
    /// What no backend can have.
    Nowhere,
}

impl Meant {
    /// Reads the variable's value: empty, or a port as it is written, without a leading 0.
    pub fn read(value: &[u8]) -> Self {
        if value.is_empty() {
            return Self::Any;
        }
        let digits = value.len() <= 5 && value.first() != Some(&b'0') && value.iter().all(u8::is_ascii_digit);
        let port = std::str::from_utf8(value).ok().filter(|_| digits).and_then(|text| text.parse().ok());
        port.map_or(Self::Nowhere, Self::Port)
    }
}

/// Why a request finds no backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// No backend has the port.
    UnknownPort,
    /// The one that has it is switched off.
    SwitchedOff,
    /// Any backend would do, but none is in the rotation.
    NoneInRotation,
}

impl Refusal {
    /// Its word.
    pub fn word(self) -> &'static str {
        match self {
            Self::UnknownPort => "unknown-port",
            Self::SwitchedOff => "switched-off",
            Self::NoneInRotation => "none-in-rotation",
        }
    }
}

/// The backends of an upstream by their ports, and how many are in the rotation.
#[derive(Debug, Clone, Default)]
pub struct Ports {
    sorted: Vec<(u16, At)>,
    serving: usize,
}

impl Ports {
    /// Begins anew.
    pub fn clear(&mut self) {
        self.sorted.clear();
        self.serving = 0;
    }

    /// One more backend at `port`, which takes part; `serves` says that it is in the rotation.
    pub fn add(&mut self, port: Option<u16>, at: At, serves: bool) {
        self.sorted.extend(port.map(|port| (port, at)));
        self.serving += usize::from(serves);
    }

    /// All are there.
    pub fn ready(&mut self) {
        // Of several at one port the first that is not off is meant.
        self.sorted.sort_unstable();
    }

    /// The backend that is meant; `Ok(None)`: any in the rotation.
    ///
    /// # Errors
    /// There is none.
    pub fn find(&self, meant: Meant) -> Result<Option<u32>, Refusal> {
        let port = match meant {
            Meant::Any if self.serving > 0 => return Ok(None),
            Meant::Any => return Err(Refusal::NoneInRotation),
            Meant::Nowhere => return Err(Refusal::UnknownPort),
            Meant::Port(port) => port,
        };
        let first = self.sorted.partition_point(|(other, _)| *other < port);
        match self.sorted.get(first) {
            Some((found, at)) if *found == port => match at {
                At::Backend(backend) => Ok(Some(*backend)),
                At::Off => Err(Refusal::SwitchedOff),
            },
            _ => Err(Refusal::UnknownPort),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_means_the_one_that_has_it() {
        let mut ports = Ports::default();
        assert_eq!(ports.find(Meant::read(b"")), Err(Refusal::NoneInRotation));
        for (port, at, serves) in [
            (8082, At::Backend(1), false),
            (8081, At::Off, false),
            (8081, At::Backend(4), false),
            (8081, At::Backend(3), true),
            (8083, At::Off, false),
        ] {
            ports.add(Some(port), at, serves);
        }
        ports.add(None, At::Backend(9), false);
        ports.ready();
        assert_eq!(ports.find(Meant::read(b"")), Ok(None));
        assert_eq!(ports.find(Meant::read(b"8081")), Ok(Some(3)));
        assert_eq!(ports.find(Meant::read(b"8082")), Ok(Some(1)));
        assert_eq!(ports.find(Meant::read(b"8083")), Err(Refusal::SwitchedOff));
        for odd in
            ["8084", "0", "08081", "80811", "65536", "99999999999999999999999", "8081 ", "+8081", "x", "8080"]
        {
            assert_eq!(ports.find(Meant::read(odd.as_bytes())), Err(Refusal::UnknownPort), "{odd}");
        }
        ports.clear();
        assert_eq!(ports.find(Meant::read(b"8081")), Err(Refusal::UnknownPort));
    }
}
