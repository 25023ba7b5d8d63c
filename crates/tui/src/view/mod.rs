//! Draws the state. Pure: the same state gives the same screen, of any size.

mod log;
mod panel;
#[cfg(test)]
mod tests;
mod theme;

use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};
use ratatui::style::Style;

pub(crate) use self::theme::Theme;
use crate::geometry::{self, Geometry, PROMPT};
use crate::locale::fill;
use crate::state::{Chat, Link, MOST_UNREAD, State};
use crate::text::{fit, pad, width};

/// Draws everything.
pub(crate) fn draw(frame: &mut Frame<'_>, state: &State, theme: Theme) {
    let screen = state.geometry();
    let buffer = frame.buffer_mut();
    // Between two frames the terminal may have become smaller than the state knows.
    if !buffer.area.contains(Position::new(screen.status.right().max(1) - 1, screen.status.bottom().max(1) - 1)) {
        return;
    }
    list(buffer, &screen, state, theme);
    header(buffer, screen.header, state, theme);
    log::draw(buffer, screen.log, state, theme);
    rule(buffer, screen.rule, state, theme);
    let place = composer(buffer, screen.composer, state, theme);
    status(buffer, &screen, state, theme);
    if let Some(shown) = &state.panel {
        panel::draw(buffer, &screen, shown, state, theme);
    }
    if let Some(place) = place {
        frame.set_cursor_position(place);
    }
}

/// Writes a line, cut to the area's width, into one row of it.
fn write(buffer: &mut Buffer, area: Rect, row: u16, text: &str, style: Style) {
    if row < area.height && area.width > 0 {
        buffer.set_stringn(area.x, area.y + row, text, area.width.into(), style);
    }
}

/// Writes a line at the right edge of one row, and answers how many columns are left for others.
fn write_right(buffer: &mut Buffer, area: Rect, row: u16, text: &str, style: Style) -> u16 {
    let columns = u16::try_from(width(text)).unwrap_or(u16::MAX);
    if columns == 0 || columns > area.width {
        return area.width;
    }
    let right = Rect { x: area.right() - columns, width: columns, ..area };
    write(buffer, right, row, text, style);
    area.width - columns
}

fn list(buffer: &mut Buffer, screen: &Geometry, state: &State, theme: Theme) {
    let area = screen.list;
    if area.is_empty() {
        return;
    }
    let unread = state.chats.unread();
    write(buffer, area, 0, &format!(" {}", state.texts.conversations), theme.title());
    if unread > 0 {
        write_right(buffer, area, 0, &format!("{} ", count(unread)), theme.unread());
    }
    for row in 0..area.height {
        write(buffer, Rect { x: area.right(), width: 1, ..area }, row, "│", theme.dim());
    }
    let order = state.chats.in_order();
    let open = order.iter().position(|chat| Some(chat.id) == state.open);
    let rows = usize::from(area.height.saturating_sub(1));
    let first = geometry::first_listed(open.unwrap_or(0), rows);
    for (row, chat) in (1..area.height).zip(order.into_iter().skip(first)) {
        listed(buffer, Rect { y: area.y + row, height: 1, ..area }, chat, state, theme);
    }
}

fn listed(buffer: &mut Buffer, area: Rect, chat: &Chat, state: &State, theme: Theme) {
    let is_open = Some(chat.id) == state.open;
    let style = match () {
        () if is_open => theme.chosen(),
        () if chat.unread > 0 => theme.unread(),
        () if !chat.is_member() => theme.dim(),
        () => Style::new(),
    };
    let columns = usize::from(area.width);
    let sign = match () {
        () if chat.is_group() => "#",
        () if chat.is_direct() && state.link == Link::Up && state.people.is_online(chat.peer) => "●",
        () if chat.is_direct() => "○",
        () => " ",
    };
    let marks = unread(chat);
    let room = columns.saturating_sub(width(&marks) + 2);
    let name = pad(&format!(" {sign} {}", state.title(chat)), room);
    write(buffer, area, 0, &pad(&format!("{name} {marks}"), columns), style);
}

