//! Heads that are stored beside the flag that ties them to the embeddings.

use super::Checkpoint;
use super::stored::StoredTensor;
use crate::config::module_names::{EMBEDDING_WEIGHT, HEAD_WEIGHT};
use crate::error::Result;

/// Number of bytes compared at once, a multiple of every element size.
const CHUNK_BYTES: usize = 1 << 20;

/// Whether the checkpoint stores a head whose bytes, type or shape differ from those of the embeddings.
pub(super) fn differs(checkpoint: &Checkpoint) -> Result<bool> {
    let tensors = checkpoint.model_tensors();
    let (Some(head), Some(embeddings)) = (tensors.get(HEAD_WEIGHT), tensors.get(EMBEDDING_WEIGHT))
    else {
        return Ok(false);
    };
    if head.shape != embeddings.shape || head.dtype != embeddings.dtype {
        return Ok(true);
    }
    let mut offset = 0;
    while offset < head.n_bytes {
        let n_bytes = CHUNK_BYTES.min(head.n_bytes - offset);
        let read = |name: &str, stored: &StoredTensor| {
            checkpoint.read_span(name, stored, offset as u64, n_bytes)
        };
        if read(HEAD_WEIGHT, head)? != read(EMBEDDING_WEIGHT, embeddings)? {
            return Ok(true);
        }
        offset += n_bytes;
    }
    Ok(false)
}
