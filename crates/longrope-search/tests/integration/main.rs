//! The search as its callers use it, on objectives whose optimum is known.

mod analytic;
mod failures;
mod optimum;
mod pinned;
mod profiles;
mod racing;
mod resume;
mod state_file;
