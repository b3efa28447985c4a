//! Training a decoder: the loss of a batch and its gradients.

mod batch;
mod distillation;
mod gradients;
mod loss_gradients;
mod pass;

pub use batch::TrainingBatch;
pub use distillation::Teacher;
pub use gradients::Gradients;
pub use loss_gradients::{LossGradients, Recompute};
