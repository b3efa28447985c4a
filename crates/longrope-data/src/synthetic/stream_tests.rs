use super::*;
use crate::fingerprint::sha256_hex;
use crate::fixtures::{counting_document, sentencepiece_json, tokenizer, tokenizer_from};
use crate::needle::NeedleParts;

const BOS: u32 = 0;
const EOS: u32 = 260;

fn config(kind: SyntheticKind, window: usize, corpus_share: f64) -> SyntheticConfig {
    SyntheticConfig {
        bos: Some(BOS),
        eos: Some(EOS),
        corpus_share,
        ..SyntheticConfig::new(kind, window, 3)
    }
}

fn stream_of(config: SyntheticConfig, corpus: &[TokenDocument]) -> Result<SyntheticStream> {
    SyntheticStream::new(config, Arc::new(tokenizer()), corpus.into())
}

/// Both begin with BOS. No text has the tokens 250 and up.
fn corpus() -> [TokenDocument; 2] {
    [
        counting_document("corpus", 5),
        counting_document("more", 90),
    ]
}

fn stream(kind: SyntheticKind, window: usize, corpus_share: f64) -> Result<SyntheticStream> {
    stream_of(config(kind, window, corpus_share), &corpus())
}

fn text(tokens: &[u32]) -> String {
    tokenizer().decode(tokens).unwrap()
}

/// The end of a document: after its last answer and a full stop.
fn end(window: &TrainingWindow) -> usize {
    let weights = window.token_weights();
    weights.iter().rposition(|weight| *weight > 1.0).unwrap() + 2
}

/// The tokens that weigh more than 1, as one text per run.
fn answers(window: &TrainingWindow) -> Vec<String> {
    let weights = window.loss_weights.as_ref().unwrap();
    let mut runs: Vec<Vec<u32>> = Vec::new();
    let mut was_answer = false;
    for (token, weight) in window.tokens.iter().zip(weights) {
        let is_answer = *weight > 1.0;
        match runs.last_mut() {
            Some(run) if is_answer && was_answer => run.push(*token),
            _ if is_answer => runs.push(vec![*token]),
            _ => {}
        }
        was_answer = is_answer;
    }
    runs.iter().map(|run| text(run)).collect()
}

#[test]
fn copies_are_copies_and_the_first_time_does_not_count() {
    let kind = SyntheticKind::Copying {
        min_length: 3,
        max_length: 5,
        alphabet: 12,
    };
    let mut stream = stream(kind, 20, 0.5).unwrap();
    let digit = |digit: &str| tokenizer().token_id(digit).unwrap();
    assert!(stream.alphabet.contains(&digit("0")) && stream.alphabet.contains(&digit("9")));
    assert!(!stream.alphabet.contains(&BOS) && !stream.alphabet.contains(&EOS));
    assert_eq!(stream.alphabet.len(), 12);
    let mut lengths = Vec::new();
    for _ in 0..50 {
        let window = stream.next_window().unwrap();
        let weights = &window.token_weights()[1..];
        let length = weights.iter().position(|weight| *weight > 0.0).unwrap();
        assert!(weights[length..].iter().all(|weight| *weight > 0.0));
        assert_eq!((window.tokens[0], window.tokens.len()), (BOS, 20));
        let copies = &window.tokens[1..];
        assert!((length..19).all(|at| copies[at] == copies[at - length]));
        lengths.push(length);
    }
    assert!([3, 4, 5].iter().all(|length| lengths.contains(length)));
}

