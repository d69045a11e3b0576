//! WAV files made of parts, right and wrong.

#![allow(dead_code, reason = "no test uses every part")]

/// A chunk with its pad byte.
pub(crate) fn chunk(id: &[u8; 4], content: &[u8]) -> Vec<u8> {
    let mut bytes = sized_chunk(id, u32::try_from(content.len()).unwrap(), content);
    if content.len() % 2 == 1 {
        bytes.push(0);
    }
    bytes
}

/// A chunk that states the size `size`, without a pad byte.
pub(crate) fn sized_chunk(id: &[u8; 4], size: u32, content: &[u8]) -> Vec<u8> {
    [&id[..], &size.to_le_bytes(), content].concat()
}

/// A file of form WAVE whose RIFF size is right.
pub(crate) fn riff(chunks: &[Vec<u8>]) -> Vec<u8> {
    let content = [b"WAVE".to_vec(), chunks.concat()].concat();
    sized_chunk(b"RIFF", u32::try_from(content.len()).unwrap(), &content)
}

/// Content of a `fmt ` chunk.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fmt {
    pub(crate) tag: u16,
    pub(crate) channels: u16,
    pub(crate) rate: u32,
    /// Bytes of one sample.
    pub(crate) container: u16,
    pub(crate) bits: u16,
    pub(crate) byte_rate: Option<u32>,
    pub(crate) block_align: Option<u16>,
    /// Valid bits and sub-format tag of an extensible header.
    pub(crate) extension: Option<(u16, u16)>,
}

impl Fmt {
    pub(crate) const fn integer(bits: u16) -> Self {
        let container = bits.div_ceil(8);
        let (byte_rate, block_align, extension) = (None, None, None);
        Self {
            tag: 1,
            channels: 1,
            rate: 16_000,
            container,
            bits,
            byte_rate,
            block_align,
            extension,
        }
    }

    pub(crate) const fn float() -> Self {
        Self { tag: 3, ..Self::integer(32) }
    }

    pub(crate) const fn extensible(self, valid_bits: u16) -> Self {
        Self { tag: 0xfffe, extension: Some((valid_bits, self.tag)), ..self }
    }

    pub(crate) fn content(&self) -> Vec<u8> {
        let block_align = self.block_align.unwrap_or(self.container.wrapping_mul(self.channels));
        let byte_rate = self.byte_rate.unwrap_or(self.rate.wrapping_mul(u32::from(block_align)));
        let mut bytes = Vec::new();
        bytes.extend(self.tag.to_le_bytes());
        bytes.extend(self.channels.to_le_bytes());
        bytes.extend(self.rate.to_le_bytes());
        bytes.extend(byte_rate.to_le_bytes());
        bytes.extend(block_align.to_le_bytes());
        bytes.extend(self.bits.to_le_bytes());
        if let Some((valid_bits, tag)) = self.extension {
            bytes.extend(22u16.to_le_bytes());
            bytes.extend(valid_bits.to_le_bytes());
            bytes.extend(0u32.to_le_bytes());
            bytes.extend(tag.to_le_bytes());
            bytes.extend([0, 0, 0, 0, 0x10, 0, 0x80, 0, 0, 0xaa, 0, 0x38, 0x9b, 0x71]);
        }
        bytes
    }

    pub(crate) fn chunk(&self) -> Vec<u8> {
        chunk(b"fmt ", &self.content())
    }

    /// A right file.
    pub(crate) fn file(&self, audio: &[u8]) -> Vec<u8> {
        riff(&[self.chunk(), chunk(b"data", audio)])
    }
}

/// `count` samples of 16 bits that all differ.
pub(crate) fn audio(count: usize) -> Vec<u8> {
    (0..count).flat_map(|i| (i16::try_from(i % 30_000).unwrap() + 1).to_le_bytes()).collect()
}

/// Replaces the bytes at `at`.
pub(crate) fn patched(mut file: Vec<u8>, at: usize, bytes: &[u8]) -> Vec<u8> {
    file[at..at + bytes.len()].copy_from_slice(bytes);
    file
}

/// A file of 5 samples whose extensible header has this sub-format.
pub(crate) fn with_guid(guid: [u8; 16]) -> Vec<u8> {
    patched(Fmt::integer(16).extensible(16).file(&audio(5)), 44, &guid)
}
