//! Key pairs and signatures of minisign: <https://jedisct1.github.io/minisign/>.
//!
//! What is signed is the hash of `manifest.json`, which holds the SHA-256 of every other file: the manifest's signature is the
//! bundle's.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Write};
#[cfg(unix)]
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use ct_codecs::{Base64, Decoder};
use hilbert_formats::escape::Escaped;
use hilbert_formats::signature::SIGNATURE;
use hilbert_formats::{Bundle, KeyId, PublicKey};
use minisign::{KeyPair, PError, SecretKeyBox};

use crate::error::{ErrorKind, Result};
use crate::packing::files;
use crate::staged::{Form, Staged, replace, write_error};

/// Most bytes of a signature's comment.
pub const MAX_COMMENT_BYTES: usize = 1024;

/// A key pair that was written. Its `Display` is the output of `hilbert-export keygen`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keys {
    /// Number of the pair.
    pub id: KeyId,
    /// File of the public key.
    pub public: PathBuf,
    /// File of the secret key.
    pub secret: PathBuf,
    /// The public key, which `--trusted-key` takes in place of its file.
    pub base64: String,
    /// Whether a password protects the secret key.
    pub encrypted: bool,
}

/// A secret key, decrypted.
pub struct SecretKey(minisign::SecretKey);

/// A bundle that was signed. Its `Display` is the output of `hilbert-export sign`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedBundle {
    /// Name of the bundle.
    pub name: String,
    /// Who signed.
    pub key: KeyId,
    /// What was signed beside the manifest.
    pub comment: String,
}

/// Writes a new key pair to `prefix` with `.pub` and `.key` behind it; only the owner may read the secret key.
///
/// # Errors
/// [`ErrorKind::KeyExists`] where one of the two files exists; [`ErrorKind::Write`]; [`ErrorKind::Minisign`].
pub fn keygen(prefix: &Path, password: Option<String>) -> Result<Keys> {
    let failed = |error: PError| fault("a key pair", error);
    let encrypted = password.is_some();
    let pair = match password {
        Some(password) => KeyPair::generate_encrypted_keypair(Some(password)),
        None => KeyPair::generate_unencrypted_keypair(),
    }
    .map_err(failed)?;
    let comment = if encrypted { "minisign encrypted secret key" } else { "minisign secret key" };
    let secret_key = pair.sk.to_box(Some(comment)).map_err(failed)?;
    let public_key = pair.pk.to_box().map_err(failed)?;
    let [public, secret] = ["pub", "key"].map(|end| prefix.with_added_extension(end));
    write_key(&public, &public_key.to_bytes(), 0o644)?;
    if let Err(error) = write_key(&secret, &secret_key.to_bytes(), 0o600) {
        // It is of no use alone, and what kept the other from being written says more than an error here would.
        drop(fs::remove_file(&public));
        return Err(error);
    }
    let base64 = pair.pk.to_base64();
    Ok(Keys { id: public_key_of(&base64)?.id(), public, secret, base64, encrypted })
}

impl SecretKey {
    /// Reads the file of a secret key, and asks for its `password` if it has one.
    ///
    /// # Errors
    /// [`ErrorKind::Read`]; [`ErrorKind::SecretKey`] for a file that is none; [`ErrorKind::Password`]; those of `password`.
    pub fn open(path: &Path, password: impl FnOnce() -> Result<String>) -> Result<Self> {
        let damaged = |found| ErrorKind::SecretKey { path: path.into(), found };
        let text = fs::read_to_string(path)
            .map_err(|source| ErrorKind::Read { path: path.into(), source })?;
        let base64 = text.lines().nth(1).unwrap_or_default();
        let bytes = Base64::decode_to_vec(base64.trim(), None).unwrap_or_default();
        let key = minisign::SecretKey::from_bytes(&bytes).map_err(|_| damaged("something else"))?;
        let stored = SecretKeyBox::from(text);
        let key = if key.is_encrypted() {
            let expected = "the key's";
            let wrong =
                |_| ErrorKind::Password { found: "one that does not open the key", expected };
            stored.into_secret_key(Some(password()?)).map_err(wrong)?
        } else {
            key
        };
        // minisign writes no checksum to a key without a password; what is damaged does not sign for itself.
        let public = minisign::PublicKey::from_secret_key(&key);
        let signed = public.and_then(|public| {
            minisign::sign(Some(&public), &key, io::empty(), Some("a test"), None)
        });
        signed.map_err(|_| damaged("a damaged key"))?;
        Ok(Self(key))
    }

