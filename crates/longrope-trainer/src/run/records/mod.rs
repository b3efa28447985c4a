//! `metrics.jsonl`: a header, then one JSON object per step and per measurement, in order.
//!
//! ```text
//! {"format":"longrope-metrics","version":1,"kind":"training","source":{"tool_version":"0.1.0","model":"base",…}}
//! {"event":"step","step":1,"loss":4.57,"nll_nats":4.57,"learning_rate":0.0005,"grad_norm":1.2,"n_tokens":128,…}
//! {"event":"eval","step":100,"context":64,"nll_nats":4.1,"ppl":60.3}
//! ```
//!
//! The header also says after which step of each phase its first state is saved, `"first_states":[{"step":100}]`.
//!
//! Pretraining has several phases in one file; each line then has a `phase`, and steps are counted anew in every
//! phase. A loss, gradient norm or perplexity that is not finite is left out. Files written before there was a header are
//! read as well: those of fine-tuning have the same lines, those of pretraining had lines of another form.

mod file;
mod missing_number;
mod old_line;
mod record;
mod steps;

pub(super) use file::{Records, first_state};
pub use file::{header, read, source};
pub use record::Record;
pub use steps::{phases, total_steps};
