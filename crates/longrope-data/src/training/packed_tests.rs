use proptest::prelude::*;

use super::*;

const BOS: u32 = 1000;
const EOS: u32 = 1001;

/// Document `i` is `100 i + 0, 1, 2, ..`.
fn documents(lengths: &[u32]) -> Arc<[TokenDocument]> {
    let document = |(idx, n_tokens): (u32, &u32)| TokenDocument {
        source: format!("{idx}"),
        tokens: (0..*n_tokens).map(|token| 100 * idx + token).collect(),
    };
    (0..).zip(lengths).map(document).collect()
}

fn wrapping(window: usize) -> PackingConfig {
    PackingConfig {
        bos: Some(BOS),
        eos: Some(EOS),
        ..PackingConfig::new(window, 5)
    }
}

fn tokens(stream: &mut PackedStream, n_windows: usize) -> Vec<u32> {
    (0..n_windows)
        .flat_map(|_| stream.next_window().tokens)
        .collect()
}

#[test]
fn one_document_by_hand() {
    let mut stream = PackedStream::new(documents(&[3]), wrapping(4)).unwrap();
    let first = stream.next_window();
    assert_eq!(first.tokens, [BOS, 0, 1, 2]);
    assert_eq!(first.document_starts, [0]);
    let second = stream.next_window();
    assert_eq!(second.tokens, [EOS, BOS, 0, 1]);
    assert_eq!(second.document_starts, [0, 1]);
    let cursor = DataCursor {
        epoch: 1,
        n_done: 0,
        offset: 3,
    };
    assert_eq!(stream.cursor(), cursor);
}

#[test]
fn documents_that_are_wrapped_already_are_not_wrapped_twice() {
    let wrapped = TokenDocument {
        source: "a".to_owned(),
        tokens: vec![BOS, 7, EOS],
    };
    let mut stream = PackedStream::new([wrapped].into(), wrapping(6)).unwrap();
    assert_eq!(stream.next_window().tokens, [BOS, 7, EOS, BOS, 7, EOS]);
}

#[test]
fn the_order_is_pinned_and_differs_between_epochs() {
    let mut stream = PackedStream::new(documents(&[2; 6]), PackingConfig::new(12, 7)).unwrap();
    let firsts = |window: &TrainingWindow| -> Vec<u32> {
        window
            .tokens
            .iter()
            .step_by(2)
            .map(|token| token / 100)
            .collect()
    };
    let epochs: [Vec<u32>; 2] = [firsts(&stream.next_window()), firsts(&stream.next_window())];
    assert_eq!(epochs, [vec![4, 1, 3, 2, 5, 0], vec![3, 4, 1, 2, 0, 5]]);
}

#[test]
fn pieces_are_documents_of_their_own() {
    let config = PackingConfig {
        bos: Some(BOS),
        ..PackingConfig::short(6, 3, 1)
    };
    let mut stream = PackedStream::new(documents(&[6]), config).unwrap();
    let first = stream.next_window();
    assert_eq!(first.tokens, [BOS, 0, 1, 2, 3, 4]);
    assert_eq!(first.document_starts, [0, 3]);
    assert_eq!((first.confined, first.rope), (true, RopeChoice::Original));
    // The last token of the document, then the next epoch.
    let second = stream.next_window();
    assert_eq!(second.tokens, [5, BOS, 0, 1, 2, 3]);
    assert_eq!(second.document_lengths(), [1, 3, 2]);
}

#[test]
fn dropping_begins_every_window_with_a_document() {
    let config = PackingConfig {
        overflow: Overflow::Drop,
        ..wrapping(8)
    };
    let mut stream = PackedStream::new(documents(&[20, 3, 9]), config).unwrap();
    for _ in 0..20 {
        let window = stream.next_window();
        assert_eq!((window.tokens.len(), window.tokens[0]), (8, BOS));
    }
}

#[test]
fn weights_say_how_often_documents_occur() {
    let weights = [(0, 0.0), (4, 1.0), (8, 2.5)];
    let config = PackingConfig {
        length_weights: weights
            .map(|(at_least, weight)| LengthWeight { at_least, weight })
            .to_vec(),
        ..PackingConfig::new(4, 3)
    };
    let stream = PackedStream::new(documents(&[3, 4, 7, 8, 90]), config).unwrap();
    let mut counts = [0; 5];
    for epoch in 0..1000 {
        stream
            .order_of(epoch)
            .iter()
            .for_each(|idx| counts[*idx] += 1);
    }
    assert_eq!(counts[..3], [0, 1000, 1000]);
    assert!(
        counts[3..].iter().all(|n| (2400..2600).contains(n)),
        "{counts:?}"
    );
}

