//! The search for the highest rate that holds a goal: which rate to try next, given what was found. Pure.

/// Probes of one search at most.
const PROBES: usize = 20;
/// The search ends when the bounds are this close.
const CLOSE: f64 = 1.05;
/// How much faster each probe is until one fails.
const GROWTH: f64 = 2.0;

/// A search by growth until a rate fails, then by halving the distance between the best and the worst.
#[derive(Debug, Clone)]
pub struct Search {
    start: f64,
    held: Option<f64>,
    failed: Option<f64>,
    probes: usize,
}

impl Search {
    /// A search that begins at this rate, in sends per second.
    pub fn from(start: f64) -> Self {
        Self { start: start.max(1.0), held: None, failed: None, probes: 0 }
    }

    /// The rate to try next; `None` when the search is over.
    pub fn next(&self) -> Option<f64> {
        if self.probes >= PROBES {
            return None;
        }
        match (self.held, self.failed) {
            (None, None) => Some(self.start),
            (Some(held), None) => Some(held * GROWTH),
            (None, Some(failed)) => (failed > 1.0).then_some(failed / 2.0),
            (Some(held), Some(failed)) => (failed / held > CLOSE).then_some((held * failed).sqrt()),
        }
    }

    /// Notes whether a rate held.
    pub fn note(&mut self, rate: f64, held: bool) {
        self.probes += 1;
        if held {
            self.held = Some(self.held.map_or(rate, |best| best.max(rate)));
        } else {
            self.failed = Some(self.failed.map_or(rate, |worst| worst.min(rate)));
        }
    }

    /// The highest rate that held.
    pub fn best(&self) -> Option<f64> {
        self.held
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn search(start: f64, limit: f64) -> (Option<f64>, usize) {
        let mut search = Search::from(start);
        let mut probes = 0;
        while let Some(rate) = search.next() {
            search.note(rate, rate <= limit);
            probes += 1;
        }
        (search.best(), probes)
    }

    #[test]
    fn the_highest_rate_is_found_to_five_percent_from_below_and_from_above() {
        for start in [100.0, 3_000.0, 60_000.0, 500_000.0] {
            let (best, probes) = search(start, 61_234.0);
            let best = best.unwrap();
            assert!((61_234.0 / CLOSE..=61_234.0).contains(&best), "{best} from {start} in {probes} probes");
        }
    }

    #[test]
    fn a_search_ends_even_if_nothing_or_everything_holds() {
        assert_eq!(search(1_000.0, 0.0).0, None);
        let (best, probes) = search(1_000.0, f64::INFINITY);
        assert!(best.is_some() && probes <= PROBES);
    }
}
