//! A node that a bench starts for itself: a process of the same binary, with an empty data directory, ended with
//! the bench. Which settings it has is the caller's.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::{Addresses, BenchError, Target};

/// A running node, killed when dropped.
#[derive(Debug)]
pub struct Node {
    /// How it is reached.
    pub target: Target,
    child: Child,
    _data: tempfile::TempDir,
}

impl Node {
    /// Starts `program serve` with these variables in its environment. Blocks until it listens.
    pub fn start(program: &Path, variables: impl IntoIterator<Item = (String, String)>) -> Result<Self, BenchError> {
        let data = tempfile::tempdir().map_err(BenchError::NoDirectory)?;
        let mut child = Command::new(program)
            .args(["serve", "--listen", "127.0.0.1:0", "--tcp-listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"])
            .arg("--data")
            .arg(data.path())
            .env("SPARROW_LOG", "warn")
            .envs(variables)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(BenchError::NoNode)?;
        let addresses = child.stdout.take().and_then(|stdout| {
            let mut lines = BufReader::new(stdout).lines();
            Addresses::read(|| lines.next()?.ok())
        });
        match addresses {
            Some(addresses) => {
                let target = Target { addresses, pid: Some(child.id()) };
                Ok(Self { target, child, _data: data })
            }
            None => {
                end(&mut child);
                Err(BenchError::Silent)
            }
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

/// Ends a child process.
pub(crate) fn end(child: &mut Child) {
    // Gone already, or out of our hands: there is nothing more to do about it here.
    drop(child.kill().and_then(|()| child.wait()));
}
