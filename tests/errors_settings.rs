//! Promised messages about configuration, devices and folders.

use insta::assert_snapshot;

use crate::support::{TINY_SEARCH, Workplace};

const PPL: &str = "eval ppl --contexts 32 --tokens tokens.json";

// Configuration.

#[test]
fn no_such_configuration_file() {
    let here = Workplace::with_model();
    let message = here.fails(&format!("{PPL} --model m --config nowhere.toml"));
    assert_snapshot!(message, @"");
}

#[test]
fn a_configuration_file_that_is_no_toml() {
    let here = Workplace::with_model();
    here.write("a.toml", "seed = = 1\n");
    let message = here.fails(&format!("{PPL} --model m --config a.toml"));
    assert_snapshot!(message, @"");
}

#[test]
fn an_unknown_key_in_a_file() {
    let here = Workplace::with_model();
    here.write("a.toml", "device = \"flex\"\nsead = 1\n");
    let message = here.fails(&format!("{PPL} --model m --config a.toml"));
    assert_snapshot!(message, @"");
}

#[test]
fn an_unknown_key_in_a_section() {
    let here = Workplace::with_model();
    here.write("a.toml", "seed = 1\n\n[search]\npopulatoin = 8\n");
    let message = here.fails(&format!("{PPL} --model m --config a.toml"));
    assert_snapshot!(message, @"");
}

#[test]
fn an_unknown_key_of_set() {
    let here = Workplace::with_model();
    let message = here.fails(&format!("{PPL} --model m --set search.populatoin=8"));
    assert_snapshot!(message, @"");
}

#[test]
fn a_set_without_value() {
    let here = Workplace::with_model();
    let message = here.fails(&format!("{PPL} --model m --set seed"));
    assert_snapshot!(message, @"");
}

#[test]
fn a_value_of_another_type() {
    let here = Workplace::with_model();
    let message = here.fails(&format!("{PPL} --model m --set seed=first"));
    assert_snapshot!(message, @"");
}

#[test]
fn a_value_that_does_not_exist() {
    let here = Workplace::with_model();
    let message = here.fails(&format!("{PPL} --model m --set eval.bos=windw"));
    assert_snapshot!(message, @"");
}

#[test]
fn an_unknown_profile() {
    let here = Workplace::with_model();
    let message = here.fails(&format!(
        "{TINY_SEARCH} --target 128 --out run --profile offical"
    ));
    assert_snapshot!(message, @"");
}

#[test]
fn a_search_setting_out_of_range() {
    let here = Workplace::with_model();
    let message = here.fails(&format!(
        "{TINY_SEARCH} --target 128 --out run --set search.parents=100"
    ));
    assert_snapshot!(message, @"");
}

#[test]
fn no_contexts() {
    let here = Workplace::with_model();
    let message = here.fails("eval ppl --model m --tokens tokens.json");
    assert_snapshot!(message, @"");
}

#[test]
fn no_run_folder() {
    let here = Workplace::with_model();
    let message = here.fails(&format!("{TINY_SEARCH} --target 128"));
    assert_snapshot!(message, @"");
}

#[test]
fn no_target() {
    let here = Workplace::with_model();
    let message = here.fails(&format!("{TINY_SEARCH} --out run"));
    assert_snapshot!(message, @"");
}

#[test]
fn a_target_below_the_original_window() {
    let here = Workplace::with_model();
    let message = here.fails(&format!("{TINY_SEARCH} --target 16 --out run"));
    assert_snapshot!(message, @"");
}

#[test]
fn a_stride_above_the_context() {
    let here = Workplace::with_model();
    let message = here.fails(&format!("{PPL} --model m --stride 64"));
    assert_snapshot!(message, @"");
}

#[test]
fn a_context_of_one_token() {
    let here = Workplace::with_model();
    let message = here.fails("eval ppl --model m --tokens tokens.json --contexts 1");
    assert_snapshot!(message, @"");
}

#[test]
fn no_windows() {
    let here = Workplace::with_model();
    let message = here.fails(&format!("{PPL} --model m --windows 0"));
    assert_snapshot!(message, @"");
}

// Devices.

#[test]
fn an_unknown_device() {
    let here = Workplace::with_model();
    let message = here.fails(&format!("{PPL} --model m --device tpu"));
    assert_snapshot!(message, @"");
}

#[test]
fn a_number_for_the_only_device() {
    let here = Workplace::with_model();
    let message = here.fails(&format!("{PPL} --model m --device flex:1"));
    assert_snapshot!(message, @"");
}

// Folders.

#[test]
fn an_existing_export_folder() {
    let here = Workplace::with_model();
    fs_err::create_dir(here.path("there")).unwrap();
    let message = here.fails("export --model m --rope yarn --target 128 --out there");
    assert_snapshot!(message, @"");
}

#[test]
fn a_folder_that_holds_a_search() {
    let here = Workplace::with_model();
    here.run(&format!(
        "{TINY_SEARCH} --target 64 --out run --set search.generations=0"
    ))
    .worked();
    let message = here.fails(&format!("{TINY_SEARCH} --target 128 --out run"));
    assert_snapshot!(message, @"");
}

#[test]
fn resume_without_a_search() {
    let here = Workplace::with_model();
    let message = here.fails("search --resume --out run");
    assert_snapshot!(message, @"");
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
    assert_snapshot!(message, @"");
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
    assert_snapshot!(message, @"");
}
