//! Draws a list over the log.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::widgets::{Clear, Widget};

use super::{Theme, write, write_right};
use crate::geometry::{self, Geometry};
use crate::state::State;
use crate::state::panel::{Panel, Row};
use crate::text::{fit, pad};

pub(super) fn draw(buffer: &mut Buffer, screen: &Geometry, panel: &Panel, state: &State, theme: Theme) {
    let (title, footer, area) = geometry::panel(screen);
    Clear.render(title.union(area).union(footer), buffer);
    write(buffer, title, 0, &pad(&format!(" {}", panel.title), title.width.into()), theme.header());
    let texts = state.texts;
    let height = usize::from(area.height);
    let first = panel.first_shown(height);
    let lines = panel.lines(area.width.into());
    if lines.is_empty() {
        write(buffer, area, 0, &format!(" {}", texts.nothing), theme.dim());
    }
    let labels = panel.label_columns(area.width.into());
    for (at, (index, row)) in (0..area.height).zip(lines.iter().enumerate().skip(first)) {
        let chosen = panel.offers() && index == panel.at;
        draw_row(buffer, Rect { y: area.y + at, height: 1, ..area }, row, labels, chosen, theme);
    }
    let hint = if panel.offers() { texts.choose } else { texts.close };
    write(buffer, footer, 0, &fit(&format!(" {hint}"), footer.width.into()), theme.dim());
    if lines.len() > height {
        let shown = format!("{}/{} ", (first + height).min(lines.len()), lines.len());
        write_right(buffer, footer, 0, &shown, theme.dim());
    }
}

fn draw_row(buffer: &mut Buffer, area: Rect, row: &Row, labels: usize, chosen: bool, theme: Theme) {
    let columns = usize::from(area.width);
    if row.heading {
        write(buffer, area, 0, &fit(&format!(" {}", row.label), columns), theme.title());
        return;
    }
    let style = if chosen { theme.chosen() } else { Style::new() };
    let line = match row.detail.as_str() {
        "" => format!(" {}", row.label),
        detail => format!(" {}  {detail}", pad(&row.label, labels)),
    };
    write(buffer, area, 0, &pad(&line, columns), style);
}
