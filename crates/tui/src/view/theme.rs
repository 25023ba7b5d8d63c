//! What things look like. Only the sixteen colours of the terminal's own palette, which its user has made readable on
//! its own background, light or dark; and none at all where `NO_COLOR` asks for that: then bold, dim and reverse say it.

use ratatui::style::{Color, Modifier, Style};

use crate::rows::Tone;

/// Colours of names. No white, no black, and no yellow: unreadable on one background or the other.
const NAMES: [Color; 4] = [Color::Cyan, Color::Magenta, Color::Blue, Color::Green];

/// How to draw.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Theme {
    pub(crate) colour: bool,
}

impl Theme {
    fn with(self, colour: Color, style: Style) -> Style {
        if self.colour { style.fg(colour) } else { style }
    }

    pub(super) fn tone(self, tone: Tone) -> Style {
        let bold = Style::new().add_modifier(Modifier::BOLD);
        match tone {
            Tone::Text => Style::new(),
            Tone::Dim => self.dim(),
            Tone::Name(user) => {
                // Ids end in random bits.
                let name = NAMES[usize::try_from(user.unsigned_abs()).unwrap_or(0) % NAMES.len()];
                self.with(name, bold)
            }
            Tone::Me => bold,
            Tone::New => self.with(Color::Red, bold),
            Tone::Good => self.with(Color::Green, bold),
            Tone::Bad => self.bad(),
            Tone::Hit => Style::new().add_modifier(Modifier::REVERSED),
        }
    }

    #[expect(clippy::unused_self, reason = "a style like the others, with or without colour")]
    pub(super) fn dim(self) -> Style {
        Style::new().add_modifier(Modifier::DIM)
    }

    pub(super) fn bad(self) -> Style {
        self.with(Color::Red, Style::new().add_modifier(Modifier::BOLD))
    }

    pub(super) fn notice(self) -> Style {
        self.with(Color::Cyan, Style::new())
    }

    pub(super) fn prompt(self) -> Style {
        self.with(Color::Cyan, Style::new().add_modifier(Modifier::BOLD))
    }

    pub(super) fn unread(self) -> Style {
        self.with(Color::Green, Style::new().add_modifier(Modifier::BOLD))
    }

    #[expect(clippy::unused_self, reason = "a style like the others, with or without colour")]
    pub(super) fn title(self) -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    #[expect(clippy::unused_self, reason = "a style like the others, with or without colour")]
    pub(super) fn chosen(self) -> Style {
        Style::new().add_modifier(Modifier::REVERSED)
    }

    #[expect(clippy::unused_self, reason = "a style like the others, with or without colour")]
    pub(super) fn header(self) -> Style {
        Style::new().add_modifier(Modifier::BOLD | Modifier::UNDERLINED)
    }

    #[expect(clippy::unused_self, reason = "a style like the others, with or without colour")]
    pub(super) fn status(self) -> Style {
        Style::new().add_modifier(Modifier::REVERSED)
    }

    /// The status line while something needs attention.
    pub(super) fn alarm(self) -> Style {
        self.with(Color::Red, Style::new().add_modifier(Modifier::REVERSED | Modifier::BOLD))
    }
}
