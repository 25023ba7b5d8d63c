//! The kinds of values that settings have: how each is read from text, shown, and described to a person.
//!
//! Every kind has an `accepts`: what it takes, with unit and range, to follow the word "give".

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use sparrow_server::config::{IpNet, Origin};

/// A kind of value, held by a setting as a `T`.
pub(super) trait Kind<T> {
    /// Reads a value; `None` if the text is not one that the kind's `accepts` describes.
    fn parse(&self, text: &str) -> Option<T>;

    /// The value as it is written in a file; what [`Kind::parse`] reads back.
    fn show(&self, value: &T) -> toml::Value;
}

/// An IP address with a port; port 0 lets the system choose one.
pub(super) struct Address;

impl Kind<SocketAddr> for Address {
    fn parse(&self, text: &str) -> Option<SocketAddr> {
        text.parse().ok()
    }

    fn show(&self, value: &SocketAddr) -> toml::Value {
        value.to_string().into()
    }
}

impl Address {
    pub(super) fn accepts(&self) -> String {
        "an IP address and a port, such as `127.0.0.1:7700` or `[::]:7700`".to_owned()
    }
}

/// A directory.
pub(super) struct Directory;

impl Kind<PathBuf> for Directory {
    fn parse(&self, text: &str) -> Option<PathBuf> {
        (!text.is_empty() && !text.contains('\0')).then(|| PathBuf::from(text))
    }

    fn show(&self, value: &PathBuf) -> toml::Value {
        value.to_string_lossy().into_owned().into()
    }
}

impl Directory {
    pub(super) fn accepts(&self) -> String {
        "the path of a directory".to_owned()
    }
}

/// A file, or none.
pub(super) struct File;

impl Kind<Option<PathBuf>> for File {
    fn parse(&self, text: &str) -> Option<Option<PathBuf>> {
        (!text.contains('\0')).then(|| (!text.is_empty()).then(|| PathBuf::from(text)))
    }

    fn show(&self, value: &Option<PathBuf>) -> toml::Value {
        value.as_ref().map_or(String::new(), |path| path.to_string_lossy().into_owned()).into()
    }
}

impl File {
    pub(super) fn accepts(&self) -> String {
        "the path of a file, or nothing".to_owned()
    }
}

/// A whole number between two bounds, which are accepted themselves.
pub(super) struct Count(pub(super) u64, pub(super) u64);

impl<T: Copy + TryFrom<u64> + TryInto<u64>> Kind<T> for Count {
    fn parse(&self, text: &str) -> Option<T> {
        within(text.parse().ok()?, self.0, self.1)
    }

    fn show(&self, value: &T) -> toml::Value {
        integer(number(*value))
    }
}

impl Count {
    pub(super) fn accepts(&self) -> String {
        format!("a whole number from {} to {}", self.0, self.1)
    }
}

/// A size in bytes between two bounds: a number of bytes, or a number with `KiB`, `MiB` or `GiB`.
pub(super) struct Bytes(pub(super) u64, pub(super) u64);

const SIZES: [(&str, u64); 3] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];

impl<T: Copy + TryFrom<u64> + TryInto<u64>> Kind<T> for Bytes {
    fn parse(&self, text: &str) -> Option<T> {
        let bytes = match SIZES.iter().find_map(|(unit, size)| Some((text.strip_suffix(unit)?, size))) {
            Some((amount, size)) => amount.trim_end().parse::<u64>().ok()?.checked_mul(*size)?,
            None => text.parse().ok()?,
        };
        within(bytes, self.0, self.1)
    }

    fn show(&self, value: &T) -> toml::Value {
        let bytes = number(*value);
        match largest_unit(bytes, &SIZES) {
            Some(text) => text.into(),
            None => integer(bytes),
        }
    }
}

impl Bytes {
    pub(super) fn accepts(&self) -> String {
        let show = |bytes| largest_unit(bytes, &SIZES).unwrap_or_else(|| format!("{bytes} bytes"));
        format!("a size from {} to {}, in bytes or with `KiB`, `MiB`, `GiB`", show(self.0), show(self.1))
    }
}

/// A time between two bounds, given in milliseconds; in text a whole number with its unit.
pub(super) struct Time(pub(super) u64, pub(super) u64);

/// Milliseconds in a second.
pub(super) const SECOND: u64 = 1_000;
/// Milliseconds in a minute.
pub(super) const MINUTE: u64 = 60 * SECOND;
/// Milliseconds in an hour.
pub(super) const HOUR: u64 = 60 * MINUTE;
/// Milliseconds in a day.
pub(super) const DAY: u64 = 24 * HOUR;

// `ms` stands before `s` and `m`, so that a unit is found before its own end.
const TIMES: [(&str, u64); 5] = [("d", DAY), ("h", HOUR), ("min", MINUTE), ("ms", 1), ("s", SECOND)];

impl Kind<Duration> for Time {
    fn parse(&self, text: &str) -> Option<Duration> {
        let (amount, unit) = TIMES.iter().find_map(|(unit, ms)| Some((text.strip_suffix(unit)?, ms)))?;
        let ms = amount.trim_end().parse::<u64>().ok()?.checked_mul(*unit)?;
        within(ms, self.0, self.1).map(Duration::from_millis)
    }

    fn show(&self, value: &Duration) -> toml::Value {
        show_time(u64::try_from(value.as_millis()).unwrap_or(u64::MAX)).into()
    }
}

impl Time {
    pub(super) fn accepts(&self) -> String {
        let (low, high) = (show_time(self.0), show_time(self.1));
        format!("a time from {low} to {high}, with one of the units `ms`, `s`, `min`, `h`, `d`")
    }
}

