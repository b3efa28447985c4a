//! Hints for the errors of our libraries: what to do about them. One file per crate, or per two small ones.
//!
//! Every variant of an error has its place here, which a test checks. `None` means that the hint comes from the cause of
//! the error.

mod context_folder;
mod data;
mod eval;
mod extend;
mod gguf;
pub(super) mod keys;
mod model;
mod model_folder;
mod other_settings;
mod rope;
pub(super) mod stage;
mod system;
mod training;

use std::error::Error as StdError;

use longrope_eval::bench::BenchError;

/// The hint for one error in a chain of causes.
pub(crate) fn hint_for(cause: &(dyn StdError + 'static)) -> Option<String> {
    let of_libraries = find(cause)
        .map(model::hint)
        .or_else(|| find(cause).map(model::lora_hint))
        .or_else(|| find(cause).map(gguf::hint))
        .or_else(|| find(cause).map(data::hint))
        .or_else(|| find::<BenchError>(cause).map(eval::bench_hint))
        .or_else(|| find(cause).map(rope::hint))
        .or_else(|| find(cause).map(eval::hint))
        .or_else(|| find(cause).map(training::hint))
        .or_else(|| find(cause).map(training::search_hint))
        .or_else(|| find(cause).map(extend::hint))
        .or_else(|| find(cause).map(extend::recipe_hint))
        .or_else(|| find(cause).map(extend::figure_hint));
    match of_libraries {
        Some(hint) => hint,
        None => system::hint(cause),
    }
}

/// Whether a cause is an error of the system or of a parser, or stands for one. They know less about what was done than the
/// error of ours around them.
pub(crate) fn is_of_system(cause: &(dyn StdError + 'static)) -> bool {
    use longrope_extend::Error as Extend;
    use longrope_model::Error as Model;
    use longrope_trainer::Error as Trainer;
    let of_model = |error: &Model| matches!(error, Model::Write { .. } | Model::Io(_));
    let of_training = |error: &Trainer| match error {
        Trainer::Io(_) => true,
        Trainer::Model(error) => of_model(error),
        _ => false,
    };
    find(cause).is_some_and(of_model)
        || find(cause).is_some_and(of_training)
        || find(cause).is_some_and(|error| matches!(error, Extend::Io(_)))
        || cause.is::<std::io::Error>()
        || cause.is::<serde_json::Error>()
        || cause.is::<toml::de::Error>()
}

/// The cause as an error of this type. Errors that contain each other are boxed.
pub(crate) fn find<'a, E: StdError + 'static>(
    cause: &'a (dyn StdError + 'static),
) -> Option<&'a E> {
    let boxed = || cause.downcast_ref::<Box<E>>().map(Box::as_ref);
    cause.downcast_ref().or_else(boxed)
}

#[cfg(test)]
mod tests;
