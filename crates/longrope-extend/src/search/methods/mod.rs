//! RoPEs that are no candidates, such as the methods that a winner is compared with: their names, losses and differences.

pub(super) mod baselines;
pub(super) mod compared;
pub(super) mod loss;
pub(super) mod measured;
