//! Where lines go: standard output, standard error, or around the line being typed.

use std::io::Write as _;

use rustyline::ExternalPrinter;

/// Writes whole lines.
pub(super) struct Output {
    /// On a terminal, where everything goes.
    printer: Option<Box<dyn ExternalPrinter + Send>>,
}

impl Output {
    pub(super) fn new(printer: Option<Box<dyn ExternalPrinter + Send>>) -> Self {
        Self { printer }
    }

    /// A line about messages and commands.
    pub(super) fn line(&mut self, line: &str) -> std::io::Result<()> {
        match &mut self.printer {
            Some(printer) => printer.print(format!("{line}\n")).map_err(std::io::Error::other),
            None => {
                let mut out = std::io::stdout().lock();
                writeln!(out, "{line}")?;
                // A reader of a pipe wants each line when it is written.
                out.flush()
            }
        }
    }

    /// A line about the connection.
    pub(super) fn aside(&mut self, line: &str) {
        let told = match &mut self.printer {
            Some(printer) => printer.print(format!("{line}\n")).is_ok(),
            None => false,
        };
        if !told {
            complain(line);
        }
    }
}

/// Writes a line to standard error; if that is closed, nobody is left to be told.
pub(super) fn complain(line: &str) {
    writeln!(std::io::stderr(), "sparrow: {line}").ok();
}