/// Unread counts in a few characters; empty if there is nothing new.
pub(crate) fn unread(chat: &Chat) -> String {
    match (chat.unread, chat.mentions) {
        (0, _) => String::new(),
        (unread, 0) => count(unread),
        (unread, mentions) => format!("@{} {}", count(mentions), count(unread)),
    }
}

fn count(number: u32) -> String {
    if number >= MOST_UNREAD { "999+".to_owned() } else { number.to_string() }
}

fn header(buffer: &mut Buffer, area: Rect, state: &State, theme: Theme) {
    let texts = state.texts;
    let Some(chat) = state.chat() else {
        write(buffer, area, 0, &pad(&format!(" {}", texts.no_conversation), area.width.into()), theme.header());
        return;
    };
    let detail = match () {
        () if !chat.is_member() => texts.former_member.to_owned(),
        // Who is online, nobody can know without a connection.
        () if state.link != Link::Up => String::new(),
        () if chat.is_direct() && state.people.is_online(chat.peer) => format!("● {}", texts.online),
        () if chat.is_direct() => format!("○ {}", texts.offline),
        () if chat.is_group() => {
            let online = state.members.iter().filter(|member| state.people.is_online(**member)).count();
            fill(texts.members, &[&chat.members.to_string(), &online.to_string()])
        }
        () => String::new(),
    };
    // Without a list beside it, the header tells that somebody wrote elsewhere.
    let elsewhere = if state.geometry().list.is_empty() { state.chats.unread().saturating_sub(chat.unread) } else { 0 };
    let elsewhere = if elsewhere > 0 { format!("(+{}) ", count(elsewhere)) } else { String::new() };
    let right = format!("{elsewhere}{detail} ");
    write(buffer, area, 0, &" ".repeat(area.width.into()), theme.header());
    let title = format!(" {}", state.title(chat));
    let fits = width(&title) + width(&right) < usize::from(area.width);
    let left = if fits { write_right(buffer, area, 0, &right, theme.header()) } else { area.width };
    write(buffer, area, 0, &fit(&title, left.into()), theme.header());
}

/// What the line above the composer tells: what is offered, noticed, typed by others, or where one is.
fn hint(state: &State, theme: Theme) -> (String, Style) {
    let texts = state.texts;
    if let Some(notice) = &state.notice {
        return (notice.text.clone(), if notice.bad { theme.bad() } else { theme.notice() });
    }
    let log = &state.log;
    if log.below > 0 {
        return (fill(texts.below, &[&log.below.to_string()]), theme.notice());
    }
    let typing: Vec<_> = state.chat().map(|chat| chat.typing(state.now).collect()).unwrap_or_default();
    match typing.as_slice() {
        [] if log.top.is_some() => (texts.scrolled.to_owned(), theme.dim()),
        [] => (String::new(), theme.dim()),
        [one] => (fill(texts.typing_one, &[&state.name(*one)]), theme.notice()),
        many => (fill(texts.typing_many, &[&many.len().to_string()]), theme.notice()),
    }
}

fn rule(buffer: &mut Buffer, area: Rect, state: &State, theme: Theme) {
    if area.is_empty() {
        return;
    }
    write(buffer, area, 0, &"─".repeat(area.width.into()), theme.dim());
    if offered(buffer, area, state, theme) {
        return;
    }
    let (text, style) = hint(state, theme);
    if !text.is_empty() {
        let inner = Rect { x: area.x + 2.min(area.width), width: area.width.saturating_sub(4), ..area };
        write(buffer, inner, 0, &fit(&format!(" {text} "), inner.width.into()), style);
    }
}

