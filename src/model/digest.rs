//! Digests as they are written down: in lower-case hexadecimal digits.

use sha2::Digest;

/// The MD5 digest of `bytes`, of which Houmao makes ids and directory names.
pub fn md5(bytes: &[u8]) -> String {
    hex(&md5::Md5::digest(bytes))
}

/// The SHA-1 digest of `bytes`, by which two screens are compared.
pub fn sha1(bytes: &[u8]) -> String {
    hex(&sha1::Sha1::digest(bytes))
}

/// The SHA-256 digest of `bytes`, by which a prompt or a role is known again.
pub fn sha256(bytes: &[u8]) -> String {
    hex(&sha2::Sha256::digest(bytes))
}

fn hex(digest: &[u8]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}
