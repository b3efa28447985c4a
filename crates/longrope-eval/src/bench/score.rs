//! Scores from log-likelihoods.

use super::kind::Bench;
use super::python::strip;
use super::question::Question;
use crate::choice::argmax;

/// The exponential of a smaller number is 0 or inexact, nats.
const SMALLEST_EXPONENT: f64 = -700.0;

/// Scores of one question, one per metric of the benchmark, and the choice that the main metric selects.
///
/// `log_likelihoods` has the sum over the tokens of each choice, in nats.
///
/// - `acc`: the right choice has the largest sum;
/// - `acc_norm`, `acc_bytes`: the same for sums divided by the characters or bytes of the choice;
/// - `mc1`: the first choice, which is the right one, has the largest sum;
/// - `mc2`: the share of the right choices in the total probability of all choices.
pub fn score(bench: Bench, question: &Question, log_likelihoods: &[f64]) -> (Vec<f64>, usize) {
    let per = |length: fn(&str) -> usize| -> Vec<f64> {
        let lengths = question.choices.iter().map(|choice| length(choice) as f64);
        let values = log_likelihoods.iter().zip(lengths);
        values.map(|(value, length)| value / length).collect()
    };
    let hit = |index: usize| f64::from(u8::from(index == question.gold()));
    let plain = argmax(log_likelihoods);
    match bench {
        Bench::ArcEasy | Bench::ArcChallenge | Bench::HellaSwag => {
            let by_char = argmax(&per(|choice| choice.chars().count()));
            let by_byte = argmax(&per(str::len));
            (vec![hit(by_char), hit(plain), hit(by_byte)], by_char)
        }
        Bench::Mmlu | Bench::LongBench2 | Bench::BabiLong(_) => (vec![hit(plain)], plain),
        Bench::TruthfulQaMc1 => (vec![f64::from(u8::from(plain == 0))], plain),
        Bench::TruthfulQaMc2 => {
            // The probabilities of long answers are below the range of numbers; only their ratios count.
            let largest = log_likelihoods.iter().copied().fold(f64::MIN, f64::max);
            let shift = if largest < SMALLEST_EXPONENT {
                largest
            } else {
                0.0
            };
            let probs = log_likelihoods.iter().map(|value| (value - shift).exp());
            let probs: Vec<f64> = probs.collect();
            let right = probs.iter().zip(&question.right);
            let right: f64 = right.filter(|(_, right)| **right).map(|(p, _)| p).sum();
            (vec![right / probs.iter().sum::<f64>()], plain)
        }
    }
}

/// Score of a generated answer: 1 if it contains the expected text, in any case, otherwise 0. Control characters are line
/// breaks, and white space at the ends does not count.
pub fn score_generated(question: &Question, answer: &str) -> f64 {
    let is_control = |c: char| c <= '\x1f';
    let answer: String = strip(answer)
        .chars()
        .map(|c| if is_control(c) { '\n' } else { c })
        .collect();
    let expected = strip(&question.choices[0]).to_lowercase();
    f64::from(u8::from(strip(&answer).to_lowercase().contains(&expected)))
}

/// Standard error of a mean over subjects, pooled by their sizes as lm-evaluation-harness does for a group.
///
/// `sqrt( Σ (nᵢ - 1)·nᵢ·sᵢ² / (N - k) / N )` for `k` subjects with errors `sᵢ` and `N` questions in total; `None` if a
/// subject has only one question.
pub fn pooled_stderr(subjects: &[(f64, usize)]) -> Option<f64> {
    let n: usize = subjects.iter().map(|(_, n)| n).sum();
    if subjects.iter().any(|(_, n)| *n < 2) || subjects.is_empty() {
        return None;
    }
    let part = |(stderr, n): &(f64, usize)| (n - 1) as f64 * *n as f64 * stderr * stderr;
    let variance = subjects.iter().map(part).sum::<f64>() / (n - subjects.len()) as f64;
    Some((variance / n as f64).sqrt())
}

#[cfg(test)]
mod tests {
    use serde_json::Map;

    use super::super::records::Record;
    use super::*;

    fn question(choices: &[&str], right: &[bool]) -> Question {
        Question {
            text: String::new(),
            choices: choices.iter().map(|choice| (*choice).to_owned()).collect(),
            right: right.to_vec(),
            subject: None,
            record: Record {
                place: String::new(),
                columns: Map::new(),
            },
        }
    }

    #[test]
    fn long_choices_are_not_at_a_disadvantage() {
        // By sum the first, by characters (-1/3, -2/8, -2/3) the second, by bytes (-1/3, -2/8, -2/9) the third.
        let asked = question(&["abc", "abcdefgh", "東京湾"], &[false, true, false]);
        let (scores, choice) = score(Bench::ArcChallenge, &asked, &[-1.0, -2.0, -2.0]);
        assert_eq!((scores, choice), (vec![1.0, 0.0, 0.0], 1));
    }

    #[test]
    fn the_first_of_equals_wins() {
        assert_eq!(argmax(&[-2.0, -1.0, -1.0]), 1);
    }

    #[test]
    fn truthful_answers_share_the_probability() {
        let asked = question(&["a", "b", "c"], &[true, true, false]);
        let logs = [0.2_f64.ln(), 0.1_f64.ln(), 0.3_f64.ln()];
        let (scores, choice) = score(Bench::TruthfulQaMc2, &asked, &logs);
        assert!((scores[0] - 0.5).abs() < 1e-12);
        assert_eq!(choice, 2);
        assert_eq!(score(Bench::TruthfulQaMc1, &asked, &logs).0, [0.0]);
    }

    #[test]
    fn generated_answers_contain_the_expected_text() {
        let asked = question(&[" Hallway "], &[true]);
        let is_right = |text: &str| score_generated(&asked, text) > 0.5;
        assert!(is_right(" The HALLWAY.\n") && !is_right("hall way"));
    }

    #[test]
    fn answers_so_long_that_their_probabilities_are_zero_have_a_score() {
        let asked = question(&["a", "b"], &[true, false]);
        let (scores, _) = score(Bench::TruthfulQaMc2, &asked, &[-1000.0, -1000.0]);
        assert_eq!(scores, [0.5]);
    }

    #[test]
    fn one_subject_has_its_own_error() {
        // k 1: (n - 1)·n·s² / (n - 1) / n
        assert!((pooled_stderr(&[(0.25, 9)]).unwrap() - 0.25).abs() < 1e-12);
        assert_eq!(pooled_stderr(&[(0.25, 9), (0.0, 1)]), None);
    }
}
