//! What shows that a fault came through: names and numbers, the same for every fault. One that left none does not count.

use std::collections::BTreeMap;
use std::fmt;

/// What was seen of a fault. Names are snake case with their unit (`dropped_bytes`, `resets`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Evidence(BTreeMap<&'static str, u64>);

impl Evidence {
    /// Nothing was seen.
    pub fn none() -> Self {
        Self::default()
    }

    /// One number; 0 is none.
    pub fn of(name: &'static str, number: u64) -> Self {
        Self::none().and(name, number)
    }

    /// One more number, added to what is there under this name.
    #[must_use]
    pub fn and(mut self, name: &'static str, number: u64) -> Self {
        if number > 0 {
            *self.0.entry(name).or_default() += number;
        }
        self
    }

    /// What came on top of an earlier reading of the same counters.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        self.iter().fold(Self::none(), |grown, (name, now)| grown.and(name, now.saturating_sub(earlier.get(name))))
    }

    /// A number; 0 if nothing was seen.
    pub fn get(&self, name: &str) -> u64 {
        self.0.get(name).copied().unwrap_or(0)
    }

    /// True if nothing was seen: the fault did not happen.
    pub fn is_none(&self) -> bool {
        self.0.is_empty()
    }

    /// The numbers, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        self.0.iter().map(|(name, number)| (*name, *number))
    }
}

impl fmt::Display for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (name, number)) in self.iter().enumerate() {
            write!(f, "{}{name}={number}", if index == 0 { "" } else { " " })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_on_top_is_evidence_and_nothing_is_none() {
        let before = Evidence::of("resets", 3).and("dropped_bytes", 10);
        let after = Evidence::of("resets", 5).and("dropped_bytes", 10);
        assert_eq!(after.since(&before), Evidence::of("resets", 2));
        assert!(after.since(&after).is_none());
        assert_eq!(before.to_string(), "dropped_bytes=10 resets=3");
    }
}
