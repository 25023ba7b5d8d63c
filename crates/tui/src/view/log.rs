//! Draws the rows of the open log.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::{Theme, write, write_right};
use crate::rows::Sheet;
use crate::state::State;
use crate::text::{fit, width};

pub(super) fn draw(buffer: &mut Buffer, area: Rect, state: &State, theme: Theme) {
    if area.is_empty() {
        return;
    }
    let sheet = Sheet::new(state);
    if sheet.is_empty() {
        empty(buffer, area, state, theme);
        return;
    }
    let rows = sheet.page(area.height.into());
    // A short log stands at the bottom, where the next message will be.
    let above = area.height - u16::try_from(rows.len()).unwrap_or(area.height).min(area.height);
    for (at, row) in (above..area.height).zip(rows) {
        let room = match &row.mark {
            Some((mark, tone)) => write_right(buffer, area, at, mark, theme.tone(*tone)),
            None => area.width,
        };
        let mut x = 0;
        for (text, tone) in &row.parts {
            let begin = x.min(room);
            let place = Rect { x: area.x + begin, width: room - begin, ..area };
            write(buffer, place, at, text, theme.tone(*tone));
            x = x.saturating_add(u16::try_from(width(text)).unwrap_or(u16::MAX));
        }
    }
}

fn empty(buffer: &mut Buffer, area: Rect, state: &State, theme: Theme) {
    let texts = state.texts;
    let text = match () {
        () if state.log.loading.is_some() => texts.loading,
        () if state.open.is_none() && state.link != crate::state::Link::Up => texts.connecting,
        () if state.open.is_none() => texts.open_first,
        () => texts.nobody_yet,
    };
    let line = fit(text, usize::from(area.width.saturating_sub(1)));
    let left = (usize::from(area.width) - width(&line)) / 2;
    write(buffer, area, area.height / 2, &format!("{}{line}", " ".repeat(left)), theme.dim());
}
