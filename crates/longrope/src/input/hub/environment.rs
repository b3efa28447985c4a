//! The variables of `huggingface_hub`, with its rules.
//!
//! <https://huggingface.co/docs/huggingface_hub/package_reference/environment_variables>

use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// What the environment says about the hub.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Environment {
    /// The folder with one folder per repository.
    pub(super) cache: PathBuf,
    /// The token of a user, if a variable has it.
    token: Option<String>,
    /// The file that has the token otherwise.
    token_path: PathBuf,
    /// Whether the hub may not be asked.
    pub(super) is_offline: bool,
    /// Address of the hub, without a slash at its end.
    pub(super) endpoint: String,
}

impl Environment {
    /// Reads the variables of the process.
    #[expect(
        clippy::disallowed_methods,
        reason = "the program may read the environment"
    )]
    pub(super) fn of_process() -> Self {
        Self::read(
            |name| std::env::var_os(name),
            std::env::home_dir().as_deref(),
        )
    }

    /// Reads variables by name; empty ones are as if they were not set.
    pub(super) fn read(variable: impl Fn(&str) -> Option<OsString>, home: Option<&Path>) -> Self {
        let first = |names: &[&str]| {
            let mut values = names.iter().filter_map(|name| variable(name));
            values.find(|value| !value.is_empty())
        };
        let path = |names: &[&str]| first(names).map(|value| expanded(value, home));
        let text = |names: &[&str]| {
            let value = first(names)?.into_string().ok()?;
            let value = value.trim().to_owned();
            (!value.is_empty()).then_some(value)
        };
        let hub_home = path(&["HF_HOME"]).unwrap_or_else(|| {
            let caches = path(&["XDG_CACHE_HOME"]);
            let caches = caches.unwrap_or_else(|| home.unwrap_or(Path::new("")).join(".cache"));
            caches.join("huggingface")
        });
        let endpoint = text(&["HF_ENDPOINT"]);
        let endpoint = endpoint.as_deref().unwrap_or("https://huggingface.co");
        Self {
            cache: path(&["HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"])
                .unwrap_or_else(|| hub_home.join("hub")),
            token: text(&["HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"]),
            token_path: path(&["HF_TOKEN_PATH"]).unwrap_or_else(|| hub_home.join("token")),
            is_offline: text(&["HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"])
                .is_some_and(|value| is_true(&value)),
            endpoint: endpoint.trim_end_matches('/').to_owned(),
        }
    }

    /// The token of the user, from a variable or the file that logging in writes.
    pub(super) fn token(&self) -> Option<String> {
        let from_file = || {
            let content = fs_err::read_to_string(&self.token_path).ok()?;
            // `huggingface_hub` removes line breaks, too.
            let token: String = content.split_whitespace().collect();
            (!token.is_empty()).then_some(token)
        };
        self.token.clone().or_else(from_file)
    }
}

/// A path whose first part may be `~`, the home of the user.
fn expanded(path: OsString, home: Option<&Path>) -> PathBuf {
    let path = PathBuf::from(path);
    match (path.strip_prefix("~"), home) {
        (Ok(rest), Some(home)) => home.join(rest),
        _ => path,
    }
}

