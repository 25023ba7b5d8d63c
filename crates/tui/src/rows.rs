//! The log as rows of text: how a message is laid out in so many columns. Pure; `view` colours the rows, `state`
//! scrolls by them.

use jiff::{Timestamp, Zoned};

use crate::locale::fill;
use crate::state::log::{Body, Item, Key};
use crate::state::{Chat, Fate, Pending, State};
use crate::text::{fit, pad, width, wrap};

/// From this width on, time and name stand in columns of their own.
const WIDE: usize = 44;
/// Columns of the time of day and the space after it.
const TIME: usize = 6;
/// Columns kept free at the right for the marks of one's own messages.
const MARKS: usize = 3;
/// Before the further rows of a message on a narrow screen.
const SET_IN: &str = " ";
/// Messages of one author so soon after each other stand under one name, in milliseconds.
const TOGETHER_MS: i64 = 5 * 60 * 1000;
/// Rows of one message; what is beyond is counted, not shown.
const MOST_ROWS: usize = 1_000;

/// What a piece of text is, which decides its colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    Text,
    /// Times, marks, what happened.
    Dim,
    /// An author, by number.
    Name(i64),
    Me,
    /// The line above new messages.
    New,
    /// It has been read.
    Good,
    Bad,
    /// What was searched for.
    Hit,
}

/// One row.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) parts: Vec<(String, Tone)>,
    /// Stands at the right edge.
    pub(crate) mark: Option<(String, Tone)>,
}

/// A row of the log: which line, and which row of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) index: usize,
    pub(crate) row: usize,
}

enum Line<'a> {
    Entry(&'a Item),
    Pending(&'a Pending),
}

impl Line<'_> {
    fn author(&self, me: i64) -> i64 {
        match self {
            Self::Entry(item) => item.author,
            Self::Pending(_) => me,
        }
    }

    fn time(&self) -> i64 {
        match self {
            Self::Entry(item) => item.time,
            Self::Pending(pending) => pending.time,
        }
    }

    fn is_message(&self) -> bool {
        match self {
            Self::Entry(item) => !matches!(item.body, Body::Membership { .. } | Body::Renamed(_) | Body::Described),
            Self::Pending(_) => true,
        }
    }
}

/// The open log, laid out for its present width.
pub(crate) struct Sheet<'a> {
    state: &'a State,
    lines: Vec<Line<'a>>,
    columns: usize,
    last_own: Option<usize>,
    /// The first unread message of somebody else, when the log was opened.
    first_new: Option<usize>,
}

