//! Which files a pattern names. In a pattern `*` stands for any part of one name.

use std::os::unix::ffi::OsStrExt as _;
use std::path::{Component, Path, PathBuf};
use std::time::SystemTime;

/// The most files that are found, those with the greatest names first: where names are dates, the latest.
pub const MAX_FOUND: usize = 64;
/// The most directory entries that are looked at for one pattern.
const MAX_LISTED: usize = 20_000;

/// The ordinary files that `pattern` names and that have changed since then. Links are no such files.
pub fn find(pattern: &Path, since: Option<SystemTime>) -> Vec<PathBuf> {
    let parts: Vec<Component<'_>> = pattern.components().collect();
    let mut found = Vec::new();
    walk(PathBuf::new(), &parts, since, &mut MAX_LISTED.clone(), &mut found);
    found
}

/// Whether `path` is one that `pattern` names.
pub fn matches(pattern: &Path, path: &Path) -> bool {
    let (mut parts, mut names) = (pattern.components(), path.components());
    let is_ordinary = path.components().all(|name| !matches!(name, Component::ParentDir | Component::CurDir));
    is_ordinary
        && loop {
            match (parts.next(), names.next()) {
                (None, None) => break true,
                (Some(part), Some(name)) if fits(part.as_os_str().as_bytes(), name.as_os_str().as_bytes()) => {}
                _ => break false,
            }
        }
}

fn walk(at: PathBuf, parts: &[Component<'_>], since: Option<SystemTime>, left: &mut usize, found: &mut Vec<PathBuf>) {
    let Some((part, rest)) = parts.split_first() else {
        let about = std::fs::symlink_metadata(&at).ok().filter(std::fs::Metadata::is_file);
        let is_new = |about: &std::fs::Metadata| since.is_none_or(|since| about.modified().is_ok_and(|at| at >= since));
        if about.is_some_and(|about| is_new(&about)) {
            found.push(at);
        }
        return;
    };
    let name = part.as_os_str().as_bytes();
    if !name.contains(&b'*') {
        return walk(at.join(part), rest, since, left, found);
    }
    let Ok(entries) = std::fs::read_dir(&at) else { return };
    let entries = entries.flatten().take(*left).inspect(|_| *left -= 1).map(|entry| entry.file_name());
    let mut names: Vec<_> = entries.filter(|entry| fits(name, entry.as_bytes())).collect();
    names.sort_unstable_by(|one, other| other.cmp(one));
    for name in names {
        if found.len() == MAX_FOUND {
            return;
        }
        walk(at.join(name), rest, since, left, found);
    }
}

fn fits(pattern: &[u8], name: &[u8]) -> bool {
    let mut parts = pattern.split(|byte| *byte == b'*');
    let Some(mut rest) = parts.next().and_then(|first| name.strip_prefix(first)) else { return false };
    let parts: Vec<&[u8]> = parts.collect();
    let Some((last, between)) = parts.split_last() else { return rest.is_empty() };
    for part in between {
        let Some(at) = (0..=rest.len()).find(|at| rest[*at..].starts_with(part)) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fit_or_not() {
        for (pattern, name, is) in [
            ("a", "a", true),
            ("a", "ab", false),
            ("*", "", true),
            ("s-*.jsonl", "s-1.jsonl", true),
            ("s-*.jsonl", "s-.jsonl", true),
            ("s-*.jsonl", "s-1.json", false),
            ("a*a", "a", false),
            ("*b*b*", "abcb", true),
            ("*b*b*", "abc", false),
        ] {
            assert_eq!(fits(pattern.as_bytes(), name.as_bytes()), is, "{pattern} {name}");
        }
        assert!(matches(Path::new("/h/*/x.jsonl"), Path::new("/h/p/x.jsonl")));
        assert!(!matches(Path::new("/h/*/x.jsonl"), Path::new("/h/../x.jsonl")));
        assert!(!matches(Path::new("/h/*/x.jsonl"), Path::new("/h/p/q/x.jsonl")));
    }

    #[test]
    fn files_that_have_changed() {
        let root = tempfile::tempdir().unwrap();
        for path in ["2026/11/log-1.jsonl", "2026/12/log-2.jsonl", "2026/12/other", "2026/12/log-3.jsonl/x"] {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        std::os::unix::fs::symlink("log-2.jsonl", root.path().join("2026/12/log-4.jsonl")).unwrap();
        let names = |since| {
            let found = find(&root.path().join("*/*/log-*.jsonl"), since);
            found.iter().map(|path| path.file_name().unwrap().to_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(names(None), ["log-2.jsonl", "log-1.jsonl"]);
        let hour = std::time::Duration::from_secs(3600);
        assert_eq!(names(Some(SystemTime::now() - hour)).len(), 2);
        assert_eq!(names(Some(SystemTime::now() + hour)), [""; 0]);
    }

    #[test]
    fn what_is_found_is_bounded() {
        let root = tempfile::tempdir().unwrap();
        for at in 0..MAX_FOUND + 3 {
            std::fs::write(root.path().join(format!("{at:03}")), "").unwrap();
        }
        let found = find(&root.path().join("*"), None);
        assert_eq!(found.len(), MAX_FOUND);
        assert!(found[0].ends_with(format!("{:03}", MAX_FOUND + 2)));
    }
}
