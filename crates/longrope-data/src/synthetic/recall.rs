//! Training documents with facts about made-up names, and questions about them.

use rand_chacha::ChaCha8Rng;

use super::draft::{Draft, room};
use super::filler::Filler;
use crate::random::{below, shuffle};
use crate::{Result, Tokenizer};

/// Wording of facts and questions; `{name}` stands for the name.
struct Template {
    /// The fact up to its value, which follows after a space.
    fact: &'static str,
    /// The question up to the value, which follows after a space.
    question: &'static str,
    /// Text after the value.
    end: &'static str,
    value: Value,
}

impl Template {
    /// A line with the fact that `name` has this value.
    fn fact(
        &self,
        tokenizer: &Tokenizer,
        name: &str,
        value: &str,
        is_first: bool,
    ) -> Result<Draft> {
        let mut fact = Draft::default();
        let text = written(self.fact, name);
        if is_first {
            fact.push_first(tokenizer, &text)?;
        } else {
            fact.push_text(tokenizer, &text)?;
        }
        fact.push_text(tokenizer, &format!(" {value}"))?;
        fact.push_text(tokenizer, self.end)?;
        Ok(fact.kept_together())
    }

    /// A line with the question for the value of `name`, and the answer.
    fn question(
        &self,
        tokenizer: &Tokenizer,
        name: &str,
        value: &str,
        answer_weight: f32,
    ) -> Result<Draft> {
        let mut question = Draft::default();
        question.push_text(tokenizer, &written(self.question, name))?;
        question.push_answer(tokenizer, value, answer_weight)?;
        question.push_text(tokenizer, self.end)?;
        Ok(question.kept_together())
    }
}

/// A line with a name.
fn written(text: &str, name: &str) -> String {
    format!("\n{}", text.replace("{name}", name))
}

#[derive(Clone, Copy)]
enum Value {
    Number,
    Word,
}

const TEMPLATES: [Template; 6] = [
    Template {
        fact: "The code of {name} is",
        question: "What is the code of {name}? The code of {name} is",
        end: ".",
        value: Value::Number,
    },
    Template {
        fact: "The friend of {name} is",
        question: "Who is the friend of {name}? The friend of {name} is",
        end: ".",
        value: Value::Word,
    },
    Template {
        fact: "One of the numbers for {name} is:",
        question: "What is the number for {name}? The number for {name} is:",
        end: ".",
        value: Value::Number,
    },
    Template {
        fact: "{name} =",
        question: "value of {name} =",
        end: "",
        value: Value::Number,
    },
    Template {
        fact: "let {name} =",
        question: "assert_eq!({name},",
        end: ");",
        value: Value::Number,
    },
    Template {
        fact: "use {name} as",
        question: "// {name} is called",
        end: "",
        value: Value::Word,
    },
];

/// Fills `draft` up to `n_tokens`, or a little further if only that leaves room for a fact: see [`room`]. Up to `most_facts`
/// facts, each followed by filler, then questions about them in another order.
pub(crate) fn fill(
    draft: &mut Draft,
    n_tokens: usize,
    window: usize,
    (tokenizer, filler): (&Tokenizer, &Filler),
    most_facts: usize,
    answer_weight: f32,
    rng: &mut ChaCha8Rng,
) -> Result<()> {
    let template = &TEMPLATES[below(TEMPLATES.len(), rng)];
    let mut n_facts = 1 + below(most_facts, rng);
    let names = distinct_words(n_facts, rng);
    let mut pairs = Vec::with_capacity(n_facts);
    for name in &names {
        let value = match template.value {
            Value::Number => number(rng),
            Value::Word => word(rng),
        };
        let is_first = pairs.is_empty();
        let fact = template.fact(tokenizer, name, &value, is_first)?;
        let question = template.question(tokenizer, name, &value, answer_weight)?;
        pairs.push((fact, question));
    }

    let length = |pairs: &[(Draft, Draft)]| -> usize {
        pairs
            .iter()
            .map(|(fact, question)| fact.len() + question.len())
            .sum()
    };
    let room_for_all = n_tokens.saturating_sub(draft.len());
    while n_facts > 1 && length(&pairs[..n_facts]) > room_for_all {
        n_facts -= 1;
    }
    pairs.truncate(n_facts);
    let needed = draft.len() + length(&pairs);
    let room = room("recall", needed, n_tokens, window)?;

    let kind = filler.draw_kind(rng);
    let gaps = gaps(room, n_facts, rng);
    for ((fact, _), gap) in pairs.iter().zip(gaps) {
        draft.append(fact);
        draft.push(&filler.line(kind, gap, rng), 1.0);
    }
    shuffle(&mut pairs, rng);
    for (_, question) in &pairs {
        draft.append(question);
    }
    Ok(())
}

/// Divides `room` into `n_gaps`: at random places or, with equal probability, all of it after the last fact.
fn gaps(room: usize, n_gaps: usize, rng: &mut ChaCha8Rng) -> Vec<usize> {
    let at_random = below(2, rng) == 0;
    let mut borders: Vec<usize> = (1..n_gaps)
        .map(|_| if at_random { below(room + 1, rng) } else { 0 })
        .collect();
    borders.sort_unstable();
    borders.push(room);
    let mut last = 0;
    borders
        .into_iter()
        .map(|border| border - std::mem::replace(&mut last, border))
        .collect()
}

/// A number of 2 to 5 digits.
fn number(rng: &mut ChaCha8Rng) -> String {
    let least = 10_usize.pow(1 + u32::try_from(below(4, rng)).unwrap_or(0));
    (least + below(9 * least, rng)).to_string()
}

/// A made-up word of two or three syllables.
fn word(rng: &mut ChaCha8Rng) -> String {
    const CONSONANTS: &[u8] = b"bdfgklmnprstvz";
    const VOWELS: &[u8] = b"aeiou";
    let n_syllables = 2 + below(2, rng);
    let mut word = String::with_capacity(2 * n_syllables);
    for _ in 0..n_syllables {
        for letters in [CONSONANTS, VOWELS] {
            word.push(char::from(letters[below(letters.len(), rng)]));
        }
    }
    word
}

fn distinct_words(n_words: usize, rng: &mut ChaCha8Rng) -> Vec<String> {
    let mut words: Vec<String> = Vec::with_capacity(n_words);
    while words.len() < n_words {
        let word = word(rng);
        if !words.contains(&word) {
            words.push(word);
        }
    }
    words
}
