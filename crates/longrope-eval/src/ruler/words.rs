//! Counting words: the most common words of a list, and the most frequent words of a coded text.

use std::f64::consts::PI;

use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use super::data::Essay;
use super::draw::{distinct, some_of};
use super::sample::Sample;

/// Contexts of at least this many tokens have a longer example and more repetitions.
const LONG: usize = 4096;
/// Number of common words.
const N_COMMON: usize = 10;
/// Minimum number of different words of a list.
pub(super) const LEAST_COMMON: usize = 2 * N_COMMON;
/// Minimum number of words of a coded text for its four most frequent words to differ in number: 24, 6, 2, 1.
pub(super) const LEAST_FREQUENT: usize = 40;
/// Letters of a coded word.
const CODED_LETTERS: usize = 6;

/// The ten words of a list that occur most often, after a solved example.
pub(super) fn common(
    essay: Option<&Essay>,
    n_words: usize,
    context: usize,
    rng: &mut ChaCha8Rng,
) -> Sample {
    let lexicon = essay.map_or(&[][..], |essay| essay.lexicon.as_slice());
    let is_long = context >= LONG;
    let (example_words, repeats, own_repeats) = if is_long {
        (40, [10, 3], [30, 3])
    } else {
        (20, [3, 1], [6, 1])
    };
    let example = word_list(lexicon, example_words, repeats, rng);
    let own = word_list(lexicon, n_words, own_repeats, rng);
    Sample {
        prompt: common_prompt(&example, &own.list),
        answers: own.common,
    }
}

/// A shuffled list and its common words.
pub(super) struct WordList {
    pub(super) list: Vec<String>,
    pub(super) common: Vec<String>,
}

fn word_list(
    lexicon: &[String],
    n_words: usize,
    [n_common, n_uncommon]: [usize; 2],
    rng: &mut ChaCha8Rng,
) -> WordList {
    let mut words: Vec<String> = some_of(lexicon.len(), n_words, rng)
        .into_iter()
        .map(|i| lexicon[i].clone())
        .collect();
    // If the text has too few words, random words of letters are added.
    let missing = n_words - words.len();
    words.extend(distinct(missing, CODED_LETTERS, b'a', rng));
    let uncommon = words.split_off(N_COMMON);
    let repeat = |words: &[String], n: usize| -> Vec<String> {
        words
            .iter()
            .flat_map(|word| vec![word.clone(); n])
            .collect()
    };
    let mut list = repeat(&words, n_common);
    list.extend(repeat(&uncommon, n_uncommon));
    list.shuffle(rng);
    WordList {
        list,
        common: words,
    }
}

/// `1. a 2. b`
fn numbered(words: &[String]) -> String {
    let entries = words.iter().zip(1..);
    let entries: Vec<String> = entries.map(|(word, i)| format!("{i}. {word}")).collect();
    entries.join(" ")
}

pub(super) fn common_prompt(example: &WordList, list: &[String]) -> String {
    let question = |list: &[String]| {
        format!(
            "Below is a numbered list of words. In these words, some appear more often than \
             others. Memorize the ones that appear most often.\n{}\nQuestion: What are the 10 most \
             common words in the above list? Answer: The top 10 words that appear most often in \
             the list are:",
            numbered(list)
        )
    };
    format!(
        "{}{}\n{}",
        question(&example.list),
        numbered(&example.common),
        question(list)
    )
}

/// The three most frequent words of a coded text, apart from dots.
pub(super) fn frequent(n_words: usize, context: usize, rng: &mut ChaCha8Rng) -> Sample {
    let mut vocab = distinct((context / 50).max(4), CODED_LETTERS, b'a', rng);
    "...".clone_into(&mut vocab[0]); // the most frequent is noise
    let mut text: Vec<&str> = vocab
        .iter()
        .zip(zipf_counts(n_words, vocab.len()))
        .flat_map(|(word, n)| vec![word.as_str(); n])
        .collect();
    text.shuffle(rng);
    Sample {
        prompt: frequent_prompt(&text.join(" ")),
        answers: vocab[1..4].to_vec(),
    }
}

/// How often the word of each rank occurs: `⌊n / (rank² · ζ(2))⌋`.
pub(super) fn zipf_counts(n_words: usize, n_ranks: usize) -> Vec<usize> {
    let zeta = PI * PI / 6.0;
    (1..=n_ranks)
        .map(|rank| {
            let count = n_words as f64 / (rank as f64).powi(2) / zeta;
            crate::fit::rounded(count.floor())
        })
        .collect()
}

pub(super) fn frequent_prompt(text: &str) -> String {
    format!(
        "Read the following coded text and track the frequency of each coded word. Find the three \
         most frequently appeared coded words. {text}\nQuestion: Do not provide any explanation. \
         Please ignore the dots '....'. What are the three most frequently appeared words in the \
         above coded text? Answer: According to the coded text above, the three most frequently \
         appeared words are:"
    )
}
