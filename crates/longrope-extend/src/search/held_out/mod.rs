//! What a search does not see, to judge its winner on: text, and passkeys that no candidate is scored on.

pub(super) mod passkeys;
mod seen;
pub(super) mod split;
pub(super) mod unseen;
pub(super) mod windows;
