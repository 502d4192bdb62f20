//! `launch.env` in a session root: the variables an agent was launched with, one `NAME="VALUE"` a line. Houmao reads such a
//! file too: it takes off the outermost quotes, and nothing in between means anything.

use super::dir::read_regular;
use crate::error::{Error, Kind, Result};
use crate::model::launch_options::{MAX_ENV, MAX_ENV_BYTES, check_env};
use nix::fcntl::OFlag;
use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Its name.
pub const ENV_FILE: &str = "launch.env";
/// The largest that is read, in bytes: as many variables as a launch may have, and their names.
pub const MAX_FILE_BYTES: u64 = 2 * (MAX_ENV * MAX_ENV_BYTES) as u64;

/// Its text. [`Kind::Invalid`] for a variable that cannot be given to an agent.
pub(super) fn to_text(env: &[(String, String)]) -> Result<String> {
    let mut text = String::new();
    for (name, value) in env {
        check_env(name, value)?;
        text.push_str(&format!("{name}=\"{value}\"\n"));
    }
    Ok(text)
}

/// The variables in the session root `root`, in the order they were given; none when there is no such file.
/// [`Kind::Malformed`] names the first line that is none of ours, without its value.
pub fn read(root: &Path) -> Result<Vec<(String, String)>> {
    let path = root.join(ENV_FILE);
    let file = OpenOptions::new().read(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(&path);
    let file = match file {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Error::io(format!("cannot read {}", path.display()), &error)),
    };
    let bytes = read_regular(file, MAX_FILE_BYTES).map_err(|error| error.while_doing(path.display()))?;
    let wrong = |line: usize| Error::new(Kind::Malformed, format!("{} is wrong at line {line}", path.display()));
    let text = std::str::from_utf8(&bytes).map_err(|_| wrong(1))?;
    text.lines().enumerate().map(|(at, line)| parse(line).ok_or_else(|| wrong(at + 1))).collect()
}

fn parse(line: &str) -> Option<(String, String)> {
    let (name, quoted) = line.split_once('=')?;
    let value = quoted.strip_prefix('"')?.strip_suffix('"')?;
    check_env(name, value).ok()?;
    Some((name.to_owned(), value.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(name: &str, value: &str) -> (String, String) {
        (name.to_owned(), value.to_owned())
    }

    #[test]
    fn what_is_written_is_read() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(read(dir.path()).unwrap(), []);
        let env = [pair("A", "a \"b\" $c `d` #e"), pair("EMPTY", ""), pair("Q", "\""), pair("U", " ä👩‍👩‍👧 ")];
        std::fs::write(dir.path().join(ENV_FILE), to_text(&env).unwrap()).unwrap();
        assert_eq!(read(dir.path()).unwrap(), env);
        assert_eq!(to_text(&[pair("A", "b\nC=d")]).unwrap_err().kind(), Kind::Invalid);
    }

    #[test]
    fn a_line_of_somebody_else_is_named_and_not_shown() {
        let dir = tempfile::tempdir().unwrap();
        for bad in ["A=secret", "secret", "A=\"secret", "=\"secret\"", "TMUX=\"secret\"", "A=\"\u{1}secret\""] {
            std::fs::write(dir.path().join(ENV_FILE), format!("B=\"b\"\n{bad}\n")).unwrap();
            let error = read(dir.path()).unwrap_err();
            assert_eq!(error.kind(), Kind::Malformed);
            assert!(error.sentence().contains("line 2") && !error.sentence().contains("secret"), "{error}");
        }
        std::fs::remove_file(dir.path().join(ENV_FILE)).unwrap();
        nix::unistd::mkfifo(&dir.path().join(ENV_FILE), nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert!(read(dir.path()).is_err(), "a pipe does not make its reader wait");
    }

    proptest::proptest! {
        #[test]
        fn any_value_without_controls_round_trips(value in "[^\\p{Cc}]{0,60}") {
            let (name, read) = parse(to_text(&[pair("A", &value)]).unwrap().trim_end_matches('\n')).unwrap();
            proptest::prop_assert_eq!((name.as_str(), read), ("A", value));
        }
    }
}