fn is_true(value: &str) -> bool {
    ["1", "ON", "YES", "TRUE"].contains(&value.to_ascii_uppercase().as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Environment {
        let lookup = |name: &str| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| OsString::from(value))
        };
        Environment::read(lookup, Some(Path::new("/home/me")))
    }

    #[test]
    fn the_cache_is_where_the_first_of_its_variables_says() {
        let by_rank = [
            ("HF_HUB_CACHE", "/a", "/a"),
            ("HUGGINGFACE_HUB_CACHE", "/b", "/b"),
            ("HF_HOME", "/c", "/c/hub"),
            ("XDG_CACHE_HOME", "/d", "/d/huggingface/hub"),
        ];
        for first in 0..=by_rank.len() {
            let rest = &by_rank[first..];
            let variables: Vec<_> = rest
                .iter()
                .map(|(name, value, _)| (*name, *value))
                .collect();
            let expected = rest
                .first()
                .map_or("/home/me/.cache/huggingface/hub", |it| it.2);
            assert_eq!(read(&variables).cache, Path::new(expected), "{variables:?}");
            // Empty variables count as not set.
            let empty = by_rank[..first].iter().map(|(name, ..)| (*name, ""));
            let variables: Vec<_> = empty.chain(variables).collect();
            assert_eq!(read(&variables).cache, Path::new(expected), "{variables:?}");
        }
    }

    #[test]
    fn the_home_of_the_user_is_put_in() {
        for (name, cache) in [
            ("HF_HUB_CACHE", "/home/me/x"),
            ("HUGGINGFACE_HUB_CACHE", "/home/me/x"),
            ("HF_HOME", "/home/me/x/hub"),
            ("XDG_CACHE_HOME", "/home/me/x/huggingface/hub"),
        ] {
            assert_eq!(read(&[(name, "~/x")]).cache, Path::new(cache), "{name}");
        }
        assert_eq!(read(&[("HF_HUB_CACHE", "~")]).cache, Path::new("/home/me"));
        assert_eq!(read(&[("HF_HUB_CACHE", "a~/x")]).cache, Path::new("a~/x"));
        let path = read(&[("HF_TOKEN_PATH", "~/t")]).token_path;
        assert_eq!(path, Path::new("/home/me/t"));
    }

    #[test]
    fn the_token_is_the_first_of_variable_and_file() {
        let dir = tempfile::tempdir().unwrap();
        fs_err::write(dir.path().join("token"), "of home\n").unwrap();
        fs_err::write(dir.path().join("other"), " of\nfile \n").unwrap();
        let home = dir.path().to_str().unwrap();
        let file = dir.path().join("other");
        let file = file.to_str().unwrap();
        let variables = [
            ("HF_TOKEN", "new"),
            ("HUGGING_FACE_HUB_TOKEN", "legacy"),
            ("HF_TOKEN_PATH", file),
            ("HF_HOME", home),
        ];
        let expected = ["new", "legacy", "offile", "ofhome"];
        for (first, expected) in expected.iter().enumerate() {
            let token = read(&variables[first..]).token();
            assert_eq!(token.as_deref(), Some(*expected));
        }
        assert_eq!(
            read(&[("HF_HOME", "/nowhere"), ("HF_TOKEN", " ")]).token(),
            None
        );
    }

    #[test]
    fn offline_is_one_of_four_words_in_any_case() {
        for value in ["1", "on", "ON", "Yes", "true", "TRUE"] {
            assert!(read(&[("HF_HUB_OFFLINE", value)]).is_offline, "{value}");
            assert!(
                read(&[("TRANSFORMERS_OFFLINE", value)]).is_offline,
                "{value}"
            );
        }
        for value in ["", "0", "no", "2", "off"] {
            assert!(!read(&[("HF_HUB_OFFLINE", value)]).is_offline, "{value}");
        }
        // The first one that is set decides.
        let both = |first| read(&[("HF_HUB_OFFLINE", first), ("TRANSFORMERS_OFFLINE", "1")]);
        assert!(!both("0").is_offline);
        assert!(both("").is_offline);
    }

    #[test]
    fn the_address_has_no_slash_at_its_end() {
        assert_eq!(read(&[]).endpoint, "https://huggingface.co");
        assert_eq!(
            read(&[("HF_ENDPOINT", "")]).endpoint,
            "https://huggingface.co"
        );
        assert_eq!(
            read(&[("HF_ENDPOINT", "http://a:1/")]).endpoint,
            "http://a:1"
        );
        assert_eq!(
            read(&[("HF_ENDPOINT", "http://a/b//")]).endpoint,
            "http://a/b"
        );
    }
}
