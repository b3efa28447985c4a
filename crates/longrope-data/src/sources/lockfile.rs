//! The packages of a `Cargo.lock`.

use std::cmp::Ordering;

use serde::Deserialize;

use crate::{Error, Result};

/// A package from a registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LockedPackage {
    /// Its name.
    pub name: String,
    /// Its version, with build metadata as in the name of its folder.
    pub version: String,
}

/// The packages of a lock file that come from registries, sorted by name, then version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lockfile {
    packages: Vec<LockedPackage>,
}

#[derive(Deserialize)]
struct File {
    #[serde(default)]
    package: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    name: String,
    version: String,
    source: Option<String>,
}

impl Lockfile {
    /// Reads the text of a `Cargo.lock`. Packages of the workspace have no source and are left out.
    ///
    /// # Errors
    /// [`Error::BadLockfile`].
    pub fn parse(text: &str) -> Result<Self> {
        let file: File = toml::from_str(text).map_err(|source| Error::BadLockfile { source })?;
        let from_registry =
            |entry: &Entry| matches!(&entry.source, Some(source) if source.contains("registry"));
        let mut packages: Vec<LockedPackage> = file
            .package
            .into_iter()
            .filter(from_registry)
            .map(|Entry { name, version, .. }| LockedPackage { name, version })
            .collect();
        packages.sort_by(|a, b| {
            a.name
                .cmp(&b.name)
                .then_with(|| compare_versions(&a.version, &b.version))
        });
        Ok(Self { packages })
    }

    /// All packages.
    pub fn packages(&self) -> &[LockedPackage] {
        &self.packages
    }

    /// The newest version of each package.
    pub fn newest(&self) -> impl Iterator<Item = &LockedPackage> {
        let groups = self.packages.chunk_by(|a, b| a.name == b.name);
        groups.filter_map(<[LockedPackage]>::last)
    }
}

/// Compares the numbers of two versions, then their texts. A release candidate comes before its release.
fn compare_versions(a: &str, b: &str) -> Ordering {
    let key = |version: &str| {
        let core = version.split(['-', '+']).next().unwrap_or_default();
        let numbers: Vec<u64> = core
            .split('.')
            .map(|number| number.parse().unwrap_or(0))
            .collect();
        let without_build = version.split('+').next().unwrap_or_default();
        (numbers, !without_build.contains('-'), version.to_owned())
    };
    key(a).cmp(&key(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_of_registries_are_read_and_the_newest_taken() {
        let registry = "source = \"registry+https://github.com/rust-lang/crates.io-index\"";
        let package = |name: &str, version: &str, source: &str| {
            format!("[[package]]\nname = \"{name}\"\nversion = \"{version}\"\n{source}\n")
        };
        let text = [
            package("b", "0.9.0", registry),
            package("b", "0.10.0-rc.1", registry),
            package("ours", "0.1.0", ""),
            package("a", "1.0.0+spec-1.1.0", registry),
            package("b", "0.10.0", registry),
        ];
        let lockfile = Lockfile::parse(&format!("version = 4\n\n{}", text.concat())).unwrap();
        let versions: Vec<_> = lockfile
            .packages()
            .iter()
            .map(|package| package.version.as_str())
            .collect();
        assert_eq!(
            versions,
            ["1.0.0+spec-1.1.0", "0.9.0", "0.10.0-rc.1", "0.10.0"]
        );
        let newest: Vec<_> = lockfile
            .newest()
            .map(|package| package.version.as_str())
            .collect();
        assert_eq!(newest, ["1.0.0+spec-1.1.0", "0.10.0"]);
    }

    #[test]
    fn other_files_are_refused() {
        assert!(matches!(
            Lockfile::parse("{}"),
            Err(Error::BadLockfile { .. })
        ));
        assert_eq!(Lockfile::parse("version = 4").unwrap().packages(), []);
    }
}
