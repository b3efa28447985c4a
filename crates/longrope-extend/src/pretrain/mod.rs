//! Pretrains a small model: trains a tokenizer, begins with random weights, then trains phase after phase.
//!
//! Each phase has its own data, window and schedule ([`PretrainPhase`]); its windows are of text, of generated documents
//! with known answers, or of both in given [`Shares`].
//!
//! ```text
//! RUN/corpus.json      the text and its tokens
//!     metrics.jsonl    a line per step and per measurement
//!     start/           the checkpoint of random weights, with the tokenizer
//!     1-NAME/step-*/   saved states of the first phase, and so on
//!     model/           the result
//! ```
//!
//! A pretraining resumes from whatever its folder holds, bit for bit on the same machine and device.
//!
//! ```no_run
//! use burn::tensor::Device;
//! use longrope_data::{ReadOptions, TokenCache, read_documents};
//! use longrope_extend::Interrupt;
//! use longrope_extend::pretrain::{PretrainConfig, PretrainEvent, PretrainTask, PretrainTexts};
//! use longrope_model::ResultSource;
//! use longrope_trainer::Screen;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let config: PretrainConfig = serde_json::from_str(
//!     r#"{ "phases": [{
//!         "name": "text", "steps": 500, "batch": 8, "window": 256, "learning-rate": 1e-3, "shares": { "text": 1.0 }
//!     }] }"#,
//! )?;
//! let texts = PretrainTexts {
//!     training: read_documents(&["book.txt"], &ReadOptions::default())?,
//!     held_out: Vec::new(),
//!     origin: "book.txt".to_owned(),
//!     missing: Vec::new(),
//! };
//! let task = PretrainTask {
//!     config,
//!     texts,
//!     seed: 42,
//!     cache: TokenCache::disabled(),
//!     placement: Device::flex().into(),
//!     workers: Vec::new(),
//!     out: "runs/pretrain".into(),
//!     source: ResultSource::default(),
//!     screen: Screen::Nothing,
//! };
//! let outcome = task.run(&Interrupt::default(), |event| {
//!     if let PretrainEvent::Phase { phase, event } = event {
//!         println!("{}: {event:?}", phase.name);
//!     }
//!     Ok(())
//! })?;
//! println!("{}", outcome.model.display());
//! # Ok(())
//! # }
//! ```

mod card;
mod config;
mod corpus;
mod digits;
pub(crate) mod error;
mod events;
mod measure;
mod start;
mod task;

#[cfg(test)]
mod tests;

pub use config::{PretrainConfig, PretrainPhase, Shares};
pub use corpus::PretrainTexts;
pub use error::PretrainError;
pub use events::PretrainEvent;
pub use measure::N_PASSKEYS;
pub use task::{PretrainOutcome, PretrainTask};
