//! Moving through the open log, and loading more of it when its loaded part comes to an end.

use super::State;
use super::effect::Effect;
use super::log::{self, Part};
use crate::rows::{Place, Sheet};

/// So many lines before the end of the loaded part, more of it is loaded.
const AHEAD: usize = 30;

impl State {
    /// Rows that one page of the log moves: the shown ones, less one to read on from.
    pub(super) fn page_rows(&self) -> isize {
        isize::try_from(self.log_rows().saturating_sub(1).max(1)).unwrap_or(1)
    }

    fn log_rows(&self) -> usize {
        usize::from(self.geometry().log.height)
    }

    /// Columns and rows of a list over the log, without its title and its footer.
    pub(super) fn panel_size(&self) -> (usize, usize) {
        let (_, _, rows) = crate::geometry::panel(&self.geometry());
        (rows.width.into(), rows.height.into())
    }

    /// Moves by rows, up if negative; loads what is needed there.
    pub(super) fn scroll(&mut self, by: isize) -> Vec<Effect> {
        let height = self.log_rows();
        let sheet = Sheet::new(self);
        if sheet.is_empty() {
            return Vec::new();
        }
        let end = sheet.last_page(height);
        let now = self.log.top.and_then(|(key, row)| sheet.place(key, row)).unwrap_or(end);
        let steps = by.unsigned_abs();
        let next = if by < 0 { sheet.up(now, steps) } else { sheet.down(now, steps) };
        let moved = next != now;
        // Up to the first page there is nothing to scroll, and what is below keeps being followed.
        let top = if next < end || !self.log.at_end { sheet.key(next) } else { None };
        let (before, after) = (next.index, sheet.len().saturating_sub(next.index));
        self.log.top = top;
        if top.is_none() {
            self.log.below = 0;
        }
        let nothing_above = next == Place::default() && self.log.at_start;
        if by < 0 && !moved && nothing_above {
            self.say(self.texts.at_beginning);
        }
        self.load_more(before <= AHEAD && by <= 0, after <= AHEAD.max(height))
    }

    fn load_more(&mut self, near_start: bool, near_end: bool) -> Vec<Effect> {
        let (Some(conversation), Some(first), Some(last)) = (self.open, self.log.first(), self.log.last()) else {
            return Vec::new();
        };
        if self.log.loading.is_some() {
            return Vec::new();
        }
        let (part, before) = match () {
            () if near_start && !self.log.at_start => (Part::Older, first),
            // `history` reads backward: the page that ends where a page after the window ends.
            () if near_end && !self.log.at_end => (Part::Newer, last.saturating_add(1 + i64::from(log::PAGE))),
            () => return Vec::new(),
        };
        self.log.loading = Some(part);
        vec![Effect::History { conversation, before, limit: log::PAGE, part }]
    }

    /// Goes back to the last message, closing what lies over it.
    pub(super) fn go_to_end(&mut self) -> Vec<Effect> {
        self.log.hit = None;
        if !self.log.at_end {
            return self.reload();
        }
        self.log.top = None;
        self.log.below = 0;
        Vec::new()
    }
}
