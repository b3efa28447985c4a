//! Settings that the operators of a search do not read.

use super::{AttentionSearch, Operators, SearchConfig};

/// A key that does not do what it says with the operators of a search.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnreadKey {
    /// The key, as in files.
    pub key: &'static str,
    /// What it does instead, for a sentence that begins with the key.
    pub effect: &'static str,
}

impl Operators {
    /// The name in files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Windows => "windows",
            Self::DimMono => "dim-mono",
            Self::DimPieceMono => "dim-piece-mono",
            Self::Critical => "critical",
        }
    }

    /// Keys that have a meaning for other operators only.
    fn never_read(self) -> &'static [&'static str] {
        match self {
            Self::Windows => &["critical-min", "critical-max", "critical-unscaled"],
            Self::DimMono | Self::DimPieceMono => &[
                "critical-min",
                "critical-max",
                "critical-unscaled",
                "smooth-share",
                "difference-share",
            ],
            Self::Critical => &["smooth-share", "difference-share"],
        }
    }
}

impl SearchConfig {
    /// The keys that differ from `usual` and that the operators do not read, or not in full.
    ///
    /// Only [`Operators::Windows`] choose among start tokens. With others, a candidate has the smallest of the list or, if
    /// `has_init`, those of the initial candidate that it descends from.
    pub fn unread_keys(&self, usual: &Self, has_init: bool) -> Vec<UnreadKey> {
        let values = |config: &Self| serde_json::to_value(config).unwrap_or_default();
        let (own, usual) = (values(self), values(usual));
        let differs = |key: &str| own[key] != usual[key];
        let never_read = self.operators.never_read().iter().copied();
        let mut found: Vec<UnreadKey> = never_read
            .filter(|key| differs(key))
            .map(|key| UnreadKey {
                key,
                effect: "has no effect",
            })
            .collect();
        let has_several = self.clone().canonical().start_tokens.len() > 1;
        if self.operators != Operators::Windows
            && !has_init
            && has_several
            && differs("start-tokens")
        {
            found.push(UnreadKey {
                key: "start-tokens",
                effect: "has no effect beyond its smallest value",
            });
        }
        let is_official = matches!(self.operators, Operators::DimMono | Operators::DimPieceMono);
        if is_official && self.attention == (AttentionSearch::Gene {}) && differs("attention") {
            found.push(UnreadKey {
                key: "attention",
                effect: "of type `gene` does the same as `seeds`",
            });
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(config: &SearchConfig, usual: &SearchConfig, has_init: bool) -> Vec<&'static str> {
        let found = config.unread_keys(usual, has_init);
        found.iter().map(|unread| unread.key).collect()
    }

    #[test]
    fn keys_of_other_operators_are_told_if_they_differ_from_the_profile() {
        let changed = |base: SearchConfig| SearchConfig {
            smooth_share: 0.25,
            difference_share: 0.25,
            critical_min: Some(2),
            critical_max: Some(3),
            critical_unscaled: 1,
            start_tokens: vec![0, 4, 8],
            attention: AttentionSearch::Gene {},
            ..base
        };
        let critical = ["critical-min", "critical-max", "critical-unscaled"];
        let shares = ["smooth-share", "difference-share"];
        for (profile, expected) in [
            (SearchConfig::default(), critical.to_vec()),
            (SearchConfig::fast(), critical.to_vec()),
            (
                SearchConfig::v2(),
                [&shares[..], &["start-tokens"]].concat(),
            ),
            (
                SearchConfig::official(true),
                [&critical[..], &shares, &["start-tokens", "attention"]].concat(),
            ),
        ] {
            assert_eq!(keys(&profile, &profile, false), [""; 0]);
            assert_eq!(keys(&changed(profile.clone()), &profile, false), expected);
        }
        // What a profile has is not told, whatever the operators are.
        let fast = SearchConfig {
            operators: Operators::Critical,
            ..SearchConfig::fast()
        };
        assert_eq!(keys(&fast, &SearchConfig::fast(), false), [""; 0]);
    }

    #[test]
    fn start_tokens_have_an_effect_if_there_is_one_or_a_candidate_has_some() {
        let with = |start_tokens: &[usize]| SearchConfig {
            start_tokens: start_tokens.to_vec(),
            ..SearchConfig::v2()
        };
        let told = |start_tokens: &[usize], has_init| {
            keys(&with(start_tokens), &SearchConfig::v2(), has_init)
        };
        assert_eq!(told(&[0, 4], false), ["start-tokens"]);
        assert_eq!(told(&[0, 4], true), [""; 0]);
        assert_eq!(told(&[4], false), [""; 0]);
        // 1 is a second 0.
        assert_eq!(told(&[0, 1], false), [""; 0]);
    }

    #[test]
    fn operators_have_the_names_of_files() {
        for operators in [
            Operators::Windows,
            Operators::DimMono,
            Operators::DimPieceMono,
            Operators::Critical,
        ] {
            let written = serde_json::to_string(&operators).expect("plain data");
            assert_eq!(written, format!("\"{}\"", operators.name()));
        }
    }
}
