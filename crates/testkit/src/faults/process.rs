//! A process that is killed, frozen and thawed, by its id. Starting it again is [`Node::restart`](crate::Node::restart).

use std::io;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::FaultError;
use crate::Evidence;

/// How long the kernel may take to act on a signal; it takes microseconds.
const DEADLINE: Duration = Duration::from_secs(5);

/// Ends a process as `kill -9` does: nothing in it gets a say. Evidence: it is gone, or waits for its parent to hear.
///
/// # Errors
/// If there is no such process.
pub fn kill(pid: u32) -> Result<Evidence, FaultError> {
    signal(pid, Signal::KILL)?;
    until(pid, "to be gone", |state| state.is_none_or(|state| state == 'Z' || state == 'X'))?;
    Ok(Evidence::of("kills", 1))
}

/// Stops a process where it stands; its sockets stay open. Evidence: the kernel says that it is stopped.
///
/// # Errors
/// If there is no such process.
pub fn freeze(pid: u32) -> Result<Evidence, FaultError> {
    signal(pid, Signal::STOP)?;
    until(pid, "to stand still", |state| state == Some('T'))?;
    Ok(Evidence::of("freezes", 1))
}

/// Lets a frozen process go on.
///
/// # Errors
/// If there is no such process.
pub fn thaw(pid: u32) -> Result<Evidence, FaultError> {
    signal(pid, Signal::CONT)?;
    until(pid, "to go on", |state| state.is_some_and(|state| state != 'T'))?;
    Ok(Evidence::of("thaws", 1))
}

fn signal(pid: u32, signal: Signal) -> Result<(), FaultError> {
    let known = i32::try_from(pid).ok().and_then(Pid::from_raw);
    let sent = known.ok_or(rustix::io::Errno::SRCH).and_then(|pid| kill_process(pid, signal));
    sent.map_err(|error| FaultError::failed(format!("a signal to process {pid}"))(error.into()))
}

/// Waits until the kernel shows the process as wanted: the letter after its name in /proc, `None` if it is gone.
fn until(pid: u32, what: &str, is: impl Fn(Option<char>) -> bool) -> Result<(), FaultError> {
    let end = Instant::now() + DEADLINE;
    loop {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok();
        let state = stat.and_then(|stat| stat.rsplit_once(") ")?.1.chars().next());
        if is(state) {
            return Ok(());
        }
        if Instant::now() > end {
            let what = format!("waiting for process {pid} {what}");
            return Err(FaultError::failed(what)(io::ErrorKind::TimedOut.into()));
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}
