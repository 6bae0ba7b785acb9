//! Names of charts, as the original's files had them: `cpu.1h.png`, `cpu-max-s.6h.png`.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// Gives an enum its words: what stands in names, and back.
macro_rules! words {
    ($(#[$meta:meta])* $name:ident { $($(#[$variant_meta:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum $name { $($(#[$variant_meta])* $variant),+ }

        impl $name {
            /// All there are, in order.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// As it stands in names.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }

            /// The one that a word stands for.
            pub fn of_word(word: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|one| one.as_str() == word)
            }
        }
    };
}

words! {
    /// What a chart shows.
    Source {
        /// CPU time used.
        Cpu = "cpu",
        /// Bytes of bodies relayed.
        Bytes = "bytes",
        /// Customers whose agents polled.
        Agents = "agents_u",
        /// Transactions answered in full.
        Completed = "t_completed",
        /// Customers for whom transactions began.
        Unique = "t_unique",
        /// How long transactions took on average.
        Duration = "duration",
    }
}

words! {
    /// How large a picture is.
    Size {
        /// 307 by 150 pixels, without a legend.
        S = "s",
        /// 547 by 268 pixels and the legend below.
        M = "m",
        /// 897 by 370 pixels and the legend below.
        L = "l",
    }
}

words! {
    /// How much time a chart covers.
    Period {
        /// An hour.
        Hour = "1h",
        /// Three hours.
        Hours3 = "3h",
        /// Six hours.
        Hours6 = "6h",
        /// Twelve hours.
        Hours12 = "12h",
        /// A day.
        Day = "1day",
        /// Three days.
        Days3 = "3day",
        /// Seven days.
        Days7 = "7day",
        /// A month of thirty days.
        Month = "1m",
    }
}

words! {
    /// How a picture is written.
    Format {
        /// Pixels, for mail and files.
        Png = "png",
        /// Shapes, for pages.
        Svg = "svg",
    }
}

/// The unit of the numbers of a chart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Unit {
    /// Percent of one CPU.
    Percent,
    /// Bits per second.
    BitsPerSecond,
    /// Pieces per minute.
    PerMinute,
    /// Seconds.
    Seconds,
}

impl Unit {
    /// As it stands beside a chart.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Percent => "Percent (%)",
            Self::BitsPerSecond => "bit/s",
            Self::PerMinute => "pcs/min",
            Self::Seconds => "seconds",
        }
    }
}

impl Period {
    /// Its length in seconds.
    pub fn seconds(self) -> i64 {
        let hours = match self {
            Self::Hour => 1,
            Self::Hours3 => 3,
            Self::Hours6 => 6,
            Self::Hours12 => 12,
            Self::Day => 24,
            Self::Days3 => 72,
            Self::Days7 => 168,
            Self::Month => 720,
        };
        hours * 3600
    }

    /// In words.
    pub fn words(self) -> &'static str {
        match self {
            Self::Hour => "1 hour",
            Self::Hours3 => "3 hours",
            Self::Hours6 => "6 hours",
            Self::Hours12 => "12 hours",
            Self::Day => "1 day",
            Self::Days3 => "3 days",
            Self::Days7 => "7 days",
            Self::Month => "1 month",
        }
    }
}

impl Size {
    /// Width and height in pixels, without the legend.
    pub fn pixels(self) -> (u32, u32) {
        match self {
            Self::S => (307, 150),
            Self::M => (547, 268),
            Self::L => (897, 370),
        }
    }
}

/// One of the twelve types of charts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ChartKind {
    /// What it shows.
    pub source: Source,
    /// Whether the greatest values are shown, and not the averages.
    pub peaks: bool,
}

impl ChartKind {
    /// All twelve.
    pub fn all() -> impl Iterator<Item = Self> {
        [false, true]
            .into_iter()
            .flat_map(|peaks| Source::ALL.iter().map(move |source| Self { source: *source, peaks }))
    }

    /// What stands above the chart.
    pub fn title(self) -> String {
        let title = match self.source {
            Source::Cpu => "CPU loading",
            Source::Bytes => "Network",
            Source::Agents => "Unique Desktop connections",
            Source::Completed => "Completed Transactions",
            Source::Unique => "Unique ClientID Transactions",
            Source::Duration => "Transaction Average Duration",
        };
        if self.peaks { format!("{title}, peaks") } else { title.into() }
    }

