//! Messages about a stage of a recipe, whose settings are keys: the flags that messages name, in the words of recipes.

use longrope_extend::recipe::Verb;

/// What is said of several flags at once, or of those that stand for a value, and what it is in a recipe.
const PHRASES: [(&str, &str); 6] = [
    ("give one --rope", "set one `rope` in the stage"),
    ("--device A --device B", "device = [\"A\", \"B\"]"),
    ("--device A+B", "device = \"A+B\""),
    (" or set it in --config", " in the stage"),
    ("--force or --set force=true", "force = true"),
    ("fits with --lora", "fits with train.mode = \"lora\""),
];

/// A command line in backticks that is a stage in a recipe, and what that is.
const COMMAND: (&str, &str) = (
    "longrope search --stage ratios",
    "a search with search.stage = \"ratios\"",
);

/// Words before `--device` after which no device follows.
const OF_DEVICES: [&str; 4] = ["one ", "another ", "every ", "fewer "];

/// Words before a name that was given, whatever it looks like.
const OF_NAMES: [&str; 3] = ["RoPE ", "folder: ", "reference "];

/// A message about a stage with this verb: its flags become keys, their values the values of keys. Command lines, and
/// flags that `extend` has itself, stay as they are. So does what stands in backticks and is no flag: it may be a name
/// that was given, of any form.
pub(crate) fn in_recipe(text: &str, verb: Verb) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('`') {
        push_words(&mut out, before, verb);
        let Some((span, after)) = after.split_once('`') else {
            out.push('`');
            out.push_str(after);
            return out;
        };
        push_span(&mut out, span, verb);
        rest = after;
    }
    push_words(&mut out, rest, verb);
    out
}

/// Writes what stood in backticks.
fn push_span(out: &mut String, span: &str, verb: Verb) {
    let (command, in_recipe) = COMMAND;
    if span == command {
        out.push_str(in_recipe);
        return;
    }
    let is_name = OF_NAMES.iter().any(|words| out.ends_with(words));
    let key = key(span, verb).filter(|_| !is_name);
    for part in ["`", key.unwrap_or(span), "`"] {
        out.push_str(part);
    }
}

/// Writes words outside of backticks.
fn push_words(out: &mut String, words: &str, verb: Verb) {
    let phrases = PHRASES.iter();
    let words = phrases.fold(words.to_owned(), |words, (from, to)| {
        words.replace(from, to)
    });
    let mut rest = words.as_str();
    while let Some(at) = rest.find("--") {
        let (before, found) = rest.split_at(at);
        out.push_str(before);
        let is_part = |c: char| c.is_ascii_lowercase() || c == '-';
        let end = found.find(|c: char| !is_part(c)).unwrap_or(found.len());
        let (flag, after) = found.split_at(end);
        let begins_word = out.is_empty() || out.ends_with([' ', '(']);
        let read = if begins_word {
            push_key(out, flag, after, verb)
        } else {
            None
        };
        rest = read.unwrap_or_else(|| {
            out.push_str(flag);
            after
        });
    }
    out.push_str(rest);
}

/// Writes the key of a flag, with its value if one follows. Returns the text after these; `None` if the flag has no key.
fn push_key<'t>(out: &mut String, flag: &str, after: &'t str, verb: Verb) -> Option<&'t str> {
    let (value, behind) = next_word(after);
    if flag == "--set" {
        let (key, value) = value.split_once('=')?;
        *out += &assignment(key, value);
        return Some(behind);
    }
    let key = key(flag, verb)?;
    if !value.is_empty() && is_value(value, flag, out) {
        *out += &assignment(key, value);
        return Some(behind);
    }
    if let Some(before) = out.strip_suffix("with ") {
        *out = format!("{before}as ");
    }
    for part in ["`", key, "`"] {
        out.push_str(part);
    }
    Some(after)
}

