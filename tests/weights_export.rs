//! Exports: what they may replace, what belongs to them, and heads beside the flag that ties them.

use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use serde_json::{Value, json};

use crate::support::{Workplace, number};

const EXPORT: &str = "export --model m --rope yarn --target 128";
const PPL: &str = "eval ppl --tokens tokens.json --contexts 32 --windows 2 --json";

#[test]
fn force_replaces_only_what_export_wrote() {
    let here = Workplace::with_model();
    let mine = || {
        fs_err::create_dir_all(here.path("mine")).unwrap();
        here.write("mine/notes.txt", "precious");
        here.write("mine/config.json", "{}");
    };
    mine();
    for out in ["mine", ".", "..", "/", "m", "m/", "./m/../m", "tokens.json"] {
        here.run(&format!("{EXPORT} --force --out {out}"))
            .refused_with("is not replaced");
    }
    assert_eq!(here.read("mine/notes.txt"), "precious");
    here.fails(&format!("{EXPORT} --out tokens.json/x"));
    here.run(&format!("{PPL} --model m")).worked();
    here.run(&format!("{EXPORT} --out mine"))
        .refused_with("--force replaces only folders that longrope export wrote");

    here.run(&format!("{EXPORT} --out x")).worked();
    here.write("x/notes.txt", "precious");
    here.run(&format!("{EXPORT} --out x"))
        .refused_with("replace it with --force");
    here.run(&format!("{EXPORT} --force --dtype bf16 --out x"))
        .worked();
    assert_eq!(here.read("x/notes.txt"), "precious");
    assert_eq!(
        here.read_json("x/longrope-export.json")["format"],
        "longrope-export"
    );
    // An export is a model like others: it cannot replace itself.
    here.run("export --model x --rope checkpoint --out x --force")
        .refused_with("is not replaced");
}

#[test]
fn a_method_needs_a_target_beyond_the_original_context() {
    let here = Workplace::with_model();
    for line in [
        "export --model m --rope yarn --out x",
        "export --model m --rope pi --target 32 --out x",
        "export --model m --rope ntk --target 16 --out x",
        "export --model m --rope llama3 --out x",
        "export --model m --rope dynamic-ntk --out x",
    ] {
        here.run(line).refused_with("changes nothing");
        assert!(!here.path("x").exists());
    }
    here.run("export --model m --rope none --out x").worked();
}

#[test]
fn factors_without_a_context_need_a_target() {
    let here = Workplace::with_model();
    here.write("factors.csv", "1\n1\n2\n2\n3\n3\n4\n4\n");
    let message = here.fails("export --model m --rope factors.csv --out x");
    assert!(message.contains("`--target` is missing"), "{message}");
    assert!(message.contains("for example --target 128"), "{message}");
    assert!(!here.path("x").exists());
    here.run("export --model m --rope factors.csv --target 128 --out x")
        .worked();
    assert_eq!(here.inspection("x")["max_context"], 128);
    // A file that says its context needs none.
    here.run("export --model m --rope x/rope.json --out y")
        .worked();
}

#[test]
fn a_rope_for_another_original_context_is_named_once() {
    let here = Workplace::with_model();
    here.run(&format!("{EXPORT} --out x")).worked();
    here.write("factors.csv", "1\n1\n2\n2\n3\n3\n4\n4\n");
    here.run("export --model m --rope factors.csv --target 128 --out y")
        .worked();
    let mut rope = here.read_json("y/rope.json");
    rope["original_context"] = 64.into();
    here.write("rope.json", rope.to_string());
    for line in [
        "eval ppl --model m --tokens tokens.json --contexts 32,64 --windows 1 --rope rope.json",
        "export --model m --rope rope.json --out z",
        "finetune --model m --tokens tokens.json --rope rope.json --steps 1 --out run --dashboard off \
         --set train.eval-windows=0 --set train.warmup-steps=0",
    ] {
        let outcome = here.run(line);
        let words =
            "`rope.json` was made for an original context of 64 tokens, that of the model is 32";
        assert_eq!(
            outcome.stderr.matches(words).count(),
            1,
            "{line}: {}",
            outcome.stderr
        );
        outcome.worked();
    }
    let line =
        "eval ppl --model m --tokens tokens.json --contexts 32 --windows 1 --rope y/rope.json";
    let same = here.run(line);
    assert!(!same.stderr.contains("WARN"), "{}", same.stderr);
}

