//! The eight needle tasks.

use longrope_data::needle::FILLER;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use super::data::Essay;
use super::draw::{number, some_of, uuid, word};
use super::kind::RulerTask;
use super::sample::Sample;

/// Number of depths that needles can have, evenly from beginning to end.
const N_DEPTHS: usize = 40;

/// What needles are hidden in.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Hay {
    /// The filler, line by line.
    Repeat,
    /// Words of an essay.
    Essay,
    /// Other needles, line by line.
    Needles,
}

/// Whether keys or values are words, numbers or UUIDs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Words,
    Numbers,
    Uuids,
}

impl Kind {
    fn draw(self, rng: &mut ChaCha8Rng) -> String {
        match self {
            Self::Words => word(rng),
            Self::Numbers => number(rng),
            Self::Uuids => uuid(rng),
        }
    }

    /// As [`Self::draw`], but none of `taken`.
    fn draw_other(self, taken: &[String], rng: &mut ChaCha8Rng) -> String {
        loop {
            let drawn = self.draw(rng);
            if !taken.contains(&drawn) {
                return drawn;
            }
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Words => "words",
            Self::Numbers => "numbers",
            Self::Uuids => "uuids",
        }
    }
}

/// The settings of a needle task.
pub(super) struct Shape {
    pub(super) hay: Hay,
    pub(super) keys: Kind,
    pub(super) values: Kind,
    n_keys: usize,
    n_values: usize,
    n_queries: usize,
}

/// NVIDIA's settings of each task.
pub(super) fn shape(task: RulerTask) -> Shape {
    let plain = Shape {
        hay: Hay::Essay,
        keys: Kind::Words,
        values: Kind::Numbers,
        n_keys: 1,
        n_values: 1,
        n_queries: 1,
    };
    match task {
        RulerTask::NiahSingle1 => Shape {
            hay: Hay::Repeat,
            ..plain
        },
        RulerTask::NiahSingle3 => Shape {
            values: Kind::Uuids,
            ..plain
        },
        RulerTask::NiahMultikey1 => Shape { n_keys: 4, ..plain },
        RulerTask::NiahMultikey2 => Shape {
            hay: Hay::Needles,
            ..plain
        },
        RulerTask::NiahMultikey3 => Shape {
            hay: Hay::Needles,
            keys: Kind::Uuids,
            values: Kind::Uuids,
            ..plain
        },
        RulerTask::NiahMultivalue => Shape {
            n_values: 4,
            ..plain
        },
        RulerTask::NiahMultiquery => Shape {
            n_keys: 4,
            n_queries: 4,
            ..plain
        },
        _ => plain,
    }
}

/// Minimum number of words or lines that have room for the needles.
pub(super) fn least_units(task: RulerTask) -> usize {
    let shape = shape(task);
    shape.n_keys * shape.n_values
}

/// A sample with `units` words of the essay, or lines.
///
/// No other needle has a key that is asked for: a question has one right answer.
pub(super) fn sample(
    task: RulerTask,
    essay: Option<&Essay>,
    units: usize,
    rng: &mut ChaCha8Rng,
) -> Sample {
    let shape = shape(task);
    let mut keys: Vec<String> = Vec::with_capacity(shape.n_keys);
    let mut needles = Vec::new();
    let mut values: Vec<Vec<String>> = Vec::new();
    for _ in 0..shape.n_keys {
        let key = shape.keys.draw_other(&keys, rng);
        let own: Vec<String> = (0..shape.n_values)
            .map(|_| shape.values.draw(rng))
            .collect();
        needles.extend(own.iter().map(|value| needle(shape.values, &key, value)));
        keys.push(key);
        values.push(own);
    }
    needles.shuffle(rng);
    let context = match (shape.hay, essay) {
        (Hay::Essay, Some(essay)) => in_essay(&needles, essay, units, rng),
        _ => in_lines(needles, &shape, &keys, units, rng),
    };
    let asked = some_of(shape.n_keys, shape.n_queries, rng);
    let queries: Vec<&str> = asked.iter().map(|i| keys[*i].as_str()).collect();
    let answers: Vec<String> = asked.iter().flat_map(|i| values[*i].clone()).collect();
    let one = shape.n_queries * shape.n_values == 1;
    Sample {
        prompt: prompt(shape.values, one, &context, &listed(&queries)),
        answers,
    }
}

