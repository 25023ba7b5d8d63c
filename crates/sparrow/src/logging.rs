//! Log lines, to standard error.

use tracing_subscriber::EnvFilter;

use crate::config::{LogFormat, Settings};

/// Starts logging. Called once, by commands that run for long.
pub(crate) fn start(settings: &Settings) {
    // The migration library tells people at every start that it had nothing to do. The WebSocket library writes every
    // frame at its most talkative level, with tokens and bodies. What the operator asks for by their names wins.
    let filter = EnvFilter::new(format!("refinery_core=warn,tungstenite=info,{}", settings.log));
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match settings.log_format {
        LogFormat::Text => subscriber.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr())).init(),
        LogFormat::Json => subscriber.json().flatten_event(true).init(),
    }
}
