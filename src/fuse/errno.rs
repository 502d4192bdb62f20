//! The one place where a refusal becomes an errno (contract, section 4.2).

use crate::error::Kind;
use fuser::Errno;

/// The errno of a kind of error.
pub(super) fn errno(kind: Kind) -> Errno {
    match kind {
        Kind::Busy => Errno::EBUSY,
        Kind::Gone => Errno::ESRCH,
        Kind::Invalid | Kind::Ambiguous => Errno::EINVAL,
        Kind::TooLarge => Errno::EFBIG,
        Kind::NotPermitted => Errno::EPERM,
        Kind::Full => Errno::EAGAIN,
        Kind::Unsupported => Errno::ENXIO,
        Kind::NotFound => Errno::ENOENT,
        Kind::Exists => Errno::EEXIST,
        Kind::TimedOut => Errno::ETIMEDOUT,
        Kind::Unavailable | Kind::Malformed | Kind::Io => Errno::EIO,
    }
}
