//! A list that lies over the log: help, users, conversations, search hits, emoji.

use crate::command::UserRef;
use crate::text::{width, wrap};

/// Which list it is, so that a late answer finds its own and no other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    Help,
    Info,
    Chats,
    Online,
    Users(String),
    /// Search number so and so.
    Search(u64),
    Emoji {
        page: u32,
        pages: u32,
    },
}

/// What Enter does on a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Choice {
    Open(i64),
    Write(UserRef),
    Jump { conversation: i64, seq: i64 },
    Insert(String),
}

/// One row: a label, and beside it what it means.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) label: String,
    pub(crate) detail: String,
    pub(crate) heading: bool,
    pub(crate) choice: Option<Choice>,
}

impl Row {
    pub(crate) fn pair(label: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { label: label.into(), detail: detail.into(), ..Self::default() }
    }

    pub(crate) fn heading(label: impl Into<String>) -> Self {
        Self { label: label.into(), heading: true, ..Self::default() }
    }

    pub(crate) fn choice(label: impl Into<String>, detail: impl Into<String>, choice: Choice) -> Self {
        Self { choice: Some(choice), ..Self::pair(label, detail) }
    }
}

/// Fewer columns have no room for labels and details side by side.
const SIDE_BY_SIDE: usize = 50;

/// A row as lines: the label, and under it, set in, the detail.
fn stacked(row: &Row, columns: usize) -> Vec<Row> {
    let heading = row.heading;
    let labels = wrap(&row.label, columns.saturating_sub(1)).into_iter();
    let labels = labels.map(|label| Row { label, heading, ..Row::default() });
    let details = wrap(&row.detail, columns.saturating_sub(3)).into_iter().filter(|line| !line.is_empty());
    labels.chain(details.map(|line| Row::pair(format!("  {line}"), ""))).collect()
}

/// The list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Panel {
    pub(crate) kind: Kind,
    pub(crate) title: String,
    pub(crate) rows: Vec<Row>,
    /// The chosen row where rows can be chosen, else the first shown.
    pub(crate) at: usize,
}

impl Panel {
    pub(crate) fn new(kind: Kind, title: String, rows: Vec<Row>) -> Self {
        Self { kind, title, rows, at: 0 }
    }

    /// True if rows can be chosen.
    pub(crate) fn offers(&self) -> bool {
        self.rows.iter().any(|row| row.choice.is_some())
    }

    /// True if a row's label and detail stand under each other, for want of room.
    fn stacks(&self, columns: usize) -> bool {
        columns < SIDE_BY_SIDE && !self.offers()
    }

    /// Columns of the labels, where so many are for a row.
    pub(crate) fn label_columns(&self, columns: usize) -> usize {
        if self.stacks(columns) {
            return columns.saturating_sub(1);
        }
        let widest = self.rows.iter().filter(|row| !row.heading).map(|row| width(&row.label)).max();
        widest.unwrap_or(0).min(columns / 2)
    }

    /// The rows as lines of so many columns. Rows that can be chosen have one line each; of the others, what does not
    /// fit goes on in a further line.
    pub(crate) fn lines(&self, columns: usize) -> Vec<Row> {
        if self.offers() {
            return self.rows.clone();
        }
        if self.stacks(columns) {
            return self.rows.iter().flat_map(|row| stacked(row, columns)).collect();
        }
        // A space before the label, two after it.
        let room = columns.saturating_sub(self.label_columns(columns) + 3);
        let lines = self.rows.iter().flat_map(|row| {
            let details = wrap(&row.detail, room).into_iter().enumerate();
            details.map(|(at, detail)| match at {
                0 => Row { detail, ..row.clone() },
                _ => Row::pair("", detail),
            })
        });
        lines.collect()
    }

    /// Moves by rows, where there are `lines` and `height` of them are shown.
    pub(crate) fn move_by(&mut self, rows: isize, lines: usize, height: usize) {
        let most = if self.offers() { lines.saturating_sub(1) } else { lines.saturating_sub(height) };
        self.at = self.at.saturating_add_signed(rows).min(most);
    }

    pub(crate) fn chosen(&self) -> Option<&Choice> {
        self.rows.get(self.at)?.choice.as_ref()
    }

    /// The first row to show, so that the chosen one is among `height` rows.
    pub(crate) fn first_shown(&self, height: usize) -> usize {
        if self.offers() { (self.at + 1).saturating_sub(height) } else { self.at }
    }
}
