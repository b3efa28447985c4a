//! Names of models on the Hugging Face hub.

use std::path::Path;

/// Whether a text looks like the name of a model on the hub, `OWNER/NAME`.
pub fn is_hub_name(text: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    let is_part = |part: &str| {
        part.starts_with(|c: char| c.is_ascii_alphanumeric()) && part.chars().all(allowed)
    };
    text.split_once('/')
        .is_some_and(|(owner, name)| is_part(owner) && is_part(name))
}

/// The name and the commit of a model in a folder of the hub's cache: `models--OWNER--NAME/snapshots/COMMIT`.
pub fn name_in_hub_cache(folder: &Path) -> Option<(String, String)> {
    let snapshots = folder.parent().filter(|it| it.ends_with("snapshots"))?;
    let repository = snapshots.parent()?.file_name()?.to_str()?;
    let name = repository.strip_prefix("models--")?.replacen("--", "/", 1);
    let commit = folder.file_name()?.to_str()?;
    is_hub_name(&name).then(|| (name, commit.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_of_the_cache_have_the_names_of_their_models() {
        let of = |folder: &str| name_in_hub_cache(Path::new(folder));
        let found = of("/c/hub/models--o--m--x/snapshots/a1b2");
        assert_eq!(found, Some(("o/m--x".to_owned(), "a1b2".to_owned())));
        for other in ["/c/o/m", "/c/models--m/snapshots/a1", "models--o--m/a1", ""] {
            assert_eq!(of(other), None, "{other}");
        }
    }

    #[test]
    fn names_of_the_hub_are_recognised() {
        for name in ["meta-llama/Llama-2-7b-hf", "o/m.2_b"] {
            assert!(is_hub_name(name), "{name}");
        }
        for name in ["", "m", "a/b/c", "./m", "/models/m", "../m", "a b/c", "a/"] {
            assert!(!is_hub_name(name), "{name}");
        }
    }
}
