use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::fixtures::{sentencepiece_json, tokenizer, tokenizer_from, tokenizer_json};

#[test]
fn encodes_with_and_without_special_tokens() {
    let tokenizer = tokenizer();
    let [the, space_the, space_a] =
        ["the", "Ġthe", "Ġa"].map(|token| tokenizer.token_id(token).unwrap());
    assert_eq!(
        tokenizer.encode("the the a", false).unwrap(),
        [the, space_the, space_a]
    );
    assert_eq!(
        tokenizer.encode("the the a", true).unwrap(),
        [0, the, space_the, space_a]
    );
    assert_eq!(tokenizer.encode("", true).unwrap(), [0]);
    assert_eq!(tokenizer.vocab_size(), 261);
}

#[test]
fn decode_turns_back_any_text() {
    let tokenizer = tokenizer();
    let text = "the  naïve\n\tFox — 東京 🦊";
    assert_eq!(
        tokenizer
            .decode(&tokenizer.encode(text, true).unwrap())
            .unwrap(),
        text
    );
}

#[test]
fn the_first_word_of_a_continuation_keeps_its_space() {
    let mut json = sentencepiece_json();
    json["decoder"] = json!({"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": false});
    for tokenizer in [tokenizer_from(&json), tokenizer()] {
        let prompt = tokenizer.encode_prompt("The key is").unwrap();
        for text in [" 12345", "12345", ".", "", " a b"] {
            let tokens = tokenizer.encode_continuation(text).unwrap();
            let found = tokenizer.decode_continuation(&prompt, &tokens).unwrap();
            assert_eq!(found, text);
        }
        // Of a long text, only the last tokens are decoded.
        let long = prompt.repeat(40);
        let tokens = tokenizer.encode_continuation(" 1").unwrap();
        assert_eq!(tokenizer.decode_continuation(&long, &tokens).unwrap(), " 1");
    }
}

#[test]
fn characters_of_several_tokens_are_decoded_after_any_prompt() {
    // Three bytes each, so the tokens that are decoded before the continuation begin within a character.
    let khmer = "ភាសាខ្មែរជាភាសាផ្លូវ";
    assert_eq!(khmer.chars().count(), 20);
    assert_ne!(DECODED_BEFORE % 3, 0);
    for tokenizer in [tokenizer_from(&sentencepiece_json()), tokenizer()] {
        for prompt in [khmer.to_owned(), format!("The text: {khmer}"), "a".into()] {
            let prompt = tokenizer.encode_prompt(&prompt).unwrap();
            let text = "ផ្លូវការ. It é🦊 is";
            let tokens = tokenizer.encode_continuation(text).unwrap();
            let decode = |n: usize| {
                tokenizer
                    .decode_continuation(&prompt, &tokens[..n])
                    .unwrap()
            };
            assert_eq!(decode(tokens.len()), text);
            for n in 0..tokens.len() {
                let shorter = decode(n);
                let whole = shorter.trim_end_matches('\u{fffd}');
                assert!(text.starts_with(whole), "{n}: {shorter}");
                assert!(shorter.len() <= whole.len() + '\u{fffd}'.len_utf8());
            }
            // Only the incomplete character is lost, and what follows it is not.
            assert_eq!(decode(8), "ផ្\u{fffd}");
            let cut = [&tokens[..8], &tokens[9..]].concat();
            let found = tokenizer.decode_continuation(&prompt, &cut).unwrap();
            assert_eq!(found, text.replacen('ល', "\u{fffd}", 1));
        }
    }
}

#[test]
fn a_character_that_begins_before_belongs_to_the_continuation() {
    for tokenizer in [tokenizer_from(&sentencepiece_json()), tokenizer()] {
        let tokens = tokenizer.encode_prompt("a é東 b").unwrap();
        // The last of them is the second byte of the character.
        let before = tokens.len() - 3;
        let (before, tokens) = tokens.split_at(before);
        assert!(tokenizer.decode(before).unwrap().ends_with('\u{fffd}'));
        let found = tokenizer.decode_continuation(before, tokens).unwrap();
        assert_eq!(found, "東 b");
    }
}

#[test]
fn truncation_and_padding_in_the_file_are_ignored() {
    let mut json = tokenizer_json();
    json["truncation"] = json!({
        "direction": "Right", "max_length": 4, "strategy": "LongestFirst", "stride": 0
    });
    json["padding"] = json!({
        "strategy": { "Fixed": 8 }, "direction": "Right", "pad_to_multiple_of": null, "pad_id": 0,
        "pad_type_id": 0, "pad_token": "<s>"
    });
    assert_eq!(
        tokenizer_from(&json).encode("bcdefg", false).unwrap().len(),
        6
    );
    assert_eq!(tokenizer_from(&json).encode("bc", false).unwrap().len(), 2);
}

