//! The folder of a search or of a training in the place of a model or of a file of factors.

use std::path::Path;

use toml::Table;

/// What the folder of a search or of a training has, for who gave it as a model or a RoPE; `None` for other folders.
pub(crate) fn search_folder(folder: &Path) -> Option<String> {
    let rope = folder.join("rope.json");
    // A model that was trained or exported has a `rope.json` too, but no settings of a run.
    let is_run = folder.join("config.toml").is_file();
    let trained = folder.join("model");
    if is_run && !rope.is_file() && trained.join("rope.json").is_file() {
        return Some(format!(
            "`{}` is the folder of a training: its model is `{}`, its RoPE `{}`",
            folder.display(),
            trained.display(),
            trained.join("rope.json").display()
        ));
    }
    if !rope.is_file() || !is_run || folder.join("config.json").is_file() {
        return None;
    }
    let model =
        model_of(folder).map_or_else(String::new, |model| format!("; its model is `{model}`"));
    Some(format!(
        "`{}` is the folder of a search: its factors are `{}`, for --rope{model}",
        folder.display(),
        rope.display()
    ))
}

/// The model that the settings of a run name.
fn model_of(folder: &Path) -> Option<String> {
    let text = fs_err::read_to_string(folder.join("config.toml")).ok()?;
    let settings: Table = text.parse().ok()?;
    Some(settings.get("model")?.as_str()?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_search_is_told_from_a_checkpoint_with_factors() {
        let here = tempfile::tempdir().unwrap();
        let folder = here.path();
        assert_eq!(search_folder(folder), None);
        fs_err::write(folder.join("rope.json"), "{}").unwrap();
        // A model whose `config.json` is missing.
        assert_eq!(search_folder(folder), None);
        fs_err::write(folder.join("config.toml"), "seed = 1\n").unwrap();
        let words = search_folder(folder).unwrap();
        assert!(words.ends_with("rope.json`, for --rope"), "{words}");
        fs_err::write(folder.join("config.toml"), "model = \"models/m\"\n").unwrap();
        let words = search_folder(folder).unwrap();
        assert!(words.ends_with("its model is `models/m`"), "{words}");
        let trained = folder.join("trained");
        fs_err::create_dir_all(trained.join("model")).unwrap();
        fs_err::write(trained.join("config.toml"), "seed = 1\n").unwrap();
        assert_eq!(search_folder(&trained), None);
        fs_err::write(trained.join("model/rope.json"), "{}").unwrap();
        let words = search_folder(&trained).unwrap();
        assert!(words.contains("is the folder of a training"), "{words}");
        fs_err::write(folder.join("config.json"), "{}").unwrap();
        assert_eq!(search_folder(folder), None);
    }
}
