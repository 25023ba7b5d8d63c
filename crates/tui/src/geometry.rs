//! Where what stands on the screen. Pure arithmetic, for any size down to one cell.

use ratatui::layout::{Position, Rect};

use crate::state::State;

/// From this width on, the conversation list stands beside the log.
const WIDE: u16 = 70;
/// Most rows of the text being written.
const COMPOSER_ROWS: u16 = 6;
/// Columns of the prompt before the text being written.
pub(crate) const PROMPT: u16 = 2;

/// The parts of the screen; one without room has no rows or no columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Geometry {
    pub(crate) list: Rect,
    pub(crate) header: Rect,
    pub(crate) log: Rect,
    /// The line between log and composer, which also tells who types.
    pub(crate) rule: Rect,
    pub(crate) composer: Rect,
    pub(crate) status: Rect,
}

impl Geometry {
    /// Divides the screen; `composer_rows` answers how many rows the text takes in so many columns.
    pub(crate) fn of(columns: u16, rows: u16, composer_rows: impl Fn(usize) -> usize) -> Self {
        let status_rows = u16::from(rows >= 3);
        let body = Rect::new(0, 0, columns, rows - status_rows);
        let list_columns = if columns >= WIDE { (columns / 4).clamp(18, 30) } else { 0 };
        let list = Rect { width: list_columns, ..body };
        let border = u16::from(list_columns > 0);
        let main = Rect { x: list_columns + border, width: columns - list_columns - border, ..body };

        let wanted = composer_rows(usize::from(main.width.saturating_sub(PROMPT)));
        let most = (rows / 3).clamp(1, COMPOSER_ROWS).min(main.height);
        let composer_height = u16::try_from(wanted).unwrap_or(u16::MAX).clamp(1, most.max(1)).min(main.height);
        let header_height = u16::from(rows >= 5);
        let rule_height = u16::from(rows >= 8);
        let log_height = main.height.saturating_sub(composer_height + header_height + rule_height);

        let below = |above: Rect, height| Rect { y: above.y + above.height, height, ..main };
        let header = Rect { height: header_height, ..main };
        let log = below(header, log_height);
        let rule = below(log, rule_height);
        let composer = below(rule, composer_height);
        Self { list, header, log, rule, composer, status: Rect::new(0, body.height, columns, status_rows) }
    }
}

/// Which conversations of the list are shown in so many rows: the first one, so that the chosen one is among them.
pub(crate) fn first_listed(chosen: usize, rows: usize) -> usize {
    (chosen + 1).saturating_sub(rows)
}

/// The conversation at a place of the screen.
pub(crate) fn chat_at(state: &State, column: u16, row: u16) -> Option<i64> {
    let list = state.geometry().list;
    // The first row is the title.
    let inside = list.contains(Position::new(column, row)) && row > list.y;
    let order = state.chats.in_order();
    let chosen = order.iter().position(|chat| Some(chat.id) == state.open).unwrap_or(0);
    let first = first_listed(chosen, usize::from(list.height.saturating_sub(1)));
    let at = first + usize::from(row.checked_sub(list.y + 1)?);
    order.get(at).filter(|_| inside).map(|chat| chat.id)
}

/// The parts of a list that lies over the log: the title, the footer, the rows between.
pub(crate) fn panel(screen: &Geometry) -> (Rect, Rect, Rect) {
    // Over the list of conversations, too: what is read at leisure gets the whole width.
    let area = Rect { x: 0, width: screen.status.width, ..screen.header.union(screen.log) };
    let title = Rect { height: area.height.min(1), ..area };
    let footer_height = u16::from(area.height >= 4);
    let footer = Rect { y: area.bottom() - footer_height, height: footer_height, ..area };
    let rows = Rect { y: title.bottom(), height: area.height - title.height - footer_height, ..area };
    (title, footer, rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_never_leave_the_screen_nor_overlap() {
        for columns in 0..100 {
            for rows in 0..40 {
                for text_rows in [1, 3, 100] {
                    let parts = Geometry::of(columns, rows, |_| text_rows);
                    let screen = Rect::new(0, 0, columns, rows);
                    let all = [parts.list, parts.header, parts.log, parts.rule, parts.composer, parts.status];
                    let area: u32 = all.iter().map(|part| part.area()).sum();
                    for part in all.iter().filter(|part| !part.is_empty()) {
                        assert_eq!(part.intersection(screen), *part, "{columns}x{rows}");
                    }
                    assert!(area <= screen.area(), "{columns}x{rows}");
                }
            }
        }
    }

    #[test]
    fn there_is_always_room_to_write() {
        for rows in 1..10 {
            assert!(Geometry::of(20, rows, |_| 1).composer.height >= 1, "{rows}");
        }
        assert!(Geometry::of(20, 6, |_| 50).log.height >= 2);
    }
}
