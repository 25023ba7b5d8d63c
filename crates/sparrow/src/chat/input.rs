//! What the user types: edited lines on a terminal, plain ones from a pipe. Reading blocks, so it has its own thread.

use std::io::{BufRead as _, IsTerminal as _};

use rustyline::error::ReadlineError;
use rustyline::{DefaultEditor, ExternalPrinter};
use tokio::sync::mpsc;

/// Lines of a pipe that may wait; beyond, the pipe waits.
const WAITING_LINES: usize = 64;

/// Something typed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Typed {
    Line(String),
    End,
}

/// The lines, and the means to write between them.
pub(super) struct Input {
    lines: mpsc::Receiver<Typed>,
    /// On a terminal: asks for the next line. While nobody asks, the terminal is in its usual mode.
    ask: Option<std::sync::mpsc::Sender<()>>,
    asked: bool,
    /// The mode in which the terminal was found.
    #[cfg(unix)]
    mode: Option<rustix::termios::Termios>,
}

#[cfg(unix)]
impl Drop for Input {
    /// While a line is awaited the terminal is in raw mode, and the thread that would end it cannot be stopped.
    fn drop(&mut self) {
        use std::io::Write as _;

        use rustix::termios::{OptionalActions, tcsetattr};

        if self.asked
            && let Some(mode) = &self.mode
        {
            // If it is gone, there is nothing to restore.
            tcsetattr(std::io::stdin(), OptionalActions::Now, mode).ok();
            writeln!(std::io::stdout()).ok();
        }
    }
}

impl Input {
    /// Begins to read. On a terminal it also answers a printer that does not disturb the line being typed.
    pub(super) fn start() -> (Self, Option<Box<dyn ExternalPrinter + Send>>) {
        if std::io::stdin().is_terminal()
            && std::io::stdout().is_terminal()
            && let Ok(mut editor) = DefaultEditor::new()
            && let Ok(printer) = editor.create_external_printer()
        {
            #[cfg(unix)]
            let mode = rustix::termios::tcgetattr(std::io::stdin()).ok();
            let (sender, lines) = mpsc::channel(1);
            let (ask, asked) = std::sync::mpsc::channel();
            std::thread::spawn(move || edit(editor, &asked, &sender));
            let input = Self {
                lines,
                ask: Some(ask),
                asked: false,
                #[cfg(unix)]
                mode,
            };
            return (input, Some(Box::new(printer)));
        }
        let (sender, lines) = mpsc::channel(WAITING_LINES);
        std::thread::spawn(move || read(&sender));
        let input = Self {
            lines,
            ask: None,
            asked: false,
            #[cfg(unix)]
            mode: None,
        };
        (input, None)
    }

    /// True if a person types on a terminal.
    pub(super) fn is_terminal(&self) -> bool {
        self.ask.is_some()
    }

    /// The next line. Cancel-safe.
    pub(super) async fn next(&mut self) -> Typed {
        if let Some(ask) = &self.ask
            && !self.asked
        {
            // If the thread is gone, the channel of lines says so below.
            self.asked = ask.send(()).is_ok();
        }
        let line = self.lines.recv().await.unwrap_or(Typed::End);
        self.asked = false;
        line
    }
}

fn edit(mut editor: DefaultEditor, asked: &std::sync::mpsc::Receiver<()>, lines: &mpsc::Sender<Typed>) {
    while asked.recv().is_ok() {
        let typed = match editor.readline("> ") {
            Ok(line) => {
                // Only the list of this run, in memory; without it the arrow keys have less to offer.
                editor.add_history_entry(&line).ok();
                Typed::Line(line)
            }
            Err(ReadlineError::Signal(rustyline::error::Signal::Resize)) => continue,
            Err(_) => Typed::End,
        };
        if lines.blocking_send(typed).is_err() {
            return;
        }
    }
}

fn read(lines: &mpsc::Sender<Typed>) {
    let mut input = std::io::stdin().lock();
    let mut line = Vec::new();
    loop {
        line.clear();
        match input.read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        let text = String::from_utf8_lossy(&line);
        let text = text.trim_end_matches(['\n', '\r']).to_owned();
        if lines.blocking_send(Typed::Line(text)).is_err() {
            return;
        }
    }
}
