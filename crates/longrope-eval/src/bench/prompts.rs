//! Questions with examples before them.

use std::fmt::Write;

use super::error::BenchError;
use super::kind::{Bench, Draw};
use super::python::Random;
use super::question::Question;

/// Questions, each with the examples before it.
#[derive(Clone, Debug)]
pub struct Prompts {
    bench: Bench,
    shots: usize,
    questions: Vec<Question>,
    examples: Vec<Question>,
    /// Indices of the examples of each question.
    chosen: Vec<Vec<usize>>,
}

impl Prompts {
    /// Chooses `shots` examples for every question as lm-evaluation-harness does with this seed.
    ///
    /// As with `--num_fewshot` there, ARC and `HellaSwag` draw from their train split (`HellaSwag` one more than
    /// needed), and MMLU takes the first examples of each subject's dev split. `BABILong` has examples of its own, and
    /// `examples` are not used.
    ///
    /// # Errors
    /// If there are too few examples, or the benchmark does not use any.
    pub fn new(
        bench: Bench,
        questions: Vec<Question>,
        examples: Vec<Question>,
        shots: usize,
        seed: u32,
    ) -> Result<Self, BenchError> {
        if bench.is_zero_shot() && shots > 0 {
            return Err(BenchError::ZeroShotOnly {
                bench: bench.name(),
                shots,
            });
        }
        let examples = match bench.own_examples() {
            own if own.is_empty() => examples,
            own => own,
        };
        let mut prompts = Self {
            bench,
            shots,
            questions,
            examples,
            chosen: Vec::new(),
        };
        let mut random = Random::new(seed);
        for question in &prompts.questions {
            let chosen = prompts.choose(question, &mut random)?;
            prompts.chosen.push(chosen);
        }
        Ok(prompts)
    }

    fn choose(&self, question: &Question, random: &mut Random) -> Result<Vec<usize>, BenchError> {
        let (shots, n) = (self.shots, self.examples.len());
        if shots == 0 {
            return Ok(Vec::new());
        }
        let enough = |found, needed| {
            if found < needed {
                return Err(BenchError::TooFewExamples {
                    needed,
                    found,
                    group: question.subject.clone(),
                });
            }
            Ok(())
        };
        let is_question =
            |index: &usize| self.examples[*index].record.columns == question.record.columns;
        match self.bench.draw() {
            Draw::First => {
                let all = (0..n).filter(|i| self.examples[*i].subject == question.subject);
                let chosen: Vec<usize> = all.take(shots).collect();
                enough(chosen.len(), shots)?;
                Ok(chosen)
            }
            Draw::Random => {
                enough(n, shots)?;
                Ok(random.sample(n, shots))
            }
            Draw::RandomWithoutQuestion => {
                enough(n, shots + 1)?;
                let drawn = random.sample(n, shots + 1);
                let mut chosen: Vec<usize> =
                    drawn.into_iter().filter(|i| !is_question(i)).collect();
                chosen.truncate(shots);
                if chosen.len() < shots {
                    // The question is in the pool more than once, and was drawn more than once.
                    let pool: Vec<usize> = (0..n).filter(|i| !is_question(i)).collect();
                    enough(pool.len(), shots)?;
                    let drawn = random.sample(pool.len(), shots);
                    chosen = drawn.into_iter().map(|i| pool[i]).collect();
                }
                Ok(chosen)
            }
        }
    }

    /// The benchmark.
    pub fn bench(&self) -> Bench {
        self.bench
    }

    /// Number of examples before each question.
    pub fn shots(&self) -> usize {
        self.shots
    }

    /// The questions.
    pub fn questions(&self) -> &[Question] {
        &self.questions
    }

    /// Number of questions that are among their own examples, so that the model reads the answer before it is asked.
    ///
    /// A question is known by its text and its choices, whatever else its row holds.
    pub fn n_with_own_answer(&self) -> usize {
        let asked = self.questions.iter().zip(&self.chosen);
        asked
            .filter(|(question, chosen)| {
                let mut examples = chosen.iter().map(|index| &self.examples[*index]);
                examples.any(|it| it.text == question.text && it.choices == question.choices)
            })
            .count()
    }

    /// Everything the model reads before an answer.
    pub fn context(&self, index: usize) -> String {
        let question = &self.questions[index];
        let mut text = self.bench.description(question.subject.as_deref());
        for example in &self.chosen[index] {
            let example = &self.examples[*example];
            let answer = &example.choices[example.gold()];
            // Writing to a string cannot fail.
            let _ = write!(text, "{} {answer}\n\n", example.text);
        }
        text.push_str(&question.text);
        text
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::bench::records::Record;

    /// The question with this number, from a row with this name.
    fn question(bench: Bench, number: usize, id: &str) -> Question {
        let columns = match bench {
            Bench::Mmlu => {
                json!({"id": id, "question": format!("What is {number}?"), "subject": "numbers",
                "choices": ["w", "x", "y", "z"], "answer": 0})
            }
            _ => json!({"id": id, "question": format!("What is {number}?"), "answerKey": "A",
                "choices": {"text": ["so", "not"], "label": ["A", "B"]}}),
        };
        let columns = columns.as_object().unwrap().clone();
        let place = format!("{id}#{number}");
        Question::new(bench, Record { place, columns }).unwrap()
    }

    #[test]
    fn questions_among_their_own_examples_are_counted() {
        for bench in [Bench::ArcEasy, Bench::Mmlu] {
            let all = |id: &str, numbers: std::ops::Range<usize>| -> Vec<Question> {
                numbers.map(|number| question(bench, number, id)).collect()
            };
            let count = |examples: Vec<Question>, shots: usize| {
                let prompts = Prompts::new(bench, all("a", 0..4), examples, shots, 1);
                prompts.unwrap().n_with_own_answer()
            };
            assert_eq!(count(all("a", 0..4), 4), 4, "{bench}");
            // A copy is the same question.
            assert_eq!(count(all("copy", 0..4), 4), 4, "{bench}");
            assert_eq!(count(all("a", 4..8), 4), 0, "{bench}");
            assert_eq!(count(all("a", 0..4), 0), 0, "{bench}");
        }
        // MMLU takes the first ones.
        let asked = (0..4).map(|number| question(Bench::Mmlu, number, "a"));
        let asked: Vec<Question> = asked.collect();
        let prompts = Prompts::new(Bench::Mmlu, asked.clone(), asked, 2, 1).unwrap();
        assert_eq!(prompts.n_with_own_answer(), 2);
    }
}
