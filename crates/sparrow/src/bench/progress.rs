//! The progress bar of a bench, on standard error; nothing if that is not a terminal.

use indicatif::{ProgressBar, ProgressStyle};
use sparrow_loadgen::Progress;

/// A bar that shows one stage after the other.
pub(super) struct Bar(ProgressBar);

impl Bar {
    /// A bar that shows nothing yet.
    pub(super) fn new() -> Self {
        let style = ProgressStyle::with_template("{spinner} {msg} [{bar:32}] {human_pos}/{human_len} {elapsed}");
        let bar = ProgressBar::no_length();
        if let Ok(style) = style {
            bar.set_style(style);
        }
        Self(bar)
    }
}

impl Progress for Bar {
    fn stage(&self, what: &str, steps: u64) {
        self.0.reset();
        self.0.set_length(steps);
        self.0.set_message(what.to_owned());
    }

    fn advance(&self, steps: u64) {
        self.0.inc(steps);
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
