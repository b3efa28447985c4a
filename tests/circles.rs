//! Reads which file of a crate imports which, for the rule of `tidy.rs` that no file imports itself in a circle.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::support::repository;

/// A module path inside a crate, without `crate`.
type Module = Vec<String>;

/// The paths that the files of a crate use of their own crate, tests left out.
#[derive(Default)]
struct Crate {
    files: BTreeMap<Module, File>,
}

struct File {
    name: String,
    /// Absolute paths inside the crate, as they are written in the file.
    used: Vec<Module>,
    /// Names that other files may use through this one, with the path that each stands for.
    reexports: BTreeMap<String, Module>,
}

impl Crate {
    fn read(source: &Path) -> Self {
        let mut texts = BTreeMap::new();
        collect(source, &mut Vec::new(), &mut texts);
        let modules: BTreeSet<Module> = texts.keys().cloned().collect();
        let files = texts.into_iter().map(|(module, (name, text))| {
            let file = File::parse(name, &without_tests(&text), &module, &modules);
            (module, file)
        });
        Self {
            files: files.collect(),
        }
    }

    /// The file that defines what a path names; re-exports are followed.
    fn home(&self, path: &[String]) -> Option<&Module> {
        let mut path = path.to_vec();
        // A chain of re-exports is short.
        for _ in 0..8 {
            let len = (0..=path.len())
                .rev()
                .find(|len| self.files.contains_key(&path[..*len]))?;
            let (module, file) = self.files.get_key_value(&path[..len])?;
            match path.get(len).and_then(|name| file.reexports.get(name)) {
                Some(target) => path = [target.clone(), path[len + 1..].to_vec()].concat(),
                None => return Some(module),
            }
        }
        None
    }

    /// The files that each file uses.
    fn arrows(&self) -> BTreeMap<&Module, BTreeSet<&Module>> {
        let arrows = self.files.iter().map(|(module, file)| {
            let used = file.used.iter().filter_map(|path| self.home(path));
            (module, used.filter(|home| *home != module).collect())
        });
        arrows.collect()
    }

    /// A circle of files, if there is one.
    fn circle(&self) -> Option<Vec<&str>> {
        let mut arrows = self.arrows();
        // Files that use none but files taken away are taken away, until there are none or only circles are left.
        loop {
            let done = |used: &BTreeSet<&Module>, left: &BTreeMap<&Module, BTreeSet<&Module>>| {
                used.iter().all(|module| !left.contains_key(module))
            };
            let next = arrows
                .iter()
                .find(|(_, used)| done(used, &arrows))
                .map(|(module, _)| *module);
            match next {
                Some(module) => arrows.remove(module),
                None => break,
            };
        }
        let mut at = *arrows.keys().next()?;
        let mut way: Vec<&Module> = Vec::new();
        while !way.contains(&at) {
            way.push(at);
            at = arrows[at]
                .iter()
                .find(|module| arrows.contains_key(*module))?;
        }
        let start = way.iter().position(|module| *module == at)?;
        let names = way[start..].iter().chain([&at]);
        Some(
            names
                .map(|module| self.files[*module].name.as_str())
                .collect(),
        )
    }
}

impl File {
    fn parse(name: String, text: &str, module: &Module, modules: &BTreeSet<Module>) -> Self {
        let mut used = Vec::new();
        let mut reexports = BTreeMap::new();
        for (is_public, path) in paths(text) {
            let Some(absolute) = absolute(&path, module, modules) else {
                continue;
            };
            if is_public && let Some(name) = path.last() {
                reexports.insert(name.clone(), absolute.clone());
            }
            used.push(absolute);
        }
        Self {
            name,
            used,
            reexports,
        }
    }
}

/// Source files below a folder, by module.
fn collect(folder: &Path, at: &mut Module, texts: &mut BTreeMap<Module, (String, String)>) {
    for entry in fs_err::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let stem = path.file_stem().unwrap().display().to_string();
        if stem == "tests" || stem.ends_with("_tests") {
            continue;
        }
        if path.is_dir() {
            at.push(stem);
            collect(&path, at, texts);
            at.pop();
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let is_root = ["lib", "main", "mod"].contains(&stem.as_str());
            let own = (!is_root).then_some(stem);
            let module: Module = at.iter().cloned().chain(own).collect();
            let text = fs_err::read_to_string(&path).unwrap();
            texts.insert(module, (path.display().to_string(), text));
        }
    }
}

/// The text without comments and without what is compiled for tests only.
fn without_tests(text: &str) -> String {
    let mut kept = String::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if line.trim_start().starts_with("//") {
            continue;
        }
        if line.trim_start() == "#[cfg(test)]" {
            let indent = line.len() - line.trim_start().len();
            // One item: to a line that ends it, at the same depth.
            for line in lines.by_ref() {
                let depth = line.len() - line.trim_start().len();
                if depth == indent
                    && (line.ends_with(';') || line.trim_end() == "}" || line.ends_with("},"))
                {
                    break;
                }
            }
            continue;
        }
        kept.push_str(&without_visibility(line));
        kept.push('\n');
    }
    kept
}

