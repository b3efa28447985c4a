//! Files and folders that are replaced as a whole: readers see the old content or the new one, never a part.

mod file;
mod folder;
mod parent;
#[cfg(test)]
mod testing;

pub use file::{StagedFile, write_atomically};
pub use folder::{create_folder, replace_folder};