/// The candidates of a completion in one row, the chosen one among them; false if there are none.
fn offered(buffer: &mut Buffer, area: Rect, state: &State, theme: Theme) -> bool {
    let Some(completion) = &state.completion else { return false };
    write(buffer, area, 0, &" ".repeat(area.width.into()), Style::new());
    let mut used = 0;
    let mut row = Vec::new();
    for (at, candidate) in completion.candidates.iter().enumerate() {
        let columns = width(&candidate.label) + 2;
        if used + columns > usize::from(area.width) {
            if completion.chosen.is_none_or(|chosen| at > chosen) {
                break;
            }
            row.clear();
            used = 0;
        }
        row.push((used, at, &candidate.label));
        used += columns;
    }
    for (begin, at, label) in row {
        let begin = u16::try_from(begin).unwrap_or(u16::MAX).min(area.width);
        let style = if completion.chosen == Some(at) { theme.chosen() } else { Style::new() };
        let place = Rect { x: area.x + begin, width: area.width - begin, ..area };
        write(buffer, place, 0, &format!(" {label} "), style);
    }
    true
}

/// Draws what is being written; answers where the cursor stands.
fn composer(buffer: &mut Buffer, area: Rect, state: &State, theme: Theme) -> Option<Position> {
    if area.is_empty() {
        return None;
    }
    let columns = area.width.saturating_sub(PROMPT);
    let (rows, (row, column)) = state.composer.rows(columns.into());
    let height = usize::from(area.height);
    let first = (row + 1).saturating_sub(height);
    write(buffer, area, 0, if first > 0 { "↑" } else { ">" }, theme.prompt());
    let inner = Rect { x: area.x + PROMPT.min(area.width), width: columns, ..area };
    if state.composer.is_empty() {
        let texts = state.texts;
        let hint = if width(texts.hint) < columns.into() { texts.hint } else { texts.hint_short };
        write(buffer, inner, 0, hint, theme.dim());
    }
    for (at, line) in (0..area.height).zip(rows.iter().skip(first)) {
        write(buffer, inner, at, line, Style::new());
    }
    let column = u16::try_from(column).unwrap_or(u16::MAX).min(columns.saturating_sub(1));
    let row = u16::try_from(row - first).unwrap_or(u16::MAX);
    Some(Position::new((inner.x + column).min(area.right() - 1), area.y + row.min(area.height - 1)))
}

/// What the connection does, in words.
pub(crate) fn link(state: &State) -> String {
    let texts = state.texts;
    match &state.link {
        Link::Connecting => texts.connecting.to_owned(),
        Link::CatchingUp => texts.catching_up.to_owned(),
        Link::Up => texts.connected.to_owned(),
        Link::Down { why, until } => match (until - state.now + 999) / 1000 {
            seconds if seconds > 0 => fill(texts.reconnecting, &[why, &seconds.to_string()]),
            _ => fill(texts.reconnecting_now, &[why]),
        },
    }
}

fn status(buffer: &mut Buffer, screen: &Geometry, state: &State, theme: Theme) {
    let area = screen.status;
    if area.is_empty() {
        return;
    }
    let texts = state.texts;
    let (waiting, failed) = (state.waiting(), state.failed());
    let mut left = match &state.link {
        Link::Up => format!(" ● {}", texts.connected),
        _ => format!(" ○ {}", link(state)),
    };
    if waiting > 0 {
        left = format!("{left} | {}", fill(texts.waiting, &[&waiting.to_string()]));
    }
    if failed > 0 {
        left = format!("{left} | {}", fill(texts.failed, &[&failed.to_string()]));
    }
    // On a screen too small for the line above the composer, what it tells is told here.
    let (hint, hint_style) = if screen.rule.is_empty() { hint(state, theme) } else { (String::new(), Style::new()) };
    let style = if state.link == Link::Up && failed == 0 { theme.status() } else { theme.alarm() };
    write(buffer, area, 0, &" ".repeat(area.width.into()), style);
    if !hint.is_empty() {
        write(buffer, area, 0, &fit(&format!(" {hint}"), area.width.into()), hint_style);
        return;
    }
    let right = format!("{} | {} ", state.me.name, texts.hint_short);
    let fits = width(&left) + width(&right) < usize::from(area.width);
    let room = if fits { write_right(buffer, area, 0, &right, style) } else { area.width };
    write(buffer, area, 0, &fit(&left, room.into()), style);
}
