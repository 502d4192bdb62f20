//! Whole-file replacement: a reader sees the old bytes or the new ones, also
//! after a crash.

use super::dir::Dir;
use crate::error::{Error, Kind, Result};
use std::path::Path;

/// The mode of what only its owner may read and write: of every file of ours.
pub const PRIVATE_FILE: u32 = 0o600;

/// Replaces or creates `path`: a temporary file in the same directory, fsync,
/// rename, fsync of the directory. `mode` is the new file's, whatever the umask.
/// Refuses when the directory is missing or `path` is a symlink.
pub fn write_replace(path: &Path, bytes: &[u8], mode: u32) -> Result<()> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name().and_then(|name| name.to_str())) else {
        return Err(Error::new(
            Kind::Invalid,
            format!("{} does not name a file; give a path that does", path.display()),
        ));
    };
    let dir = Dir::open(parent)?.ok_or_else(|| {
        Error::new(Kind::NotFound, format!("the directory {} is missing; make it first", parent.display()))
    })?;
    dir.replace(name, bytes, mode)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn replaces_whole_with_the_mode_and_leaves_no_temporary_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.json");
        write_replace(&path, b"one", 0o644).unwrap();
        write_replace(&path, b"two", 0o600).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"two");
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_symlink_is_refused_and_survives() {
        let dir = tempfile::tempdir().unwrap();
        let (target, link) = (dir.path().join("target"), dir.path().join("link"));
        std::fs::write(&target, "precious").unwrap();
        std::os::unix::fs::symlink(&target, &link).unwrap();
        assert_eq!(write_replace(&link, b"x", 0o600).unwrap_err().kind(), Kind::NotPermitted);
        assert_eq!(std::fs::read(&target).unwrap(), b"precious");
        assert!(std::fs::symlink_metadata(&link).unwrap().is_symlink());
    }

    #[test]
    fn a_missing_directory_is_a_sentence() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(write_replace(&dir.path().join("no/a"), b"", 0o600).unwrap_err().kind(), Kind::NotFound);
    }
}
