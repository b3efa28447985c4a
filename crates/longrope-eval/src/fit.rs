//! Prompts of an exact number of tokens.

use std::ops::Range;

use crate::error::{Error, Result};

/// Lengths on either side of a close guess that are tried one by one.
const NEAR: usize = 256;

/// The search in one direction ends this many tokens past the target. Counts go up and down where a cut goes through
/// words, in source code by more than a few tokens.
const PAST: usize = 64;

/// Maximum bytes that the other cut is moved if no length gives the target.
const MOST_MOVED: usize = 32;

/// Lengths on either side that are then tried.
const NEAR_MOVED: usize = 8;

/// Bytes per token of ordinary English, where the search begins.
const BYTES_PER_TOKEN: f64 = 3.6;

/// Checks that every trial of a task fits into a context, before the first is run. `needed` gives the tokens of a trial
/// whose prompt is as short as it can be.
///
/// # Errors
/// [`Error::ContextTooShort`] with the tokens of the longest, and those of `needed`.
pub(crate) fn check_all_fit(
    task: &str,
    context: usize,
    n_trials: usize,
    needed: impl Fn(usize) -> Result<usize>,
) -> Result<()> {
    let mut most = 0;
    for trial in 0..n_trials {
        most = most.max(needed(trial)?);
    }
    if most > context {
        return Err(Error::ContextTooShort {
            task: task.to_owned(),
            context,
            needed: most,
        });
    }
    Ok(())
}

/// The filler of a prompt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Fill {
    /// Its length.
    pub(crate) bytes: usize,
    /// Bytes that the other cut is moved, a few at most. This helps where one more byte adds two tokens.
    pub(crate) moved: usize,
}

/// Finds filler with which a prompt has exactly `target` tokens.
///
/// `count` gives the tokens of the prompt with some filler. It need not be monotone: a cut in the middle of a word may
/// take a token more than the whole word.
///
/// # Errors
/// If the prompt without filler is too long, or no length gives the target.
pub(crate) fn fit_filler(
    task: &str,
    target: usize,
    mut count: impl FnMut(Fill) -> Result<usize>,
) -> Result<Fill> {
    let mut of_length = |bytes| count(Fill { bytes, moved: 0 });
    let least = of_length(0)?;
    if least > target {
        return Err(Error::ContextTooShort {
            task: task.to_owned(),
            context: target,
            needed: least,
        });
    }
    let guess = guess(least, target, &mut of_length)?;
    let exact = if guess.is_exact {
        Some(guess.bytes)
    } else {
        exact_near(guess, target, &mut of_length)?
    };
    if let Some(bytes) = exact {
        return Ok(Fill { bytes, moved: 0 });
    }
    for moved in 1..=MOST_MOVED {
        for bytes in guess.bytes.saturating_sub(NEAR_MOVED)..=guess.bytes + NEAR_MOVED {
            let fill = Fill { bytes, moved };
            if count(fill)? == target {
                return Ok(fill);
            }
        }
    }
    Err(Error::NoExactFit {
        task: task.to_owned(),
        context: target,
    })
}

/// A length of the filler that is close to the one wanted.
#[derive(Clone, Copy)]
struct Guess {
    bytes: usize,
    /// Whether it gives exactly the target.
    is_exact: bool,
    /// Whether the last length that was tried gives too few tokens.
    is_short: bool,
}

/// Comes close to the target by the rate of bytes per token. `least` is the number of tokens without filler.
fn guess(
    least: usize,
    target: usize,
    count: &mut impl FnMut(usize) -> Result<usize>,
) -> Result<Guess> {
    let wanted = (target - least) as f64;
    let mut guess = Guess {
        bytes: rounded(wanted * BYTES_PER_TOKEN),
        is_exact: false,
        is_short: true,
    };
    // The target lies between these lengths, as far as they are known.
    let (mut below, mut above) = (0, None);
    for _ in 0..48 {
        let bytes = guess.bytes;
        let found = count(bytes)?;
        guess.is_exact = found == target;
        if guess.is_exact {
            break;
        }
        let off = target as f64 - found as f64;
        guess.is_short = off > 0.0;
        if off.abs() <= 3.0 {
            break;
        }
        if guess.is_short {
            below = bytes;
        } else {
            above = Some(bytes);
        }
        if above.is_some_and(|above| above <= below + 1) {
            break;
        }
        let rate = if found > least && bytes > 0 {
            bytes as f64 / (found - least) as f64
        } else {
            BYTES_PER_TOKEN
        };
        let next = rounded(bytes as f64 + off * rate);
        // The average rate may be far off where the text is of another kind.
        guess.bytes = match above {
            None => next.max(below + 1),
            Some(above) if next > below && next < above => next,
            Some(above) => below.midpoint(above),
        };
    }
    Ok(guess)
}

/// Tries lengths on either side of a guess one by one; `None` if none of them gives exactly the target.
fn exact_near(
    guess: Guess,
    target: usize,
    count: &mut impl FnMut(usize) -> Result<usize>,
) -> Result<Option<usize>> {
    // First in the likely direction, until it is clear that the target has been passed.
    for goes_longer in [guess.is_short, !guess.is_short] {
        for step in 1..=NEAR {
            let near = if goes_longer {
                Some(guess.bytes + step)
            } else {
                guess.bytes.checked_sub(step)
            };
            let Some(near) = near else { break };
            let found = count(near)?;
            if found == target {
                return Ok(Some(near));
            }
            let is_past = if goes_longer {
                found > target + PAST
            } else {
                found + PAST < target
            };
            if is_past {
                break;
            }
        }
    }
    Ok(None)
}