impl<'a> Sheet<'a> {
    pub(crate) fn new(state: &'a State) -> Self {
        let columns = usize::from(state.geometry().log.width);
        let mut lines: Vec<_> = state.log.items().map(Line::Entry).collect();
        if state.log.at_end {
            let here = state.pending.iter().filter(|pending| Some(pending.conversation) == state.open);
            let unseen = here.filter(|pending| !matches!(pending.fate, Fate::Sent(seq) if state.log.contains(seq)));
            lines.extend(unseen.map(Line::Pending));
        }
        let me = state.me.id;
        let last_own = lines.iter().rposition(|line| line.is_message() && line.author(me) == me);
        let is_new = |line: &Line<'_>| match (line, state.log.new_from) {
            (Line::Entry(item), Some(from)) => item.seq >= from && item.author != me && line.is_message(),
            _ => false,
        };
        let first_new = lines.iter().position(is_new);
        Self { state, lines, columns, last_own, first_new }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.lines.len()
    }

    pub(crate) fn key(&self, place: Place) -> Option<(Key, usize)> {
        let key = match self.lines.get(place.index)? {
            Line::Entry(item) => Key::Entry(item.seq),
            Line::Pending(pending) => Key::Pending(pending.token),
        };
        Some((key, place.row))
    }

    /// Where a line is now; if it is gone, the one after it.
    pub(crate) fn place(&self, key: Key, row: usize) -> Option<Place> {
        let index = self.lines.iter().position(|line| match (line, key) {
            (Line::Entry(item), Key::Entry(seq)) => item.seq >= seq,
            (Line::Pending(pending), Key::Pending(token)) => pending.token >= token,
            (Line::Pending(_), Key::Entry(_)) => true,
            (Line::Entry(_), Key::Pending(_)) => false,
        })?;
        Some(Place { index, row: row.min(self.count(index).saturating_sub(1)) })
    }

    fn count(&self, index: usize) -> usize {
        self.rows(index).len()
    }

    /// The place from which on the last rows fill the height.
    pub(crate) fn last_page(&self, height: usize) -> Place {
        let Some(index) = self.len().checked_sub(1) else { return Place::default() };
        let last = Place { index, row: self.count(index).saturating_sub(1) };
        self.up(last, height.saturating_sub(1))
    }

    pub(crate) fn up(&self, from: Place, mut rows: usize) -> Place {
        let mut place = from;
        while rows > place.row {
            let Some(above) = place.index.checked_sub(1) else { return Place::default() };
            rows -= place.row + 1;
            place = Place { index: above, row: self.count(above).saturating_sub(1) };
        }
        Place { row: place.row - rows, ..place }
    }

    pub(crate) fn down(&self, from: Place, mut rows: usize) -> Place {
        let mut place = from;
        while place.index < self.len() {
            let left = self.count(place.index).saturating_sub(place.row + 1);
            if rows <= left {
                return Place { row: place.row + rows, ..place };
            }
            if place.index + 1 == self.len() {
                return Place { row: place.row + left, ..place };
            }
            rows -= left + 1;
            place = Place { index: place.index + 1, row: 0 };
        }
        place
    }

    /// The rows to show in so many rows of screen.
    pub(crate) fn page(&self, height: usize) -> Vec<Row> {
        let end = self.last_page(height);
        let top = self.state.log.top.and_then(|(key, row)| self.place(key, row)).unwrap_or(end);
        // Whatever the window has become meanwhile, the screen is filled if it can be.
        let top = if self.state.log.at_end { top.min(end) } else { top };
        let rows = (top.index..self.len()).flat_map(|index| self.rows(index)).skip(top.row);
        rows.take(height).collect()
    }

    /// One line of the log with what stands above it.
    fn rows(&self, index: usize) -> Vec<Row> {
        let line = &self.lines[index];
        let before = index.checked_sub(1).map(|before| &self.lines[before]);
        let mut rows = Vec::new();
        if before.is_none() {
            rows.extend(self.begin());
        }
        let day = local(self.state, line.time()).date();
        let same_day = before.is_some_and(|before| local(self.state, before.time()).date() == day);
        if !same_day {
            rows.push(self.divider(&self.state.texts.day(day), Tone::Dim));
        }
        let first_new = self.first_new == Some(index);
        if first_new {
            rows.push(self.divider(self.state.texts.new_messages, Tone::New));
        }
        let continued = before.filter(|before| same_day && !first_new && self.continues(line, before));
        rows.extend(self.body(index, line, continued));
        rows
    }

    fn begin(&self) -> Option<Row> {
        let log = &self.state.log;
        let text = match () {
            () if log.at_start => self.state.texts.beginning,
            () if log.loading.is_some() => self.state.texts.loading,
            () => return None,
        };
        Some(self.divider(text, Tone::Dim))
    }

    fn divider(&self, text: &str, tone: Tone) -> Row {
        let line = format!("── {} ", fit(text, self.columns.saturating_sub(6)));
        let rest = self.columns.saturating_sub(width(&line));
        Row { parts: vec![(line + &"─".repeat(rest), tone)], mark: None }
    }

    fn continues(&self, line: &Line<'_>, before: &Line<'_>) -> bool {
        let me = self.state.me.id;
        line.is_message()
            && before.is_message()
            && line.author(me) == before.author(me)
            && (0..TOGETHER_MS).contains(&(line.time() - before.time()))
    }

    /// `before`: the message of the same author that it stands under without a name of its own.
    fn body(&self, index: usize, line: &Line<'_>, before: Option<&Line<'_>>) -> Vec<Row> {
        let me = self.state.me.id;
        let author = line.author(me);
        let said = self.said(line);
        let time = self.minute(line);
        let name = self.state.name(author);
        let name_tone = if author == me { Tone::Me } else { Tone::Name(author) };
        let name = Some((name.as_str(), name_tone)).filter(|_| line.is_message() && before.is_none());
        let mut rows = if self.columns >= WIDE {
            let same_minute = before.is_some_and(|before| self.minute(before) == time);
            self.in_columns(if same_minute { "" } else { &time }, name, line.is_message(), &said)
        } else {
            let head = match name {
                Some((name, tone)) => (format!("{}: ", fit(name, self.columns / 2)), tone),
                None => (if line.is_message() { "  " } else { "* " }.to_owned(), Tone::Dim),
            };
            self.in_line(&head, &said)
        };
        if author == me && line.is_message() {
            self.mark(index, line, &mut rows);
        }
        rows
    }

    fn minute(&self, line: &Line<'_>) -> String {
        local(self.state, line.time()).strftime("%H:%M").to_string()
    }

    /// Time, name and text in columns; what is not said by anybody begins where names do.
    fn in_columns(&self, time: &str, name: Option<(&str, Tone)>, is_message: bool, said: &(String, Tone)) -> Vec<Row> {
        let name_columns = if is_message { self.name_columns() } else { 0 };
        let indent = TIME + name_columns;
        let lines = bounded(self.state, wrap(&said.0, self.columns.saturating_sub(indent + MARKS)));
        let row = |(at, line): (usize, String)| {
            let (name, tone) = name.filter(|_| at == 0).unwrap_or(("", Tone::Dim));
            let time = (pad(if at == 0 { time } else { "" }, TIME), Tone::Dim);
            // One column stays free between name and text.
            let name = pad(&fit(name, name_columns.saturating_sub(1)), name_columns);
            Row { parts: vec![time, (name, tone), (line, said.1)], mark: None }
        };
        lines.into_iter().enumerate().map(row).collect()
    }

    /// On a narrow screen: `name: text`, no time; further rows are set in.
    fn in_line(&self, head: &(String, Tone), said: &(String, Tone)) -> Vec<Row> {
        // The name is wrapped with the text and put in afterwards; a space would be a place to break.
        let stand_in = "\u{A0}".repeat(width(&head.0));
        let columns = self.columns.saturating_sub(MARKS + SET_IN.len());
        let lines = bounded(self.state, wrap(&format!("{stand_in}{}", said.0), columns));
        let row = |(at, line): (usize, String)| match line.strip_prefix(stand_in.as_str()).filter(|_| at == 0) {
            Some(rest) => Row { parts: vec![head.clone(), (rest.to_owned(), said.1)], mark: None },
            None => Row { parts: vec![(format!("{SET_IN}{line}"), said.1)], mark: None },
        };
        lines.into_iter().enumerate().map(row).collect()
    }

    /// What a line says, and in which tone.
    fn said(&self, line: &Line<'_>) -> (String, Tone) {
        let item = match line {
            Line::Pending(pending) => return (crate::text::clean(pending.text()), Tone::Text),
            Line::Entry(item) => item,
        };
        let texts = self.state.texts;
        let who = self.state.name(item.author);
        let dim = |text: String| (text, Tone::Dim);
        match &item.body {
            Body::Text(text) if self.state.log.hit == Some(item.seq) => (text.clone(), Tone::Hit),
            Body::Text(text) => (text.clone(), Tone::Text),
            Body::File { names, text } => {
                (format!("{} {text}", fill(texts.file, &[names])).trim_end().to_owned(), Tone::Text)
            }
            Body::Other(kind) => dim(fill(texts.other_content, &[kind])),
            Body::Renamed(name) => dim(fill(texts.renamed, &[&who, name])),
            Body::Described => dim(fill(texts.described, &[&who])),
            Body::Erased => dim(texts.erased.to_owned()),
            Body::Damaged => dim(texts.damaged.to_owned()),
            Body::Membership { change, members } => dim(self.membership(&who, change, members)),
        }
    }

    fn membership(&self, who: &str, change: &str, members: &[(i64, String)]) -> String {
        let texts = self.state.texts;
        let names: Vec<_> = members.iter().map(|(user, _)| self.state.name(*user)).collect();
        let names = names.join(", ");
        match change {
            "created" => fill(texts.made_group, &[who]),
            "added" => fill(texts.added, &[who, &names]),
            "joined" => fill(texts.joined, &[if names.is_empty() { who } else { &names }]),
            "left" => fill(texts.left, &[if names.is_empty() { who } else { &names }]),
            "removed" => fill(texts.removed, &[who, &names]),
            "role" => {
                let role = members.first().map(|(_, role)| self.state.role(role)).unwrap_or_default();
                fill(texts.now_role, &[who, &names, role])
            }
            other => format!("{who}: {} {names}", crate::text::clean_line(other)),
        }
    }

    /// Marks a message of one's own: on its way, sent, delivered, read. The last one says it in words, if there is room.
    fn mark(&self, index: usize, line: &Line<'_>, rows: &mut Vec<Row>) {
        let texts = self.state.texts;
        let mut explanation = Vec::new();
        let (mark, word, tone) = match line {
            Line::Pending(pending) => match &pending.fate {
                Fate::Waiting => ("~", texts.sending.to_owned(), Tone::Dim),
                Fate::Sent(seq) => self.receipt(*seq),
                Fate::Failed(why) => {
                    explanation = self.set_in(&fill(texts.not_sent, &[why]));
                    ("!", String::new(), Tone::Bad)
                }
            },
            Line::Entry(item) => self.receipt(item.seq),
        };
        let Some(row) = rows.last_mut() else { return };
        let used: usize = row.parts.iter().map(|(text, _)| width(text)).sum();
        let words = format!("{mark} {word}");
        let room = used + 1 + width(&words) <= self.columns;
        let mark = if self.last_own == Some(index) && !word.is_empty() && room { words } else { mark.to_owned() };
        row.mark = Some((mark, tone));
        rows.extend(explanation);
    }

    /// Rows under a message that explain what became of it.
    fn set_in(&self, text: &str) -> Vec<Row> {
        let wide = self.columns >= WIDE;
        let indent = if wide { " ".repeat(TIME + self.name_columns()) } else { SET_IN.to_owned() };
        let lines = wrap(text, self.columns.saturating_sub(indent.len() + MARKS));
        lines.into_iter().map(|line| Row { parts: vec![(format!("{indent}{line}"), Tone::Bad)], mark: None }).collect()
    }

    /// Columns of a name and the space after it.
    fn name_columns(&self) -> usize {
        (self.columns / 6).clamp(8, 14) + 1
    }

    fn receipt(&self, seq: i64) -> (&'static str, String, Tone) {
        let texts = self.state.texts;
        let Some(chat) = self.state.chat() else { return ("✓", texts.sent.to_owned(), Tone::Dim) };
        let (delivered, read) = chat.receipts(seq);
        match (delivered, read) {
            (0, 0) => ("✓", texts.sent.to_owned(), Tone::Dim),
            (delivered, 0) => ("✓✓", count(chat, texts.delivered, texts.delivered_to, delivered), Tone::Dim),
            (_, read) => ("✓✓", count(chat, texts.read, texts.read_by, read), Tone::Good),
        }
    }
}

/// In a direct there is one who can have got it; in a group it matters how many have.
fn count(chat: &Chat, one: &str, many: &str, number: usize) -> String {
    if chat.is_group() { fill(many, &[&number.to_string()]) } else { one.to_owned() }
}

fn bounded(state: &State, mut lines: Vec<String>) -> Vec<String> {
    let more = lines.len().saturating_sub(MOST_ROWS);
    if more > 0 {
        lines.truncate(MOST_ROWS);
        lines.push(fill(state.texts.more_lines, &[&more.to_string()]));
    }
    lines
}

/// A server's time on the user's clock.
fn local(state: &State, time: i64) -> Zoned {
    Timestamp::from_millisecond(time).unwrap_or_default().to_zoned(state.zone.clone())
}

/// Day and time of day, in digits.
pub(crate) fn date_and_time(state: &State, time: i64) -> String {
    local(state, time).strftime("%Y-%m-%d %H:%M").to_string()
}