/// The next word, without the marks of the sentence after it, and the text behind it; the word is empty if there is none.
fn next_word(after: &str) -> (&str, &str) {
    let Some(words) = after.strip_prefix(' ') else {
        return ("", after);
    };
    let word = words.split(' ').next().unwrap_or_default();
    let word = word.trim_end_matches([',', ';', ':', '.', ')']);
    words.split_at(word.len())
}

/// Whether the word after a flag is its value, by what is before the flag.
fn is_value(word: &str, flag: &str, before: &str) -> bool {
    if flag == "--device" {
        return !OF_DEVICES.iter().any(|word| before.ends_with(word));
    }
    before.ends_with("for example ") || word.starts_with(|c: char| c.is_ascii_digit())
}

/// A key with its value, as in a recipe.
fn assignment(key: &str, value: &str) -> String {
    let value = match key {
        _ if value.starts_with(['[', '"']) => value.to_owned(),
        "contexts" | "passkey.depths" | "needle.depths" => {
            let numbers: Vec<&str> = value.split(',').collect();
            format!("[{}]", numbers.join(", "))
        }
        "text" | "rope" => format!("[{}]", quoted(value)),
        _ if value.parse::<f64>().is_ok() || matches!(value, "true" | "false") => value.to_owned(),
        _ => quoted(value),
    };
    format!("{key} = {value}")
}

fn quoted(text: &str) -> String {
    format!("\"{text}\"")
}

