//! Data of the tasks: the user's text, and questions with documents.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;

use longrope_data::sha256_hex;
use serde::Deserialize;

use super::kind::RulerTask;
use crate::error::{Error, Result};

/// Data for the tasks that need some.
#[derive(Clone, Debug, Default)]
pub struct RulerData {
    /// Text that needles are hidden in. The word list takes its words from it, too.
    pub essay: Option<Essay>,
    /// For `qa_1`.
    pub squad: Option<QaSet>,
    /// For `qa_2`.
    pub hotpotqa: Option<QaSet>,
}

impl RulerData {
    /// What a task needs and is missing.
    pub fn missing(&self, task: RulerTask) -> Option<&'static str> {
        let is_there = match task {
            RulerTask::Qa1 => self.squad.is_some(),
            RulerTask::Qa2 => self.hotpotqa.is_some(),
            _ => self.essay.is_some(),
        };
        task.needs().filter(|_| !is_there)
    }

    /// Fingerprint of the data of a task, if it uses any.
    pub(super) fn fingerprint(&self, task: RulerTask) -> Option<String> {
        let essay = || self.essay.as_ref().map(|essay| essay.fingerprint.clone());
        match task {
            RulerTask::Qa1 => self.squad.as_ref().map(|set| set.fingerprint.clone()),
            RulerTask::Qa2 => self.hotpotqa.as_ref().map(|set| set.fingerprint.clone()),
            RulerTask::Cwe => essay(),
            task => task.needs().and_then(|_| essay()),
        }
    }
}

/// The words of a text, repeated without end.
#[derive(Clone, Debug)]
pub struct Essay {
    words: Vec<String>,
    /// Different words of three letters and more, in lower case, sorted.
    pub(super) lexicon: Vec<String>,
    fingerprint: String,
}

impl Essay {
    /// Splits a text into words; `None` if it has none.
    pub fn new(text: &str) -> Option<Self> {
        let words: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
        if words.is_empty() {
            return None;
        }
        let lexicon: BTreeSet<String> = text
            .split(|c: char| !c.is_alphabetic())
            .filter(|word| word.len() > 2 && word.bytes().all(|byte| byte.is_ascii_lowercase()))
            .map(str::to_owned)
            .collect();
        Some(Self {
            words,
            lexicon: lexicon.into_iter().collect(),
            fingerprint: sha256_hex(&[text.as_bytes()]),
        })
    }

    /// The sentences of the first `n_words` words. A sentence ends with a word that ends with a
    /// full stop, an exclamation or a question mark, quotes aside.
    pub(super) fn sentences(&self, n_words: usize) -> Vec<String> {
        let mut sentences = Vec::new();
        let mut sentence: Vec<&str> = Vec::new();
        for word in self.words.iter().cycle().take(n_words) {
            sentence.push(word);
            let bare = word.trim_end_matches(['"', '\'', '”', '’', ')', ']']);
            if bare.ends_with(['.', '!', '?']) {
                sentences.push(sentence.join(" "));
                sentence.clear();
            }
        }
        if !sentence.is_empty() {
            sentences.push(sentence.join(" "));
        }
        sentences
    }
}

/// A question, and the documents that answer it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Qa {
    pub(super) question: String,
    pub(super) answers: Vec<String>,
    /// Documents that are required.
    pub(super) context: Vec<usize>,
    /// Documents of the same article, which are preferred to others.
    pub(super) more: Vec<usize>,
}

/// Questions and documents.
#[derive(Clone, Debug)]
pub struct QaSet {
    pub(super) questions: Vec<Qa>,
    pub(super) documents: Vec<String>,
    fingerprint: String,
}

#[derive(Deserialize)]
struct Squad {
    data: Vec<SquadArticle>,
}

#[derive(Deserialize)]
struct SquadArticle {
    paragraphs: Vec<SquadParagraph>,
}

#[derive(Deserialize)]
struct SquadParagraph {
    context: String,
    qas: Vec<SquadQuestion>,
}

