//! Prompts against those of NVIDIA's generator, and what holds for every sample.

use std::path::Path;

use longrope_data::needle::FILLER;
use serde_json::Value;

use super::data::Essay;
use super::niah::{Hay, between, depth_percent, listed, needle, prompt, shape};
use super::words::{WordList, common_prompt, frequent_prompt, zipf_counts};
use super::*;
use crate::report::{MetricValue, TaskResult};

fn reference() -> Value {
    serde_json::from_str(include_str!(
        "../../../../tests/fixtures/ruler/reference.json"
    ))
    .unwrap()
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap()
}

fn strings(value: &Value) -> Vec<String> {
    let list = value.as_array().unwrap().iter();
    list.map(|one| one.as_str().unwrap().to_owned()).collect()
}

fn tokenizer() -> Tokenizer {
    let assets = Path::new(env!("CARGO_MANIFEST_DIR")).join("../longrope/assets/tiny-llama-256");
    Tokenizer::from_model_dir(&assets).unwrap()
}

const ESSAY: &str = "It was late. The lamp burned low! Who was at the door? Nobody spoke of it. \
    They sat by the fire. Rain fell all night. In the morning the road was gone.";

fn data() -> RulerData {
    RulerData {
        essay: Essay::new(ESSAY),
        ..RulerData::default()
    }
}

fn trials(samples: usize, context: usize) -> RulerTrials {
    RulerTrials {
        samples,
        context,
        seed: 7,
    }
}

#[test]
fn needle_prompts_are_nvidias_to_the_byte() {
    for case in reference()["niah"].as_array().unwrap() {
        let task: RulerTask = text(case, "task").parse().unwrap();
        let shape = shape(task);
        let answers = strings(&case["answers"]);
        let (context, query) = (text(case, "context"), text(case, "query"));
        let one = answers.len() == 1;
        let whole = prompt(shape.values, one, context, query);
        assert_eq!(whole, text(case, "prompt"), "{task}");
        // Keys, values and places are what was drawn; the rest of the context follows from them.
        for answer in &answers {
            let queries = query.replace(", and ", ", ");
            let is_there = queries
                .split(", ")
                .any(|key| context.contains(&needle(shape.values, key, answer)));
            assert!(is_there, "{task}: {answer}");
        }
        match shape.hay {
            Hay::Essay => assert_eq!(rebuilt(context), context, "{task}"),
            Hay::Repeat => {
                let lines = context.lines().filter(|line| *line == FILLER).count();
                assert_eq!(lines + 1, context.lines().count(), "{task}");
            }
            Hay::Needles => {
                let is_needle = |line: &str| line.starts_with("One of the special magic ");
                assert!(context.lines().all(is_needle), "{task}");
            }
        }
    }
}

/// Takes the needles out of an essay and puts them back where they were.
fn rebuilt(context: &str) -> String {
    let all = Essay::new(context)
        .unwrap()
        .sentences(context.split_whitespace().count());
    let (mut sentences, mut needles, mut places) = (Vec::new(), Vec::new(), Vec::new());
    for sentence in all {
        if sentence.starts_with("One of the special magic") {
            places.push(sentences.len());
            needles.push(sentence);
        } else {
            sentences.push(sentence);
        }
    }
    between(&sentences, &needles, &places)
}

#[test]
fn depths_are_numpys() {
    let depths: Vec<usize> = (0..40).map(depth_percent).collect();
    assert_eq!(depths[..8], [0, 3, 5, 8, 10, 13, 15, 18]);
    assert_eq!((depths[20], depths[38], depths[39]), (51, 97, 100));
}