#[test]
fn a_passkey_document_is_the_text_of_the_field() {
    let mut stream = stream(SyntheticKind::Passkey {}, 900, 0.0).unwrap();
    let mut ends = Vec::new();
    for _ in 0..60 {
        let window = stream.next_window().unwrap();
        assert_eq!((window.tokens[0], window.tokens.len()), (BOS, 900));
        let end = end(&window);
        if end > 900 || answers(&window)[0].len() < 5 {
            continue; // cut off within the answer
        }
        ends.push(end);
        assert!(window.tokens.get(end).is_none_or(|next| *next == EOS));
        assert!(window.tokens.get(end + 1).is_none_or(|next| *next == BOS));
        let text = text(&window.tokens[..end]);
        let lines: Vec<&str> = text.lines().collect();
        let key: u32 = answers(&window)[0].parse().unwrap();
        assert!((10_000..100_000).contains(&key));
        let parts = NeedleParts::PASSKEY.filled("", &key.to_string());
        assert_eq!(lines[0], parts.introduction);
        assert!(lines.contains(&parts.statement.as_str()), "{text}");
        let question = format!("{} {key}.", parts.question);
        assert_eq!(*lines.last().unwrap(), question);
        let fillers = lines
            .iter()
            .filter(|line| line.starts_with("The grass is green."));
        assert!(fillers.count() >= 1);
        // Piece by piece gives the tokens of the whole.
        let whole = tokenizer().encode(&text, true).unwrap();
        assert_eq!(whole, window.tokens[..end]);
    }
    let (least, most) = (ends.iter().min().unwrap(), ends.iter().max().unwrap());
    assert!(*least < 720 && *most > 880, "{ends:?}");
}

#[test]
fn keys_are_hidden_everywhere() {
    let mut stream = stream(SyntheticKind::Passkey {}, 1000, 0.0).unwrap();
    let depths: Vec<usize> = (0..200)
        .map(|_| {
            text(&stream.next_window().unwrap().tokens)
                .find("Remember it")
                .unwrap()
        })
        .collect();
    let (least, most) = (depths.iter().min().unwrap(), depths.iter().max().unwrap());
    assert!(most - least > 350, "{least} {most}");
}

#[test]
fn the_corpus_fills_its_share() {
    let mut stream = stream(SyntheticKind::Passkey {}, 900, 0.25).unwrap();
    let n_corpus = (0..400)
        .filter(|_| {
            let window = stream.next_window().unwrap();
            let end = end(&window).min(900);
            !text(&window.tokens[..end]).contains("The grass")
        })
        .count();
    assert!((70..130).contains(&n_corpus), "{n_corpus}");
}

#[test]
fn answers_to_questions_are_in_the_facts() {
    let mut stream = stream(SyntheticKind::RECALL, 700, 0.0).unwrap();
    let mut n_answers = 0;
    for _ in 0..60 {
        let window = stream.next_window().unwrap();
        assert_eq!(window.tokens.len(), 700);
        let text = text(&window.tokens[..end(&window).min(700)]);
        let mut answers = answers(&window);
        answers.pop(); // the last may be cut off
        for answer in answers {
            assert_eq!(text.matches(&answer).count() % 2, 0, "{answer} in {text}");
            n_answers += 1;
        }
    }
    assert!(n_answers > 150, "{n_answers}");
}

#[test]
fn a_stream_goes_on_from_any_place() {
    for kind in [
        SyntheticKind::COPYING,
        SyntheticKind::Passkey {},
        SyntheticKind::RECALL,
    ] {
        let mut first = stream(kind, 800, 0.5).unwrap();
        for _ in 0..5 {
            first.next_window().unwrap();
        }
        let mut second = stream(kind, 800, 0.5).unwrap();
        second.seek(first.cursor());
        assert_eq!(first.next_window().unwrap(), second.next_window().unwrap());
        assert_ne!(
            first.next_window().unwrap(),
            stream(kind, 800, 0.5).unwrap().numbered(0).unwrap()
        );
    }
}

fn with_shortest(shortest: usize) -> Result<SyntheticStream> {
    let config = SyntheticConfig {
        bos: Some(BOS),
        eos: Some(EOS),
        corpus_share: 0.0,
        shortest: Some(shortest),
        ..SyntheticConfig::new(SyntheticKind::Passkey {}, 8192, 3)
    };
    SyntheticStream::new(config, Arc::new(tokenizer()), Arc::new([]))
}

