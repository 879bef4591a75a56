//! Holds the order of modules where the documentation of the file that declares them tells one: [`SENTENCE`], then a table whose
//! first column names the modules, those that use others above those that are used.
//!
//! Each module that the file declares is named once, one that is not declared is not named, and no file of a module imports one
//! of a module on a line above, or the file that declares them. Who may use whom on one line is not told; a circle is found by `files`.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::read_to_string,
    path::Path,
};

use super::{
    files::{graphs, workspace},
    program::Graph,
    source,
};

/// What stands before a table that is to hold.
const SENTENCE: &str = "Each line may use those below it, and none above.";

/// Where a table is to stand.
const TOLD: [&str; 2] = ["cluster/host/src/lib.rs", "tests/src/sim/mod.rs"];

#[test]
fn no_file_imports_one_of_a_module_above_its_own() {
    let (mut wrong, mut told) = (Vec::new(), BTreeSet::new());
    let workspace = workspace();
    for graph in graphs(&workspace) {
        for file in graph.keys() {
            let text = read_to_string(workspace.workspace_root.as_std_path().join(file)).unwrap();
            if let Some(found) = against(file, &text, &graph) {
                wrong.extend(found);
                told.insert(file.display().to_string());
            }
        }
    }
    assert!(wrong.is_empty(), "against the order of modules:\n{}", wrong.join("\n"));
    let silent: Vec<_> = TOLD.iter().filter(|file| !told.contains(**file)).collect();
    assert!(silent.is_empty(), "these tell no order any more: {silent:?}");
}

/// What is against the order that a file tells of its modules; `None` if it tells none.
fn against(file: &Path, text: &str, graph: &Graph) -> Option<Vec<String>> {
    let lines = lines(text)?;
    let declared = source::read(text).declared;
    let mut places = BTreeMap::new();
    let mut wrong = Vec::new();
    let at = file.display();
    for (place, name) in
        lines.iter().enumerate().flat_map(|(n, names)| names.iter().map(move |name| (n, name)))
    {
        if !declared.contains(name) {
            wrong.push(format!("{at}: the table names {name}, which is no module"));
        }
        if places.insert(name.as_str(), place).is_some() {
            wrong.push(format!("{at}: the table names {name} twice"));
        }
    }
    let unnamed = declared.iter().filter(|name| !places.contains_key(name.as_str()));
    wrong.extend(unnamed.map(|name| format!("{at}: the table does not name {name}")));
    let folder = file.parent().unwrap_or(Path::new(""));
    let place = |of: &Path| places.get(module(folder, of)?.as_str()).copied();
    for (from, to) in graph.iter().flat_map(|(from, to)| to.iter().map(move |to| (from, to))) {
        let Some(here) = place(from) else { continue };
        if to == file || place(to).is_some_and(|there| there < here) {
            wrong.push(format!("{} imports {}, which is above it", from.display(), to.display()));
        }
    }
    Some(wrong)
}

/// The module of a folder that a file belongs to.
fn module(folder: &Path, file: &Path) -> Option<String> {
    let first = file.strip_prefix(folder).ok()?.components().next()?;
    Some(first.as_os_str().to_str()?.trim_end_matches(".rs").to_owned())
}

/// The modules on each line of the table behind the sentence, the uppermost line first.
fn lines(text: &str) -> Option<Vec<Vec<String>>> {
    let mut doc = text.lines().map_while(|line| line.strip_prefix("//!")).map(str::trim);
    doc.find(|line| line.ends_with(SENTENCE))?;
    let rows = doc.skip_while(|line| !line.starts_with('|')).take_while(|line| line.starts_with('|'));
    let names = |row: &str| {
        let first = row.split('|').nth(1).unwrap_or_default();
        first.split('`').skip(1).step_by(2).map(str::to_owned).collect()
    };
    // The head and the rule below it.
    Some(rows.skip(2).map(names).collect())
}

#[cfg(test)]
mod tests {
    use super::{super::program::graph, *};

    const TABLE: &str = "//! What it is for.\n//!\n//! Each line may use those below it, and none above.\n//!\n\
        //! | module | is |\n//! |---|---|\n//! | `a` | the `top` |\n//! | `b`, `c` | below |\n//!\n//! More.\n";

    /// What is against the order in a crate whose root is the table and this.
    fn wrong(root: &str, files: &[(&str, &str)]) -> Vec<String> {
        let root = format!("{TABLE}\n{root}");
        let read = |file: &Path| match file.file_name()?.to_str()? {
            "lib.rs" => Some(root.clone()),
            name => files.iter().find(|(file, _)| *file == name).map(|(_, text)| (*text).to_owned()),
        };
        against(Path::new("src/lib.rs"), &root, &graph(Path::new("src/lib.rs"), &read)).unwrap()
    }

    #[test]
    fn who_uses_what_is_below_is_in_order() {
        let files = [
            ("a.rs", "use crate::{b::B, c::C};"),
            ("b.rs", "pub struct B; use super::c::C;"),
            ("c.rs", "pub struct C;"),
        ];
        assert_eq!(wrong("mod a; mod b; mod c; use a::A;", &files), Vec::<String>::new());
    }

    #[test]
    fn who_looks_up_is_named_also_where_it_looks_to_the_file_that_declares_it() {
        let files =
            [("a.rs", "pub struct A;"), ("b.rs", "use super::a::A;"), ("c.rs", "fn f() { crate::g() }")];
        let expected = [
            "src/b.rs imports src/a.rs, which is above it",
            "src/c.rs imports src/lib.rs, which is above it",
        ];
        assert_eq!(wrong("mod a; mod b; mod c; fn g() {}", &files), expected);
    }

    #[test]
    fn every_module_is_named_once_and_nothing_else_is() {
        let files = [("a.rs", ""), ("b.rs", ""), ("d.rs", "")];
        let expected =
            ["src/lib.rs: the table names c, which is no module", "src/lib.rs: the table does not name d"];
        assert_eq!(wrong("mod a; mod b; mod d;", &files), expected);
    }

    #[test]
    fn a_file_that_tells_no_order_is_left_alone() {
        let read = |_: &Path| None;
        let graph = graph(Path::new("src/lib.rs"), &read);
        assert_eq!(against(Path::new("src/lib.rs"), "//! | `a` | b |\nmod a;", &graph), None);
    }
}