#[test]
fn variable_chains_are_nvidias_to_the_byte() {
    for case in reference()["vt"].as_array().unwrap() {
        let n_noises = usize::try_from(case["noises"].as_u64().unwrap()).unwrap();
        let expected = text(case, "prompt");
        let names = strings(&case["names"]);
        let start = expected.find(&format!("VAR {} = ", names[0])).unwrap();
        let value = &expected[start..].split(' ').nth(3).unwrap()[..5];
        let chain = trace::chain(&names, value);
        // The places are where the statements stand among the lines; what follows a statement does
        // not move it.
        let body = expected.split_once("text.\n\n").unwrap().1;
        let mut places: Vec<usize> = Vec::new();
        for (i, statement) in chain.iter().enumerate() {
            let stands = |place: &usize| {
                let places = [places.as_slice(), &[*place]].concat();
                trace::context(n_noises, &chain[..=i], &places).find(statement.as_str())
            };
            let all = 0..=trace::lines(n_noises).len();
            let place = all
                .into_iter()
                .find(|place| stands(place) == body.find(statement));
            places.push(place.unwrap());
        }
        let context = trace::context(n_noises, &chain, &places);
        assert_eq!(trace::prompt(&context, value), expected);
    }
}

#[test]
fn word_lists_and_coded_texts_are_nvidias_to_the_byte() {
    let reference = reference();
    let case = &reference["cwe"];
    let expected = text(case, "prompt");
    let list = |part: &str| -> Vec<String> {
        let entries = part.split(' ').skip(1).step_by(2);
        entries.map(str::to_owned).collect()
    };
    let parts: Vec<&str> = expected.split('\n').collect();
    let solved = parts[2].rsplit_once("are:").unwrap().1;
    let example = WordList {
        list: list(parts[1]),
        common: list(solved),
    };
    let own = list(parts[4]);
    assert_eq!(common_prompt(&example, &own), expected);
    for word in strings(&case["answers"]) {
        assert_eq!(own.iter().filter(|other| **other == word).count(), 6);
    }

    let case = &reference["fwe"];
    let expected = text(case, "prompt");
    let coded = expected.split_once("coded words. ").unwrap().1;
    let coded = coded.split_once("\nQuestion").unwrap().0;
    assert_eq!(frequent_prompt(coded), expected);
    let number = |key: &str| usize::try_from(case[key].as_u64().unwrap()).unwrap();
    let counts = zipf_counts(number("n_words"), number("vocab_size"));
    assert_eq!(coded.split(' ').count(), counts.iter().sum::<usize>());
    for (word, n) in strings(&case["answers"]).iter().zip(&counts[1..]) {
        assert_eq!(coded.split(' ').filter(|other| other == word).count(), *n);
    }
}

#[test]
fn question_prompts_are_nvidias_to_the_byte() {
    let reference = reference();
    let expected = text(&reference["qa"], "prompt");
    let mut documents: Vec<(usize, &str)> = ["First text.", "Second text.\nTwo lines.", "Third."]
        .into_iter()
        .map(|document| (expected.find(document).unwrap(), document))
        .collect();
    documents.sort_unstable();
    let documents: Vec<&str> = documents
        .into_iter()
        .map(|(_, document)| document)
        .collect();
    assert_eq!(qa::prompt(&documents, "Which is it?"), expected);
}

#[test]
fn samples_fill_the_context_and_hold_their_answers() {
    let (tokenizer, data, context) = (tokenizer(), data(), 1600);
    for task in RulerTask::ALL {
        if data.missing(task).is_some() {
            continue;
        }
        let ruler = Ruler::new(task, &tokenizer, &data, trials(2, context), &[1]).unwrap();
        let (sample, tokens) = ruler.sample(1).unwrap();
        let n = tokens.len() + task.tokens_to_generate();
        assert!(
            n <= context && n + 120 > context,
            "{task}: {n} of {context}"
        );
        assert!(
            sample
                .answers
                .iter()
                .all(|answer| sample.prompt.contains(answer))
        );
        assert!(!sample.prompt.ends_with(' '));
        assert_eq!(ruler.sample(1).unwrap().0, sample);
        assert_ne!(ruler.sample(0).unwrap().0, sample);
    }
}

/// The keys that a prompt asks for.
fn asked_keys(prompt: &str) -> Vec<String> {
    let (_, question) = prompt.rsplit_once("What ").unwrap();
    let (_, keys) = question.split_once(" for ").unwrap();
    let (keys, _) = keys.split_once(" mentioned").unwrap();
    let keys = keys.replace(", and ", ", ");
    keys.split(", ").map(str::to_owned).collect()
}

