//! What is mounted where, as `/proc/self/mountinfo` says it (proc_pid_mountinfo(5)).
//!
//! Asking the file is the only question about a mount that nobody can make hang
//! or refuse: a `stat` of a mountpoint is answered by whoever serves it.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::Read;
use std::os::fd::AsFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::error::{Error, Kind, Result};

/// The type every mount of ours shows.
pub const FS_TYPE: &str = "fuse.troop";

/// The file as the kernel shows it to this process.
const MOUNTINFO: &str = "/proc/self/mountinfo";

/// Longest mount table that is read, in bytes: a hundred thousand mounts fit.
const MAX_MOUNTINFO: u64 = 32 << 20;

/// One mount, as one line of the file tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MountEntry {
    /// The mount's id, reused once it is gone.
    pub id: u64,
    /// The id of the mount it stands on.
    pub parent: u64,
    /// `major:minor` of the filesystem; what `stat` gives as `st_dev`.
    pub device: String,
    /// Where it is mounted, unescaped.
    pub path: PathBuf,
    /// The filesystem's type, with its subtype: `tmpfs`, `fuse.troop`.
    pub fs_type: String,
    /// What was mounted: a device, a server, a name.
    pub source: OsString,
    /// The filesystem's own options, separated by commas.
    pub options: String,
}

impl MountEntry {
    /// Whether this is a troop's tree, whoever serves it.
    pub fn is_troop(&self) -> bool {
        self.fs_type == FS_TYPE
    }

    /// The user a FUSE filesystem is mounted for. The kernel writes the option
    /// itself, so it can be believed where type and source cannot.
    pub fn user_id(&self) -> Option<u32> {
        self.options.split(',').find_map(|option| option.strip_prefix("user_id=")?.parse().ok())
    }
}

/// Every mount this process can see.
pub fn read() -> Result<Vec<MountEntry>> {
    let mut bytes = Vec::new();
    File::open(MOUNTINFO)
        .and_then(|file| file.take(MAX_MOUNTINFO).read_to_end(&mut bytes))
        .map_err(|e| Error::new(Kind::Unavailable, format!("cannot see what is mounted: {MOUNTINFO}: {e}")))?;
    Ok(parse(&bytes))
}

/// Whether one filesystem is still mounted, asked often and answered from the file only
/// when that has changed.
#[derive(Debug)]
pub struct Watch {
    table: File,
    device: String,
    is_gone: bool,
}

impl Watch {
    /// Of the filesystem of that `major:minor`, which is mounted.
    pub fn new(device: &str) -> Result<Self> {
        let table = File::open(MOUNTINFO)
            .map_err(|e| Error::new(Kind::Unavailable, format!("cannot see what is mounted: {MOUNTINFO}: {e}")))?;
        Ok(Self { table, device: device.to_owned(), is_gone: false })
    }

    /// Whether it is mounted nowhere any more, as far as this process can see.
    pub fn is_gone(&mut self) -> bool {
        let mut fds = [PollFd::new(self.table.as_fd(), PollFlags::POLLPRI)];
        // The kernel answers POLLPRI once after every change (proc_pid_mounts(5)).
        let changed = poll(&mut fds, PollTimeout::ZERO).is_ok()
            && fds[0].revents().is_some_and(|revents| revents.contains(PollFlags::POLLPRI));
        if changed && let Ok(mounts) = read() {
            self.is_gone = !mounts.iter().any(|mount| mount.device == self.device);
        }
        self.is_gone
    }
}

/// The mounts in `bytes`; a line that cannot be understood is left out.
pub fn parse(bytes: &[u8]) -> Vec<MountEntry> {
    bytes.split(|&b| b == b'\n').filter_map(parse_line).collect()
}

/// What a path that ends at `path` reaches: the mount that no other one covers.
/// `path` is compared as it stands, without following links.
pub fn top_at<'a>(mounts: &'a [MountEntry], path: &Path) -> Option<&'a MountEntry> {
    let here = || mounts.iter().filter(|m| m.path == path);
    here().find(|m| !here().any(|above| above.parent == m.id && above.id != m.id))
}

fn parse_line(line: &[u8]) -> Option<MountEntry> {
    // id parent major:minor root path options optional* - type source options
    let mut fields = line.split(|&b| b == b' ');
    let id = number(fields.next()?)?;
    let parent = number(fields.next()?)?;
    let device = std::str::from_utf8(fields.next()?).ok()?.to_owned();
    let _root = fields.next()?;
    let path = PathBuf::from(unescape(fields.next()?));
    let _mount_options = fields.next()?;
    fields.find(|field| *field == b"-")?;
    let fs_type = unescape(fields.next()?).to_string_lossy().into_owned();
    let source = unescape(fields.next()?);
    let options = OsStr::from_bytes(fields.next().unwrap_or_default()).to_string_lossy().into_owned();
    Some(MountEntry { id, parent, device, path, fs_type, source, options })
}

