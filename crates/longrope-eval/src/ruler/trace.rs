//! Variable tracking: a chain of assignments in filler, after one solved example.

use longrope_data::Tokenizer;
use longrope_data::needle::FILLER;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::draw::{distinct, some_of};
use super::sample::Sample;
use crate::fit::{Room, fit_units};

/// Assignments after the first of a chain.
const HOPS: usize = 4;
/// Maximum number of tokens of the example, including its answer.
const EXAMPLE_TOKENS: usize = 500;
const ANSWER_TOKENS: usize = 30;
const FIRST_LETTER: u8 = b'A';

/// One chain in `n_noises` lines of filler.
fn one(n_noises: usize, name_length: usize, rng: &mut ChaCha8Rng) -> Sample {
    let names = distinct(HOPS + 1, name_length, FIRST_LETTER, rng);
    let value = rng.random_range(10_000..99_999_u32).to_string();
    let n_lines = lines(n_noises).len();
    let mut places = some_of(n_lines, HOPS + 1, rng);
    places.sort_unstable();
    let context = context(n_noises, &chain(&names, &value), &places);
    Sample {
        prompt: prompt(&context, &value),
        answers: names,
    }
}

/// `VAR A = 12345`, `VAR B = VAR A ` and so on.
pub(super) fn chain(names: &[String], value: &str) -> Vec<String> {
    let mut chain = vec![format!("VAR {} = {value}", names[0])];
    let copies = names
        .windows(2)
        .map(|pair| format!("VAR {} = VAR {} ", pair[1], pair[0]));
    chain.extend(copies);
    chain
}

/// The lines of filler, or its sentences if there are no more lines than assignments.
pub(super) fn lines(n_noises: usize) -> Vec<String> {
    let noise = format!("{FILLER}\n");
    if n_noises > HOPS + 1 {
        return vec![noise; n_noises];
    }
    (0..n_noises)
        .flat_map(|_| noise.split('.'))
        .map(|part| {
            if part.trim().is_empty() {
                part.to_owned()
            } else {
                format!("{part}.")
            }
        })
        .collect()
}

/// Filler with the statements of a chain inserted before the lines at `places`, which ascend.
pub(super) fn context(n_noises: usize, chain: &[String], places: &[usize]) -> String {
    let mut sentences = lines(n_noises);
    for (i, (statement, place)) in chain.iter().zip(places).enumerate() {
        sentences.insert(place + i, statement.clone());
    }
    sentences.join(" ").replace(". \n", ".\n")
}

pub(super) fn prompt(context: &str, value: &str) -> String {
    format!(
        "Memorize and track the chain(s) of variable assignment hidden in the following \
         text.\n\n{context}\nQuestion: Find all variables that are assigned the value {value} in \
         the text above. Answer: According to the chain(s) of variable assignment in the text \
         above, {} variables are assigned the value {value}, they are:",
        HOPS + 1
    )
}

/// The solved example before a sample, with shorter names.
pub(super) fn example(tokenizer: &Tokenizer, rng: &ChaCha8Rng) -> String {
    let example = |n_noises| {
        let example = one(n_noises, 3, &mut rng.clone());
        format!("{} {}", example.prompt, example.answers.join(" "))
    };
    let room = Room {
        context: EXAMPLE_TOKENS,
        tokens: EXAMPLE_TOKENS - ANSWER_TOKENS,
    };
    // If even one line has too many tokens, the example has one line.
    let fitting = fit_units("vt", room, 1..usize::MAX, |n_noises| {
        Ok(tokenizer.encode_prompt(&example(n_noises))?.len())
    });
    example(fitting.unwrap_or(1))
}

/// A sample after an example.
pub(super) fn sample(example: &str, n_noises: usize, rng: &mut ChaCha8Rng) -> Sample {
    rng.set_word_pos(rng.get_word_pos() + 4096); // skips the draws of the example
    let own = one(n_noises, 5, rng);
    Sample {
        prompt: format!("{example}\n\n\n\n{}", own.prompt),
        answers: own.answers,
    }
}
