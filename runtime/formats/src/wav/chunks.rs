//! The walk over RIFF chunks, before and after the audio.
//!
//! Sources: Microsoft and IBM, "Multimedia Programming Interface and Data Specifications 1.0" (RIFF, WAVE);
//! EBU Tech 3306 and ITU-R BS.2088 (RF64, BW64, `ds64`).

use std::io::Read;

use super::format::{self, Layout};
use super::source::Source;
use super::{MAX_CHUNKS, MAX_SKIPPED_BYTES, WavFormat};
use crate::error::{Result, WavProblem};
use crate::escape::FourCc;
use crate::magic;
use crate::warning::{Place, Warnings};

/// What stands before the audio.
pub(super) struct Header {
    pub(super) format: WavFormat,
    pub(super) layout: Layout,
    /// Bytes of audio; `None` where the header does not say it, so that they last to the end of the input.
    pub(super) data_bytes: Option<u64>,
    /// Whether a pad byte follows the audio.
    pub(super) padded: bool,
    /// Bytes after the first 8 as the header states them; `None` where it cannot be meant.
    pub(super) riff_bytes: Option<u64>,
}

/// Reads to the first byte of audio.
pub(super) fn read_header<R: Read>(
    source: &mut Source<R>,
    warnings: &mut Warnings,
) -> Result<Header> {
    let (form, riff_size) = read_form(source)?;
    let mut wide: Option<Ds64> = None;
    let mut fmt: Option<(u64, [u8; format::LENGTH], WavFormat, Layout)> = None;
    let mut odd = false;
    for _ in 0..MAX_CHUNKS {
        let Some(chunk) = next_chunk(source, odd, warnings)? else {
            let problem = if fmt.is_none() { WavProblem::NoFmt } else { WavProblem::NoData };
            return Err(source.error(source.position(), problem));
        };
        odd = chunk.size % 2 == 1;
        match &chunk.id {
            b"fmt " => {
                format::check_size(chunk.size)
                    .map_err(|problem| source.error(chunk.at + 4, problem))?;
                let (content, at) = (read_start(source, &chunk)?, chunk.at + 8);
                if let Some((_, first, ..)) = &fmt {
                    if *first != content {
                        return Err(source.error(chunk.at, WavProblem::ConflictingFmt));
                    }
                    let message =
                        "found a second 'fmt ' chunk equal to the first; it was ignored".to_owned();
                    warnings.add("second_fmt_chunk", Place::Offset(chunk.at), message);
                    continue;
                }
                let (format, layout) = format::parse(&content, chunk.size, at, warnings)
                    .map_err(|(at, problem)| source.error(at, problem))?;
                fmt = Some((at, content, format, layout));
            }
            b"data" => {
                let Some((_, _, mut format, layout)) = fmt else {
                    return Err(source.error(chunk.at, WavProblem::DataBeforeFmt));
                };
                let data_bytes = audio_bytes(source, &chunk, wide.as_ref(), warnings)?;
                format.declared_frames =
                    data_bytes.map(|n| n / (layout.bytes() as u64 * u64::from(format.channels)));
                let riff_bytes = match (&form, &wide) {
                    (b"RIFF", _) if riff_size != u32::MAX && riff_size != 0 => {
                        Some(u64::from(riff_size))
                    }
                    (b"RIFF", _) | (_, None) => None,
                    (_, Some(wide)) => Some(wide.riff_bytes),
                };
                let padded = data_bytes.is_some_and(|n| n % 2 == 1);
                return Ok(Header { format, layout, data_bytes, padded, riff_bytes });
            }
            b"ds64" => wide = Some(read_ds64(source, &chunk, &form, warnings)?),
            _ => skip_content(source, &chunk, 0)?,
        }
    }
    Err(source.limit("chunks before the audio", MAX_CHUNKS))
}