/// Needles at random depths of the first words of an essay.
fn in_essay(needles: &[String], essay: &Essay, n_words: usize, rng: &mut ChaCha8Rng) -> String {
    let sentences = essay.sentences(n_words);
    let mut places: Vec<usize> = some_of(N_DEPTHS, needles.len(), rng)
        .into_iter()
        .map(|i| sentences.len() * depth_percent(i) / 100)
        .collect();
    places.sort_unstable();
    between(&sentences, needles, &places)
}

/// Needles among `n_lines` lines: filler, or needles with other keys than `keys`.
fn in_lines(
    needles: Vec<String>,
    shape: &Shape,
    keys: &[String],
    n_lines: usize,
    rng: &mut ChaCha8Rng,
) -> String {
    let mut lines: Vec<String> = (0..n_lines)
        .map(|_| match shape.hay {
            Hay::Needles => {
                let key = shape.keys.draw_other(keys, rng);
                needle(shape.values, &key, &shape.values.draw(rng))
            }
            _ => FILLER.to_owned(),
        })
        .collect();
    let mut places = some_of(n_lines, needles.len(), rng);
    places.sort_unstable_by(|a, b| b.cmp(a));
    for (place, needle) in places.into_iter().zip(needles) {
        lines.insert(place, needle);
    }
    lines.join("\n")
}

/// Depth number `i`: whole percents, evenly from 0 to 100, rounded as in Python.
pub(super) fn depth_percent(i: usize) -> usize {
    // 100·i/39 is never half of a whole number, so rounding is unambiguous.
    (100 * i * 2 + (N_DEPTHS - 1)) / (2 * (N_DEPTHS - 1))
}

pub(super) fn needle(values: Kind, key: &str, value: &str) -> String {
    format!(
        "One of the special magic {} for {key} is: {value}.",
        values.name()
    )
}

/// Sentences with needles inserted before those at `places`, which ascend.
pub(super) fn between(sentences: &[String], needles: &[String], places: &[usize]) -> String {
    let mut parts: Vec<String> = Vec::new();
    let mut done = 0;
    for (needle, &place) in needles.iter().zip(places) {
        parts.push(sentences[done..place].join(" "));
        parts.push(needle.clone());
        done = place;
    }
    parts.push(sentences[done..].join(" "));
    parts.join(" ")
}

/// `a`, or `a, b, c, and d`.
pub(super) fn listed(queries: &[&str]) -> String {
    match queries {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [first @ .., last] => format!("{}, and {last}", first.join(", ")),
    }
}

/// The whole prompt, in the singular if one value is asked for.
pub(super) fn prompt(values: Kind, one: bool, context: &str, query: &str) -> String {
    let plural = values.name();
    let singular = &plural[..plural.len() - 1];
    if one {
        format!(
            "A special magic {singular} is hidden within the following text. Make sure to memorize \
             it. I will quiz you about the {singular} afterwards.\n{context}\nWhat is the special \
             magic {singular} for {query} mentioned in the provided text? The special magic \
             {singular} for {query} mentioned in the provided text is"
        )
    } else {
        format!(
            "Some special magic {plural} are hidden within the following text. Make sure to \
             memorize it. I will quiz you about the {plural} afterwards.\n{context}\nWhat are all \
             the special magic {plural} for {query} mentioned in the provided text? The special \
             magic {plural} for {query} mentioned in the provided text are"
        )
    }
}
