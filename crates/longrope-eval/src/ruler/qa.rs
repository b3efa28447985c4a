//! Question answering among documents.

use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use super::data::QaSet;
use super::draw::some_of;
use super::sample::Sample;

/// Number of documents that a question requires.
pub(super) fn least_documents(set: Option<&QaSet>, trial: usize) -> usize {
    set.map_or(0, |set| set.question(trial).context.len())
}

/// A question among `n_documents`: those that answer it, then others of the same article, then
/// any others.
pub(super) fn sample(
    set: Option<&QaSet>,
    trial: usize,
    n_documents: usize,
    rng: &mut ChaCha8Rng,
) -> Sample {
    let Some(set) = set else {
        return Sample {
            prompt: String::new(),
            answers: Vec::new(),
        };
    };
    let qa = set.question(trial);
    let mut chosen = qa.context.clone();
    let n_more = n_documents.saturating_sub(chosen.len());
    if n_more <= qa.more.len() {
        chosen.extend(
            some_of(qa.more.len(), n_more, rng)
                .into_iter()
                .map(|i| qa.more[i]),
        );
    } else {
        chosen.extend(&qa.more);
        let others: Vec<usize> = (0..set.n_documents())
            .filter(|i| !chosen.contains(i))
            .collect();
        let n_others = n_more - qa.more.len();
        chosen.extend(
            some_of(others.len(), n_others, rng)
                .into_iter()
                .map(|i| others[i]),
        );
    }
    chosen.shuffle(rng);
    let documents: Vec<&str> = chosen.iter().map(|i| set.documents[*i].as_str()).collect();
    Sample {
        prompt: prompt(&documents, &qa.question),
        answers: qa.answers.clone(),
    }
}

pub(super) fn prompt(documents: &[&str], question: &str) -> String {
    let listed: Vec<String> = documents
        .iter()
        .zip(1..)
        .map(|(document, i)| format!("Document {i}:\n{document}"))
        .collect();
    let instruction = "Answer the question based on the given documents. Only give me the answer \
                       and do not output any other words.";
    format!(
        "{instruction}\n\nThe following are given documents.\n\n{}\n\n{instruction}\n\nQuestion: \
         {question} Answer:",
        listed.join("\n\n")
    )
}
