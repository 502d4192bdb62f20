//! Which machine a session runs on, and since which start of it: processes of another machine, or from before the last
//! start, are none of ours, whatever number they had.

use super::atomic::write_replace;
use super::dir::{Dir, make_private};
use super::lock::our_directory;
use crate::error::{Error, Kind, Result};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// Beside the session's lock and journal.
const FILE: &str = "machine.json";
const FILE_MODE: u32 = 0o600;
const MAX_BYTES: u64 = 16 << 10;
const HOST_NAME: &str = "/proc/sys/kernel/hostname";
/// systemd's identity of the installation (machine-id(5)), where D-Bus kept it before, and the host's name.
const MACHINE_IDS: [&str; 3] = ["/etc/machine-id", "/var/lib/dbus/machine-id", HOST_NAME];
/// New at every start of the kernel (proc_sys_kernel(5)).
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// A machine, between two starts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// Of the installation; its host name where it has no identity.
    pub machine_id: String,
    /// Of its last start.
    pub boot_id: String,
    /// What people call it.
    #[serde(default)]
    pub host: String,
}

/// What troop writes down beside a session that it makes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// Where the session was made.
    #[serde(flatten)]
    pub machine: Machine,
    /// The registry that has its record.
    pub registry: PathBuf,
}

impl Machine {
    /// This one.
    pub fn here() -> Result<&'static Self> {
        static HERE: OnceLock<Option<Machine>> = OnceLock::new();
        HERE.get_or_init(Self::look).as_ref().ok_or_else(|| {
            Error::new(
                Kind::Unavailable,
                format!("{BOOT_ID} cannot be read, so one start of this machine looks like another"),
            )
        })
    }

    /// Whether it is this one, and has not been started anew since; a name may have changed.
    pub fn is_here(&self) -> bool {
        Self::here().is_ok_and(|here| here.machine_id == self.machine_id && here.boot_id == self.boot_id)
    }

    fn look() -> Option<Self> {
        let read = |path: &str| std::fs::read_to_string(path).ok().map(|text| text.trim().to_owned());
        let known = |text: &String| !text.is_empty() && text != "uninitialized";
        Some(Self {
            machine_id: MACHINE_IDS.iter().find_map(|path| read(path).filter(known)).unwrap_or_default(),
            boot_id: read(BOOT_ID).filter(known)?,
            host: read(HOST_NAME).unwrap_or_default(),
        })
    }
}

impl Mark {
    /// Writes it down beside the session in `session_root`.
    pub fn write(&self, session_root: &Path) -> Result<()> {
        make_private(&our_directory(session_root))?;
        let mut bytes = serde_json::to_vec(self)
            .map_err(|error| Error::new(Kind::Invalid, format!("the machine cannot be written down: {error}")))?;
        bytes.push(b'\n');
        write_replace(&file(session_root), &bytes, FILE_MODE)
    }

    /// What is written down beside the session in `session_root`; nothing where troop did not make it.
    pub fn read(session_root: &Path) -> Option<Self> {
        let dir = Dir::open(&our_directory(session_root)).ok()??;
        serde_json::from_slice(&dir.read(FILE, MAX_BYTES).ok()??).ok()
    }

    /// Why nothing can be told here of the session in `session_root`: it was made on another machine. A session without a
    /// mark was made by a program of this one.
    pub fn elsewhere(session_root: &Path) -> Option<String> {
        let here = Machine::here().ok()?;
        let mark = Self::read(session_root).filter(|mark| mark.machine.machine_id != here.machine_id)?;
        Some(format!(
            "its session is on another machine, {}, and only there can it be told how it is; if that machine is no more, \
             remove {}",
            mark.machine.host.replace(char::is_control, "?"),
            file(session_root).display()
        ))
    }
}

fn file(session_root: &Path) -> PathBuf {
    our_directory(session_root).join(FILE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_knows_where_it_was_made() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!((Mark::read(root.path()), Mark::elsewhere(root.path())), (None, None));
        let mark = Mark { machine: Machine::here().unwrap().clone(), registry: "/registry".into() };
        mark.write(root.path()).unwrap();
        assert_eq!((Mark::read(root.path()), Mark::elsewhere(root.path())), (Some(mark.clone()), None));

        let machine = Machine { machine_id: "other".to_owned(), host: "far\u{1b}".to_owned(), ..mark.machine };
        Mark { machine, registry: mark.registry }.write(root.path()).unwrap();
        let why = Mark::elsewhere(root.path()).unwrap();
        assert!(why.contains("far?,") && why.contains("troop/machine.json"), "{why}");

        for bad in ["{", "{\"machine_id\": 3}", "[]", ""] {
            std::fs::write(file(root.path()), bad).unwrap();
            assert_eq!(Mark::elsewhere(root.path()), None, "{bad:?}");
        }
    }
}