/// The key that a flag of a verb sets; `None` if `extend` has the flag itself, or no key is set.
fn key(flag: &str, verb: Verb) -> Option<&'static str> {
    Some(match (flag, verb) {
        ("--text", _) => "text",
        ("--tokens", _) => "tokens",
        ("--model", _) => "model",
        ("--device", _) => "device",
        ("--seed", _) => "seed",
        ("--rope", _) => "rope",
        ("--contexts", _) => "contexts",
        ("--reference", _) => "eval.reference",
        ("--windows", _) => "eval.windows",
        ("--stride", _) => "eval.stride",
        ("--within", _) => "eval.within",
        ("--protocol", _) => "eval.protocol",
        ("--threshold", _) => "eval.threshold",
        ("--target", _) => "search.target",
        ("--profile", _) => "search.profile",
        ("--init", _) => "search.init",
        ("--stage", _) => "search.stage",
        ("--objective", _) => "search.objective",
        ("--samples", Verb::Ruler) => "ruler.samples",
        ("--samples", _) => "search.samples",
        ("--context", _) => "train.context",
        ("--steps", _) => "train.steps",
        ("--trials", Verb::Passkey) => "passkey.trials",
        ("--depths", Verb::Passkey) => "passkey.depths",
        ("--trials", _) => "needle.trials",
        ("--depths", _) => "needle.depths",
        ("--needles", _) => "needle.needles",
        ("--needle", _) => "needle.needle",
        ("--answer", _) => "needle.answer",
        ("--kind", _) => "needle.kind",
        ("--prompt", Verb::Needle) => "needle.prompt",
        ("--prompt", _) => "generate.prompts",
        ("--prompt-file", _) => "generate.prompt-files",
        ("--max-new-tokens", _) => "generate.max-new-tokens",
        ("--temperature", _) => "generate.temperature",
        ("--top-k", _) => "generate.top-k",
        ("--top-p", _) => "generate.top-p",
        ("--tasks", _) => "ruler.tasks",
        ("--squad", _) => "ruler.squad",
        ("--hotpotqa", _) => "ruler.hotpotqa",
        ("--bench", _) => "bench.name",
        ("--data", _) => "bench.data",
        ("--fewshot", _) => "bench.fewshot",
        ("--shots", _) => "bench.shots",
        ("--limit", _) => "bench.limit",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn flags_become_keys() {
        for (verb, text, expected) in [
            (Verb::Ppl, "`--text` is missing", "`text` is missing"),
            (
                Verb::Ppl,
                "give files or folders with --text, or token ids with --tokens",
                "give files or folders as `text`, or token ids as `tokens`",
            ),
            (
                Verb::Ppl,
                "for example --contexts 256,512,1024",
                "for example contexts = [256, 512, 1024]",
            ),
            (
                Verb::Finetune,
                "RoPE `yarn` is scaled for a context, but `--context` is missing",
                "RoPE `yarn` is scaled for a context, but `train.context` is missing",
            ),
            (
                Verb::Finetune,
                "give --context 64 or less, or the RoPE of a search for 128 tokens",
                "give train.context = 64 or less, or the RoPE of a search for 128 tokens",
            ),
            (
                Verb::Search,
                "give --target or set it in --config",
                "give `search.target` in the stage",
            ),
            (
                Verb::Search,
                "name the field with --set data.text-field=NAME; `a` is none",
                "name the field with data.text-field = \"NAME\"; `a` is none",
            ),
            (
                Verb::Finetune,
                "for example --set train.skipped.targets=[128]",
                "for example train.skipped.targets = [128]",
            ),
            (
                Verb::Recover,
                "to extend the RoPE, use `longrope search --stage ratios`",
                "to extend the RoPE, use a search with search.stage = \"ratios\"",
            ),
            (
                Verb::Ppl,
                "build it with `cargo build --release --features cuda`, or use --device flex",
                "build it with `cargo build --release --features cuda`, or use device = \"flex\"",
            ),
            (
                Verb::Ppl,
                "it fits with one --device",
                "it fits with one `device`",
            ),
            (
                Verb::Generate,
                "`--prompt` is missing",
                "`generate.prompts` is missing",
            ),
            (
                Verb::Needle,
                "give --prompt too",
                "give `needle.prompt` too",
            ),
        ] {
            assert_eq!(in_recipe(text, verb), expected);
        }
    }

    #[test]
    fn other_texts_stay_as_they_are() {
        for text in [
            "remove `run/01-find`, and --resume runs the stage again from its start",
            "reading `cache/models--o--text/--text.json`",
            "`longrope export runs/a --adapter` writes the adapters",
            "zstd -d --long=31 a.zst",
            "a dash -- and --",
            "",
            // Names of any form.
            "no such file or folder: `(--text 3).txt`",
            "no such file or folder: `--text`",
            "RoPE `--rope` is neither a method, nor a published RoPE, nor a file",
            "RoPE `--rope  é` is neither",
            "RoPE `--rope=é` is neither",
            "RoPE `--rope\u{a0}é` is neither",
            "`--text 3.txt` is empty",
            "`--set  k=1` is empty",
            "`--text  é",
        ] {
            assert_eq!(in_recipe(text, Verb::Search), text);
        }
    }

    /// Flags that stand in hints, and have no key: those of `extend`, of verbs that are no stages, and of other
    /// programs.
    const WITHOUT_KEY: [&str; 11] = [
        "--adapter",
        "--config",
        "--dtype",
        "--force",
        "--format",
        "--long",
        "--max-shard-size",
        "--merge",
        "--out",
        "--resume",
        "--set",
    ];

    /// A flag that a hint names is one of these, or has a key.
    #[test]
    fn every_flag_in_a_hint_has_a_key_or_none_for_a_reason() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/failure/hints");
        let mut n_flags = 0;
        for entry in fs_err::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.ends_with("keys.rs") || path.ends_with("tests.rs") {
                continue;
            }
            let text = fs_err::read_to_string(&path).unwrap();
            for (at, _) in text.match_indices(" --") {
                let is_part = |c: char| c.is_ascii_lowercase() || c == '-';
                let flag: String = text[at + 1..].chars().take_while(|c| is_part(*c)).collect();
                let is_known =
                    key(&flag, Verb::Search).is_some() || WITHOUT_KEY.contains(&flag.as_str());
                assert!(is_known, "{}: {flag}", path.display());
                n_flags += 1;
            }
        }
        assert!(n_flags > 50, "{n_flags}");
    }
}