/// Looks at what follows the audio, all of which was read.
pub(super) fn read_tail<R: Read>(
    source: &mut Source<R>,
    header: &Header,
    warnings: &mut Warnings,
) -> Result<()> {
    let from = source.position();
    let mut odd = header.padded;
    for _ in 0..MAX_CHUNKS {
        let mut start = [0; 9];
        let read = source.fill(&mut start)?;
        source.give_back(&start[..read]);
        let pad = usize::from(odd && !is_known(&start));
        if read <= pad {
            source.skip(read as u64)?;
            return check_riff_size(source, header, warnings);
        }
        let at = source.position() + pad as u64;
        let id = start[pad..].first_chunk::<4>().filter(|id| read >= 8 + pad && is_plausible(id));
        let Some(id) = id else {
            let message =
                "found bytes after the audio that are no chunk; they were ignored".to_owned();
            warnings.add("trailing_bytes", Place::Offset(at), message);
            return Ok(());
        };
        let (code, what) = match id {
            b"RIFF" | b"RIFX" | b"RF64" | b"BW64" => ("second_file", "another recording"),
            b"data" => ("second_data_chunk", "a second 'data' chunk"),
            b"fmt " => ("late_fmt_chunk", "a 'fmt ' chunk"),
            _ => ("", ""),
        };
        if !code.is_empty() {
            warnings.add(
                code,
                Place::Offset(at),
                format!("found {what} after the audio; it was ignored"),
            );
        }
        if code == "second_file" {
            return Ok(());
        }
        let Some(chunk) = next_chunk(source, odd, warnings)? else { return Ok(()) };
        odd = chunk.size % 2 == 1;
        let skipped = source.position() - from;
        let wanted = u64::from(chunk.size);
        if skipped + wanted > MAX_SKIPPED_BYTES || source.skip(wanted)? < wanted {
            let id = FourCc(chunk.id);
            let message = format!(
                "found a chunk {id} of {wanted} bytes after the audio, more than there are to read"
            );
            warnings.add("trailing_bytes", Place::Offset(chunk.at), message);
            return Ok(());
        }
    }
    Ok(())
}

fn check_riff_size<R: Read>(
    source: &Source<R>,
    header: &Header,
    warnings: &mut Warnings,
) -> Result<()> {
    let found = source.position().saturating_sub(8);
    // A pad byte at the very end is counted by some programs and left out by others.
    if let Some(stated) = header.riff_bytes.filter(|stated| stated.abs_diff(found) > 1) {
        let message = format!(
            "found {found} bytes after the RIFF header, which states {stated}; it was ignored"
        );
        warnings.add("riff_size", Place::Offset(4), message);
    }
    Ok(())
}

/// Returns the form's name and the size behind it.
fn read_form<R: Read>(source: &mut Source<R>) -> Result<([u8; 4], u32)> {
    let mut head = [0; magic::LENGTH];
    let read = source.fill(&mut head)?;
    let form = [head[0], head[1], head[2], head[3]];
    let riff = matches!(&form, b"RIFF" | b"RF64" | b"BW64");
    if read == 0 {
        return Err(source.error(0, WavProblem::Empty));
    }
    if riff && read < head.len() {
        let (found, expected) = (read as u64, head.len() as u64);
        return Err(
            source.error(found, WavProblem::Truncated { part: "RIFF header", found, expected })
        );
    }
    if !riff {
        let found = magic::describe(&head[..read]).unwrap_or("a file of unknown kind");
        return Err(source.error(0, WavProblem::NotWav { found }));
    }
    if head[8..] != *b"WAVE" {
        let found = [head[8], head[9], head[10], head[11]];
        return Err(source.error(8, WavProblem::Form { found }));
    }
    Ok((form, u32::from_le_bytes([head[4], head[5], head[6], head[7]])))
}

struct Chunk {
    id: [u8; 4],
    size: u32,
    /// Offset of the identifier.
    at: u64,
}

/// Reads a chunk's header; `None` at the end of the input. `odd`: the chunk before it had an odd size.
///
/// RIFF asks for a pad byte after an odd chunk, and some programs leave it out: then a known identifier stands where
/// the pad byte should be.
fn next_chunk<R: Read>(
    source: &mut Source<R>,
    odd: bool,
    warnings: &mut Warnings,
) -> Result<Option<Chunk>> {
    let before = source.position();
    let mut bytes = [0; 9];
    let mut length = if odd { 9 } else { 8 };
    let mut read = source.fill(&mut bytes[..length])?;
    if odd {
        if is_known(&bytes) && read >= 8 {
            source.give_back(&bytes[8..read]);
            let message = "found no pad byte after a chunk of odd size".to_owned();
            warnings.add("odd_chunk_unpadded", Place::Offset(before), message);
            read = 8;
        } else {
            bytes.copy_within(1.., 0);
            read = read.saturating_sub(1);
        }
        length = 8;
    }
    if read == 0 {
        return Ok(None);
    }
    let at = source.position() - read as u64;
    if read < length {
        let (found, expected) = (read as u64, length as u64);
        return Err(
            source.error(at, WavProblem::Truncated { part: "chunk header", found, expected })
        );
    }
    let id = [bytes[0], bytes[1], bytes[2], bytes[3]];
    Ok(Some(Chunk { id, size: u32::from_le_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]), at }))
}

