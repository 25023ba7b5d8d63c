//! A clock that is wrong, for a process that is started with libfaketime. Timers run on as they should: only the time of
//! day is skewed, as on a machine whose clock is badly set.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::FaultError;
use crate::Evidence;

/// Where distributions put the library.
const PLACES: [&str; 5] = [
    "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1",
    "/usr/lib/aarch64-linux-gnu/faketime/libfaketimeMT.so.1",
    "/usr/lib/faketime/libfaketimeMT.so.1",
    "/usr/lib64/faketime/libfaketimeMT.so.1",
    "/usr/local/lib/faketime/libfaketimeMT.so.1",
];

/// A clock for one process, which can be moved while it runs.
#[derive(Debug)]
pub struct FakeClock {
    library: PathBuf,
    offset: tempfile::NamedTempFile,
}

impl FakeClock {
    /// A clock that is right at first.
    ///
    /// # Errors
    /// [`FaultError::NotRun`] if the library is not installed.
    pub fn new() -> Result<Self, FaultError> {
        let library = PLACES.iter().map(Path::new).find(|path| path.exists());
        let library = library.ok_or_else(|| FaultError::not_run("libfaketime is missing; install `faketime`"))?;
        let offset = tempfile::NamedTempFile::new().map_err(FaultError::failed("making a file"))?;
        let clock = Self { library: library.to_owned(), offset };
        clock.write(0)?;
        Ok(clock)
    }

    /// What the process has to be started with.
    pub fn variables(&self) -> Vec<(String, String)> {
        let path = |path: &Path| path.display().to_string();
        [
            ("LD_PRELOAD", path(&self.library)),
            ("FAKETIME_TIMESTAMP_FILE", path(self.offset.path())),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
            ("DONT_FAKE_MONOTONIC", "1".to_owned()),
            ("FAKETIME_NO_CACHE", "1".to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
    }

    /// Moves the clock of the running process to so many seconds before (negative) or after the right time. Whether it
    /// came through is for the caller to see, with [`FakeClock::evidence`].
    ///
    /// # Errors
    /// If the file of the offset cannot be written.
    pub fn skew(&self, seconds: i64) -> Result<(), FaultError> {
        self.write(seconds)
    }

    /// Evidence that the process is at another time: one that it told just now, in milliseconds since 1970 (`Welcome` has
    /// one). None if it is right within a second.
    pub fn evidence(told_ms: i64) -> Evidence {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let skew = told_ms.abs_diff(i64::try_from(now.as_millis()).unwrap_or(i64::MAX));
        Evidence::of("skewed_ms", if skew > 1_000 { skew } else { 0 })
    }

    fn write(&self, seconds: i64) -> Result<(), FaultError> {
        std::fs::write(self.offset.path(), format!("{seconds:+}s\n"))
            .map_err(FaultError::at("writing", self.offset.path()))
    }
}