#[test]
fn documents_of_all_lengths_share_a_window() {
    let mut stream = with_shortest(512).unwrap();
    let windows: Vec<TrainingWindow> = (0..200).map(|_| stream.next_window().unwrap()).collect();
    for window in &windows {
        assert_eq!(window.tokens.len(), 8192);
        assert_eq!(window.confined, window.document_starts.len() > 1);
        for start in &window.document_starts {
            assert_eq!(window.tokens[*start], BOS);
        }
    }
    let lengths: Vec<usize> = windows
        .iter()
        .flat_map(TrainingWindow::document_lengths)
        .collect();
    assert!(lengths.iter().all(|length| (512..=8192).contains(length)));
    // Those that end a window are left out: they are as long as there is room.
    let drawn = windows.iter().flat_map(|window| {
        let lengths = window.document_lengths();
        let (_, drawn) = lengths.split_last().unwrap();
        drawn.to_vec()
    });
    let drawn: Vec<usize> = drawn.collect();
    let share = |range: std::ops::Range<usize>| {
        drawn.iter().filter(|length| range.contains(length)).count() as f64 / drawn.len() as f64
    };
    // Long ones seldom fit, so the shares of doublings fall, but slowly.
    let shares = [512..1024, 1024..2048, 2048..4096, 4096..8192].map(share);
    assert!(
        shares.is_sorted_by(|a, b| a > b) && shares[3] > 0.05,
        "{shares:?}"
    );
    assert!(windows.iter().any(|window| window.document_starts == [0]));
    // Each asks for its own key.
    let n_answers = answers(&windows[0]).len();
    assert_eq!(n_answers, windows[0].document_starts.len());

    assert!(matches!(
        with_shortest(9000),
        Err(Error::WindowTooShort {
            document: "shortest",
            found: 8192,
            needed: 9000
        })
    ));
    assert!(matches!(
        with_shortest(100),
        Err(Error::WindowTooShort {
            document: "passkey",
            ..
        })
    ));
}

#[test]
fn what_does_not_fit_is_refused() {
    assert!(matches!(
        stream(SyntheticKind::Passkey {}, 100, 0.5),
        Err(Error::WindowTooShort { document: "passkey", found, needed }) if found < 110 && needed > 200
    ));
    assert!(matches!(
        stream(SyntheticKind::RECALL, 20, 0.5),
        Err(Error::WindowTooShort {
            document: "recall",
            ..
        })
    ));
    assert!(matches!(
        stream(SyntheticKind::COPYING, 16, 0.5),
        Err(Error::WindowTooShort {
            document: "copying",
            ..
        })
    ));
    assert!(matches!(
        stream(SyntheticKind::Recall { most_facts: 0 }, 700, 0.5),
        Err(Error::ZeroCount { name: "most-facts" })
    ));
    assert!(matches!(
        stream(SyntheticKind::RECALL, 700, -0.5),
        Err(Error::BadWeight { .. })
    ));
}

#[test]
fn windows_as_long_as_an_error_says_are_long_enough_for_a_whole_run() {
    for kind in [SyntheticKind::Passkey {}, SyntheticKind::RECALL] {
        let Err(Error::WindowTooShort { found, needed, .. }) = stream(kind, 20, 0.0) else {
            panic!("{kind:?} does not fit into 20 tokens");
        };
        assert_eq!(found, 20);
        let mut stream = stream(kind, needed, 0.0).unwrap();
        for _ in 0..2000 {
            assert_eq!(stream.next_window().unwrap().tokens.len(), needed);
        }
    }
}

