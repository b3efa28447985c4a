//! What a search minimizes: which kind of loss, who chooses it, and the model that it is measured on.

pub(super) mod choice;
pub(super) mod kind;
pub(super) mod model;
