//! A recording that is made while it is read.

use std::io::{self, Read};

/// 16-bit samples: seven seconds of noise, half a second of silence, and so on.
pub(crate) struct Recording {
    header: Vec<u8>,
    at: usize,
    bytes: usize,
    frame: usize,
    rate: usize,
    noise: u32,
}

impl Recording {
    pub(crate) fn new(seconds: usize, rate: u32, channels: u16) -> Self {
        let frame = 2 * channels;
        let bytes = usize::from(frame) * rate as usize * seconds;
        let mut header = b"RIFF".to_vec();
        header.extend(u32::try_from(bytes + 36).unwrap().to_le_bytes());
        header.extend(b"WAVEfmt \x10\0\0\0\x01\0");
        header.extend(channels.to_le_bytes());
        header.extend(rate.to_le_bytes());
        header.extend((rate * u32::from(frame)).to_le_bytes());
        header.extend(frame.to_le_bytes());
        header.extend(b"\x10\0data");
        header.extend(u32::try_from(bytes).unwrap().to_le_bytes());
        Self { header, at: 0, bytes, frame: usize::from(frame), rate: rate as usize, noise: 1 }
    }
}

impl Read for Recording {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let end = self.header.len() + self.bytes;
        let n = buffer.len().min(end - self.at);
        for byte in &mut buffer[..n] {
            *byte = if let Some(byte) = self.header.get(self.at) {
                *byte
            } else {
                let frame = (self.at - self.header.len()) / self.frame;
                let speaks = frame % (self.rate * 15 / 2) < 7 * self.rate;
                self.noise = self.noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                // High bytes up to an eighth of the full scale; the low ones do not matter.
                if speaks && self.at % 2 == 1 { (self.noise >> 28) as u8 } else { 0 }
            };
            self.at += 1;
        }
        Ok(n)
    }
}
