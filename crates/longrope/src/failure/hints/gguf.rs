//! Hints for errors of GGUF files.

use longrope_gguf::Error as E;

use super::system::io_hint;

/// The hint for an error of `longrope-gguf`.
pub(super) fn hint(error: &E) -> Option<String> {
    Some(match error {
        E::Io(error) => io_hint(error),
        E::Empty { .. } => "copy or download the GGUF file again".into(),
        E::Split { .. } => {
            "merge them with llama.cpp, llama-gguf-split --merge FIRST_FILE MERGED.gguf, and give the merged file".into()
        }
        E::NotGguf { .. } => "the file is damaged, or of another kind: give a GGUF file, or the folder of a model".into(),
        E::Version { .. } => {
            "convert the model again with a program of today; files of big-endian machines are not read".into()
        }
        E::Truncated { .. } => "the file is probably truncated: copy or download it again".into(),
        E::Damaged { .. } => "the file is damaged: copy or download it again".into(),
        E::Key { .. } => "convert the model again, or give the folder it was made from".into(),
        E::TensorType { .. } => "give a file with less quantized weights, for example Q8_0 or F16".into(),
        E::Model { .. } => "give the folder that the file was made from".into(),
        E::Unsupported { .. } => {
            "export it with --format hf, for transformers and the programs that read its format".into()
        }
        E::Rope { .. } => {
            "choose another --rope, for example ntk, which is a larger base, or export with --format hf".into()
        }
        E::Tokenizer { .. } => {
            "export with --format hf; llama.cpp only has the tokenizers that were added to it".into()
        }
        _ => return None,
    })
}
