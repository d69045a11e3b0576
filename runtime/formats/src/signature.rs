//! Signatures of bundles: minisign's, of the manifest, which holds the SHA-256 of every other file.
//!
//! <https://jedisct1.github.io/minisign/> describes keys and signatures. Only signatures of the manifest's hash are taken
//! (algorithm `ED`), as minisign gives them since its version 0.10.

use std::fmt::{self, Display, Formatter};
use std::io::Read;
use std::path::Path;
use std::str;

use ct_codecs::{Base64, Decoder};
use minisign_verify::Signature;

use crate::error::{ErrorKind, FileProblem, Result};
use crate::input;

/// The signature's file name.
pub const SIGNATURE: &str = "manifest.json.minisig";
/// Most bytes of a signature; minisign's comments have at most 9 KiB.
pub const MAX_SIGNATURE_BYTES: u64 = 16 << 10;
/// Most bytes of the file of a key.
const MAX_KEY_BYTES: u64 = 4 << 10;

/// What begins the first line of a file of minisign's.
const COMMENT: &str = "untrusted comment:";

/// A key that may sign bundles.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey {
    id: KeyId,
    key: minisign_verify::PublicKey,
}

/// The number by which a signature names its key. It displays as minisign shows it: 16 hexadecimal digits.
///
/// It is no proof: anybody may write it into a key or a signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyId(u64);

/// A signature that was verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    /// Who signed.
    pub key: KeyId,
    /// What was signed beside the manifest: minisign's trusted comment.
    pub comment: String,
}

impl PublicKey {
    /// Reads a key: the base64 that minisign prints, or the content of a `.pub` file, which has a comment before it.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let lines: Vec<_> = text.trim().lines().take(3).collect();
        let base64 = match *lines {
            [base64] => base64,
            [comment, base64] if comment.starts_with(COMMENT) => base64,
            _ => return None,
        };
        let key = minisign_verify::PublicKey::from_base64(base64).ok()?;
        let (_, id) = algorithm_and_key(base64)?;
        Some(Self { id, key })
    }

    /// Reads the key that `argument` is, or else the file that it names.
    ///
    /// # Errors
    /// [`ErrorKind::Io`] or [`ErrorKind::Directory`] if it is neither; [`ErrorKind::PublicKey`] for a file that holds no key.
    pub fn from_argument(argument: &str) -> Result<Self> {
        if let Some(key) = Self::parse(argument) {
            return Ok(key);
        }
        let (file, name) = input::open(Path::new(argument))?;
        let mut bytes = Vec::new();
        if let Err(cause) = file.take(MAX_KEY_BYTES).read_to_end(&mut bytes) {
            return Err(ErrorKind::Io { file: name, cause }.into());
        }
        let text = str::from_utf8(&bytes).unwrap_or_default();
        let found = match text.trim_start().starts_with(COMMENT) {
            true => "a signature, a secret key or a damaged key",
            false => "something else",
        };
        let key = Self::parse(text);
        key.ok_or_else(|| ErrorKind::PublicKey { file: name, found }.into())
    }

    /// Its number.
    #[must_use]
    pub const fn id(&self) -> KeyId {
        self.id
    }
}

impl Display for KeyId {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{:016X}", self.0)
    }
}

/// Verifies that one of `trusted` signed `manifest`.
pub(crate) fn verify(
    manifest: &[u8],
    signature: &[u8],
    trusted: &[PublicKey],
) -> std::result::Result<Signed, FileProblem> {
    let text = str::from_utf8(signature).map_err(|_| malformed("bytes that are not UTF-8"))?;
    let named = text.lines().nth(1).and_then(algorithm_and_key);
    let (algorithm, found) = named.ok_or_else(|| malformed("no signature in line 2"))?;
    if algorithm != *b"ED" {
        return Err(malformed("a signature that is not of a hash"));
    }
    let signature =
        Signature::decode(text).map_err(|_| malformed("a signature that is not whole"))?;
    let mut of_key = trusted.iter().filter(|key| key.id == found).peekable();
    if of_key.peek().is_none() {
        return Err(FileProblem::SignedBy { found, expected: names(trusted) });
    }
    if of_key.any(|key| key.key.verify(manifest, &signature, false).is_ok()) {
        Ok(Signed { key: found, comment: signature.trusted_comment().to_owned() })
    } else {
        Err(FileProblem::Forged { key: found })
    }
}

