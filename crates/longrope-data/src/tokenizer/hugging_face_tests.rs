use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::fixtures::{tokenizer, tokenizer_from, tokenizer_json};

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
