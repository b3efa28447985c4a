//! Files of a checkpoint besides its weights and `config.json`.

use std::path::Path;

use serde_json::Value;

use crate::error::{Error, Result};
use crate::inference::{GENERATION_CONFIG, read_generation_config};

/// Files that are copied unchanged if the source has them.
const FILES: &[&str] = &[
    "tokenizer.json",
    "tokenizer.model",
    "spiece.model",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "vocab.txt",
    "merges.txt",
    "chat_template.jinja",
    "chat_template.json",
    "preprocessor_config.json",
    "processor_config.json",
    "tekken.json",
];

/// Folders that are copied unchanged if the source has them.
const FOLDERS: &[&str] = &["additional_chat_templates"];

/// Beginnings of the names of licence files, in lower case.
const LICENCES: &[&str] = &["license", "licence", "notice", "use_policy"];

const TOKENIZER_CONFIG: &str = "tokenizer_config.json";

/// A limit from which on `model_max_length` means that there is none; transformers writes 1e30 then.
const UNLIMITED: f64 = 1e18;

/// Copies what belongs to a checkpoint besides weights and `config.json`: tokenizer, chat templates, generation
/// settings, licences, and Python files if `config.json` or `tokenizer_config.json` refers to code with `auto_map`.
///
/// With `max_length`, the `model_max_length` in `tokenizer_config.json` becomes this number of tokens, if there is one, and a
/// lower `max_length` in `generation_config.json`, at which transformers ends a text, prompt included, is raised to it.
///
/// # Errors
/// If a file cannot be read or written.
pub fn copy_companions(source: &Path, target: &Path, max_length: Option<usize>) -> Result<()> {
    let has_code =
        has_auto_map(&source.join("config.json")) || has_auto_map(&source.join(TOKENIZER_CONFIG));
    for entry in fs_err::read_dir(source)? {
        let entry = entry?;
        let (path, name) = (entry.path(), entry.file_name());
        let Some(name) = name.to_str() else { continue };
        // The other two have lengths.
        let is_copied = FILES.contains(&name) || is_licence(name) || (has_code && is_python(name));
        if path.is_file() && is_copied {
            fs_err::copy(&path, target.join(name))?;
        }
    }
    if has_code {
        copy_code(source, target, 0)?;
    }
    for name in FOLDERS {
        copy_folder(&source.join(name), &target.join(name))?;
    }
    copy_generation_config(source, target, max_length)?;
    copy_tokenizer_config(source, target, max_length)
}

/// Whether a file of a checkpoint folder belongs to the model besides its weights and `config.json`, judged by its path
/// in the folder: tokenizer, chat templates, generation settings, licences and Python files.
pub fn is_companion(path: &str) -> bool {
    if let Some((folder, _)) = path.split_once('/') {
        return FOLDERS.contains(&folder) || is_python(path);
    }
    FILES.contains(&path)
        || [TOKENIZER_CONFIG, GENERATION_CONFIG].contains(&path)
        || is_python(path)
        || is_licence(path)
}

fn is_licence(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    LICENCES.iter().any(|begin| lower.starts_with(begin))
}

fn is_python(name: &str) -> bool {
    Path::new(name).extension().is_some_and(|it| it == "py")
}

/// Whether a JSON file has the key `auto_map`, which names classes in Python files of the folder.
fn has_auto_map(path: &Path) -> bool {
    let json = fs_err::read_to_string(path).ok();
    let json = json.and_then(|text| serde_json::from_str::<Value>(&text).ok());
    json.is_some_and(|json| json.get("auto_map").is_some_and(|map| !map.is_null()))
}

/// Folders within folders that code may lie in; deeper ones are not of a model.
const MOST_DEPTH: usize = 4;

/// Copies the Python files in subfolders, which files of the model import. Hidden folders and links are left out.
fn copy_code(source: &Path, target: &Path, depth: usize) -> Result<()> {
    for entry in fs_err::read_dir(source)? {
        let entry = entry?;
        let (path, name) = (entry.path(), entry.file_name());
        let Some(name) = name.to_str().filter(|name| !name.starts_with('.')) else {
            continue;
        };
        let kind = entry.file_type()?;
        let to = target.join(name);
        if kind.is_dir() && depth < MOST_DEPTH {
            copy_code(&path, &to, depth + 1)?;
        } else if depth > 0 && path.is_file() && is_python(name) {
            fs_err::create_dir_all(target)?;
            fs_err::copy(&path, to)?;
        }
    }
    Ok(())
}

/// Copies the files of a folder, if it exists.
fn copy_folder(source: &Path, target: &Path) -> Result<()> {
    if !source.is_dir() {
        return Ok(());
    }
    fs_err::create_dir_all(target)?;
    for entry in fs_err::read_dir(source)? {
        let path = entry?.path();
        if let (true, Some(name)) = (path.is_file(), path.file_name()) {
            fs_err::copy(&path, target.join(name))?;
        }
    }
    Ok(())
}

/// Copies the settings of generation. A file that cannot be read as JSON is copied as it is.
fn copy_generation_config(source: &Path, target: &Path, max_length: Option<usize>) -> Result<()> {
    const LENGTH: &str = "max_length";
    let (from, to) = (
        source.join(GENERATION_CONFIG),
        target.join(GENERATION_CONFIG),
    );
    if !from.is_file() {
        return Ok(());
    }
    if let (Some(max_length), Ok(mut json)) = (max_length, read_generation_config(&from))
        && let Some(length) = json.get_mut(LENGTH)
        && length.as_u64().is_some_and(|it| it < max_length as u64)
    {
        *length = max_length.into();
        fs_err::write(to, format!("{json:#}\n"))?;
        return Ok(());
    }
    fs_err::copy(from, to)?;
    Ok(())
}

