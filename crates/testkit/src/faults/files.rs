//! Files of a stopped node that are damaged, cut short, or put back as they were earlier.

use std::fs::{self, File, OpenOptions};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use rand::RngExt as _;
use rand::rngs::StdRng;

use super::FaultError;
use crate::Evidence;

/// What a back-up of a data directory leaves out (docs/operations.md): the lock, and the count by which an older copy
/// is recognised.
const NOT_BACKED_UP: [&str; 2] = ["lock", "commits"];

/// Turns over `bits` bits, drawn from `random`, at or after byte `from`. Evidence: the bits, none if the file is too
/// short.
///
/// # Errors
/// If the file cannot be written.
pub fn flip_bits(path: &Path, from: u64, bits: usize, random: &mut StdRng) -> Result<Evidence, FaultError> {
    let mut flip = || {
        let mut file = OpenOptions::new().read(true).write(true).open(path)?;
        let length = file.metadata()?.len();
        if length <= from {
            return Ok(0);
        }
        let mut flipped = std::collections::BTreeSet::new();
        while flipped.len() < bits.min(usize::try_from((length - from) * 8).unwrap_or(usize::MAX)) {
            flipped.insert(random.random_range(from * 8..length * 8));
        }
        for bit in &flipped {
            let mut byte = [0];
            file.seek(SeekFrom::Start(bit / 8))?;
            file.read_exact(&mut byte)?;
            byte[0] ^= 1 << (bit % 8);
            file.seek(SeekFrom::Start(bit / 8))?;
            file.write_all(&byte)?;
        }
        file.sync_all()?;
        Ok(flipped.len() as u64)
    };
    flip().map(|bits| Evidence::of("flipped_bits", bits)).map_err(FaultError::at("damaging", path))
}

/// Cuts so many bytes off the end of a file, at most all. Evidence: the bytes.
///
/// # Errors
/// If the file cannot be written.
pub fn truncate(path: &Path, bytes: u64) -> Result<Evidence, FaultError> {
    let cut = || {
        let file = OpenOptions::new().write(true).open(path)?;
        let length = file.metadata()?.len();
        file.set_len(length.saturating_sub(bytes))?;
        file.sync_all()?;
        Ok(bytes.min(length))
    };
    cut().map(|bytes| Evidence::of("truncated_bytes", bytes)).map_err(FaultError::at("truncating", path))
}

/// A data directory as it was while its node was stopped. Dropping it removes the copy.
#[derive(Debug)]
pub struct Snapshot {
    copy: tempfile::TempDir,
}

impl Snapshot {
    /// Copies the files of a stopped node, as a back-up does.
    ///
    /// # Errors
    /// If a file cannot be copied.
    pub fn take(data: &Path) -> Result<Self, FaultError> {
        let copy = tempfile::tempdir().map_err(FaultError::failed("making a directory"))?;
        copy_files(data, copy.path())?;
        Ok(Self { copy })
    }

    /// Puts the files back, over those of a stopped node, and removes what came later; what a back-up leaves out stays as
    /// it is. Evidence: the files that were other, or were not there.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub fn restore(&self, data: &Path) -> Result<Evidence, FaultError> {
        let (now, then) = (files(data)?, files(self.copy.path())?);
        let differs = |path: &PathBuf| match (fs::read(data.join(path)), fs::read(self.copy.path().join(path))) {
            (Ok(now), Ok(then)) => now != then,
            _ => true,
        };
        let all: std::collections::BTreeSet<_> = now.iter().chain(&then).collect();
        let changed = all.into_iter().filter(|path| differs(path)).count();
        for path in now.iter().filter(|path| !then.contains(path)) {
            let path = data.join(path);
            fs::remove_file(&path).map_err(FaultError::at("removing", &path))?;
        }
        copy_files(self.copy.path(), data)?;
        Ok(Evidence::of("restored_files", changed as u64))
    }
}

fn copy_files(from: &Path, to: &Path) -> Result<(), FaultError> {
    for path in files(from)? {
        let target = to.join(&path);
        let copy = || {
            fs::create_dir_all(target.parent().unwrap_or(to))?;
            fs::copy(from.join(&path), &target)?;
            File::open(&target)?.sync_all()
        };
        copy().map_err(FaultError::at("copying to", &target))?;
    }
    Ok(())
}

/// The files under a directory that a back-up takes, relative to it, sorted.
fn files(root: &Path) -> Result<Vec<PathBuf>, FaultError> {
    let mut found = Vec::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        let at = root.join(&folder);
        let mut list = || {
            for entry in fs::read_dir(&at)? {
                let entry = entry?;
                let path = folder.join(entry.file_name());
                let left_out =
                    folder.as_os_str().is_empty() && NOT_BACKED_UP.iter().any(|name| *entry.file_name() == **name);
                match entry.file_type()? {
                    kind if kind.is_dir() => folders.push(path),
                    kind if kind.is_file() && !left_out => found.push(path),
                    _ => {}
                }
            }
            Ok(())
        };
        list().map_err(FaultError::at("reading", &at))?;
    }
    found.sort();
    Ok(found)
}
