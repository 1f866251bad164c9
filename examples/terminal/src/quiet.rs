//! Keeps what libraries print off the screen: sound systems and GStreamer write to standard error, which is the screen.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use rustix::stdio::dup2_stderr;

/// Standard error goes to a file, until this is dropped.
pub struct Quiet {
    before: OwnedFd,
    path: PathBuf,
}

impl Quiet {
    /// From now on.
    pub fn begin() -> io::Result<Quiet> {
        let path = std::env::temp_dir().join(format!("listen-terminal-{}.log", std::process::id()));
        // Nobody else's file, and no link to one.
        let file = File::create_new(&path)?;
        let before = rustix::io::dup(io::stderr())?;
        dup2_stderr(&file)?;
        Ok(Quiet { before, path })
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        // Where it fails there is no way left to say so.
        let _ = dup2_stderr(&self.before);
        match std::fs::metadata(&self.path) {
            Ok(file) if file.len() > 0 => {
                eprintln!("listen-terminal: what libraries said is in {}", self.path.display())
            }
            _ => drop(std::fs::remove_file(&self.path)),
        }
    }
}
