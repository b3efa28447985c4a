//! Steps of a training, which are counted anew in every phase.

use super::record::Record;

/// For each record, the number of steps so far counted across all phases, in order of their first record.
///
/// ```
/// use longrope_trainer::run::records::{self, Record};
///
/// let line = |phase: &str, step: usize| Record::Eval {
///     phase: Some(phase.to_owned()),
///     step,
///     context: Some(64),
///     nll_nats: 0.0,
///     ppl: 1.0,
///     passkeys: None,
/// };
/// let lines = [line("a", 1), line("a", 2), line("b", 1)];
/// assert_eq!(records::total_steps(&lines), [1, 2, 3]);
/// ```
pub fn total_steps(records: &[Record]) -> Vec<usize> {
    let phases = phases(records);
    let before = |phase: Option<&str>| -> usize {
        let earlier = phases.iter().take_while(|(name, _)| *name != phase);
        earlier.map(|(_, n_steps)| n_steps).sum()
    };
    records
        .iter()
        .map(|record| before(record.phase()) + record.step())
        .collect()
}

/// The phases of the records with their number of steps, in order of their first record. Runs other than a pretraining have
/// one, without a name.
pub fn phases(records: &[Record]) -> Vec<(Option<&str>, usize)> {
    let mut phases: Vec<(Option<&str>, usize)> = Vec::new();
    for record in records {
        match phases.iter_mut().find(|(name, _)| *name == record.phase()) {
            Some((_, n_steps)) => *n_steps = record.step().max(*n_steps),
            None => phases.push((record.phase(), record.step())),
        }
    }
    phases
}