#[test]
fn a_target_beyond_that_of_the_rope_is_an_error() {
    let here = Workplace::with_model();
    here.run(&format!("{EXPORT} --out x")).worked();
    for (model, rope) in [
        ("m", "x/rope.json"),
        ("m", "x"),
        ("m", "yarn@128"),
        ("x", "checkpoint"),
    ] {
        let line = format!("export --model {model} --rope {rope} --out y");
        here.run(&format!("{line} --target 129"))
            .refused_with("at most 128");
        here.run(&format!("{line} --target 0")).refused();
        assert!(!here.path("y").exists());
        here.run(&format!("{line} --target 128")).worked();
        fs_err::remove_dir_all(here.path("y")).unwrap();
    }
    here.run("export --model m --rope checkpoint --target 64 --out y")
        .refused_with("at most 32");
}

#[test]
fn an_export_has_all_that_belongs_to_a_model() {
    let here = Workplace::with_tokenizer();
    here.edit_config("t", |config| {
        config["auto_map"] = json!({"AutoConfig": "configuration_t.TConfig"});
        config["_name_or_path"] = "o/base".into();
    });
    let mut tokenizer = here.read_json("t/tokenizer_config.json");
    tokenizer["model_max_length"] = 256.into();
    here.write("t/tokenizer_config.json", tokenizer.to_string());
    fs_err::create_dir(here.path("t/additional_chat_templates")).unwrap();
    let copied = [
        "configuration_t.py",
        "modeling_t.py",
        "chat_template.jinja",
        "chat_template.json",
        "additional_chat_templates/tool.jinja",
        "LICENSE",
        "USE_POLICY.md",
        "NOTICE.txt",
    ];
    for name in copied {
        here.write(&format!("t/{name}"), name);
    }
    here.write("t/README.md", "---\nlicense: llama3\n---\n# Base\n");
    here.run("export --model t --rope yarn --target 1024 --out x")
        .worked();
    for name in copied {
        assert_eq!(here.read(&format!("x/{name}")), name);
    }
    let tokenizer = here.read_json("x/tokenizer_config.json");
    assert_eq!(tokenizer["model_max_length"], 1024);
    let card = here.read("x/README.md");
    assert!(
        card.starts_with("---\nbase_model: o/base\nlicense: llama3\n"),
        "{card}"
    );
    for fact in ["yarn", "1024", "256"] {
        assert!(card.contains(fact), "{card}");
    }
    let listed = here.read_json("x/longrope-export.json");
    let listed = listed["files"].as_array().unwrap();
    for name in copied
        .into_iter()
        .chain(["README.md", "config.json", "rope.json"])
    {
        assert!(listed.contains(&name.into()), "{name}");
    }
}

/// Stores a head that differs from the embeddings in the tied checkpoint `m`.
fn store_own_head(here: &Workplace) {
    let bytes = fs_err::read(here.path("m/model.safetensors")).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let embeddings = tensors.tensor("model.embed_tokens.weight").unwrap();
    let mut head = embeddings.data().to_vec();
    head.rotate_left(128);
    let head = TensorView::new(Dtype::F32, embeddings.shape().to_vec(), &head).unwrap();
    let views = tensors.iter().chain([("lm_head.weight", head)]);
    safetensors::serialize_to_file(views, None, &here.path("m/model.safetensors")).unwrap();
}

fn perplexity(here: &Workplace, model: &str) -> f64 {
    number(
        &here.compute_json(&format!("{PPL} --model {model}")),
        "/results/0/ppl",
    )
}

