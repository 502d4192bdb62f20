//! The one place where a refusal becomes an exit code (`troop --help` lists them).

use crate::error::Kind;
use std::process::ExitCode;

/// The exit code of a kind of error.
pub(super) fn code(kind: Kind) -> ExitCode {
    ExitCode::from(match kind {
        Kind::Io | Kind::TimedOut | Kind::Malformed => 1,
        Kind::Invalid | Kind::TooLarge | Kind::Ambiguous => 2,
        Kind::NotFound => 3,
        Kind::Busy | Kind::Full => 4,
        Kind::Gone => 5,
        Kind::Exists | Kind::NotPermitted | Kind::Unsupported => 6,
        Kind::Unavailable => 7,
    })
}

/// What `doctor` ends with when it found something wrong.
pub(super) fn findings() -> ExitCode {
    ExitCode::from(1)
}

/// A kind of error with that exit code, for repeating what a child process ended with.
pub(super) fn kind(code: i32) -> Kind {
    match code {
        2 => Kind::Invalid,
        3 => Kind::NotFound,
        4 => Kind::Busy,
        5 => Kind::Gone,
        6 => Kind::NotPermitted,
        7 => Kind::Unavailable,
        _ => Kind::Io,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repeated_exit_code_is_the_same() {
        for number in 1..=7 {
            assert_eq!(code(kind(number)), ExitCode::from(u8::try_from(number).unwrap()));
        }
    }
}
