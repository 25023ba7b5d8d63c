//! The terminal's modes: entered once, restored on every way out, a panic included.

use std::io::{self, Stdout, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use crossterm::event::{
    DisableBracketedPaste, DisableFocusChange, DisableMouseCapture, EnableBracketedPaste, EnableFocusChange,
    EnableMouseCapture, KeyboardEnhancementFlags, PopKeyboardEnhancementFlags, PushKeyboardEnhancementFlags,
};
use crossterm::execute;
use crossterm::terminal::{EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode};
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;

/// True while the terminal is in our modes.
static ENTERED: AtomicBool = AtomicBool::new(false);

/// The terminal while it is ours. Dropping it gives it back.
pub(crate) struct Screen {
    pub(crate) terminal: Terminal<CrosstermBackend<Stdout>>,
}

impl Screen {
    /// Takes the terminal: raw keys, a screen of its own, pastes as one event.
    pub(crate) fn enter(mouse: bool) -> io::Result<Self> {
        restore_on_panic();
        enable_raw_mode()?;
        ENTERED.store(true, Ordering::SeqCst);
        // From here on a failure has to undo what was done.
        let entered = modes(mouse).and_then(|()| Terminal::new(CrosstermBackend::new(io::stdout())));
        match entered {
            Ok(terminal) => Ok(Self { terminal }),
            Err(error) => {
                restore();
                Err(error)
            }
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        restore();
    }
}

fn modes(mouse: bool) -> io::Result<()> {
    let mut out = io::stdout();
    execute!(out, EnterAlternateScreen, EnableBracketedPaste, EnableFocusChange)?;
    if mouse {
        execute!(out, EnableMouseCapture)?;
    }
    // Only with this do terminals tell Shift-Enter from Enter. Those that do not know it ignore it.
    let disambiguate = PushKeyboardEnhancementFlags(KeyboardEnhancementFlags::DISAMBIGUATE_ESCAPE_CODES);
    drop(execute!(out, disambiguate));
    Ok(())
}

/// Gives the terminal back. Does as much as can be done; calling it twice does no harm.
fn restore() {
    if !ENTERED.swap(false, Ordering::SeqCst) {
        return;
    }
    let mut out = io::stdout();
    // The terminal may be gone, and then there is nothing to restore.
    drop(execute!(out, PopKeyboardEnhancementFlags));
    drop(execute!(out, DisableMouseCapture, DisableFocusChange, DisableBracketedPaste, LeaveAlternateScreen));
    drop(execute!(out, crossterm::cursor::Show));
    drop(disable_raw_mode());
    drop(out.flush());
}

/// A panic of the thread that draws restores the terminal before it is reported. One of another thread (a task of the
/// SDK) leaves the screen in use; its report goes to the log, since it would only spoil the screen.
fn restore_on_panic() {
    let drawing = thread::current().id();
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if thread::current().id() != drawing && ENTERED.load(Ordering::SeqCst) {
            tracing::error!(%panic, "a task panicked");
            return;
        }
        restore();
        report(panic);
    }));
}
