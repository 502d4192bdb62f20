//! Releases of agent programs.

use semver::Version;

/// The release that a program's own words name, such as `2.1.329 (Claude Code)` or `codex-cli 0.169.0`.
/// What comes after the third number is dropped: ranges are about releases.
pub fn version(text: &str) -> Option<Version> {
    text.split(|c: char| !(c.is_ascii_digit() || c == '.')).find_map(|word| {
        let mut numbers = word.splitn(4, '.').map(str::parse::<u64>);
        match (numbers.next(), numbers.next(), numbers.next()) {
            (Some(Ok(major)), Some(Ok(minor)), patch) => {
                Some(Version::new(major, minor, patch.and_then(Result::ok).unwrap_or(0)))
            }
            _ => None,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_are_found_in_words() {
        for (text, expected) in [
            ("2.1.329 (Claude Code)", Some("2.1.329")),
            ("codex-cli 0.169.0-alpha.1", Some("0.169.0")),
            ("kimi, version 1.47", Some("1.47.0")),
            ("v3", None),
            ("", None),
        ] {
            assert_eq!(version(text).map(|v| v.to_string()).as_deref(), expected, "{text}");
        }
    }
}