#[test]
fn no_other_needle_has_the_key_that_is_asked_for() {
    // There are 2,400 keys, and more lines.
    for seed in 0..4 {
        let rng = &mut ChaCha8Rng::seed_from_u64(seed);
        let sample = super::niah::sample(RulerTask::NiahMultikey2, None, 6000, rng);
        let keys = asked_keys(&sample.prompt);
        assert_eq!(keys.len(), 1);
        let beginning = format!("One of the special magic numbers for {} is: ", keys[0]);
        let lines = sample.prompt.lines();
        let values: Vec<&str> = lines
            .filter_map(|line| line.strip_prefix(&beginning))
            .collect();
        assert_eq!(values, [format!("{}.", sample.answers[0])]);
    }
}

#[test]
fn four_keys_are_four_different_ones() {
    let essay = Essay::new(ESSAY);
    let rng = &mut ChaCha8Rng::seed_from_u64(7);
    // About one of 400 samples would have a key twice.
    for _ in 0..4000 {
        let sample = super::niah::sample(RulerTask::NiahMultiquery, essay.as_ref(), 4, rng);
        let mut keys = asked_keys(&sample.prompt);
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys.len(), 4, "{}", sample.prompt);
    }
}

#[test]
fn a_later_sample_that_does_not_fit_is_refused_at_once() {
    // The first question has a short document, the second a long one.
    let folder = tempfile::tempdir().unwrap();
    let squad = folder.path().join("squad.json");
    let long = "Lima is in Peru. ".repeat(40);
    let paragraph = |context: &str, question: &str, answer: &str| {
        serde_json::json!({"context": context, "qas": [{"question": question,
            "answers": [{"text": answer, "answer_start": 0}]}]})
    };
    let text = serde_json::json!({"data": [{"paragraphs": [
        paragraph("Oslo is in Norway.", "Where is Oslo?", "Norway"),
        paragraph(&long, "Where is Lima?", "Peru"),
    ]}]});
    fs_err::write(&squad, text.to_string()).unwrap();
    let data = RulerData {
        squad: Some(QaSet::read_squad(&squad).unwrap()),
        ..RulerData::default()
    };
    let tokenizer = tokenizer();
    let new = |samples, context| {
        let trials = trials(samples, context);
        Ruler::new(RulerTask::Qa1, &tokenizer, &data, trials, &[])
    };
    let task = new(2, 4096).unwrap();
    let [first, second] = [0, 1].map(|trial| task.least_tokens(trial).unwrap());
    assert!(first < second);
    new(1, first).unwrap();
    new(2, second).unwrap();
    let error = new(2, second - 1).unwrap_err();
    assert!(
        matches!(error, Error::ContextTooShort { needed, .. } if needed == second),
        "{error}"
    );
}

