//! What a file is that should hold tensors and does not.

use std::collections::BTreeMap;

use serde::Deserialize;

/// What to do with tensors in another format.
pub(super) const CONVERT: &str = "convert it where it comes from: `from safetensors.torch import save_file; \
    save_file({k: v.clone() for k, v in torch.load(FILE, weights_only=True).items()}, \"model.safetensors\")`";

/// What to do with a file that is not what it was.
pub(super) const COPY: &str = "copy or download it again";

/// First bytes of a file, what it is, and what to do with it.
const KINDS: [(&[u8], &str, &str); 9] = [
    (b"PK\x03\x04", "a zip archive, as torch.save writes it around a pickle", CONVERT),
    (b"\x80\x02", "a pickle", CONVERT),
    (b"\x80\x03", "a pickle", CONVERT),
    (b"\x80\x04", "a pickle", CONVERT),
    (b"\x80\x05", "a pickle", CONVERT),
    (b"\x89HDF", "an HDF5 file", CONVERT),
    (b"GGUF", "a GGUF file", CONVERT),
    (b"version https://git-lfs", "a Git LFS pointer", "fetch what it points to: git lfs pull"),
    (b"<", "a page of HTML or XML", COPY),
];

/// What a file with these bytes is, and what to do with it; `None` for bytes that nothing is known of.
pub(super) fn recognised(bytes: &[u8]) -> Option<(&'static str, &'static str)> {
    if bytes.is_empty() {
        return Some(("an empty file", COPY));
    }
    let kind = KINDS.iter().find(|(first, _, _)| bytes.starts_with(first))?;
    Some((kind.1, kind.2))
}

/// Bytes that a safetensors file has by its own header, as far as that can be read.
pub(super) fn declared_length(bytes: &[u8]) -> Option<u64> {
    #[derive(Deserialize)]
    struct Tensor {
        data_offsets: Option<(u64, u64)>,
    }
    let (length, rest) = bytes.split_first_chunk()?;
    let header = u64::from_le_bytes(*length);
    let begins = rest.first().is_none_or(|first| *first == b'{');
    let json = usize::try_from(header).ok().and_then(|header| rest.get(..header));
    let Some(json) = json.filter(|_| begins) else {
        return begins.then(|| header.saturating_add(8));
    };
    let tensors: BTreeMap<String, Tensor> = serde_json::from_slice(json).ok()?;
    let ends = tensors.values().filter_map(|tensor| Some(tensor.data_offsets?.1));
    Some(ends.max().unwrap_or(0).saturating_add(header).saturating_add(8))
}
