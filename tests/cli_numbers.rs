//! Numbers on the command line: none is dropped, none is allocated for unchecked.

use serde_json::Value;

use crate::support::{TINY_SEARCH, Workplace};

const MAX: &str = "18446744073709551615";
const PPL: &str = "eval ppl m --tokens tokens.json";

#[test]
fn the_largest_seed_is_carried_from_flags_sets_and_files() {
    let here = Workplace::with_tokenizer();
    here.write("seed.toml", format!("seed = \"{MAX}\"\n"));
    let passkeys = |how: &str| -> Value {
        let line = format!("eval passkey t --contexts 200 --trials 2 --json {how}");
        serde_json::from_str(&here.run(&line).worked()).unwrap()
    };
    for how in [
        format!("--seed {MAX}"),
        format!("--set seed={MAX}"),
        "--config seed.toml".to_owned(),
    ] {
        let json = passkeys(&how);
        assert_eq!(json["results"][0]["seed"].as_u64(), Some(u64::MAX), "{how}");
    }
}

#[test]
fn a_run_with_the_largest_seed_is_resumed_with_it() {
    let here = Workplace::with_model();
    let search = format!("{TINY_SEARCH} --set search.generations=0 --target 64 --out run");
    here.run(&format!("{search} --seed {MAX}")).worked();
    assert!(here.read("run/config.toml").contains(MAX));
    here.run("search --resume --out run").worked();
    let rope = here.read_json("run/rope.json");
    assert_eq!(rope["provenance"]["seed"].as_u64(), Some(u64::MAX));
    let train = "finetune m --tokens tokens.json --steps 1 --out tuned --set train.data.short=0.5";
    here.run(&format!("{train} --seed {MAX}")).worked();
}

#[test]
fn numbers_beyond_their_bounds_are_refused_with_a_reason() {
    let here = Workplace::with_model();
    let half = "9223372036854775808";
    for (line, key) in [
        (format!("{PPL} --contexts {half}"), "contexts"),
        (format!("{PPL} --contexts 32,{MAX}"), "contexts"),
        (format!("{PPL} --set contexts=[32,{MAX}]"), "contexts"),
        (
            format!("{PPL} --contexts 32 --windows {half}"),
            "eval.windows",
        ),
        (format!("{PPL} --contexts 32 --stride {MAX}"), "eval.stride"),
        (format!("{PPL} --contexts 32 --within {MAX}"), "eval.within"),
        (
            format!("{TINY_SEARCH} --out x --target {half}"),
            "search.target",
        ),
        (
            format!("search m --tokens tokens.json --out x --target 64 --samples {MAX}"),
            "search.samples",
        ),
        (
            "search m --tokens tokens.json --target 64 --out x --set search.population=1000000000"
                .to_owned(),
            "search.population",
        ),
        (
            format!("{TINY_SEARCH} --target 64 --out x --set search.mutations={half}"),
            "search.mutations",
        ),
        (
            format!("{TINY_SEARCH} --target 64 --out x --set search.generations=1000000000"),
            "search.generations",
        ),
        (
            format!("generate m --prompt a --max-new-tokens {half}"),
            "generate.max-new-tokens",
        ),
        (
            format!("finetune m --tokens tokens.json --out x --steps {MAX}"),
            "train.steps",
        ),
        (
            format!("finetune m --tokens tokens.json --out x --context {half}"),
            "train.context",
        ),
        (
            "finetune m --tokens tokens.json --out x --lora --set train.lora.rank=1000000000"
                .to_owned(),
            "train.lora.rank",
        ),
        (
            "finetune m --tokens tokens.json --out x --set train.keep=0".to_owned(),
            "train.keep",
        ),
        (
            "finetune m --tokens tokens.json --out x --set train.save-every=0".to_owned(),
            "train.save-every",
        ),
        (
            "finetune m --tokens tokens.json --out x --set train.batch=0".to_owned(),
            "train.batch",
        ),
        (
            "eval passkey m --contexts 64 --trials 1000000000".to_owned(),
            "passkey.trials",
        ),
        (
            "eval needle m --contexts 64 --trials 1000000000".to_owned(),
            "needle.trials",
        ),
        (
            format!("eval ruler m --contexts 64 --samples {half}"),
            "ruler.samples",
        ),
        (format!("plan m --context {half}"), "--context"),
    ] {
        let message = here.fails(&line);
        assert!(
            message.contains(&format!("`{key}` is ")),
            "{line}\n{message}"
        );
        assert!(message.contains("expected "), "{line}\n{message}");
    }
    assert!(!here.path("x").exists());
}

#[test]
fn what_does_not_fit_into_memory_is_refused_with_what_fits() {
    let here = Workplace::with_tokenizer();
    here.rust_text();
    let n = 1 << 30;
    for line in [
        format!("eval ppl t --text text.txt --contexts {n}"),
        format!("compare t --text text.txt --contexts {n}"),
        format!("search t --text text.txt --target {n} --out x"),
        format!("finetune t --text text.txt --context {n} --out x"),
        format!("eval passkey t --contexts {n}"),
    ] {
        let message = here.fails(&line);
        assert!(
            message.contains("1,073,741,824 tokens need about"),
            "{line}\n{message}"
        );
        assert!(
            message.contains("the longest context that fits is"),
            "{line}\n{message}"
        );
        assert!(message.contains("--force"), "{line}\n{message}");
    }
    // With --force, the next check answers: the text is too short.
    for force in ["--force", "--set force=true"] {
        let message = here.fails(&format!(
            "eval ppl t --text text.txt --contexts {n} {force}"
        ));
        assert!(message.contains("no document fills a context"), "{message}");
    }
}

#[test]
fn memory_is_used_by_need_and_not_by_the_flag() {
    let here = Workplace::with_tokenizer();
    // The stop token of the first step ends the text, long before the maximum.
    let line = "generate t --prompt fn --json --max-new-tokens";
    let first: Value = serde_json::from_str(&here.run(&format!("{line} 1")).worked()).unwrap();
    let token = first["results"][0]["tokens"][0].as_u64().unwrap();
    here.write(
        "t/generation_config.json",
        format!("{{\"eos_token_id\": [{token}]}}"),
    );
    let long: Value =
        serde_json::from_str(&here.run(&format!("{line} 1000000000")).worked()).unwrap();
    assert_eq!(long["results"][0]["end"], "stop-token");
    assert_eq!(long["results"][0]["tokens"].as_array().unwrap().len(), 1);
}
