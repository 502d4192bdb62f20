//! Which machine a session runs on, and since which start of it: processes of another machine, or from before the last
//! start, are none of ours, whatever number they had.

use super::atomic::write_replace;
use super::dir::{Dir, make_private};
use super::lock::our_directory;
use crate::error::{Error, Kind, Result};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// Beside the session's lock and journal.
const FILE: &str = "machine.json";
const FILE_MODE: u32 = 0o600;
const MAX_BYTES: u64 = 4096;
/// systemd's identity of the installation (machine-id(5)), where D-Bus kept it before, and the host's name.
const MACHINE_IDS: [&str; 3] = ["/etc/machine-id", "/var/lib/dbus/machine-id", "/proc/sys/kernel/hostname"];
/// New at every start of the kernel (proc_sys_kernel(5)).
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// A machine, between two starts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// Of the installation; its host name where it has no identity.
    pub machine_id: String,
    /// Of its last start.
    pub boot_id: String,
}

/// What is known of where a session was started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// Here, since the last start.
    Here,
    /// Here, before the last start: nothing of it runs.
    Before,
    /// On another machine, which alone can tell.
    Elsewhere,
    /// Nobody wrote it down; whoever did not is a program of this machine.
    Unknown,
}

impl Machine {
    /// This one.
    pub fn here() -> Result<Self> {
        let read = |path: &str| std::fs::read_to_string(path).ok().map(|text| text.trim().to_owned());
        let known = |text: &String| !text.is_empty() && text != "uninitialized";
        let machine_id = MACHINE_IDS.iter().find_map(|path| read(path).filter(known)).unwrap_or_default();
        let boot_id = read(BOOT_ID).filter(known).ok_or_else(|| {
            Error::new(
                Kind::Unavailable,
                format!("{BOOT_ID} cannot be read, so one start of this machine looks like another"),
            )
        })?;
        Ok(Self { machine_id, boot_id })
    }

    /// Writes down that the session in `session_root` runs here.
    pub fn mark(&self, session_root: &Path) -> Result<()> {
        let dir = our_directory(session_root);
        make_private(&dir)?;
        let mut bytes = serde_json::to_vec(self)
            .map_err(|error| Error::new(Kind::Invalid, format!("the machine cannot be written down: {error}")))?;
        bytes.push(b'\n');
        write_replace(&dir.join(FILE), &bytes, FILE_MODE)
    }

    /// Where the session in `session_root` was started last, as seen from this machine.
    pub fn origin(&self, session_root: &Path) -> Origin {
        let read =
            Dir::open(&our_directory(session_root)).ok().flatten().and_then(|dir| dir.read(FILE, MAX_BYTES).ok()?);
        let Some(marked) = read.and_then(|bytes| serde_json::from_slice::<Self>(&bytes).ok()) else {
            return Origin::Unknown;
        };
        match (marked.machine_id == self.machine_id, marked.boot_id == self.boot_id) {
            (true, true) => Origin::Here,
            (true, false) => Origin::Before,
            (false, _) => Origin::Elsewhere,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_knows_where_it_was_started() {
        let root = tempfile::tempdir().unwrap();
        let here = Machine::here().unwrap();
        assert_eq!(here.origin(root.path()), Origin::Unknown);
        here.mark(root.path()).unwrap();
        assert_eq!(here.origin(root.path()), Origin::Here);
        let later = Machine { boot_id: "later".to_owned(), ..here.clone() };
        assert_eq!(later.origin(root.path()), Origin::Before);
        let other = Machine { machine_id: "other".to_owned(), ..here.clone() };
        assert_eq!(other.origin(root.path()), Origin::Elsewhere);
        std::fs::write(our_directory(root.path()).join(FILE), "{").unwrap();
        assert_eq!(here.origin(root.path()), Origin::Unknown);
    }
}