    /// The unit of its numbers.
    pub fn unit(self) -> Unit {
        match self.source {
            Source::Cpu => Unit::Percent,
            Source::Bytes => Unit::BitsPerSecond,
            Source::Agents | Source::Completed | Source::Unique => Unit::PerMinute,
            Source::Duration => Unit::Seconds,
        }
    }
}

impl fmt::Display for ChartKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.source.as_str())?;
        f.write_str(if self.peaks { "-max" } else { "" })
    }
}

impl FromStr for ChartKind {
    type Err = InvalidChartName;

    fn from_str(text: &str) -> Result<Self, InvalidChartName> {
        let (source, peaks) = text.strip_suffix("-max").map_or((text, false), |source| (source, true));
        Ok(Self { source: Source::of_word(source).ok_or(InvalidChartName)?, peaks })
    }
}

/// A chart by its name: type, `-s` or `-l` unless of size M, period, format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ChartName {
    /// The type.
    pub kind: ChartKind,
    /// The size.
    pub size: Size,
    /// The time covered.
    pub period: Period,
    /// The format.
    pub format: Format,
}

/// The text names no chart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "not a chart: expected TYPE.PERIOD.png or .svg, TYPE one of cpu bytes agents_u t_completed t_unique duration, \
     each also with -max, then -s or -l for another size, PERIOD one of 1h 3h 6h 12h 1day 3day 7day 1m"
)]
pub struct InvalidChartName;

impl fmt::Display for ChartName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let size = match self.size {
            Size::S => "-s",
            Size::M => "",
            Size::L => "-l",
        };
        write!(f, "{}{size}.{}.{}", self.kind, self.period.as_str(), self.format.as_str())
    }
}

impl FromStr for ChartName {
    type Err = InvalidChartName;

    fn from_str(text: &str) -> Result<Self, InvalidChartName> {
        let mut parts = text.split('.');
        let (Some(what), Some(period), Some(format), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(InvalidChartName);
        };
        let (kind, size) = match (what.strip_suffix("-s"), what.strip_suffix("-l")) {
            (Some(kind), _) => (kind, Size::S),
            (_, Some(kind)) => (kind, Size::L),
            _ => (what, Size::M),
        };
        Ok(Self {
            kind: kind.parse()?,
            size,
            period: Period::of_word(period).ok_or(InvalidChartName)?,
            format: Format::of_word(format).ok_or(InvalidChartName)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_chart_has_one_name() {
        let mut count = 0;
        for kind in ChartKind::all() {
            for (size, period, format) in Size::ALL
                .iter()
                .flat_map(|size| Period::ALL.iter().map(move |period| (size, period)))
                .flat_map(|(size, period)| Format::ALL.iter().map(move |format| (*size, *period, *format)))
            {
                let name = ChartName { kind, size, period, format };
                assert_eq!(name.to_string().parse(), Ok(name));
                count += 1;
            }
        }
        assert_eq!(count, 12 * 3 * 8 * 2);
    }

    #[test]
    fn names_of_the_original() {
        let name: ChartName = "cpu-max-s.6h.png".parse().unwrap();
        let kind = ChartKind { source: Source::Cpu, peaks: true };
        assert_eq!(name, ChartName { kind, size: Size::S, period: Period::Hours6, format: Format::Png });
        assert_eq!("cpu.1h.png".parse::<ChartName>().unwrap().size, Size::M);
        for none in [
            "",
            "cpu",
            "cpu.1h",
            "cpu-m.1h.png",
            "cpu-s-max.1h.png",
            "cpu.2h.png",
            "CPU.1h.png",
            "../cpu.1h.png",
            "cpu.1h.png.",
        ] {
            assert_eq!(none.parse::<ChartName>(), Err(InvalidChartName), "{none}");
        }
    }

    proptest! {
        #[test]
        fn what_is_taken_is_printed_the_same(text in "(cpu|bytes|duration|x)(-max)?(-[slm])?\\.(1h|7day|1m|5m)\\.(png|svg|gif)|\\PC{0,20}") {
            if let Ok(name) = text.parse::<ChartName>() {
                prop_assert_eq!(name.to_string(), text);
            }
        }
    }
}
