//! A disk of one's own whose power can be cut, and which can be full: an ext4 image on a loop device. Needs root, Linux,
//! and `mkfs.ext4`.
//!
//! `kill -9` proves nothing about what is on the disk, because the page cache survives the process. Cutting the power
//! here means that the filesystem is shut down without its log being flushed (`FS_IOC_SHUTDOWN`), unmounted, and mounted
//! again, which replays the journal: what was not forced to the disk is gone.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::fs::statvfs;
use rustix::ioctl::{Setter, ioctl};

use super::FaultError;
use crate::Evidence;

/// `FS_IOC_SHUTDOWN`, `_IOR('X', 125, __u32)`.
const SHUTDOWN: rustix::ioctl::Opcode = 0x8004_587D;
/// Its argument: the journal is not flushed first.
const NO_LOG_FLUSH: u32 = 2;
/// The file that is never forced to the disk: it shows that the power was really cut.
const CANARY: &str = "canary";
/// How much is in it.
const CANARY_BYTES: usize = 8 * 1024;
/// The file that takes up the room.
const FILLER: &str = "filler";

/// The disk. Dropping it unmounts and removes it.
#[derive(Debug)]
pub struct Disk {
    folder: tempfile::TempDir,
    mounted: bool,
}

impl Disk {
    /// A new, empty disk of so many bytes, mounted. Blocks for as long as that takes.
    ///
    /// # Errors
    /// [`FaultError::NotRun`] without root or the programs.
    pub fn new(bytes: u64) -> Result<Self, FaultError> {
        if !rustix::process::geteuid().is_root() {
            return Err(FaultError::not_run("mounting a disk of one's own needs root"));
        }
        let folder = tempfile::tempdir().map_err(FaultError::failed("making a directory"))?;
        let mut disk = Self { folder, mounted: false };
        let make = || {
            File::create_new(disk.image())?.set_len(bytes)?;
            fs::create_dir(disk.mount_point())
        };
        make().map_err(FaultError::at("making", disk.folder.path()))?;
        run(Command::new("mkfs.ext4").args(["-q", "-F", "-m", "0"]).arg(disk.image()))?;
        disk.mount()?;
        let data = disk.path();
        fs::create_dir(&data).and_then(|()| File::open(&data)?.sync_all()).map_err(FaultError::at("making", &data))?;
        Ok(disk)
    }

    /// An empty directory on it, for a node's data.
    pub fn path(&self) -> PathBuf {
        self.mount_point().join("data")
    }

    /// Cuts the power: what was not forced to the disk is gone, and whatever still writes gets an I/O error. The node on
    /// it has to be killed before [`Disk::power_on`].
    ///
    /// # Errors
    /// [`FaultError::NotRun`] if the kernel has no such thing for this filesystem.
    pub fn cut_power(&mut self) -> Result<(), FaultError> {
        let canary = self.mount_point().join(CANARY);
        fs::write(&canary, [0xCA; CANARY_BYTES]).map_err(FaultError::at("writing", &canary))?;
        let root = File::open(self.mount_point()).map_err(FaultError::at("opening", &self.mount_point()))?;
        shut_down(&root).map_err(|error| FaultError::not_run(format!("FS_IOC_SHUTDOWN: {error}")))
    }

    /// Mounts the disk again after [`Disk::cut_power`]. Evidence: the power cut, and the bytes written before it that are
    /// gone; none if nothing is.
    ///
    /// # Errors
    /// If a process still uses the disk, or it cannot be mounted.
    pub fn power_on(&mut self) -> Result<Evidence, FaultError> {
        self.unmount()?;
        self.mount()?;
        let canary = self.mount_point().join(CANARY);
        let kept = fs::read(&canary).map_or(0, |bytes| bytes.iter().filter(|byte| **byte == 0xCA).count());
        fs::remove_file(&canary).or_else(missing).map_err(FaultError::at("removing", &canary))?;
        match CANARY_BYTES - kept.min(CANARY_BYTES) {
            0 => Ok(Evidence::none()),
            lost => Ok(Evidence::of("power_cuts", 1).and("unsynced_bytes_lost", lost as u64)),
        }
    }

