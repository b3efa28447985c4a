//! Prompts of an exact number of tokens.

use crate::error::{Error, Result};

/// Characters around a close guess that are tried one by one. A token is seldom longer than 16.
const NEAR: usize = 48;

/// Bytes per token of ordinary English, where the search begins.
const BYTES_PER_TOKEN: f64 = 3.6;

/// Finds a length of filler, in bytes, with which a prompt has exactly `target` tokens.
///
/// `count` gives the tokens of the prompt with so many bytes of filler. It need not be monotone:
/// a cut in the middle of a word may cost a token more than the whole word.
///
/// # Errors
/// If the prompt without filler is too long, or no length gives the target.
pub(crate) fn fit_filler(
    task: &str,
    target: usize,
    mut count: impl FnMut(usize) -> Result<usize>,
) -> Result<usize> {
    let least = count(0)?;
    if least > target {
        return Err(Error::ContextTooShort {
            task: task.to_owned(),
            context: target,
            needed: least,
        });
    }
    let wanted = (target - least) as f64;
    let mut bytes = rounded(wanted * BYTES_PER_TOKEN);
    let mut is_short = true;
    for _ in 0..16 {
        let found = count(bytes)?;
        if found == target {
            return Ok(bytes);
        }
        let off = target as f64 - found as f64;
        if off.abs() <= 3.0 {
            is_short = off > 0.0;
            break;
        }
        let rate = if found > least && bytes > 0 {
            bytes as f64 / (found - least) as f64
        } else {
            BYTES_PER_TOKEN
        };
        bytes = rounded(bytes as f64 + off * rate);
    }
    let longer = (1..=NEAR).map(|step| bytes + step);
    let shorter = (1..=NEAR).map_while(|step| bytes.checked_sub(step));
    let likely_first: Vec<usize> = if is_short {
        longer.chain(shorter).collect()
    } else {
        shorter.chain(longer).collect()
    };
    for bytes in likely_first {
        if count(bytes)? == target {
            return Ok(bytes);
        }
    }
    Err(Error::NoExactFit {
        task: task.to_owned(),
        context: target,
    })
}

/// The nearest whole number of bytes, not below 0.
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
            let bytes = fit_filler("t", target, |bytes| Ok(tokens(bytes))).unwrap();
            assert_eq!(tokens(bytes), target);
        }
    }

    #[test]
    fn what_cannot_fit_is_an_error() {
        let error = fit_filler("t", 19, |bytes| Ok(20 + bytes)).unwrap_err();
        assert!(matches!(error, Error::ContextTooShort { needed: 20, .. }));
        let error = fit_filler("t", 101, |bytes| Ok(20 + bytes / 10 * 2)).unwrap_err();
        assert!(matches!(error, Error::NoExactFit { context: 101, .. }));
    }
}
