//! `/proc/PID/fd`: the files that a process has open.

use std::path::{Path, PathBuf};

/// The most descriptors of one process that are looked at.
const MAX_DESCRIPTORS: usize = 4096;

/// A file that a process has open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Open {
    /// Its path, as the kernel knows it.
    pub path: PathBuf,
    /// Whether the process can write through this descriptor.
    pub is_written: bool,
    /// Of `/dev/fuse` the connection behind the descriptor, where the kernel says which (`fuse_connection` of
    /// `/proc/PID/fdinfo`, seen on 6.18): the minor number of its filesystem.
    pub fuse_connection: Option<u32>,
}

/// The files that the process has open and that have a path; none when it cannot be seen. Pipes, sockets and files that
/// were removed are left out.
pub fn open_files(pid: i32) -> Vec<Open> {
    let dir = PathBuf::from(format!("/proc/{pid}"));
    let Ok(descriptors) = std::fs::read_dir(dir.join("fd")) else { return Vec::new() };
    let open = |descriptor: std::fs::DirEntry| {
        let path = std::fs::read_link(descriptor.path()).ok().filter(|path| path.is_absolute())?;
        let info = std::fs::read_to_string(dir.join("fdinfo").join(descriptor.file_name())).ok()?;
        (!is_removed(&path)).then(|| Open {
            is_written: is_written(&info),
            fuse_connection: fuse_connection(&info),
            path,
        })
    };
    descriptors.flatten().take(MAX_DESCRIPTORS).filter_map(open).collect()
}

fn is_removed(path: &Path) -> bool {
    path.to_string_lossy().ends_with(" (deleted)")
}

/// The access mode is the last octal digit but for its highest bit (proc_pid_fdinfo(5)).
fn is_written(info: &str) -> bool {
    let flags = info.lines().find_map(|line| i64::from_str_radix(line.strip_prefix("flags:")?.trim(), 8).ok());
    flags.is_some_and(|flags| flags & 0o3 != 0)
}

fn fuse_connection(info: &str) -> Option<u32> {
    info.lines().find_map(|line| line.strip_prefix("fuse_connection:")?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;

    #[test]
    fn our_own_are_seen() {
        let dir = tempfile::tempdir().unwrap();
        let root = std::fs::canonicalize(dir.path()).unwrap();
        let path = |name: &str| root.join(name);
        let (_written, _gone) = (File::create(path("written")).unwrap(), File::create(path("gone")).unwrap());
        let _read = File::open(path("written")).unwrap();
        std::fs::remove_file(path("gone")).unwrap();
        let pid = i32::try_from(std::process::id()).unwrap();
        let ours: Vec<_> = open_files(pid).into_iter().filter(|open| open.path.starts_with(&root)).collect();
        assert_eq!(ours.len(), 2, "{ours:?}");
        assert_eq!(ours.iter().filter(|open| open.is_written && open.path == path("written")).count(), 1);
        assert_eq!(open_files(0), []);
    }
}
