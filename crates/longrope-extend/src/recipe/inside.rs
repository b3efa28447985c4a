//! What lies in a folder.

use std::path::Path;

/// Whether a path lies in a folder, by their names or in truth: links and relative paths may hide it. What is not there yet
/// has a name only.
pub fn is_inside(path: &Path, folder: &Path) -> bool {
    let named = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    if named(path).starts_with(named(folder)) {
        return true;
    }
    let found = |path: &Path| fs_err::canonicalize(path).ok();
    let both = found(path).zip(found(folder));
    both.is_some_and(|(path, folder)| path.starts_with(folder))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_inside_under_any_name() {
        let here = tempfile::tempdir().unwrap();
        let [stage, other] = ["01-find", "02-measure"].map(|name| here.path().join(name));
        fs_err::create_dir(&stage).unwrap();
        fs_err::create_dir(&other).unwrap();
        fs_err::write(stage.join("rope.json"), "{}").unwrap();
        let hidden = other.join("../01-find/rope.json");
        assert!(is_inside(&hidden, &stage) && !is_inside(&hidden, &here.path().join("nowhere")));
        assert!(is_inside(&stage.join("rope.json"), &stage));
        assert!(is_inside(&stage.join("not-yet.json"), &stage));
        assert!(is_inside(Path::new("run/rope.json"), Path::new("run")));
        assert!(!is_inside(&stage.join("rope.json"), &other));
        assert!(!is_inside(Path::new("none"), &stage));
    }
}