fn show_time(ms: u64) -> String {
    const BY_SIZE: [(&str, u64); 4] = [("d", DAY), ("h", HOUR), ("min", MINUTE), ("s", SECOND)];
    largest_unit(ms, &BY_SIZE).unwrap_or_else(|| format!("{ms} ms"))
}

/// One of a few words.
pub(super) struct Word<T: 'static>(pub(super) &'static [(&'static str, T)]);

impl<T: Copy + PartialEq> Kind<T> for Word<T> {
    fn parse(&self, text: &str) -> Option<T> {
        self.0.iter().find_map(|(word, value)| (*word == text).then_some(*value))
    }

    fn show(&self, value: &T) -> toml::Value {
        self.0.iter().find_map(|(word, known)| (known == value).then_some(*word)).unwrap_or_default().into()
    }
}

impl<T> Word<T> {
    pub(super) fn accepts(&self) -> String {
        let words: Vec<_> = self.0.iter().map(|(word, _)| format!("`{word}`")).collect();
        words.join(" or ")
    }
}

/// Origins of web pages, with commas between them.
pub(super) struct Origins;

impl Kind<Vec<Origin>> for Origins {
    fn parse(&self, text: &str) -> Option<Vec<Origin>> {
        text.split(',').map(str::trim).filter(|origin| !origin.is_empty()).map(Origin::parse).collect()
    }

    fn show(&self, value: &Vec<Origin>) -> toml::Value {
        value.iter().map(Origin::as_str).collect::<Vec<_>>().join(", ").into()
    }
}

impl Origins {
    pub(super) fn accepts(&self) -> String {
        "origins such as `https://chat.example.org`, with commas between them, or nothing".to_owned()
    }
}

/// Networks, with commas between them.
pub(super) struct Networks;

impl Kind<Vec<IpNet>> for Networks {
    fn parse(&self, text: &str) -> Option<Vec<IpNet>> {
        let network = |text: &str| text.parse().ok().or_else(|| text.parse().ok().map(|one: IpAddr| one.into()));
        text.split(',').map(str::trim).filter(|network| !network.is_empty()).map(network).collect()
    }

    fn show(&self, value: &Vec<IpNet>) -> toml::Value {
        value.iter().map(IpNet::to_string).collect::<Vec<_>>().join(", ").into()
    }
}

impl Networks {
    pub(super) fn accepts(&self) -> String {
        "networks or addresses such as `10.0.0.0/8` or `fd00::1`, with commas between them, or nothing".to_owned()
    }
}

/// What is logged: a level, or a list of `module=level`.
pub(super) struct LogFilter;

impl Kind<String> for LogFilter {
    fn parse(&self, text: &str) -> Option<String> {
        tracing_subscriber::EnvFilter::try_new(text).ok().map(|_| text.to_owned())
    }

    fn show(&self, value: &String) -> toml::Value {
        value.clone().into()
    }
}

impl LogFilter {
    pub(super) fn accepts(&self) -> String {
        "`error`, `warn`, `info`, `debug`, `trace` or `off`, or a list such as `info,sparrow_server=debug`".to_owned()
    }
}

fn within<T: TryFrom<u64>>(value: u64, low: u64, high: u64) -> Option<T> {
    (low..=high).contains(&value).then(|| T::try_from(value).ok()).flatten()
}

fn number<T: TryInto<u64>>(value: T) -> u64 {
    value.try_into().unwrap_or(u64::MAX)
}

fn integer(value: u64) -> toml::Value {
    i64::try_from(value).unwrap_or(i64::MAX).into()
}

/// The amount in the largest unit that divides it, if it is worth one.
fn largest_unit(amount: u64, units: &[(&str, u64)]) -> Option<String> {
    let (unit, size) = units.iter().find(|(_, size)| amount >= *size && amount.is_multiple_of(*size))?;
    Some(format!("{} {unit}", amount / size))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_read_with_or_without_a_unit_and_within_its_range() {
        let kind = Bytes(16, 1 << 20);
        assert_eq!(Kind::<usize>::parse(&kind, "64 KiB"), Some(65_536));
        assert_eq!(Kind::<usize>::parse(&kind, "1MiB"), Some(1 << 20));
        assert_eq!(Kind::<usize>::parse(&kind, "100"), Some(100));
        for refused in ["", "15", "-1", "2 MiB", "64 KB", "KiB", "18014398509481985 KiB", "1.5 KiB"] {
            assert_eq!(Kind::<usize>::parse(&kind, refused), None, "{refused}");
        }
    }

    #[test]
    fn a_time_needs_its_unit() {
        let kind = Time(1, 30 * DAY);
        for (text, ms) in [("25 s", 25_000), ("200ms", 200), ("5 min", 300_000), ("24 h", DAY), ("30 d", 30 * DAY)] {
            assert_eq!(kind.parse(text), Some(Duration::from_millis(ms)), "{text}");
        }
        for refused in ["10", "0 s", "31 d", "-1 s", "1 m", "s"] {
            assert_eq!(kind.parse(refused), None, "{refused}");
        }
    }

    #[test]
    fn what_is_shown_is_read_back() {
        let sizes = Bytes(0, u64::MAX);
        for bytes in [0_usize, 1, 1_000, 1_024, 3 << 20, 5 << 30] {
            let shown = Kind::<usize>::show(&sizes, &bytes).to_string().replace('"', "");
            assert_eq!(Kind::<usize>::parse(&sizes, &shown), Some(bytes));
        }
        let times = Time(0, u64::MAX);
        for ms in [0, 1, 999, 1_000, 90_000, HOUR, 36 * HOUR, DAY] {
            let value = Duration::from_millis(ms);
            assert_eq!(times.parse(&times.show(&value).to_string().replace('"', "")), Some(value));
        }
    }
}
