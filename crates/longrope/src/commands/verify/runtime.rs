//! What is different from program to program.

use std::path::Path;

use anyhow::{Result, anyhow};

use crate::failure::Hint;
use crate::input::{gguf, hub};
use crate::next_steps::quoted;
use crate::settings::args::Runtime;

/// llama.cpp rounds its context up to a multiple of this.
const LLAMA_STEP: usize = 256;

impl Runtime {
    /// Its name in messages.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Transformers => "transformers",
            Self::LlamaCpp => "llama.cpp",
            Self::Vllm => "vLLM",
        }
    }

    /// Its name as a value of `--with`.
    pub(super) fn flag(self) -> &'static str {
        match self {
            Self::Transformers => "transformers",
            Self::LlamaCpp => "llama.cpp",
            Self::Vllm => "vllm",
        }
    }

    /// The script that runs it.
    pub(super) fn script(self) -> &'static str {
        match self {
            Self::Transformers => include_str!("../../../assets/verify/transformers.py"),
            Self::LlamaCpp => include_str!("../../../assets/verify/llama_cpp.py"),
            Self::Vllm => include_str!("../../../assets/verify/vllm.py"),
        }
    }

    /// The file name of its script.
    pub(super) fn script_file(self) -> &'static str {
        match self {
            Self::Transformers => "transformers.py",
            Self::LlamaCpp => "llama_cpp.py",
            Self::Vllm => "vllm.py",
        }
    }

    /// What its script needs, as arguments of `pip install`.
    pub(super) fn packages(self) -> &'static str {
        match self {
            Self::Transformers => "torch transformers",
            Self::LlamaCpp => "llama-cpp-python numpy",
            Self::Vllm => "vllm",
        }
    }

    /// Refuses a model in a format that it does not load.
    pub(super) fn check_model(self, model: &Path) -> Result<()> {
        if !model.exists() && !hub::is_on_hub(model) {
            // Loading it says so.
            return Ok(());
        }
        let is_gguf = gguf::is_gguf(model);
        let shown = model.display();
        match self {
            Self::LlamaCpp if !is_gguf => Err(anyhow!(
                "`{shown}` is not a GGUF file, and llama.cpp loads nothing else"
            )
            .context(Hint(format!(
                "write one: longrope export {} --rope checkpoint --format gguf --out model.gguf",
                quoted(model)
            )))),
            Self::Transformers | Self::Vllm if is_gguf => Err(anyhow!(
                "`{shown}` is a GGUF file, expected a Hugging Face folder for {}",
                self.name()
            )
            .context(Hint(
                "give the folder that it was made of, or --with llama.cpp".to_owned(),
            ))),
            _ => Ok(()),
        }
    }

    /// The context to start it with for a sequence of this length, in tokens: what it chooses the factors by.
    pub(super) fn context(self, length: usize) -> usize {
        self.context_made(length + self.room())
    }

    /// Tokens of its context that a sequence leaves free: vLLM adds one at least.
    fn room(self) -> usize {
        usize::from(self == Self::Vllm)
    }

    /// The longest sequence that it takes with a context of at most this number of tokens; 0 if there is none.
    pub(super) fn longest_within(self, context: usize) -> usize {
        self.largest_context(context).saturating_sub(self.room())
    }

    /// The context that it makes if it is started with this one, in tokens.
    pub(super) fn context_made(self, context: usize) -> usize {
        match self {
            Self::LlamaCpp => context.next_multiple_of(LLAMA_STEP),
            Self::Transformers | Self::Vllm => context,
        }
    }

    /// The largest context of at most this number of tokens that it makes as it is; 0 if there is none.
    pub(super) fn largest_context(self, context: usize) -> usize {
        match self {
            Self::LlamaCpp => context / LLAMA_STEP * LLAMA_STEP,
            Self::Transformers | Self::Vllm => context,
        }
    }

    /// Whether one process can compute sequences of several contexts.
    pub(super) fn takes_all_at_once(self) -> bool {
        self != Self::Vllm
    }

    /// Whether it chooses the factors by the context that it was started with, whatever the length of a text.
    pub(super) fn chooses_at_start(self) -> bool {
        self != Self::Transformers
    }

    /// The command line that serves a model, given as a word for a shell, with a context of this number of tokens.
    pub(super) fn launch(self, model: &str, context: usize) -> String {
        match self {
            Self::Transformers => format!("transformers serve {model}"),
            Self::LlamaCpp => format!("llama-server -m {model} -c {context}"),
            Self::Vllm => format!("vllm serve {model} --max-model-len {context}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contexts_follow_the_rules_of_each_program() {
        for (runtime, length, context, longest) in [
            (Runtime::Transformers, 300, 300, 300),
            (Runtime::LlamaCpp, 300, 512, 256),
            (Runtime::LlamaCpp, 256, 256, 256),
            (Runtime::LlamaCpp, 32, 256, 0),
            (Runtime::Vllm, 300, 301, 299),
        ] {
            assert_eq!(runtime.context(length), context, "{runtime:?}");
            assert_eq!(runtime.longest_within(length), longest, "{runtime:?}");
        }
    }
}