fn copy_tokenizer_config(source: &Path, target: &Path, max_length: Option<usize>) -> Result<()> {
    let (from, to) = (source.join(TOKENIZER_CONFIG), target.join(TOKENIZER_CONFIG));
    if !from.is_file() {
        return Ok(());
    }
    let Some(max_length) = max_length else {
        fs_err::copy(from, to)?;
        return Ok(());
    };
    let text = fs_err::read_to_string(&from)?;
    let mut json: Value = serde_json::from_str(&text).map_err(|source| Error::Json {
        path: from.clone(),
        source,
    })?;
    let limit = json.get_mut("model_max_length");
    match limit.filter(|limit| limit.as_f64().is_some_and(|limit| limit < UNLIMITED)) {
        Some(limit) if *limit != max_length => {
            *limit = max_length.into();
            fs_err::write(to, format!("{json:#}\n"))?;
        }
        _ => {
            fs_err::copy(from, to)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn copied(
        files: &[(&str, &str)],
        max_length: Option<usize>,
    ) -> (tempfile::TempDir, Vec<String>) {
        let [source, target] = [(); 2].map(|()| tempfile::tempdir().unwrap());
        for (name, text) in files {
            let path = source.path().join(name);
            fs_err::create_dir_all(path.parent().unwrap()).unwrap();
            fs_err::write(path, text).unwrap();
        }
        copy_companions(source.path(), target.path(), max_length).unwrap();
        let entries = fs_err::read_dir(target.path()).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.collect();
        names.sort();
        (target, names)
    }

    #[test]
    fn templates_licences_and_code_belong_to_a_checkpoint() {
        let files = [
            (
                "config.json",
                r#"{"auto_map": {"AutoConfig": "configuration_x.X"}}"#,
            ),
            ("configuration_x.py", "import torch"),
            ("helper.py", ""),
            ("layers/deep/attention.py", "x = 1"),
            ("layers/notes.txt", ""),
            (".git/hooks/x.py", ""),
            ("LICENSE.txt", "MIT"),
            ("NOTICE", "notice"),
            ("USE_POLICY.md", "policy"),
            ("chat_template.json", "{}"),
            ("additional_chat_templates/tools.jinja", "{{ x }}"),
            ("README.md", "card"),
            ("notes.txt", "notes"),
            ("model.safetensors", ""),
        ];
        let (target, names) = copied(&files, None);
        let expected = [
            "LICENSE.txt",
            "NOTICE",
            "USE_POLICY.md",
            "additional_chat_templates",
            "chat_template.json",
            "configuration_x.py",
            "helper.py",
            "layers",
        ];
        assert_eq!(names, expected);
        let template = target.path().join("additional_chat_templates/tools.jinja");
        assert_eq!(fs_err::read_to_string(template).unwrap(), "{{ x }}");
        let code = target.path().join("layers/deep/attention.py");
        assert_eq!(fs_err::read_to_string(code).unwrap(), "x = 1");
        assert!(!target.path().join("layers/notes.txt").exists());
        // Without `auto_map`, no one reads the Python files.
        let (_, names) = copied(&[("config.json", "{}"), ("x.py", "")], None);
        assert_eq!(names, Vec::<String>::new());
    }

    #[test]
    fn texts_may_be_as_long_as_the_new_context() {
        for (text, expected) in [
            (
                r#"{"a": 1, "max_length": 32}"#,
                "{\n  \"a\": 1,\n  \"max_length\": 128\n}\n",
            ),
            (
                "\u{feff}{\"max_length\": 32}",
                "{\n  \"max_length\": 128\n}\n",
            ),
            (r#"{"max_length":  256}"#, r#"{"max_length":  256}"#),
            (r#"{"max_length":  null}"#, r#"{"max_length":  null}"#),
            ("{}", "{}"),
            ("not JSON", "not JSON"),
        ] {
            let files = [(GENERATION_CONFIG, text)];
            let (target, _) = copied(&files, Some(128));
            let found = |target: &tempfile::TempDir| {
                fs_err::read_to_string(target.path().join(GENERATION_CONFIG)).unwrap()
            };
            assert_eq!(found(&target), expected);
            let (target, _) = copied(&files, None);
            assert_eq!(found(&target), text);
        }
    }

    #[test]
    fn the_tokenizer_gets_the_new_length_if_it_had_one() {
        for (text, expected) in [
            (
                r#"{"a": 1, "model_max_length": 32}"#,
                "{\n  \"a\": 1,\n  \"model_max_length\": 128\n}\n",
            ),
            (
                r#"{"model_max_length":  128}"#,
                r#"{"model_max_length":  128}"#,
            ),
            (
                r#"{"model_max_length":  1e30}"#,
                r#"{"model_max_length":  1e30}"#,
            ),
            (
                r#"{"model_max_length":  null}"#,
                r#"{"model_max_length":  null}"#,
            ),
            ("{}", "{}"),
        ] {
            let (target, _) = copied(&[(TOKENIZER_CONFIG, text)], Some(128));
            let found = fs_err::read_to_string(target.path().join(TOKENIZER_CONFIG)).unwrap();
            assert_eq!(found, expected);
        }
    }
}
