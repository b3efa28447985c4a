//! Error messages about configuration, devices and folders.

use insta::assert_snapshot;

use crate::support::{TINY_SEARCH, Workplace};

const PPL: &str = "eval ppl --contexts 32 --tokens tokens.json";

// Configuration.

#[test]
fn no_such_configuration_file() {
    let here = Workplace::with_model();
    let message = here.fails(&format!("{PPL} --model m --config nowhere.toml"));
    assert_snapshot!(message, @r"
    error: failed to open file `nowhere.toml`: No such file or directory (os error 2)
    hint: check the path; relative paths are relative to the working directory
    ");
}

#[test]
fn a_configuration_file_that_is_not_toml() {
    let here = Workplace::with_model();
    here.write("a.toml", "seed = = 1\n");
    let message = here.fails(&format!("{PPL} --model m --config a.toml"));
    assert_snapshot!(message, @r"
    error: `a.toml` is not valid TOML
      caused by: TOML parse error at line 1, column 8
          |
        1 | seed = = 1
          |        ^
        extra `=`, expected nothing
    hint: configs/README.md lists every key with its default
    ");
}

#[test]
fn an_unknown_key_in_a_file() {
    let here = Workplace::with_model();
    here.write("a.toml", "device = \"flex\"\nsead = 1\n");
    let message = here.fails(&format!("{PPL} --model m --config a.toml"));
    assert_snapshot!(message, @r"
    error: configuration file `a.toml`
      caused by: TOML parse error at line 2, column 1
          |
        2 | sead = 1
          | ^^^^
        unknown field `sead`, expected one of `model`, `text`, `tokens`, `out`, `device`, `weights`, `precision`, `rope-layers`, `seed`, `force`, `rope`, `contexts`, `data`, `eval`, `compare`, `search`, `search-needle`, `recover`, `generate`, `pretrain`, `passkey`, `needle`, `gain`, `bench`, `train`, `ruler`
    hint: did you mean `seed`?
    ");
}

#[test]
fn an_unknown_key_in_a_section() {
    let here = Workplace::with_model();
    here.write("a.toml", "seed = 1\n\n[search]\npopulatoin = 8\n");
    let message = here.fails(&format!("{PPL} --model m --config a.toml"));
    assert_snapshot!(message, @r"
    error: configuration file `a.toml`
      caused by: TOML parse error at line 3, column 1
          |
        3 | [search]
          | ^^^^^^^^
        unknown field `populatoin`, expected one of `operators`, `population`, `mutations`, `crossovers`, `mutation-prob`, `generations`, `parents`, `max-retries`, `halve-beyond`, `max-factor-ratio`, `max-factor-extra`, `critical-min`, `critical-max`, `critical-unscaled`, `step`, `start-tokens`, `attention`, `seeds`, `yarn-beta-fast`, `yarn-beta-slow`, `patience`, `racing-strictness`, `smooth-share`, `difference-share`, `surrogate-pool`, `batch-candidates`
    hint: did you mean `population`?
    ");
}

#[test]
fn an_unknown_key_in_set() {
    let here = Workplace::with_model();
    let message = here.fails(&format!("{PPL} --model m --set search.populatoin=8"));
    assert_snapshot!(message, @r"
    error: configuration
      caused by: unknown field `populatoin`, expected one of `operators`, `population`, `mutations`, `crossovers`, `mutation-prob`, `generations`, `parents`, `max-retries`, `halve-beyond`, `max-factor-ratio`, `max-factor-extra`, `critical-min`, `critical-max`, `critical-unscaled`, `step`, `start-tokens`, `attention`, `seeds`, `yarn-beta-fast`, `yarn-beta-slow`, `patience`, `racing-strictness`, `smooth-share`, `difference-share`, `surrogate-pool`, `batch-candidates`
        in `search`
    hint: did you mean `population`?
    ");
}

#[test]
fn a_set_without_value() {
    let here = Workplace::with_model();
    let message = here.fails(&format!("{PPL} --model m --set seed"));
    assert_snapshot!(message, @r"
    error: `--set seed` has no `=`, expected key=value
    hint: for example --set search.population=32
    ");
}

#[test]
fn a_value_of_the_wrong_type() {
    let here = Workplace::with_model();
    let message = here.fails(&format!("{PPL} --model m --set seed=first"));
    assert_snapshot!(message, @r#"
    error: configuration
      caused by: invalid type: string "first", expected a whole number, 0 or more
        in `seed`
    hint: configs/README.md lists every key with its default
    "#);
}

#[test]
fn an_unknown_value() {
    let here = Workplace::with_model();
    let message = here.fails(&format!("{PPL} --model m --set eval.bos=windw"));
    assert_snapshot!(message, @r"
    error: configuration
      caused by: unknown variant `windw`, expected one of `document`, `window`, `none`
        in `eval.bos`
    hint: did you mean `window`?
    ");
}

#[test]
fn an_unknown_profile() {
    let here = Workplace::with_model();
    let message = here.fails(&format!(
        "{TINY_SEARCH} --target 128 --out run --profile offical"
    ));
    assert_snapshot!(message, @r"
    error: configuration
      caused by: unknown variant `offical`, expected one of `paper`, `official`, `v2`, `fast`
        in `search.profile`
    hint: did you mean `official`?
    ");
}

#[test]
fn a_search_setting_out_of_range() {
    let here = Workplace::with_model();
    let message = here.fails(&format!(
        "{TINY_SEARCH} --target 128 --out run --set search.parents=100"
    ));
    assert_snapshot!(message, @r"
    error: search config `parents` is 100, expected at most `population`, 8
    hint: configs/README.md describes every key of [search]
    ");
}

#[test]
fn no_contexts() {
    let here = Workplace::with_model();
    let message = here.fails("eval ppl --model m --tokens tokens.json");
    assert_snapshot!(message, @r"
    error: `--contexts` is missing
    hint: for example --contexts 256,512,1024
    ");
}

#[test]
fn no_run_folder() {
    let here = Workplace::with_model();
    let message = here.fails(&format!("{TINY_SEARCH} --target 128"));
    assert_snapshot!(message, @r"
    error: `--out` is missing
    hint: give --out or set it in --config
    ");
}

#[test]
fn no_target() {
    let here = Workplace::with_model();
    let message = here.fails(&format!("{TINY_SEARCH} --out run"));
    assert_snapshot!(message, @r"
    error: `--target` is missing
    hint: give --target or set it in --config
    ");
}

#[test]
fn a_target_below_the_original_window() {
    let here = Workplace::with_model();
    let message = here.fails(&format!("{TINY_SEARCH} --target 16 --out run"));
    assert_snapshot!(message, @r"
    error: `--target` is 16, and the model was trained for 32 tokens: there is nothing to extend
    hint: choose a target above 32, for example --target 128
    ");
}

#[test]
fn a_stride_above_the_context() {
    let here = Workplace::with_model();
    let message = here.fails(&format!("{PPL} --model m --stride 64"));
    assert_snapshot!(message, @r"
    error: placing windows of 32 tokens
      caused by: stride is 64 tokens, expected 1 to 32 (the context)
    hint: set `eval.stride` to at most the smallest of the --contexts
    ");
}

#[test]
fn a_context_above_the_windows_to_divide() {
    let here = Workplace::with_model();
    let message = here.fails(&format!("{PPL} --model m --within 16"));
    assert_snapshot!(message, @r"
    error: placing windows of 32 tokens
      caused by: a window of 32 tokens does not fit within 16 tokens, expected a context of at most 16
    hint: set `eval.within` to at least the largest of the --contexts
    ");
    let message = here.fails(&format!("{PPL} --model m --within 80"));
    assert_snapshot!(message, @r"
    error: `eval.within` is 80, but 32 does not divide it: 16 of 80 tokens would not be scored
    hint: all contexts score the same text if each divides it; powers of two do
    ");
    for other in ["--set eval.stride=8", "--set eval.protocol=yarn"] {
        let message = here.fails(&format!("{PPL} --model m --set eval.within=64 {other}"));
        assert!(
            message.contains("`eval.within` does not apply to"),
            "{message}"
        );
    }
}

#[test]
fn a_context_of_one_token() {
    let here = Workplace::with_model();
    let message = here.fails("eval ppl --model m --tokens tokens.json --contexts 1");
    assert_snapshot!(message, @r"
    error: placing windows of 1 tokens
      caused by: context is 1 tokens, expected at least 2
    hint: each token is predicted from the tokens before it, so a window needs at least two
    ");
}

#[test]
fn no_windows() {
    let here = Workplace::with_model();
    let message = here.fails(&format!("{PPL} --model m --windows 0"));
    assert_snapshot!(message, @r"
    error: configuration
      caused by: `eval.windows` is 0, expected 1 to 1000000
    hint: give 1 or more; configs/README.md says what `eval.windows` counts
    ");
}

// Devices.

#[test]
fn an_unknown_device() {
    let here = Workplace::with_model();
    let message = here.fails(&format!("{PPL} --model m --device tpu"));
    assert_snapshot!(message, @r"
    error: device `tpu` is unknown, expected one of flex, ndarray, wgpu, vulkan, metal, cuda, rocm, remote
    hint: --device flex works on every machine; GPUs are cuda:0, cuda:1 and so on
    ");
}

#[test]
fn a_number_for_the_only_device() {
    let here = Workplace::with_model();
    let message = here.fails(&format!("{PPL} --model m --device flex:1"));
    assert_snapshot!(message, @r"
    error: device `flex:1` has a number, but `flex` has only one device
    hint: write --device flex
    ");
}

#[cfg(not(feature = "cuda"))]
#[test]
fn a_device_without_its_feature() {
    let here = Workplace::with_model();
    let message = here.fails(&format!("{PPL} --model m --device cuda:1"));
    assert_snapshot!(message, @r"
    error: this program was built without device `cuda`
    hint: build it with `cargo build --release --features cuda-nvrtc`, or use --device flex
    ");
}

#[test]
fn several_devices_for_a_verb_that_takes_one() {
    let here = Workplace::with_tokenizer();
    let line = "generate --model t --prompt a --device flex --device flex";
    assert_snapshot!(here.fails(line), @r"
    error: 2 devices are given, expected one: flex, flex
    hint: search, recover, compare, eval ppl, finetune, pretrain and demo use several devices; give one --device
    ");
}

#[cfg(not(feature = "remote"))]
#[test]
fn a_worker_without_its_feature() {
    assert_snapshot!(Workplace::new().fails("worker"), @r"
    error: this program was built without the feature `remote`
    hint: build it with `cargo build --release --features remote`
    ");
}

// Folders.

#[test]
fn an_existing_export_folder() {
    let here = Workplace::with_model();
    fs_err::create_dir(here.path("there")).unwrap();
    let message = here.fails("export --model m --rope yarn --target 128 --out there");
    assert_snapshot!(message, @r"
    error: exporting to `there`
      caused by: `there` exists already
    hint: choose another folder, or replace it with --force
    ");
}

#[test]
fn an_invalid_shard_size() {
    let here = Workplace::with_model();
    let message =
        here.fails("export --model m --rope yarn --target 128 --out x --max-shard-size 5XB");
    assert_snapshot!(message, @r"
    error: reading --max-shard-size
      caused by: the shard size is `5XB`, expected a whole number of bytes, kB, MB, GB, TB, KiB, MiB, GiB or TiB
    hint: for example 5GB, 500MB or 2GiB
    ");
    assert!(!here.path("x").exists());
}

#[test]
fn a_folder_that_holds_a_search() {
    let here = Workplace::with_model();
    here.run(&format!(
        "{TINY_SEARCH} --target 64 --out run --set search.generations=0"
    ))
    .worked();
    let message = here.fails(&format!("{TINY_SEARCH} --target 128 --out run"));
    assert_snapshot!(message, @r"
    error: `run` already holds a search
    hint: continue with --resume, or choose another --out
    ");
}

#[test]
fn resume_without_a_search() {
    let here = Workplace::with_model();
    let message = here.fails("search --resume --out run");
    assert_snapshot!(message, @r"
    error: `run` holds no search to resume
    hint: check --out, or start a new run without --resume
    ");
}

#[test]
fn resume_with_other_settings() {
    let here = Workplace::with_model();
    here.run(&format!(
        "{TINY_SEARCH} --target 64 --out run --set search.generations=0"
    ))
    .worked();
    let message =
        here.fails("search --resume --out run --seed 7 --target 128 --set search.parents=2");
    assert_snapshot!(message, @r"
    error: the run in `run` has other settings: `search.parents` was 4 and is 2, `search.target` was 64 and is 128, `seed` was 42 and is 7
    hint: resume without these flags: the settings of the run are in its config.toml
    ");
}

#[test]
fn an_empty_run_folder_and_a_number_in_quotes() {
    let here = Workplace::with_model();
    let message = here.fails(&format!("{PPL} --model m --set out="));
    assert_snapshot!(message, @r"
    error: the path of the run folder is empty
    hint: give the path of a folder as `out`, or leave it out to keep no results
    ");
    let message = here.fails(&format!("{PPL} --model m --set eval.windows=\"4\""));
    assert_snapshot!(message, @r#"
    error: configuration
      caused by: `eval.windows` is the text "4", expected a number
    hint: leave out the quotes
    "#);
}

#[test]
fn resume_with_other_text() {
    let here = Workplace::with_model();
    here.run(&format!(
        "{TINY_SEARCH} --target 64 --out run --set search.generations=0"
    ))
    .worked();
    here.tokens("tokens.json", 601);
    let message = here.fails("search --resume --out run");
    assert_snapshot!(message, @r"
    error: the search was started with another text, or with other samples of it
    hint: resume with the original text, `search.samples` and `search-needle`, which config.toml has, or start again with another --out; if the tokenizer puts a space before every text, as that of LLaMA 2, needles and generated documents of earlier versions have other tokens: resume with that version
    ");
}

#[test]
fn resume_of_a_damaged_search() {
    let here = Workplace::with_model();
    here.run(&format!(
        "{TINY_SEARCH} --target 64 --out run --set search.generations=0"
    ))
    .worked();
    here.write("run/search/state.json", "{}");
    let message = here.fails("search --resume --out run");
    assert_snapshot!(message, @r"
    error: reading search state `run/search/state.json`
      caused by: search state `format` is missing, expected `longrope-search-state`
    hint: start again without --resume in another folder
    ");
}

#[test]
fn samples_within_the_original_context() {
    let here = Workplace::with_model();
    let message = here.fails(&format!(
        "{TINY_SEARCH} --target 128 --out run --set search.sample-context=32"
    ));
    assert_snapshot!(message, @r"
    error: `search.sample-context` is 32, expected more than the original context, 32
    hint: up to the original context, rescaling can only do harm; without this key, samples are as long as the target
    ");
}