#[test]
fn pieces_have_the_tokens_of_the_whole_text_where_texts_begin_with_a_space() {
    let tokenizer = Arc::new(tokenizer_from(&sentencepiece_json()));
    for kind in [SyntheticKind::Passkey {}, SyntheticKind::RECALL] {
        let config = SyntheticConfig {
            bos: Some(1),
            corpus_share: 0.0,
            ..SyntheticConfig::new(kind, 900, 3)
        };
        let stream = SyntheticStream::new(config, Arc::clone(&tokenizer), Arc::new([]));
        let mut stream = stream.unwrap();
        for _ in 0..20 {
            let window = stream.next_window().unwrap();
            let weights = window.token_weights();
            let answer = weights.iter().rposition(|weight| *weight > 1.0).unwrap();
            let tokens = &window.tokens[..=answer];
            let text = tokenizer.decode(tokens).unwrap();
            assert_eq!(tokenizer.encode(&text, true).unwrap(), tokens, "{text}");
        }
    }
}

#[test]
fn text_of_a_corpus_has_no_beginnings_and_ends_in_the_middle() {
    let with = |before: &[u32], after: &[u32]| {
        corpus().map(|document| TokenDocument {
            tokens: [before, &document.tokens[1..], after].concat(),
            ..document
        })
    };
    let (whole, inner) = (with(&[BOS], &[EOS]), with(&[], &[]));
    let as_before = |kind| SyntheticConfig {
        keeps_ends: true,
        ..config(kind, 800, 1.0)
    };
    // A beginning of a text is that of a document, or follows the end of one.
    let is_text = |window: &TrainingWindow| {
        let mut pairs = window.tokens.windows(2);
        window.tokens[0] == BOS && pairs.all(|pair| pair[1] != BOS || pair[0] == EOS)
    };
    for kind in [SyntheticKind::Passkey {}, SyntheticKind::RECALL] {
        let mut found = stream_of(config(kind, 800, 1.0), &whole).unwrap();
        let mut expected = stream_of(as_before(kind), &inner).unwrap();
        let mut before = stream_of(as_before(kind), &whole).unwrap();
        let mut n_texts = 0;
        for _ in 0..20 {
            let window = found.next_window().unwrap();
            assert!(is_text(&window), "{:?}", window.tokens);
            assert_eq!(window, expected.next_window().unwrap());
            n_texts += usize::from(is_text(&before.next_window().unwrap()));
        }
        assert!(n_texts < 20, "{kind:?}");
    }
    // Without anything between the ends, there is no text.
    let empty = [TokenDocument {
        source: String::new(),
        tokens: vec![BOS, EOS],
    }];
    let mut stream = stream_of(config(SyntheticKind::RECALL, 800, 1.0), &empty).unwrap();
    assert!(text(&stream.next_window().unwrap().tokens).contains("The grass"));
}

/// As runs that earlier versions began go on: with the beginnings of the documents of the corpus.
#[test]
fn the_tokens_of_every_kind_are_pinned() {
    let print = |kind| {
        let config = SyntheticConfig {
            keeps_ends: true,
            ..config(kind, 800, 0.5)
        };
        let mut stream = stream_of(config, &corpus()).unwrap();
        let mut bytes = Vec::new();
        for _ in 0..40 {
            let window = stream.next_window().unwrap();
            bytes.extend(window.tokens.iter().flat_map(|token| token.to_le_bytes()));
            let weights = window.loss_weights.unwrap();
            bytes.extend(weights.iter().flat_map(|weight| weight.to_le_bytes()));
        }
        sha256_hex(&[&bytes])
    };
    let kinds = [
        SyntheticKind::COPYING,
        SyntheticKind::Passkey {},
        SyntheticKind::RECALL,
    ];
    let expected = [
        "3643286692e87fee4464a57db898cf4d0cb2651e3fa941699f011d334138b2a5",
        "cbbcd908c5f561dd9ae5cd41cc3cc61eaa71948036595251b1745982c34cff31",
        "8418efbcf4dde6f57fe12a89bccc2b3bf9af654a8ddbfd00fc270bab24733b6f",
    ];
    assert_eq!(kinds.map(print), expected);
}
