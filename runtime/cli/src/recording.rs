//! Where a recording comes from: a file or standard input, with a header or without.

use std::io::{self, BufReader, Read};
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread;
use std::time::Duration;

use hilbert_formats::wav::RawFormat;
use hilbert_formats::{WavReader, input};
use hilbert_runtime::PcmFormat;

use crate::stop::Stop;

pub(crate) type Recording = WavReader<Box<dyn Read>>;

/// What stands for standard input.
const STDIN: &str = "-";
const NAME: &str = "standard input";

/// Whether this stands for standard input.
pub(crate) fn is_pipe(path: &Path) -> bool {
    path == Path::new(STDIN)
}

/// Opens the recording at `path`, or standard input; without a header if `raw` says what its samples are.
pub(crate) fn open(
    path: &Path,
    raw: Option<RawFormat>,
    stop: &Stop,
) -> Result<Recording, hilbert_runtime::Error> {
    let (reader, name): (Box<dyn Read>, _) = if is_pipe(path) {
        (Box::new(Pipe::new(stop.clone())), NAME.to_owned())
    } else {
        let (file, name) = input::open(path)?;
        (Box::new(BufReader::new(file)), name)
    };
    Ok(match raw {
        Some(raw) => WavReader::raw(reader, &name, raw)?,
        None => WavReader::new(reader, &name)?,
    })
}

/// What a plan has to know of a recording.
pub(crate) fn format(recording: &Recording) -> PcmFormat {
    let format = recording.format();
    PcmFormat { sample_rate: format.sample_rate, channels: format.channels }
}

/// Standard input, which ends when the program is told to: whoever writes may stay silent for ever, so that another thread waits
/// for them.
struct Pipe {
    blocks: Receiver<io::Result<Vec<u8>>>,
    block: Vec<u8>,
    taken: usize,
    stop: Stop,
}

/// Bytes that are read at a time, at most.
const BLOCK: usize = 16 << 10;
/// Blocks that may wait.
const WAITING: usize = 2;
/// How often to look whether to stop.
const LOOK: Duration = Duration::from_millis(50);

impl Pipe {
    fn new(stop: Stop) -> Self {
        let (sender, blocks) = sync_channel(WAITING);
        thread::spawn(move || {
            let mut stdin = io::stdin().lock();
            loop {
                let mut block = vec![0; BLOCK];
                let read = stdin.read(&mut block).map(|count| {
                    block.truncate(count);
                    block
                });
                let is_last = read
                    .as_ref()
                    .map_or_else(|error| error.kind() != io::ErrorKind::Interrupted, Vec::is_empty);
                if sender.send(read).is_err() || is_last {
                    break;
                }
            }
        });
        Self { blocks, block: Vec::new(), taken: 0, stop }
    }
}

impl Read for Pipe {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.taken == self.block.len() {
            if self.stop.code().is_some() {
                return Ok(0);
            }
            match self.blocks.recv_timeout(LOOK) {
                Ok(Ok(block)) if block.is_empty() => return Ok(0),
                Ok(block) => (self.block, self.taken) = (block?, 0),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Ok(0),
            }
        }
        let count = buffer.len().min(self.block.len() - self.taken);
        buffer[..count].copy_from_slice(&self.block[self.taken..self.taken + count]);
        self.taken += count;
        Ok(count)
    }
}