fn number(field: &[u8]) -> Option<u64> {
    std::str::from_utf8(field).ok()?.parse().ok()
}

/// Undoes the kernel's `\ooo` escapes of space, tab, newline, backslash and `#`.
fn unescape(field: &[u8]) -> OsString {
    let mut out = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&byte, tail)) = rest.split_first() {
        match octal(rest) {
            Some(escaped) => {
                out.push(escaped);
                rest = &rest[4..];
            }
            None => {
                out.push(byte);
                rest = tail;
            }
        }
    }
    OsString::from_vec(out)
}

/// The byte that `\ooo` at the start of `bytes` stands for.
fn octal(bytes: &[u8]) -> Option<u8> {
    let [b'\\', digits @ ..] = bytes.get(..4)? else { return None };
    let value = digits.iter().try_fold(0_u32, |n, &d| matches!(d, b'0'..=b'7').then(|| n * 8 + u32::from(d - b'0')))?;
    u8::try_from(value).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_line_with_optional_fields() {
        let line = b"36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 shared:7 - ext3 /dev/root rw,errors=continue";
        let mount = parse(line).remove(0);
        assert_eq!((mount.id, mount.parent, mount.device.as_str()), (36, 35, "98:0"));
        assert_eq!((mount.path.as_path(), mount.fs_type.as_str()), (Path::new("/mnt2"), "ext3"));
        assert_eq!((mount.source.as_os_str(), mount.user_id()), (OsStr::new("/dev/root"), None));
        assert!(!mount.is_troop());
    }

    #[test]
    fn a_troop_and_whose_it_is() {
        let line = b"90 27 0:52 / /home/a/troop rw,nosuid - fuse.troop troop rw,user_id=1000,group_id=100";
        let mount = parse(line).remove(0);
        assert!(mount.is_troop());
        assert_eq!(mount.user_id(), Some(1000));
    }

    #[test]
    fn names_chosen_to_mislead() {
        // A path of " - fuse.troop troop\n", one with a backslash that escapes nothing, and bytes that are not UTF-8.
        let text = b"1 0 0:1 / /a\\040-\\040fuse.troop\\040troop\\012 rw - tmpfs none rw\n\
                     2 0 0:2 / /b\\9\\04 rw - tmpfs  rw\n\
                     3 0 0:3 / /c\xff\\777 rw - fuse.troop\\040x troop rw\n";
        let mounts = parse(text);
        let paths: Vec<_> = mounts.iter().map(|m| m.path.as_os_str().as_bytes()).collect();
        assert_eq!(paths, [&b"/a - fuse.troop troop\n"[..], b"/b\\9\\04", b"/c\xff\\777"]);
        assert_eq!(mounts[1].source, "");
        assert!(mounts.iter().all(|m| !m.is_troop()));
    }

    #[test]
    fn the_top_of_a_stack() {
        // Listed out of order on purpose: newer kernels sort by id, and ids are reused.
        let text =
            b"7 9 0:7 / /m rw - fuse.troop troop rw\n9 1 0:9 / /m rw - tmpfs none rw\n1 1 0:1 / / rw - ext4 d rw\n";
        let mounts = parse(text);
        assert_eq!(top_at(&mounts, Path::new("/m")).map(|m| m.id), Some(7));
        assert_eq!(top_at(&mounts, Path::new("/")).map(|m| m.id), Some(1));
        assert_eq!(top_at(&mounts, Path::new("/m/")).map(|m| m.id), Some(7));
        assert_eq!(top_at(&mounts, Path::new("/n")), None);
    }

    #[test]
    fn this_machine_has_a_proc() {
        assert!(read().unwrap().iter().any(|m| m.path == Path::new("/proc") && m.fs_type == "proc"));
    }

    proptest! {
        #[test]
        fn no_bytes_are_too_much(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            parse(&bytes);
        }

        #[test]
        fn every_path_survives_the_kernels_escapes(path in "/[^\u{0}]{0,40}") {
            let escaped: Vec<u8> = path.bytes().flat_map(|b| match b {
                b' ' | b'\t' | b'\n' | b'\\' | b'#' => format!("\\{b:03o}").into_bytes(),
                _ => vec![b],
            }).collect();
            let line = [&b"1 0 0:1 / "[..], &escaped, b" rw - tmpfs none rw"].concat();
            prop_assert_eq!(parse(&line).remove(0).path, PathBuf::from(path));
        }
    }
}
