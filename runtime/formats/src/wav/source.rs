//! Forward-only reading with a position.

use std::io::{self, Read};

use crate::error::{Error, ErrorKind, Result, WavProblem};

/// A reader that is never asked to seek, knows how many bytes it has handed out, and can take a few of them back.
pub(super) struct Source<R> {
    reader: R,
    name: String,
    position: u64,
    /// Bytes given back, the next one last.
    returned: heapless::Vec<u8, LONGEST_RETURN>,
}

impl<R: Read> Source<R> {
    pub(super) fn new(reader: R, name: String) -> Self {
        Self { reader, name, position: 0, returned: heapless::Vec::new() }
    }

    /// Offset of the next byte.
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    /// Reads until `buffer` is full or the input ends; returns the bytes read.
    pub(super) fn fill(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let mut filled = 0;
        while filled < buffer.len() {
            let Some(byte) = self.returned.pop() else { break };
            buffer[filled] = byte;
            filled += 1;
        }
        while filled < buffer.len() {
            let rest = &mut buffer[filled..];
            match self.reader.read(rest) {
                Ok(0) => break,
                Ok(n) => filled += n.min(rest.len()),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(cause) => return Err(ErrorKind::Io { file: self.name.clone(), cause }.into()),
            }
        }
        self.position += filled as u64;
        Ok(filled)
    }

    /// Takes back the bytes that were read last, at most [`LONGEST_RETURN`] at a time.
    pub(super) fn give_back(&mut self, bytes: &[u8]) {
        for &byte in bytes.iter().rev() {
            if self.returned.push(byte).is_ok() {
                self.position -= 1;
            }
        }
    }

    /// Reads and drops `count` bytes, fewer if the input ends; returns how many.
    pub(super) fn skip(&mut self, count: u64) -> Result<u64> {
        let mut scratch = [0; 4096];
        let mut skipped = 0;
        while skipped < count {
            let wanted = usize::try_from(count - skipped).unwrap_or(usize::MAX).min(scratch.len());
            let read = self.fill(&mut scratch[..wanted])?;
            skipped += read as u64;
            if read < wanted {
                break;
            }
        }
        Ok(skipped)
    }

    pub(super) fn error(&self, at: u64, problem: WavProblem) -> Error {
        ErrorKind::Wav { file: self.name.clone(), at, problem }.into()
    }

    pub(super) fn limit(&self, what: &'static str, limit: u64) -> Error {
        ErrorKind::Limit { file: self.name.clone(), what, limit }.into()
    }
}

/// A chunk's header and a pad byte.
const LONGEST_RETURN: usize = 9;

#[cfg(test)]
mod tests {
    use super::Source;

    #[test]
    fn bytes_given_back_come_again_in_their_order() {
        let mut source = Source::new(&b"abcdefgh"[..], String::new());
        let mut buffer = [0; 4];
        source.fill(&mut buffer).unwrap();
        source.give_back(&buffer[1..]);
        assert_eq!(source.position(), 1);
        assert_eq!(source.skip(1).unwrap(), 1);
        source.fill(&mut buffer).unwrap();
        assert_eq!(&buffer, b"cdef");
        assert_eq!(source.skip(100).unwrap(), 2);
        assert_eq!(source.position(), 8);
    }
}
