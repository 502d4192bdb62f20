//! `/proc/PID/environ` and `/proc/PID/cwd`: the environment that a program was started with, and where it works.

use std::ffi::OsString;
use std::fs::File;
use std::io::Read as _;
use std::os::unix::ffi::OsStringExt as _;
use std::path::PathBuf;

/// How much of an environment is read, in bytes; what stands after that is not found.
const MAX_ENVIRON_BYTES: u64 = 256 * 1024;

/// A variable of that process's environment, as a path; `None` when it is not set or cannot be seen.
pub fn variable(pid: i32, name: &str) -> Option<PathBuf> {
    let mut bytes = Vec::new();
    File::open(format!("/proc/{pid}/environ")).ok()?.take(MAX_ENVIRON_BYTES).read_to_end(&mut bytes).ok()?;
    value(&bytes, name).map(|value| OsString::from_vec(value.to_owned()).into())
}

/// The directory that the process works in; `None` when it cannot be seen.
pub fn directory(pid: i32) -> Option<PathBuf> {
    std::fs::read_link(format!("/proc/{pid}/cwd")).ok()
}

fn value<'a>(environ: &'a [u8], name: &str) -> Option<&'a [u8]> {
    environ.split(|byte| *byte == 0).find_map(|entry| entry.strip_prefix(name.as_bytes())?.strip_prefix(b"="))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_name_counts() {
        let environ = b"XHOME=/x\0HOME=/home/u=1\0HOMER=/y\0EMPTY=\0\0";
        assert_eq!(value(environ, "HOME"), Some(&b"/home/u=1"[..]));
        assert_eq!(value(environ, "EMPTY"), Some(&b""[..]));
        assert_eq!(value(environ, "OME"), None);
        assert_eq!(value(b"", "HOME"), None);
    }

    #[test]
    fn our_own_is_seen() {
        let pid = i32::try_from(std::process::id()).unwrap();
        assert_eq!(variable(pid, "PATH"), std::env::var_os("PATH").map(PathBuf::from));
        assert_eq!(directory(pid), std::env::current_dir().ok());
        assert_eq!((variable(0, "PATH"), directory(0)), (None, None));
    }
}
