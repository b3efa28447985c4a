//! Files and folders that are replaced as a whole: readers see the old content or the new one, never a part.

mod file;
mod folder;
mod leftovers;
mod parent;
mod take_over;
#[cfg(test)]
mod testing;

pub use file::{STAGED_PREFIX, StagedFile, write_atomically};
pub use folder::{create_folder, replace_folder};
pub use leftovers::{holds_both, is_being_written, remove_leftovers, remove_leftovers_in};
pub use take_over::{link_or_copy, take_over};