/// A line without `pub(in path)`, which names a module but imports nothing.
fn without_visibility(line: &str) -> String {
    let Some((before, after)) = line.split_once("pub(in ") else {
        return line.to_owned();
    };
    let (_, after) = after.split_once(')').unwrap_or(("", after));
    format!("{before}pub{after}")
}

/// Every path in `use` declarations, and every other one that begins with `crate` or `super`; whether it is public.
fn paths(text: &str) -> Vec<(bool, Module)> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find(|c: char| c.is_alphanumeric() || c == '_') {
        let before = rest[..start].chars().last();
        rest = &rest[start..];
        let word = word(rest);
        let is_start = before != Some(':') && before != Some('\'');
        if word == "use" && is_start {
            let (tree, after) = rest[3..].split_once(';').unwrap_or((&rest[3..], ""));
            let line = text[..text.len() - rest.len()].lines().last().unwrap_or("");
            let is_public = line.trim_start().starts_with("pub");
            expand(tree.trim(), &mut Vec::new(), &mut |path| {
                found.push((is_public, path));
            });
            rest = after;
        } else if ["crate", "super"].contains(&word) && is_start && rest[5..].starts_with("::") {
            let end = rest
                .find(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':'))
                .unwrap_or(rest.len());
            let path = rest[..end].trim_end_matches(':').split("::");
            found.push((false, path.map(str::to_owned).collect()));
            rest = &rest[end..];
        } else {
            rest = &rest[word.len()..];
        }
    }
    found
}

fn word(text: &str) -> &str {
    let end = text.find(|c: char| !(c.is_alphanumeric() || c == '_'));
    &text[..end.unwrap_or(text.len())]
}

/// The paths of a use tree such as `a::{b, c::d as e}`.
fn expand(tree: &str, prefix: &mut Module, found: &mut impl FnMut(Module)) {
    let tree = tree.trim();
    if let Some(inner) = tree.strip_prefix('{') {
        let inner = inner.trim_end().trim_end_matches('}');
        let mut depth = 0;
        let parts = inner.split(|c| {
            depth += i32::from(c == '{') - i32::from(c == '}');
            c == ',' && depth == 0
        });
        for part in parts.filter(|part| !part.trim().is_empty()) {
            expand(part, prefix, found);
        }
        return;
    }
    let name = word(tree);
    let after = tree[name.len()..].trim_start();
    if name != "self" {
        prefix.push(name.to_owned());
    }
    match after.strip_prefix("::") {
        Some(rest) => expand(rest, prefix, found),
        None => found(prefix.clone()),
    }
    if name != "self" {
        prefix.pop();
    }
}

/// A path as it counts from the root of the crate; `None` if it leads elsewhere.
fn absolute(path: &[String], module: &Module, modules: &BTreeSet<Module>) -> Option<Module> {
    let (first, rest) = path.split_first()?;
    let up = path.iter().take_while(|name| *name == "super").count();
    match first.as_str() {
        "crate" => Some(rest.to_vec()),
        "super" => {
            let base = module.len().checked_sub(up)?;
            Some([&module[..base], &path[up..]].concat())
        }
        child => {
            let below = [module.as_slice(), &[child.to_owned()]].concat();
            (modules.contains(&below)).then(|| [module.as_slice(), path].concat())
        }
    }
}

/// The circles of all crates, one list of files each, and how many imports were seen.
pub(crate) fn circles_of_all_crates() -> (Vec<String>, usize) {
    let mut n_arrows = 0;
    let mut circles = Vec::new();
    for entry in fs_err::read_dir(repository().join("crates")).unwrap() {
        let source = entry.unwrap().path().join("src");
        if source.is_dir() {
            let files = Crate::read(&source);
            n_arrows += files.arrows().values().map(BTreeSet::len).sum::<usize>();
            circles.extend(files.circle().map(|circle| circle.join("\n")));
        }
    }
    (circles, n_arrows)
}

#[test]
fn circles_are_found_through_reexports() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(path, text).unwrap();
    };
    write(
        "lib.rs",
        "mod a;\nmod b;\npub use a::A;\npub use b::{B, c::C};\n",
    );
    write("a.rs", "use crate::B;\npub struct A(B);\n");
    write(
        "b/mod.rs",
        "pub mod c;\npub struct B;\n#[cfg(test)]\nmod tests {\n    use crate::A;\n}\n",
    );
    write("b/c.rs", "use super::B;\npub(in crate::b) struct C(B);\n");
    assert_eq!(Crate::read(folder.path()).circle(), None);
    // Not by its own name, and not at the top: still a circle.
    write(
        "b/mod.rs",
        "pub mod c;\npub struct B;\nfn f() { let _ = crate::A::default(); }\n",
    );
    let files = Crate::read(folder.path());
    assert_eq!(files.circle().unwrap().len(), 3);
}