#[test]
fn what_cannot_be_trained_on_is_refused() {
    let new = |lengths: &[u32], config| PackedStream::new(documents(lengths), config);
    assert!(matches!(
        new(&[], wrapping(4)),
        Err(Error::NothingToTrainOn { n_documents: 0 })
    ));
    assert!(matches!(
        new(&[0, 0], wrapping(4)),
        Err(Error::NothingToTrainOn { n_documents: 2 })
    ));
    assert!(matches!(
        new(&[3], wrapping(1)),
        Err(Error::ContextTooShort { context: 1 })
    ));
    // Larger ones would take memory without end, or time.
    for weight in [-1.0, f64::NAN, f64::INFINITY, 10_001.0, 1e300] {
        let config = PackingConfig {
            length_weights: vec![LengthWeight {
                at_least: 0,
                weight,
            }],
            ..wrapping(4)
        };
        assert!(matches!(new(&[3], config), Err(Error::BadWeight { .. })));
    }
}

#[test]
fn places_that_do_not_exist_are_refused() {
    let mut stream = PackedStream::new(documents(&[3, 3]), wrapping(4)).unwrap();
    let cursor = |n_done, offset| DataCursor {
        epoch: 9,
        n_done,
        offset,
    };
    assert!(matches!(
        stream.seek(cursor(2, 0)),
        Err(Error::BadCursor { .. })
    ));
    assert!(matches!(
        stream.seek(cursor(1, 5)),
        Err(Error::BadCursor { .. })
    ));
    stream.seek(cursor(1, 4)).unwrap();
    assert_eq!(stream.next_window().tokens[..2], [EOS, BOS]);
}

#[test]
fn a_cursor_is_pinned() {
    let cursor = DataCursor {
        epoch: 1,
        n_done: 2,
        offset: 3,
    };
    let json = r#"{"epoch":1,"n-done":2,"offset":3}"#;
    assert_eq!(serde_json::to_string(&cursor).unwrap(), json);
    assert_eq!(serde_json::from_str::<DataCursor>(json).unwrap(), cursor);
}

proptest! {
    #[test]
    fn an_epoch_has_every_token_once(
        lengths in prop::collection::vec(0_u32..40, 1..8),
        window in 2_usize..30,
        seed: u64,
    ) {
        prop_assume!(lengths.iter().any(|n| *n > 0));
        let config = PackingConfig { seed, ..wrapping(window) };
        let documents = documents(&lengths);
        let mut stream = PackedStream::new(documents.clone(), config).unwrap();
        let n_tokens = stream.epoch_tokens();
        let mut found = tokens(&mut stream, n_tokens.div_ceil(window));
        found.truncate(n_tokens);
        let mut found: Vec<u32> = found.into_iter().filter(|token| *token < BOS).collect();
        found.sort_unstable();
        let expected: Vec<u32> = documents.iter().flat_map(|document| document.tokens.clone()).collect();
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn seeking_goes_on_exactly(
        lengths in prop::collection::vec(1_u32..40, 1..8),
        window in 2_usize..30,
        piece in prop::option::of(2_usize..30),
        drop: bool,
        n_before in 0_usize..20,
    ) {
        let config = PackingConfig {
            piece,
            overflow: if drop { Overflow::Drop } else { Overflow::Continue },
            length_weights: vec![LengthWeight { at_least: 20, weight: 1.5 }],
            ..wrapping(window)
        };
        let mut stream = PackedStream::new(documents(&lengths), config.clone()).unwrap();
        tokens(&mut stream, n_before);
        let mut resumed = PackedStream::new(documents(&lengths), config).unwrap();
        resumed.seek(stream.cursor()).unwrap();
        for _ in 0..20 {
            let window = stream.next_window();
            prop_assert_eq!(&resumed.next_window(), &window);
            prop_assert_eq!(window.document_lengths().iter().sum::<usize>(), window.tokens.len());
            let most = piece.unwrap_or(usize::MAX);
            prop_assert!(window.document_lengths().iter().all(|n| (1..=most).contains(n)));
        }
    }
}
