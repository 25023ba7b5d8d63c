//! What a workload found, in a form that is printed, written as JSON and rendered as a page.

use std::collections::BTreeMap;
use std::fmt;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

/// The points of a latency curve.
const QUANTILES: [f64; 12] = [0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.995, 0.999, 0.9999, 1.0];

/// The result of one workload.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// The workload, as `direct`.
    pub workload: String,
    /// The version of the program, which is the node's too.
    pub version: String,
    /// The limits that the node ran with: `bench`, `default`, or `unknown` for a node that was there.
    pub profile: String,
    /// The machine, which runs the node and the generator.
    pub machine: String,
    /// What was asked for, by flag.
    pub settings: BTreeMap<String, String>,
    /// Promises that were broken. The run has failed if there is one.
    pub violations: Vec<String>,
    /// Why the figures say nothing, if they do not.
    pub discarded: Option<String>,
    /// What a reader has to know beside the figures.
    pub notes: Vec<String>,
    /// What was measured, the most important first.
    pub figures: Vec<Figure>,
    /// How long things took.
    pub latencies: Vec<Latency>,
    /// The rates that a search tried, in its order.
    pub probes: Vec<Probe>,
}

/// One measured number.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    /// What it is.
    pub name: String,
    /// How much.
    pub value: f64,
    /// Of what.
    pub unit: String,
}

/// The distribution of a time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Latency {
    /// From when to when.
    pub name: String,
    /// How many were measured.
    pub count: u64,
    /// Quantile and milliseconds, in increasing order.
    pub curve: Vec<(f64, f64)>,
}

/// One step of a search.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Probe {
    /// Sends per second.
    pub rate: f64,
    /// The slower p99 of acks and deliveries, in milliseconds.
    pub p99_ms: f64,
    /// True if the goal held.
    pub held: bool,
    /// True if the generator was too late to tell.
    pub discarded: bool,
}

impl Outcome {
    /// An outcome without figures.
    pub fn of(workload: &str) -> Self {
        Self {
            workload: workload.to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            machine: machine(),
            ..Self::default()
        }
    }

    /// Adds a figure.
    pub fn figure(&mut self, name: &str, value: f64, unit: &str) {
        self.figures.push(Figure { name: name.to_owned(), value, unit: unit.to_owned() });
    }

    /// Adds a distribution of times in microseconds, unless nothing was measured.
    pub(crate) fn latency(&mut self, name: &str, times: &Histogram<u64>) {
        if times.is_empty() {
            return;
        }
        let point = |quantile: f64| (quantile, times.value_at_quantile(quantile) as f64 / 1e3);
        let curve = QUANTILES.into_iter().map(point).collect();
        self.latencies.push(Latency { name: name.to_owned(), count: times.len(), curve });
    }

    /// True if every promise was kept and the figures say something.
    pub fn is_sound(&self) -> bool {
        self.violations.is_empty() && self.discarded.is_none()
    }
}

impl Latency {
    /// The time that this share stayed within, in milliseconds; 0 for a quantile that is no point of the curve.
    pub fn at(&self, quantile: f64) -> f64 {
        self.curve.iter().find(|(at, _)| *at >= quantile).map_or(0.0, |(_, ms)| *ms)
    }
}

/// For people: broken promises before anything else.
impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for violation in &self.violations {
            writeln!(f, "VIOLATION: {violation}")?;
        }
        if let Some(reason) = &self.discarded {
            writeln!(f, "DISCARDED: {reason}")?;
        }
        writeln!(f, "{} (sparrow {}, profile {}, {})", self.workload, self.version, self.profile, self.machine)?;
        for figure in &self.figures {
            writeln!(f, "  {:<44} {:>14} {}", figure.name, number(figure.value), figure.unit)?;
        }
        for latency in &self.latencies {
            write!(f, "  {:<44}", latency.name)?;
            for (name, quantile) in [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999), ("max", 1.0)] {
                write!(f, " {name} {}", number(latency.at(quantile)))?;
            }
            writeln!(f, " ms, of {}", latency.count)?;
        }
        for probe in &self.probes {
            let word = match probe {
                Probe { discarded: true, .. } => "generator too late",
                Probe { held: true, .. } => "held",
                Probe { .. } => "did not hold",
            };
            writeln!(f, "  probe at {:>9}/s: p99 {} ms, {word}", number(probe.rate), number(probe.p99_ms))?;
        }
        for note in &self.notes {
            writeln!(f, "  {note}")?;
        }
        Ok(())
    }
}

/// A number with as many digits as say something, and commas between the thousands.
pub(crate) fn number(value: f64) -> String {
    let digits = match value.abs() {
        _ if value.fract() == 0.0 => 0,
        1_000.0.. => 0,
        100.0.. => 1,
        1.0.. => 2,
        _ => 3,
    };
    let text = format!("{value:.digits$}");
    let (whole, fraction) = text.split_at(text.find('.').unwrap_or(text.len()));
    let mut out = String::new();
    for (at, digit) in whole.char_indices() {
        if at > 0 && (whole.len() - at).is_multiple_of(3) && !out.ends_with('-') {
            out.push(',');
        }
        out.push(digit);
    }
    out.push_str(fraction);
    out
}

fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    let model = model.map_or("unknown processor", |(_, model)| model.trim());
    format!("node and generator on one machine: {cores} cores, {model}, {}", std::env::consts::OS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{histogram, note};

    #[test]
    fn what_is_broken_is_printed_before_everything() {
        let mut outcome = Outcome::of("direct");
        outcome.figure("sends", 1.0, "");
        outcome.violations.push("entry 3 came twice".to_owned());
        assert!(outcome.to_string().starts_with("VIOLATION: entry 3"));
        assert!(!outcome.is_sound());
    }

    #[test]
    fn an_outcome_is_read_back_from_its_json() {
        let mut outcome = Outcome::of("direct");
        let mut times = histogram();
        (1..=1_000).for_each(|ms| note(&mut times, ms * 1_000));
        outcome.latency("acked", &times);
        assert!((989.0..=991.0).contains(&outcome.latencies[0].at(0.99)));
        let json = serde_json::to_string(&outcome).unwrap();
        assert_eq!(serde_json::from_str::<Outcome>(&json).unwrap(), outcome);
    }

    #[test]
    fn numbers_have_commas_and_no_more_digits_than_they_need() {
        let numbers = [1_234_567.8, 123.456, 12.5, 12.0, 0.1234, 0.0, -1_234.0].map(number);
        assert_eq!(numbers, ["1,234,568", "123.5", "12.50", "12", "0.123", "0", "-1,234"]);
    }
}
