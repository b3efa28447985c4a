//! Which keys of a section do not have their defaults.

use serde::Serialize;
use toml::Table;

/// The keys of a section that do not have their defaults.
pub(crate) fn changed_keys<T: Default + Serialize>(section: &T) -> Vec<String> {
    let usual = Table::try_from(T::default()).unwrap_or_default();
    let found = Table::try_from(section).unwrap_or_default().into_iter();
    found
        .filter(|(key, value)| usual.get(key) != Some(value))
        .map(|(key, _)| key)
        .collect()
}

#[cfg(test)]
mod tests {
    use longrope_trainer::run::SkippedPositions;

    use super::*;

    #[test]
    fn defaults_are_no_changes() {
        let mut section = SkippedPositions::default();
        assert_eq!(changed_keys(&section), [""; 0]);
        section.pieces = 3;
        section.targets = vec![128];
        let mut changed = changed_keys(&section);
        changed.sort();
        assert_eq!(changed, ["pieces", "targets"]);
    }
}