/// Reads the first bytes of a chunk, zeros where it is shorter, and skips the others.
fn read_start<R: Read>(source: &mut Source<R>, chunk: &Chunk) -> Result<[u8; format::LENGTH]> {
    let mut content = [0; format::LENGTH];
    let wanted = usize::try_from(chunk.size).unwrap_or(usize::MAX).min(content.len());
    let read = source.fill(&mut content[..wanted])?;
    if read < wanted {
        let problem = WavProblem::Truncated {
            part: "chunk",
            found: read as u64,
            expected: u64::from(chunk.size),
        };
        return Err(source.error(chunk.at + 8, problem));
    }
    skip_content(source, chunk, wanted as u64)?;
    Ok(content)
}

/// Skips what is left of a chunk of which `read` bytes were read.
fn skip_content<R: Read>(source: &mut Source<R>, chunk: &Chunk, read: u64) -> Result<()> {
    let rest = u64::from(chunk.size) - read;
    let room = MAX_SKIPPED_BYTES.saturating_sub(source.position());
    let skipped = source.skip(rest.min(room))?;
    if skipped < rest.min(room) {
        let (found, expected) = (read + skipped, u64::from(chunk.size));
        return Err(
            source.error(chunk.at + 8, WavProblem::Truncated { part: "chunk", found, expected })
        );
    }
    if rest > room {
        return Err(source.limit("bytes before the audio", MAX_SKIPPED_BYTES));
    }
    Ok(())
}

/// 64-bit sizes of an RF64 or BW64 file.
struct Ds64 {
    riff_bytes: u64,
    data_bytes: u64,
}

fn read_ds64<R: Read>(
    source: &mut Source<R>,
    chunk: &Chunk,
    form: &[u8; 4],
    warnings: &mut Warnings,
) -> Result<Ds64> {
    let content = read_start(source, chunk)?;
    if form == b"RIFF" {
        let message = "found a 'ds64' chunk in a RIFF file, expected RF64 or BW64".to_owned();
        warnings.add("ds64_in_riff", Place::Offset(chunk.at), message);
    }
    let u64_at = |i: usize| u64::from_le_bytes(std::array::from_fn(|k| content[i + k]));
    Ok(Ds64 { riff_bytes: u64_at(0), data_bytes: u64_at(8) })
}

/// Bytes of audio behind the header of the `data` chunk; `None` if they last to the end of the input.
fn audio_bytes<R: Read>(
    source: &mut Source<R>,
    chunk: &Chunk,
    wide: Option<&Ds64>,
    warnings: &mut Warnings,
) -> Result<Option<u64>> {
    let stated = match (chunk.size, wide) {
        (u32::MAX, Some(wide)) if wide.data_bytes != u64::MAX => wide.data_bytes,
        _ => u64::from(chunk.size),
    };
    let unknown = if stated == 0 {
        // A recorder that lost power leaves 0 and audio behind it; another chunk means that there is no audio.
        let mut ahead = [0; 8];
        let read = source.fill(&mut ahead)?;
        source.give_back(&ahead[..read]);
        read > 0 && !is_known(&ahead)
    } else {
        PLACEHOLDERS.contains(&stated)
    };
    if unknown {
        let message = format!(
            "found a data size of {stated} bytes, a placeholder; read to the end of the file"
        );
        warnings.add("data_size_unknown", Place::Offset(chunk.at + 4), message);
        return Ok(None);
    }
    Ok(Some(stated))
}

/// Sizes that programs write when they cannot seek back to correct them: ffmpeg, sox, recorders; with and without the
/// 36 bytes of header that some subtract.
const PLACEHOLDERS: [u64; 7] =
    [0x7fff_f000, 0x7fff_ffdb, 0x7fff_ffff, 0x8000_0000, 0xffff_f000, 0xffff_ffdb, 0xffff_ffff];

/// Whether `bytes` start with the identifier of a chunk that recordings have.
fn is_known(bytes: &[u8]) -> bool {
    const KNOWN: [&[u8; 4]; 22] = [
        b"fmt ", b"data", b"fact", b"LIST", b"list", b"JUNK", b"junk", b"FLLR", b"PAD ", b"bext",
        b"iXML", b"axml", b"chna", b"cue ", b"smpl", b"inst", b"PEAK", b"id3 ", b"ID3 ", b"_PMX",
        b"afsp", b"ds64",
    ];
    KNOWN.iter().any(|id| bytes.starts_with(*id))
}

/// Whether an identifier can be a chunk's name rather than audio or padding.
fn is_plausible(id: &[u8; 4]) -> bool {
    id.iter().all(|b| (b' '..=b'~').contains(b))
}
