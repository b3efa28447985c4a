//! What `finetune` measures and shows while it trains.

mod lines;
mod measure;

pub(crate) use lines::Lines;
pub(crate) use measure::Perplexities;