#[test]
fn a_head_of_its_own_beside_the_tie_flag_is_kept() {
    let here = Workplace::with_model();
    let tied = perplexity(&here, "m");
    store_own_head(&here);
    let own = perplexity(&here, "m");
    assert!((own - tied).abs() > 1e-3, "{own} {tied}");
    let inspection = here.inspection("m");
    assert_eq!(inspection["tied_embeddings"], false);
    assert_eq!(inspection["n_parameters"], 24_768 + 97 * 32);
    let said = here.run("inspect m").worked();
    assert!(said.contains("head of its own"), "{said}");
    for (out, flags) in [("copied", ""), ("rewritten", "--dtype f32")] {
        let line = format!("export --model m --rope none --out {out} {flags}");
        here.run(&line).worked();
        assert!((perplexity(&here, out) - own).abs() < 1e-9, "{out}");
        assert_eq!(
            here.read_json(&format!("{out}/config.json"))["tie_word_embeddings"],
            false
        );
    }
    here.run(
        "finetune --model m --tokens tokens.json --context 32 --steps 2 --dashboard off --out run \
         --set train.warmup-steps=0 --set train.learning-rate=1e-9",
    )
    .worked();
    assert!((perplexity(&here, "run/model") - own).abs() < 1e-3);
    let streamed = format!("{PPL} --model m --set weights=streamed");
    let streamed = number(&here.compute_json(&streamed), "/results/0/ppl");
    assert!((streamed - own).abs() < 1e-4);
}

#[test]
fn a_plan_counts_a_head_of_its_own() {
    let here = Workplace::with_model();
    let bytes = |here: &Workplace| -> Value {
        let line = "plan m --context 32 --mode eval --memory 1 --json";
        serde_json::from_str(&here.run(line).worked()).unwrap()
    };
    let tied = number(&bytes(&here), "/plans/0/fixed_bytes");
    store_own_head(&here);
    let own = number(&bytes(&here), "/plans/0/fixed_bytes");
    assert!((own - tied - 4.0 * 97.0 * 32.0).abs() < 1.0, "{own} {tied}");
}

#[test]
fn other_verbs_never_replace_a_model_they_did_not_make() {
    let here = Workplace::with_tokenizer();
    here.rust_text();
    fs_err::create_dir(here.path("work")).unwrap();
    here.checkpoint("llama-gqa-tied", "work/model");
    let before = here.read("work/model/config.json");
    let message = here.fails("demo --out work --text text.txt");
    assert!(message.contains("not of an earlier demo"), "{message}");
    let phase = "[[pretrain.phases]]\nname = \"a\"\nsteps = 1\nbatch = 1\nwindow = 32\nlearning-rate = 1e-3\n";
    here.write("p.toml", format!("{phase}shares = {{ text = 1.0 }}\n"));
    let message = here.fails("pretrain --config p.toml --text text.txt --out work");
    assert!(
        message.contains("holds files that are not of a run, such as `model`"),
        "{message}"
    );
    assert_eq!(here.read("work/model/config.json"), before);
    here.inspection("work/model");
}

#[test]
fn an_export_claims_no_impossible_context() {
    let here = Workplace::with_model();
    for target in ["0", "5000000000", "18446744073709551615"] {
        let message = here.fails(&format!("export m --rope yarn --target {target} --out x"));
        assert!(message.contains("`--target` is"), "{message}");
    }
    here.run("search --model m --tokens tokens.json --samples 2 --target 64 --out s --set search.population=5 --set search.generations=1")
        .worked();
    for (key, value) in [
        (
            "\"original_context\": 32",
            "\"original_context\": 18446744073709551615",
        ),
        (
            "\"max_context\": 64",
            "\"max_context\": 18446744073709551615",
        ),
    ] {
        let text = here.read("s/rope.json");
        assert!(text.contains(key), "{text}");
        here.write("rope.json", text.replace(key, value));
        let message = here.fails("export m --rope rope.json --out x");
        assert!(message.contains("at most 4294967296 tokens"), "{message}");
        assert!(!here.path("x").exists());
    }
}
