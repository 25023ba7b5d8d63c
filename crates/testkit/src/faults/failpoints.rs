//! The steps at which a node fails, of a build with the feature `failpoints`, set while it runs.

use std::io;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::FaultError;

/// How long a node may take to obey; it looks every few milliseconds.
const DEADLINE: Duration = Duration::from_secs(10);

/// The file that a node follows.
#[derive(Debug)]
pub struct Failpoints {
    folder: tempfile::TempDir,
}

impl Failpoints {
    /// A file that makes nothing fail yet.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn new() -> Result<Self, FaultError> {
        let folder = tempfile::tempdir().map_err(FaultError::failed("making a directory"))?;
        Ok(Self { folder })
    }

    /// What the process has to be started with.
    pub fn variables(&self) -> Vec<(String, String)> {
        vec![("FAILPOINTS_FILE".to_owned(), self.path().display().to_string())]
    }

    /// Makes exactly these steps fail, `step=actions;step=actions` as in `sparrow_store::faults`; none if empty. Blocks
    /// until the running node says that it obeys.
    ///
    /// # Errors
    /// If it does not within 10 s: a step is unknown, or the node runs no build with the feature.
    pub fn set(&self, steps: &str) -> Result<(), FaultError> {
        let draft = self.folder.path().join("next");
        let written = std::fs::write(&draft, steps).and_then(|()| std::fs::rename(&draft, self.path()));
        written.map_err(FaultError::at("writing", &self.path()))?;
        let end = Instant::now() + DEADLINE;
        while std::fs::read_to_string(self.path().with_extension("obeyed")).ok().as_deref() != Some(steps) {
            if Instant::now() > end {
                return Err(FaultError::failed(format!("setting the failpoints `{steps}`"))(
                    io::ErrorKind::TimedOut.into(),
                ));
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        Ok(())
    }

    /// Lets a node that is started again begin without: what was set ends with the process it was for.
    ///
    /// # Errors
    /// If the file cannot be removed.
    pub fn clear(&self) -> Result<(), FaultError> {
        for path in [self.path(), self.path().with_extension("obeyed")] {
            match std::fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(FaultError::at("removing", &path)(error));
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("failpoints")
    }
}