    /// Takes up all the room but about `left` bytes. Evidence: the bytes taken.
    ///
    /// # Errors
    /// If the filler cannot be written.
    pub fn fill(&self, left: u64) -> Result<Evidence, FaultError> {
        let path = self.mount_point().join(FILLER);
        let fill = || {
            let mut filler = File::options().append(true).create(true).open(&path)?;
            let mut taken = 0;
            // Written rather than reserved, in steps that become small at the end; the journal needs some room too.
            for step in [1 << 20, 1 << 16, 1 << 12] {
                let piece = vec![0x5A; step];
                while self.free_bytes()? >= left + step as u64 {
                    match filler.write_all(&piece).and_then(|()| filler.sync_data()) {
                        Ok(()) => taken += step as u64,
                        Err(error) if error.kind() == io::ErrorKind::StorageFull => break,
                        Err(error) => return Err(error),
                    }
                }
            }
            Ok(taken)
        };
        fill().map(|taken| Evidence::of("filled_bytes", taken)).map_err(FaultError::at("filling", &path))
    }

    /// Gives the room back. Evidence: the bytes given back.
    ///
    /// # Errors
    /// If the filler cannot be removed.
    pub fn free(&self) -> Result<Evidence, FaultError> {
        let path = self.mount_point().join(FILLER);
        let taken = fs::metadata(&path).map_or(0, |filler| filler.len());
        fs::remove_file(&path).or_else(missing).map_err(FaultError::at("removing", &path))?;
        Ok(Evidence::of("freed_bytes", taken))
    }

    /// Room that is left, in bytes.
    ///
    /// # Errors
    /// If the disk is not mounted.
    pub fn free_bytes(&self) -> io::Result<u64> {
        let disk = statvfs(self.mount_point())?;
        Ok(disk.f_bavail * disk.f_frsize)
    }

    fn image(&self) -> PathBuf {
        self.folder.path().join("image")
    }

    fn mount_point(&self) -> PathBuf {
        self.folder.path().join("disk")
    }

    fn mount(&mut self) -> Result<(), FaultError> {
        run(Command::new("mount").args(["-t", "ext4", "-o", "loop"]).arg(self.image()).arg(self.mount_point()))?;
        self.mounted = true;
        Ok(())
    }

    fn unmount(&mut self) -> Result<(), FaultError> {
        if std::mem::take(&mut self.mounted) {
            let unmounted = run(Command::new("umount").arg(self.mount_point()));
            self.mounted = unmounted.is_err();
            unmounted?;
        }
        Ok(())
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if self.unmount().is_err() {
            // Something still has a file open: out of sight now, gone with the last of them.
            drop(run(Command::new("umount").arg("--lazy").arg(self.mount_point())));
        }
    }
}

/// Shuts a mounted filesystem down without flushing its journal.
#[expect(unsafe_code, reason = "there is no safe interface to this request of the kernel")]
fn shut_down(root: &File) -> io::Result<()> {
    // SAFETY: the request reads a `__u32` through the pointer that `Setter` hands over, which is valid for the call, and
    // writes nothing to memory of this process.
    let done = unsafe { ioctl(root, Setter::<SHUTDOWN, u32>::new(NO_LOG_FLUSH)) };
    Ok(done?)
}

fn missing(error: io::Error) -> io::Result<()> {
    if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) }
}

fn run(command: &mut Command) -> Result<(), FaultError> {
    let program = Path::new(command.get_program()).display().to_string();
    let output = match command.output() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(FaultError::not_run(format!("`{program}` is missing")));
        }
        result => result.map_err(FaultError::failed(program.clone()))?,
    };
    if output.status.success() {
        return Ok(());
    }
    Err(FaultError::failed(program)(io::Error::other(String::from_utf8_lossy(&output.stderr).trim().to_owned())))
}
