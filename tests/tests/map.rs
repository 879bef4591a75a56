//! ARCHITECTURE.md is a map: what it names is there. A file that moves takes its line along.

#![expect(clippy::unwrap_used, reason = "these are tests")]

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

const PAGES: [&str; 3] = ["ARCHITECTURE.md", "CONTRIBUTING.md", "README.md"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn page(name: &str) -> String {
    fs::read_to_string(root().join(name)).unwrap()
}

/// What stands between backticks.
fn code(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// Text and target of each link that leads to a file.
fn links(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.split("](").zip(text.split("](").skip(1)).filter_map(|(before, behind)| {
        let (target, _) = behind.split_once(')')?;
        let (_, text) = before.rsplit_once('[')?;
        (!target.contains("://") && !target.starts_with('#')).then_some((text, target))
    })
}

/// Whether a file has the definition of a type.
fn defines(path: &str, name: &str) -> bool {
    let text = fs::read_to_string(root().join(path)).unwrap_or_default();
    ["struct", "enum", "trait"].iter().any(|kind| {
        let definition = format!("{kind} {name}");
        text.split(definition.as_str()).skip(1).any(|rest| !rest.starts_with(|c: char| c.is_alphanumeric()))
    })
}

/// Names of types start with a capital and have a small letter behind it.
fn is_type(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_uppercase()) && name.contains(|c: char| c.is_ascii_lowercase())
}

#[test]
fn a_link_of_these_pages_leads_to_a_file() {
    for name in PAGES {
        let text = page(name);
        for (_, target) in links(&text) {
            assert!(root().join(target).exists(), "{name} leads to {target}, which is not there");
        }
    }
}

#[test]
fn where_to_begin_names_files_that_are_there() {
    let text = page("ARCHITECTURE.md");
    let section = text.split("## Where to begin").nth(1).unwrap();
    let rows = section.lines().skip_while(|line| !line.starts_with("| to change")).skip(2);
    let mut named = 0;
    for row in rows.take_while(|line| line.starts_with('|')) {
        // A file without a folder is in that of the one before.
        let mut folder = PathBuf::new();
        for name in code(row) {
            let file = name.ends_with(".rs") || name.ends_with(".proto") || name.ends_with(".toml");
            if !file && !name.contains('/') {
                continue;
            }
            let path = if name.contains('/') { PathBuf::from(name) } else { folder.join(name) };
            assert!(root().join(&path).exists(), "{} is not there; its row begins {row:.60}", path.display());
            folder = path.parent().unwrap().to_owned();
            named += 1;
        }
    }
    assert!(named > 30, "{named} files were found in the table");
}

#[test]
fn a_type_that_the_map_names_has_a_path_and_is_defined_there() {
    let text = page("ARCHITECTURE.md");
    let rows = text.lines().skip_while(|line| *line != "| crate | types |").skip(2);
    let mut known = BTreeSet::new();
    for row in rows.take_while(|line| line.starts_with('|')) {
        let of = row.split('|').nth(1).unwrap().trim();
        for (text, path) in links(row) {
            let name = text.trim_matches('`');
            assert!(!is_type(name) || defines(path, name), "{name} is not defined in {path}");
            known.insert(format!("{of}::{name}"));
        }
    }
    let missing: BTreeSet<_> = code(&text)
        .filter_map(|path| path.split_once("::"))
        .map(|(of, rest)| (of, rest.split("::").next().unwrap_or_default()))
        .filter(|(_, name)| is_type(name))
        .map(|(of, name)| format!("{of}::{name}"))
        .filter(|name| !known.contains(name))
        .collect();
    assert!(missing.is_empty(), "named on the map, but with no path among its types: {missing:?}");
}

/// The sources of a crate by the name that the map gives it.
fn sources(of: &str) -> Option<PathBuf> {
    let homes = ["cluster/core", "cluster", "services", "proto"];
    homes.iter().map(|home| root().join(home).join(of).join("src")).find(|src| src.is_dir())
}

/// Whether a module is there, as a file or a folder.
fn is_module(src: &Path, path: &[&str]) -> bool {
    let place = path.iter().fold(src.to_owned(), |place, name| place.join(name));
    place.is_dir() || place.with_extension("rs").is_file()
}

/// Whether a constant or a function of this name is defined somewhere below.
fn has_value(src: &Path, name: &str) -> bool {
    let entries = fs::read_dir(src).unwrap().map(|entry| entry.unwrap().path());
    entries.into_iter().any(|path| {
        if path.is_dir() {
            return has_value(&path, name);
        }
        let text = fs::read_to_string(path).unwrap_or_default();
        text.contains(&format!("const {name}:")) || text.contains(&format!("fn {name}("))
    })
}

#[test]
fn modules_and_constants_that_the_map_names_are_there() {
    let text = page("ARCHITECTURE.md");
    let mut missing = BTreeSet::new();
    for name in code(&text) {
        let parts: Vec<_> = name.split("::").flat_map(|part| part.split('/')).collect();
        let word = |part: &&str| !part.is_empty() && part.chars().all(|c| c.is_alphanumeric() || c == '_');
        let Some(src) = sources(parts[0]).filter(|_| parts.len() > 1 && parts.iter().all(word)) else {
            continue;
        };
        let (modules, last) = (&parts[1..parts.len() - 1], parts[parts.len() - 1]);
        let modules: Vec<_> = modules.iter().copied().filter(|part| !is_type(part)).collect();
        let whole: Vec<_> = modules.iter().copied().chain([last]).collect();
        // A crate's tests stand beside its sources.
        let beside = is_module(&src.join(".."), &whole);
        if !(is_type(last)
            || beside
            || is_module(&src, &whole)
            || is_module(&src, &modules) && has_value(&src, last))
        {
            missing.insert(name);
        }
    }
    assert!(missing.is_empty(), "named on the map, but not there: {missing:?}");
}
