//! Reads the file with a role, which anybody may have written, and names the role after it.

use crate::error::{Error, Kind, Result};
use crate::model::Role;
use crate::model::name::is_registry_token;
use crate::tool::MAX_ROLE_BYTES;
use nix::fcntl::OFlag;
use std::fs::OpenOptions;
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// The name under which a role waits that is typed as the first prompt. It comes before those that people give.
pub const ROLE_PROMPT: &str = "0-role";
/// What files with roles are called in Houmao, in a directory of the role's name.
const PROMPT_FILE: &str = "system-prompt";

/// The role in the file at `path`. It is not looked for under `mount`, where our own files are: reading there could wait
/// for whoever reads. [`Kind::Invalid`] for what is no text of a role, [`Kind::TooLarge`], [`Kind::NotFound`].
pub(super) fn read(path: &Path, mount: Option<&Path>) -> Result<Role> {
    let named = |error: Error| error.while_doing(format_args!("the role {}", path.display()));
    let failed = |error: std::io::Error| Error::io(format!("cannot read the role {}", path.display()), &error);
    // Where its links lead; what is mounted answers that without waiting.
    let real = if mount.is_some_and(|mount| path.starts_with(mount)) {
        path.to_owned()
    } else {
        path.canonicalize().map_err(failed)?
    };
    if mount.is_some_and(|mount| real.starts_with(mount)) {
        return Err(named(Error::new(Kind::Invalid, "it is inside the mount; copy it to a file on disk")));
    }
    let file = OpenOptions::new().read(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(&real).map_err(failed)?;
    if !file.metadata().map_err(failed)?.is_file() {
        return Err(named(Error::new(Kind::Invalid, "it is not a regular file; name a file with text")));
    }
    let mut bytes = Vec::new();
    file.take(MAX_ROLE_BYTES as u64 + 1).read_to_end(&mut bytes).map_err(failed)?;
    let text = text(bytes).map_err(named)?;
    Ok(Role { name: name(path), text })
}

/// The bytes as the text of a role: lines end with a newline alone, the text without one.
fn text(bytes: Vec<u8>) -> Result<String> {
    let invalid = |sentence: &str| Err(Error::new(Kind::Invalid, sentence));
    if bytes.len() > MAX_ROLE_BYTES {
        let sentence = format!("it is longer than {MAX_ROLE_BYTES} bytes; make it shorter");
        return Err(Error::new(Kind::TooLarge, sentence));
    }
    let Ok(text) = String::from_utf8(bytes) else { return invalid("it is not UTF-8; convert it") };
    let text = text.replace("\r\n", "\n");
    if text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\t')) {
        return invalid("it has control characters; only tab and newline may stand in a role");
    }
    match text.trim_end() {
        "" => invalid("it is empty; write some text"),
        text => Ok(text.to_owned()),
    }
}

/// What a role from that file is called: as the file without its last part, or its directory where every role's file has one name.
fn name(path: &Path) -> String {
    let stem = path.file_stem().filter(|stem| *stem != PROMPT_FILE);
    let named = stem.or_else(|| path.parent()?.file_name()).unwrap_or_default().to_string_lossy();
    let plain: String =
        named.chars().map(|c| if c.is_ascii_alphanumeric() || matches!(c, '-' | '_') { c } else { '-' }).collect();
    let plain = plain.trim_start_matches(['-', '_']);
    if is_registry_token(plain) { plain.to_owned() } else { "role".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_is_named_after_its_file() {
        for (path, wanted) in [
            ("/x/reviewer.md", "reviewer"),
            ("/x/strict reviewer.v2.md", "strict-reviewer-v2"),
            ("/x/roles/critic/system-prompt.md", "critic"),
            ("/x/...", "role"),
            ("/x/🦀.md", "role"),
            ("/system-prompt.md", "role"),
        ] {
            assert_eq!(name(Path::new(path)), wanted, "{path}");
        }
    }

    #[test]
    fn only_text_is_a_role() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("r.md");
        let read_bytes = |bytes: &[u8]| {
            std::fs::write(&path, bytes).unwrap();
            read(&path, None)
        };
        assert_eq!(read_bytes(b"Be brief.\r\n\tAlways.\n\n").unwrap().text, "Be brief.\n\tAlways.");
        for bad in [&b""[..], b" \n", b"\xff", b"a\0b", b"a\x1b[31mb", b"a\rb"] {
            assert_eq!(read_bytes(bad).unwrap_err().kind(), Kind::Invalid, "{bad:?}");
        }
        assert_eq!(read_bytes(&vec![b'x'; MAX_ROLE_BYTES]).unwrap().text.len(), MAX_ROLE_BYTES);
        assert_eq!(read_bytes(&vec![b'x'; MAX_ROLE_BYTES + 1]).unwrap_err().kind(), Kind::TooLarge);
    }

    #[test]
    fn only_a_file_outside_of_the_mount_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let mount = dir.path().join("mnt");
        std::fs::create_dir(&mount).unwrap();
        std::fs::write(mount.join("r.md"), "x").unwrap();
        std::os::unix::fs::symlink(mount.join("r.md"), dir.path().join("link.md")).unwrap();
        nix::unistd::mkfifo(&dir.path().join("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        for inside in [mount.join("r.md"), dir.path().join("link.md")] {
            assert!(read(&inside, Some(&mount)).unwrap_err().sentence().contains("inside the mount"));
            assert_eq!(read(&inside, None).unwrap().text, "x");
        }
        assert_eq!(read(&dir.path().join("pipe"), None).unwrap_err().kind(), Kind::Invalid);
        assert_eq!(read(dir.path(), None).unwrap_err().kind(), Kind::Invalid);
        assert_eq!(read(&dir.path().join("none"), None).unwrap_err().kind(), Kind::NotFound);
    }
}