/// The trusted keys, for messages.
pub(crate) fn names(trusted: &[PublicKey]) -> String {
    let names: Vec<_> = trusted.iter().map(|key| key.id.to_string()).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(" or ") }
}

/// What minisign puts before a key and a signature.
fn algorithm_and_key(base64: &str) -> Option<([u8; 2], KeyId)> {
    let bytes = Base64::decode_to_vec(base64.trim(), None).ok()?;
    let (algorithm, rest) = bytes.split_first_chunk()?;
    let id = rest.first_chunk()?;
    Some((*algorithm, KeyId(u64::from_le_bytes(*id))))
}

fn malformed(found: &str) -> FileProblem {
    let (found, expected) = (found.to_owned(), "a signature by minisign of a hash".to_owned());
    FileProblem::Content { at: "signature".to_owned(), found, expected }
}

#[cfg(test)]
mod tests {
    use super::{PublicKey, verify};

    /// The example of minisign-verify's documentation: key, and the signature of `test`.
    const KEY: &str = "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3";
    const SIGNATURE: &str = "untrusted comment: signature from minisign secret key
RUQf6LRCGA9i559r3g7V1qNyJDApGip8MfqcadIgT9CuhV3EMhHoN1mGTkUidF/z7SrlQgXdy8ofjb7bNJJylDOocrCo8KLzZwo=
trusted comment: timestamp:1633700835\tfile:test\tprehashed
wLMDjy9FLAuxZ3q4NlEvkgtyhrr0gtTu6KC4KBJdITbbOeAi1zBIYo0v4iTgt8jJpIidRJnp94ABQkJAgAooBQ==
";
    /// The same by a minisign before 0.10, which did not hash.
    const LEGACY: &str = "untrusted comment: signature from minisign secret key
RWQf6LRCGA9i59SLOFxz6NxvASXDJeRtuZykwQepbDEGt87ig1BNpWaVWuNrm73YiIiJbq71Wi+dP9eKL8OC351vwIasSSbXxwA=
trusted comment: timestamp:1555779966\tfile:test
QtKMXWyYcwdpZAlPF7tE2ENJkRd1ujvKjlj1m9RtHTBnZPa5WKU5uWRs5GoP5M/VqE81QFuMKI5k/SfNQUaOAA==
";

    #[test]
    fn a_signature_that_minisign_published_is_verified() {
        let key = PublicKey::parse(KEY).unwrap();
        assert_eq!(key.id().to_string(), "E7620F1842B4E81F");
        let signed = verify(b"test", SIGNATURE.as_bytes(), std::slice::from_ref(&key)).unwrap();
        assert_eq!(
            (signed.key, &*signed.comment),
            (key.id(), "timestamp:1633700835\tfile:test\tprehashed")
        );
        for (bytes, signature) in [(&b"Test"[..], SIGNATURE), (b"test", LEGACY)] {
            verify(bytes, signature.as_bytes(), std::slice::from_ref(&key)).unwrap_err();
        }
    }

    #[test]
    fn a_key_is_read_with_and_without_its_comment() {
        let key = PublicKey::parse(KEY);
        assert!(key.is_some());
        let file = format!("untrusted comment: minisign public key E7620F1842B4E81F\r\n{KEY}\r\n");
        assert_eq!(PublicKey::parse(&file), key);
        let (two, other) = (format!("{file}{KEY}\n"), format!("trusted\n{KEY}"));
        for text in [&two, &other, "", "\n", "untrusted comment: x", &KEY[1..], LEGACY, SIGNATURE] {
            assert_eq!(PublicKey::parse(text), None, "{text}");
        }
    }
}
