//! Where results may be written: not among the files of a model or of somebody else.

use crate::support::{TINY_SEARCH, Workplace};

const FINETUNE: &str = "finetune --model m --tokens tokens.json --rope yarn --context 64 --steps 1 \
    --dashboard off --set train.batch=1 --set train.eval-windows=0 --set train.warmup-steps=0";
const PRETRAIN: &str = r#"
[pretrain]
model = { layers = 1, hidden = 32, heads = 2, kv-heads = 1, intermediate = 48, vocab = 300, window = 64 }
[[pretrain.phases]]
name = "only"
steps = 1
batch = 1
window = 48
learning-rate = 1e-2
shares = { text = 1.0 }
"#;
const RECIPE: &str = r#"
model = "m"
tokens = "tokens.json"
out = "unused"
[[stage]]
verb = "compare"
contexts = [32]
"#;

/// A folder with a model, a repository, and the inputs of every verb.
fn workplace() -> Workplace {
    let here = Workplace::with_tokenizer();
    here.checkpoint("llama-gqa-tied", "m");
    here.tokens("tokens.json", 600);
    here.rust_text();
    here.write("pretrain.toml", PRETRAIN);
    here.write("recipe.toml", RECIPE);
    fs_err::create_dir_all(here.path("repo/.git")).unwrap();
    here.write("repo/.git/HEAD", "ref: refs/heads/main");
    fs_err::create_dir_all(here.path("repo/eval")).unwrap();
    here.write("repo/eval/notes.md", "mine");
    fs_err::create_dir_all(here.path("papers")).unwrap();
    here.write("papers/draft.tex", "mine");
    here
}

fn names(here: &Workplace, folder: &str) -> Vec<String> {
    let entries = fs_err::read_dir(here.path(folder)).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn no_verb_mixes_its_files_with_those_of_others() {
    let here = workplace();
    here.run(&format!(
        "{TINY_SEARCH} --target 64 --set search.generations=1 --out found"
    ))
    .worked();
    let search = format!("{TINY_SEARCH} --target 64 --set search.generations=1");
    let lines = [
        search.as_str(),
        FINETUNE,
        "recover --model m --tokens tokens.json --rope found/rope.json --contexts 16",
        "pretrain --config pretrain.toml --text text.txt --json",
        "extend --config recipe.toml",
        "export --model m --rope yarn --target 64",
        "eval ppl --model m --tokens tokens.json --contexts 32",
        "compare --model m --tokens tokens.json --contexts 32",
        "eval passkey --model t --contexts 128",
        "eval needle --model t --contexts 128",
        "eval ruler --model t --contexts 128",
        "demo",
    ];
    for folder in ["m", "./m/../m", "t", "repo", "papers"] {
        let before = names(&here, folder);
        for line in lines {
            here.run(&format!("{line} --out {folder}")).refused();
            assert_eq!(names(&here, folder), before, "{line} --out {folder}");
        }
    }
    here.run(&format!("{FINETUNE} --out papers"))
        .refused_with("not of a run, such as `draft.tex`");
    here.run("eval ppl --model m --tokens tokens.json --contexts 32 --out m")
        .refused_with("the folder of the model");
    here.run("eval ppl --model m --tokens tokens.json --contexts 32 --out repo")
        .refused_with("such as `.git`");
}

#[test]
fn results_go_into_new_and_empty_folders_and_into_those_of_runs() {
    let here = workplace();
    let eval = "eval ppl --model m --tokens tokens.json --contexts 32 --windows 1";
    fs_err::create_dir(here.path("empty")).unwrap();
    here.run(&format!("{eval} --out empty")).worked();
    here.run(&format!("{eval} --out new/deep")).worked();
    here.run(&format!("{eval} --out new/deep")).worked();
    // A log that the shell opens first.
    fs_err::create_dir(here.path("logged")).unwrap();
    here.write("logged/job.log", "begun\n");
    here.run(&format!("{FINETUNE} --out logged")).worked();
    here.write("logged/notes.txt", "mine");
    here.run(&format!("{eval} --out logged")).worked();
}