#[test]
fn questions_come_from_the_files_of_their_data_sets() {
    let folder = std::env::temp_dir().join(format!("longrope-ruler-{}", std::process::id()));
    fs_err::create_dir_all(&folder).unwrap();
    let (squad, hotpotqa) = (folder.join("squad.json"), folder.join("hotpot.json"));
    fs_err::write(
        &squad,
        r#"{"version":"v2.0","data":[{"title":"T","paragraphs":[
            {"context":"Oslo is in Norway.","qas":[
                {"question":"Where is Oslo?","id":"1","answers":[{"text":"Norway","answer_start":11}],"is_impossible":false},
                {"question":"Who?","id":"2","answers":[],"is_impossible":true}]},
            {"context":"Lima is in Peru.","qas":[]}]}]}"#,
    )
    .unwrap();
    fs_err::write(
        &hotpotqa,
        r#"[{"_id":"5","question":"Which?","answer":"yes","supporting_facts":[],
            "context":[["A",["One. ","Two."]],["B",["Three."]]],"type":"bridge","level":"hard"}]"#,
    )
    .unwrap();
    let data = RulerData {
        essay: None,
        squad: Some(QaSet::read_squad(&squad).unwrap()),
        hotpotqa: Some(QaSet::read_hotpotqa(&hotpotqa).unwrap()),
    };
    let tokenizer = tokenizer();
    let sample = |task| {
        let ruler = Ruler::new(task, &tokenizer, &data, trials(1, 1024), &[]).unwrap();
        ruler.sample(0).unwrap().0
    };
    let first = sample(RulerTask::Qa1);
    assert_eq!(first.answers, ["Norway"]);
    assert!(first.prompt.contains("Lima") && first.prompt.contains("Document 2:\n"));
    assert!(first.prompt.ends_with("Question: Where is Oslo? Answer:"));
    let second = sample(RulerTask::Qa2);
    assert!(
        second.prompt.contains(":\nA\nOne. Two."),
        "{}",
        second.prompt
    );
    assert!(QaSet::read_squad(&hotpotqa).is_err());
    let trials = trials(1, 1024);
    let lacking = Ruler::new(RulerTask::NiahSingle2, &tokenizer, &data, trials, &[]);
    assert!(matches!(lacking, Err(Error::MissingData { .. })));
    fs_err::remove_dir_all(&folder).unwrap();
}

#[test]
fn scores_are_substrings_whatever_the_case() {
    let answers = ["Alpha".to_owned(), "beta".to_owned()];
    assert!((string_match_all("ALPHA gamma", &answers) - 0.5).abs() < 1e-12);
    assert!((string_match_part("ALPHA gamma", &answers) - 1.0).abs() < 1e-12);
    assert!(string_match_part("gamma", &answers).abs() < 1e-12);
    assert_eq!(listed(&["a"]), "a");
    assert_eq!(listed(&["a", "b", "c"]), "a, b, and c");
}

#[test]
fn averages_are_plain_and_weighted_by_rank() {
    // Worked out by hand: weights 1 to 6, and 6 to 1, over 21.
    let scores = [96.7, 96.6, 96.4, 96.0, 95.4, 95.1];
    let results: Vec<TaskResult> = scores
        .iter()
        .zip([4096, 8192, 16_384, 32_768, 65_536, 131_072])
        .map(|(score, context)| TaskResult {
            task: "ruler/vt".to_owned(),
            task_version: 1,
            rope: "yarn".to_owned(),
            context,
            n: 1,
            metric: MetricValue::of(&Metric::higher("string_match_all"), &[score / 100.0]),
            seed: 1,
            ..TaskResult::default()
        })
        .collect();
    let averages = RulerAverages::of("yarn", &results).unwrap();
    assert!((averages.mean - 96.03).abs() < 0.01, "{averages:?}");
    assert!((averages.weighted_inc - 95.75).abs() < 0.01, "{averages:?}");
    assert!((averages.weighted_dec - 96.32).abs() < 0.01, "{averages:?}");
    assert!(RulerAverages::of("none", &results).is_none());
}

#[test]
fn averages_are_over_the_tasks_that_fit_every_context() {
    let result = |task: &str, context: usize, score: f64| TaskResult {
        task: format!("ruler/{task}"),
        rope: "yarn".to_owned(),
        context,
        metric: MetricValue::of(&Metric::higher("string_match_all"), &[score]),
        ..TaskResult::default()
    };
    // `cwe` is hard, and does not fit into the shorter context.
    let results = [
        result("vt", 512, 0.9),
        result("vt", 1024, 0.8),
        result("cwe", 1024, 0.0),
    ];
    let averages = RulerAverages::of("yarn", &results).unwrap();
    assert_eq!(averages.tasks, ["ruler/vt"]);
    let means: Vec<f64> = averages.by_context.iter().map(|(_, mean)| *mean).collect();
    assert!((means[0] - 90.0).abs() < 1e-9 && (means[1] - 80.0).abs() < 1e-9);
    assert!((averages.mean - 85.0).abs() < 1e-9, "{averages:?}");
    assert_eq!(
        RulerAverages::of("yarn", &[results[0].clone(), results[2].clone()]),
        None
    );
}
