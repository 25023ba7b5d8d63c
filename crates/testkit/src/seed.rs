//! Randomness that can be repeated.

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

/// The seed of a test, from which all its randomness comes.
#[derive(Debug, Clone, Copy)]
pub struct Seed(u64);

impl Seed {
    /// The seed in `SPARROW_TEST_SEED`, or a fresh one. It is printed, so a failed test shows how to repeat it.
    ///
    /// # Panics
    /// If the variable is not a number.
    pub fn of(test: &str) -> Self {
        let seed = match std::env::var("SPARROW_TEST_SEED") {
            Ok(text) => text.parse().expect("SPARROW_TEST_SEED must be a whole number"),
            Err(_) => rand::rng().random(),
        };
        println!("{test}: SPARROW_TEST_SEED={seed}");
        Self(seed)
    }

    /// A generator for one part of the test; parts draw independently of each other's timing.
    pub fn part(self, number: u64) -> StdRng {
        StdRng::seed_from_u64(self.0 ^ number.wrapping_mul(0x9E37_79B9_7F4A_7C15))
    }
}
