//! Zstandard files, decompressed.

use std::io::{self, BufRead, Read};

use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

use crate::fence::fenced;

/// Bytes of the widest window, which is held in memory. `zstd` takes the same without `--long`.
const MOST_WINDOW_BYTES: u64 = 1 << 27;

/// Bytes of the window that a file needs, if that is why it could not be read, and of the widest one.
pub(super) fn too_wide_window(error: &io::Error) -> Option<(u64, u64)> {
    match error.get_ref()?.downcast_ref::<FrameDecoderError>()? {
        FrameDecoderError::WindowSizeTooBig { requested, max } => Some((*requested, *max)),
        _ => None,
    }
}

/// A Zstandard file: any number of frames with skippable frames between them, as parallel compressors write them.
pub(super) struct ZstdFrames<R> {
    source: R,
    decoder: FrameDecoder,
    in_frame: bool,
}

impl<R: BufRead> ZstdFrames<R> {
    pub(super) fn new(source: R) -> Self {
        let mut decoder = FrameDecoder::new();
        decoder.set_max_window_size(MOST_WINDOW_BYTES);
        Self {
            source,
            decoder,
            in_frame: false,
        }
    }

    fn next_frame(&mut self) -> io::Result<()> {
        match in_fence(|| self.decoder.init(&mut self.source))? {
            Ok(()) => {
                self.in_frame = true;
                Ok(())
            }
            Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                length,
                ..
            })) => {
                let skipped =
                    io::copy(&mut (&mut self.source).take(length.into()), &mut io::sink())?;
                if skipped == u64::from(length) {
                    Ok(())
                } else {
                    Err(io::ErrorKind::UnexpectedEof.into())
                }
            }
            Err(error) => Err(io::Error::new(io::ErrorKind::InvalidData, error)),
        }
    }

    fn end_frame(&mut self) -> io::Result<()> {
        self.in_frame = false;
        let stored = self.decoder.get_checksum_from_data();
        if stored.is_some() && stored != self.decoder.get_calculated_checksum() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "zstd checksum does not match the content",
            ));
        }
        Ok(())
    }
}

impl<R: BufRead> Read for ZstdFrames<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            if !self.in_frame {
                if self.source.fill_buf()?.is_empty() {
                    return Ok(0);
                }
                self.next_frame()?;
                continue;
            }
            while self.decoder.can_collect() == 0 && !self.decoder.is_finished() {
                let one = BlockDecodingStrategy::UptoBlocks(1);
                in_fence(|| self.decoder.decode_blocks(&mut self.source, one))?
                    .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
            }
            match in_fence(|| self.decoder.read(buffer))?? {
                0 => self.end_frame()?,
                n_bytes => return Ok(n_bytes),
            }
        }
    }
}

/// Calls the decompressor, whose panics on damaged input become errors.
fn in_fence<T>(call: impl FnOnce() -> T) -> io::Result<T> {
    fenced(call).map_err(|panicked| io::Error::new(io::ErrorKind::InvalidData, panicked))
}