#[test]
fn files_and_folders_that_do_not_fit_are_named() {
    let dir = tempfile::tempdir().unwrap();
    assert!(matches!(
        Tokenizer::from_model_dir(dir.path()),
        Err(Error::NoTokenizer {
            has_sentencepiece: false,
            ..
        })
    ));
    let path = dir.path().join("tokenizer.json");
    assert!(matches!(
        Tokenizer::from_file(&path),
        Err(Error::NotFound { .. })
    ));
    fs_err::write(&path, "{}").unwrap();
    assert!(matches!(
        Tokenizer::from_file(&path),
        Err(Error::BadTokenizer { .. })
    ));
    fs_err::write(&path, tokenizer_json().to_string()).unwrap();
    let from_dir = Tokenizer::from_model_dir(dir.path()).unwrap();
    assert_eq!(from_dir.fingerprint(), tokenizer().fingerprint());
    assert_eq!(from_dir.fingerprint().len(), 64);
}

#[test]
fn the_suffix_of_the_template_comes_last_in_pieces_too() {
    let mut json = tokenizer_json();
    json["post_processor"]["single"]
        .as_array_mut()
        .unwrap()
        .push(json!({ "SpecialToken": { "id": "<s>", "type_id": 0 } }));
    let tokenizer = tokenizer_from(&json);
    let whole = tokenizer.encode_whole("one the a two", true).unwrap();
    assert_eq!(
        tokenizer
            .encode_in_pieces("one the a two", true, 2)
            .unwrap(),
        whole
    );
    assert_eq!((whole.first(), whole.last()), (Some(&0), Some(&0)));
    let prompt = tokenizer.encode_prompt("one the a two").unwrap();
    assert_eq!(prompt, whole[..whole.len() - 1], "to be continued");
}

#[test]
fn panics_of_the_library_are_errors_that_name_the_file() {
    let damaged = |edit: &dyn Fn(&mut serde_json::Value)| {
        let mut json = tokenizer_json();
        edit(&mut json);
        json.to_string().into_bytes()
    };
    for (name, bytes) in [
        (
            "empty prepend",
            damaged(&|json| json["normalizer"] = json!({ "type": "Prepend", "prepend": "" })),
        ),
        (
            "short charsmap",
            damaged(&|json| {
                json["normalizer"] =
                    json!({ "type": "Precompiled", "precompiled_charsmap": "AAAA" });
            }),
        ),
        (
            "wrong charsmap",
            damaged(&|json| {
                json["normalizer"] =
                    json!({ "type": "Precompiled", "precompiled_charsmap": "/////w==" });
            }),
        ),
    ] {
        let loaded = Tokenizer::from_bytes(&bytes, Path::new("m/tokenizer.json"), None);
        let error = loaded.err().map(|error| error.to_string());
        assert_eq!(
            error.as_deref(),
            Some("`m/tokenizer.json` is not a usable tokenizer"),
            "{name}"
        );
    }
}

#[test]
fn a_file_that_panics_on_some_texts_only_fails_there() {
    let mut json = tokenizer_json();
    // Only texts with a Z reach the normalizer that panics.
    json["normalizer"] = json!({ "type": "Replace", "pattern": { "String": "Z" }, "content": "" });
    let tokenizer = tokenizer_from(&json);
    assert_eq!(tokenizer.encode("the", false).unwrap().len(), 1);
    if let Err(error) = tokenizer.encode("Z", false) {
        assert!(matches!(error, Error::Encode { n_bytes: 1, .. }), "{error}");
    }
}

#[test]
fn texts_that_cannot_be_cut_have_a_limit() {
    let tokenizer = tokenizer();
    let text = "\0".repeat(MAX_WHOLE_BYTES + 1);
    assert!(matches!(
        tokenizer.encode(&text, false),
        Err(Error::TextTooLong { .. })
    ));
}

proptest! {
    #[test]
    fn pieces_give_the_ids_of_the_whole(
        text in "([a-z '.]|the| a|<s>|[ \n\r\t]{1,4}|[0-9]{1,5}|[éß東\u{301}\u{2003}\u{a0}]){0,60}",
        piece_bytes in 1_usize..20,
        special: bool,
    ) {
        let tokenizer = tokenizer();
        prop_assert!(tokenizer.specials.is_some());
        prop_assert_eq!(
            tokenizer.encode_in_pieces(&text, special, piece_bytes).unwrap(),
            tokenizer.encode_whole(&text, special).unwrap()
        );
    }
}
