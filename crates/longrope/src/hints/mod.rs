//! Hints for the errors of our libraries: what to do about them. One file per crate, or per two small ones.
//!
//! Every variant of an error has its place here, which a test checks. `None` means that the hint comes from the cause of
//! the error.

mod data;
mod eval;
mod extend;
mod model;
mod rope;
mod system;
mod training;

use std::error::Error as StdError;

use longrope_eval::bench::BenchError;

/// The hint for one error in a chain of causes.
pub(crate) fn hint_for(cause: &(dyn StdError + 'static)) -> Option<String> {
    let of_libraries = find(cause)
        .map(model::hint)
        .or_else(|| find(cause).map(model::lora_hint))
        .or_else(|| find(cause).map(data::hint))
        .or_else(|| find::<BenchError>(cause).map(eval::bench_hint))
        .or_else(|| find(cause).map(rope::hint))
        .or_else(|| find(cause).map(eval::hint))
        .or_else(|| find(cause).map(training::hint))
        .or_else(|| find(cause).map(training::search_hint))
        .or_else(|| find(cause).map(extend::hint))
        .or_else(|| find(cause).map(extend::figure_hint));
    match of_libraries {
        Some(hint) => hint,
        None => system::hint(cause),
    }
}

/// The cause as an error of this type. Errors that contain each other are boxed.
pub(crate) fn find<'a, E: StdError + 'static>(
    cause: &'a (dyn StdError + 'static),
) -> Option<&'a E> {
    let boxed = || cause.downcast_ref::<Box<E>>().map(Box::as_ref);
    cause.downcast_ref().or_else(boxed)
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