    /// The key that verifies what this one signs.
    ///
    /// # Errors
    /// [`ErrorKind::Minisign`], which no key that was read causes.
    pub fn public(&self) -> Result<PublicKey> {
        let key = minisign::PublicKey::from_secret_key(&self.0);
        public_key_of(&key.map_err(|error| fault("a public key", error))?.to_base64())
    }
}

/// Signs the bundle at `path`, a folder or an archive, once each of its files was found to be what the manifest says. A signature
/// that it has is replaced.
///
/// Without a `comment` the signature's is the bundle's name and version.
///
/// # Errors
/// [`ErrorKind::Comment`]; [`ErrorKind::Runtime`] for a bundle that is not whole; [`ErrorKind::Write`].
pub fn sign(path: &Path, key: &SecretKey, comment: Option<&str>) -> Result<SignedBundle> {
    let bundle = Bundle::open(path).map_err(ErrorKind::reading)?;
    let manifest = bundle.manifest();
    let default = format!("{}, version {}", manifest.name, manifest.bundle_version);
    let comment = comment.map_or(Ok(&*default), checked)?;
    files(&bundle, None).try_for_each(|file| file.map(drop))?;
    let public = key.public()?;
    let untrusted = format!("signature by minisign key {}", public.id());
    let bytes = bundle.read_manifest().map_err(ErrorKind::reading)?;
    let signature = minisign::sign(None, &key.0, &*bytes, Some(comment), Some(&untrusted))
        .map_err(|error| fault("a signature", error))?
        .to_bytes();
    if path.is_dir() {
        replace(&path.join(SIGNATURE), &signature)?;
    } else {
        let files = files(&bundle, Some(signature.into()));
        Staged::new(files, Form::Archive, path, true)?.commit()?;
    }
    let key = public.id();
    Bundle::open_trusted(path, &[public]).map_err(ErrorKind::reading)?;
    Ok(SignedBundle { name: manifest.name.clone(), key, comment: comment.to_owned() })
}

/// A comment that fits into its line of a signature.
fn checked(comment: &str) -> Result<&str> {
    let comment = comment.trim();
    let found = if comment.is_empty() {
        "an empty one"
    } else if comment.len() > MAX_COMMENT_BYTES {
        "a longer one"
    } else if comment.contains(char::is_control) {
        "a control character"
    } else {
        return Ok(comment);
    };
    Err(ErrorKind::Comment { found }.into())
}

/// The key as the runtime reads it.
fn public_key_of(base64: &str) -> Result<PublicKey> {
    let key = PublicKey::parse(base64);
    Ok(key.ok_or_else(|| fault("a public key", "the runtime does not read it"))?)
}

fn write_key(path: &Path, bytes: &[u8], mode: u32) -> Result<()> {
    let mut options = File::options();
    options.write(true).create_new(true);
    #[cfg(unix)]
    options.mode(mode);
    #[cfg(not(unix))]
    let _ = mode;
    let mut file = options.open(path).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => ErrorKind::KeyExists { path: path.into() },
        _ => write_error(path)(error),
    })?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all());
    if written.is_err() {
        // Half a key would keep the next from being written.
        drop(fs::remove_file(path));
    }
    Ok(written.map_err(write_error(path))?)
}

fn fault(what: &'static str, reason: impl ToString) -> ErrorKind {
    ErrorKind::Minisign { what, reason: reason.to_string() }
}

impl fmt::Debug for SecretKey {
    /// Nothing of the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecretKey").finish_non_exhaustive()
    }
}

impl fmt::Display for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, public, secret, base64, encrypted } = self;
        let form = if *encrypted { "encrypted" } else { "not encrypted" };
        writeln!(f, "key {id}: {base64}")?;
        writeln!(f, "  public key  {}", public.display())?;
        writeln!(f, "  secret key  {}, {form}", secret.display())
    }
}

impl fmt::Display for SignedBundle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, key, comment } = self;
        writeln!(f, "{name}: signed by key {key}: {}", Escaped(comment))
    }
}