#[derive(Deserialize)]
struct SquadQuestion {
    question: String,
    answers: Vec<SquadAnswer>,
    #[serde(default)]
    is_impossible: bool,
}

#[derive(Deserialize)]
struct SquadAnswer {
    text: String,
}

#[derive(Deserialize)]
struct HotpotQuestion {
    question: String,
    answer: String,
    context: Vec<(String, Vec<String>)>,
}

impl QaSet {
    /// Reads a file of SQuAD, version 1.1 or 2.0, as Stanford distributes it.
    ///
    /// # Errors
    /// If the file cannot be read, has another form, or has no question with an answer.
    pub fn read_squad(path: &Path) -> Result<Self> {
        let text = read(path)?;
        let squad: Squad = parse(path, &text)?;
        let paragraphs = || squad.data.iter().flat_map(|article| &article.paragraphs);
        let (documents, index) = sorted(paragraphs().map(|p| p.context.clone()));
        let mut questions = Vec::new();
        for article in &squad.data {
            for paragraph in &article.paragraphs {
                let own = index[&paragraph.context];
                let others = article.paragraphs.iter().map(|p| index[&p.context]);
                let mut more: Vec<usize> = others.filter(|i| *i != own).collect();
                more.sort_unstable();
                more.dedup();
                let answered = paragraph.qas.iter().filter(|qa| !qa.is_impossible);
                questions.extend(answered.filter(|qa| !qa.answers.is_empty()).map(|qa| {
                    Qa {
                        question: qa.question.clone(),
                        answers: qa
                            .answers
                            .iter()
                            .map(|answer| answer.text.clone())
                            .collect(),
                        context: vec![own],
                        more: more.clone(),
                    }
                }));
            }
        }
        Self::new(path, &text, questions, documents)
    }

    /// Reads a file of HotpotQA, distractor setting, as its authors distribute it.
    ///
    /// # Errors
    /// As [`Self::read_squad`].
    pub fn read_hotpotqa(path: &Path) -> Result<Self> {
        let text = read(path)?;
        let hotpot: Vec<HotpotQuestion> = parse(path, &text)?;
        let document =
            |(title, sentences): &(String, Vec<String>)| format!("{title}\n{}", sentences.concat());
        let all = hotpot.iter().flat_map(|qa| &qa.context).map(document);
        let (documents, index) = sorted(all);
        let questions = hotpot
            .iter()
            .map(|qa| Qa {
                question: qa.question.clone(),
                answers: vec![qa.answer.clone()],
                context: qa.context.iter().map(|it| index[&document(it)]).collect(),
                more: Vec::new(),
            })
            .collect();
        Self::new(path, &text, questions, documents)
    }

    fn new(path: &Path, text: &str, questions: Vec<Qa>, documents: Vec<String>) -> Result<Self> {
        if questions.is_empty() {
            return Err(Error::NoQuestions {
                path: path.to_owned(),
            });
        }
        Ok(Self {
            questions,
            documents,
            fingerprint: sha256_hex(&[text.as_bytes()]),
        })
    }

    /// Number of different documents.
    pub(super) fn n_documents(&self) -> usize {
        self.documents.len()
    }

    /// The question of a trial. Questions repeat after all have been asked.
    pub(super) fn question(&self, trial: usize) -> &Qa {
        &self.questions[trial % self.questions.len()]
    }
}

/// The distinct documents, sorted, and the index of each.
fn sorted(documents: impl Iterator<Item = String>) -> (Vec<String>, HashMap<String, usize>) {
    let documents: Vec<String> = documents.collect::<BTreeSet<_>>().into_iter().collect();
    let index = documents.iter().cloned().zip(0..).collect();
    (documents, index)
}

fn read(path: &Path) -> Result<String> {
    Ok(longrope_data::read_text(path)?)
}

fn parse<'a, T: Deserialize<'a>>(path: &Path, text: &'a str) -> Result<T> {
    serde_json::from_str(text).map_err(|source| Error::QaForm {
        path: path.to_owned(),
        source,
    })
}
