//! Archives as the `tar` crate writes them.

use tar::{Builder, EntryType, Header};

use crate::example::{content, manifest};

/// Names and contents of the example's files, in the order of an archive.
pub(crate) fn files() -> Vec<(String, Vec<u8>)> {
    let manifest = manifest();
    let mut files = vec![("manifest.json".to_owned(), manifest.to_json().into_bytes())];
    files.extend(manifest.files.iter().map(|file| (file.path.clone(), content(&file.path))));
    files
}

pub(crate) fn header(name: &str, bytes: u64) -> Header {
    let mut header = Header::new_ustar();
    header.set_path(name).unwrap();
    header.set_size(bytes);
    header.set_mode(0o644);
    header.set_entry_type(EntryType::Regular);
    header.set_cksum();
    header
}

pub(crate) fn archive(files: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut builder = Builder::new(Vec::new());
    for (name, bytes) in files {
        builder.append(&header(name, bytes.len() as u64), &**bytes).unwrap();
    }
    builder.into_inner().unwrap()
}
