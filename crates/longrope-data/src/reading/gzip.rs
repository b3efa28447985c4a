//! Gzip files, decompressed.

use std::io::{self, BufRead, Read};

use flate2::bufread::GzDecoder;

/// A gzip file: any number of members, as parallel compressors write them, and zero bytes after the last one, as archives pad
/// their files.
pub(super) struct GzipMembers<R> {
    /// The current member; `None` after the last one.
    member: Option<GzDecoder<R>>,
}

impl<R: BufRead> GzipMembers<R> {
    pub(super) fn new(source: R) -> Self {
        Self {
            member: Some(GzDecoder::new(source)),
        }
    }

    /// Goes on after the end of a member.
    fn next_member(&mut self) -> io::Result<()> {
        let Some(ended) = self.member.take() else {
            return Ok(());
        };
        let (mut source, mut is_padded) = (ended.into_inner(), false);
        loop {
            let bytes = source.fill_buf()?;
            let n_bytes = bytes.len();
            match bytes.iter().position(|byte| *byte != 0) {
                None if n_bytes == 0 => return Ok(()),
                None => {
                    source.consume(n_bytes);
                    is_padded = true;
                }
                Some(0) if !is_padded => {
                    self.member = Some(GzDecoder::new(source));
                    return Ok(());
                }
                Some(_) => {
                    return Err(io::Error::new(
                        io::ErrorKind::InvalidData,
                        "after its last gzip member, the file has zero bytes and then others",
                    ));
                }
            }
        }
    }
}

impl<R: BufRead> Read for GzipMembers<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        while let Some(member) = &mut self.member {
            match member.read(buffer)? {
                0 => self.next_member()?,
                n_bytes => return Ok(n_bytes),
            }
        }
        Ok(0)
    }
}