/// The room that a prompt has.
#[derive(Clone, Copy)]
pub(crate) struct Room {
    /// Tokens of the context.
    pub(crate) context: usize,
    /// Those of them that the prompt may have.
    pub(crate) tokens: usize,
}

/// Finds approximately the largest number of units in `range` (its end included) with which a prompt has room.
///
/// `count` gives the tokens of the prompt with a number of units. Apart from noise, it grows with that number.
///
/// # Errors
/// If the prompt with the fewest units is too long.
pub(crate) fn fit_units(
    task: &str,
    room: Room,
    range: Range<usize>,
    mut count: impl FnMut(usize) -> Result<usize>,
) -> Result<usize> {
    let Room {
        context,
        tokens: room,
    } = room;
    let least = range.start;
    let base = count(least)?;
    if base > room {
        return Err(Error::ContextTooShort {
            task: task.to_owned(),
            context,
            needed: base + (context - room),
        });
    }
    let probe = (least + 16).min(range.end);
    let mut rate = ((count(probe)? as f64 - base as f64) / (probe - least).max(1) as f64).max(0.1);
    let (mut best, mut best_count) = (least, base);
    let mut too_many = range.end.saturating_add(1);
    for _ in 0..24 {
        let step = rounded(((room - best_count) as f64 / rate).floor()).max(1);
        let units = best.saturating_add(step).min(too_many - 1);
        if units <= best {
            break;
        }
        let found = count(units)?;
        rate = ((found as f64 - base as f64) / (units - least) as f64).max(0.1);
        if found > room {
            too_many = units;
        } else {
            (best, best_count) = (units, found);
        }
    }
    Ok(best)
}

/// The nearest whole number, at least 0.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "texts have fewer than 2^53 bytes, and negative numbers are cut off"
)]
pub(crate) fn rounded(bytes: f64) -> usize {
    bytes.max(0.0).round() as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_target_is_met_where_tokens_vary_in_length() {
        // Words of 1 to 7 letters; a cut word counts as a token more.
        let tokens = |bytes: usize| bytes / 4 + usize::from(!bytes.is_multiple_of(7)) + 20;
        for target in [20, 21, 100, 5001] {
            let fill = fit_filler("t", target, |fill| Ok(tokens(fill.bytes))).unwrap();
            assert_eq!((tokens(fill.bytes), fill.moved), (target, 0));
        }
    }

    #[test]
    fn the_target_is_met_across_text_of_another_kind() {
        // A token per 8 bytes, but 8 per byte in a table in the middle.
        let tokens = |bytes: usize| {
            let table = bytes.saturating_sub(4000).min(200);
            table * 8 + (bytes - table) / 8
        };
        for target in [508, 700, 1500, 2100, 2140] {
            let fill = fit_filler("t", target, |fill| Ok(tokens(fill.bytes))).unwrap();
            assert_eq!((tokens(fill.bytes), fill.moved), (target, 0));
        }
    }

    #[test]
    fn the_target_may_be_jumped_over_and_met_later() {
        // A token per byte, and seven more behind every fifth, until they are all taken back.
        let tokens = |bytes: usize| bytes + 7 * (bytes / 5 % 11);
        for target in [62, 75, 87] {
            let fill = fit_filler("t", target, |fill| Ok(tokens(fill.bytes))).unwrap();
            assert_eq!((tokens(fill.bytes), fill.moved), (target, 0));
        }
    }

    #[test]
    fn where_a_byte_is_two_tokens_a_cut_is_moved() {
        // Always even, until 5 bytes are on the other side of the cut.
        let tokens = |fill: Fill| 20 + fill.bytes / 10 * 2 + usize::from(fill.moved >= 5);
        let fill = fit_filler("t", 101, |fill| Ok(tokens(fill))).unwrap();
        assert_eq!((tokens(fill), fill.moved), (101, 5));
    }

    #[test]
    fn prompts_are_as_long_as_there_is_room() {
        let tokens = |units: usize| 20 + 7 * units + units % 3;
        let all = |context| Room {
            context,
            tokens: context,
        };
        for room in [36, 100, 2000, 100_000] {
            let units = fit_units("t", all(room), 2..usize::MAX, |n| Ok(tokens(n))).unwrap();
            assert!(tokens(units) <= room && tokens(units + 1) > room, "{room}");
        }
        let few = fit_units("t", all(900), 2..5, |n| Ok(tokens(n))).unwrap();
        assert_eq!(few, 5, "there are no more");
        let part = Room {
            context: 50,
            tokens: 20,
        };
        let error = fit_units("t", part, 2..9, |n| Ok(tokens(n))).unwrap_err();
        assert!(matches!(error, Error::ContextTooShort { needed: 66, .. }));
    }

    #[test]
    fn a_later_trial_that_does_not_fit_is_an_error_before_the_first() {
        let tokens = [20, 30, 25];
        let check = |context| check_all_fit("t", context, 3, |trial| Ok(tokens[trial]));
        check(30).unwrap();
        let error = check(29).unwrap_err();
        assert!(matches!(
            error,
            Error::ContextTooShort {
                context: 29,
                needed: 30,
                ..
            }
        ));
    }

    #[test]
    fn what_cannot_fit_is_an_error() {
        let error = fit_filler("t", 19, |fill| Ok(20 + fill.bytes)).unwrap_err();
        assert!(matches!(error, Error::ContextTooShort { needed: 20, .. }));
        let error = fit_filler("t", 101, |fill| Ok(20 + fill.bytes / 10 * 2)).unwrap_err();
        assert!(matches!(error, Error::NoExactFit { context: 101, .. }));
    }
}
