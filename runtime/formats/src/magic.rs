//! What a file is, by its first bytes, so that an error can name it.

/// Bytes that [`describe`] needs to tell every kind it knows.
pub(crate) const LENGTH: usize = 12;

/// Names what starts with `head`, with its article; `None` if nothing is known that starts so.
pub(crate) fn describe(head: &[u8]) -> Option<&'static str> {
    if head.len() >= 4 && head.iter().all(|&b| b == 0) {
        return Some("zeros");
    }
    if head.get(4..8) == Some(b"ftyp") {
        return Some("an MP4 file");
    }
    if head.len() >= 5
        && (head[..5].eq_ignore_ascii_case(b"<html") || head[..5].eq_ignore_ascii_case(b"<!doc"))
    {
        return Some("an HTML page");
    }
    if let Some(&(_, name)) = MAGIC.iter().find(|(magic, _)| head.starts_with(magic)) {
        return Some(name);
    }
    // An MPEG audio frame: 11 sync bits, then a version and a layer that are not reserved.
    match *head {
        [0xff, second, ..]
            if second & 0xe0 == 0xe0 && second & 0x18 != 0x08 && second & 0x06 != 0 =>
        {
            Some("an MP3 stream")
        }
        [0xff, second, ..] if second & 0xf6 == 0xf0 => Some("an AAC stream"),
        _ => None,
    }
}

const MAGIC: [(&[u8], &str); 22] = [
    (b"RIFX", "a big-endian RIFX file"),
    (b"riff\x2e\x91\xcf\x11", "a Sony W64 file"),
    (b"ID3", "an MP3 file with an ID3 tag"),
    (b"OggS", "an Ogg file"),
    (b"fLaC", "a FLAC file"),
    (b"FORM", "an AIFF file"),
    (b"caff", "a Core Audio file"),
    (b".snd", "an AU file"),
    (b"#!AMR", "an AMR file"),
    (b"#!SILK", "a SILK file"),
    (b"\x1a\x45\xdf\xa3", "a Matroska or WebM file"),
    (b"\x30\x26\xb2\x75", "a WMA file"),
    (b"wvpk", "a WavPack file"),
    (b"\x1f\x8b", "a gzip file"),
    (b"PK\x03\x04", "a ZIP file"),
    (b"BZh", "a bzip2 file"),
    (b"\xfd7zXZ", "an XZ file"),
    (b"\x28\xb5\x2f\xfd", "a Zstandard file"),
    (b"7z\xbc\xaf", "a 7-Zip file"),
    (b"%PDF", "a PDF file"),
    (b"{\\rtf", "an RTF file"),
    (b"version http", "a Git LFS pointer"),
];

#[cfg(test)]
mod tests {
    use super::describe;

    #[test]
    fn files_are_named_by_their_first_bytes() {
        let rows: [(&[u8], Option<&str>); 10] = [
            (b"OggS\0\x02\0\0\0\0\0\0", Some("an Ogg file")),
            (b"\xff\xfb\x90\x64\0\0\0\0\0\0\0\0", Some("an MP3 stream")),
            (b"\xff\xf1\x50\x80\0\0\0\0\0\0\0\0", Some("an AAC stream")),
            (b"\0\0\0\x20ftypM4A ", Some("an MP4 file")),
            (b"<HTML><body>", Some("an HTML page")),
            (b"version https://git-lfs", Some("a Git LFS pointer")),
            (&[0; 12], Some("zeros")),
            (b"RIFF\x24\0\0\0WAVE", None),
            (b"hello world!", None),
            (b"", None),
        ];
        let failed: Vec<_> = rows.iter().filter(|(head, name)| describe(head) != *name).collect();
        assert!(failed.is_empty(), "{failed:?}");
    }
}
