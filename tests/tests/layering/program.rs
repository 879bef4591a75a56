//! One crate's files and which of them imports which.
//!
//! A file imports another when it names, in a `use` or in a path in its code, something that the other defines. Names are
//! followed to where they are defined: through `use` of other files, so that who takes `super::A` from a `mod.rs` that has
//! `pub use a::A` imports `a.rs` and not `mod.rs`. Hence:
//!
//! - `mod a;` is no import, and neither is the `pub use` of what a module below defines, unless the file uses the name
//!   itself: a `mod.rs` or `lib.rs` that only hands on stands in no circle.
//! - `use a;` of a module is none; `a::b()` behind it is one of the file that defines `b`.
//! - `use a::*` imports the file of `a` itself.
//! - What another crate defines is no file's, also where one hands it on (`pub use tokio::X`).
//! - What is compiled for unit tests or the documentation alone counts for nothing: both look at all that is around them.
//!
//! It does not see what is called without being named: methods, fields, and names that a macro makes up.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use super::source::{self, Import, Module};

/// Files, and those that each imports.
pub type Graph = BTreeMap<PathBuf, BTreeSet<PathBuf>>;

/// The files that are one crate with their imports, from the root file (`lib.rs`, `main.rs`) on. `read` gives a file's text.
pub fn graph(root: &Path, read: &dyn Fn(&Path) -> Option<String>) -> Graph {
    let mut program = Program { scopes: Vec::new(), read };
    let folder = root.parent().unwrap_or(Path::new(""));
    program.load(root, folder, None);
    let mut graph = Graph::new();
    for (index, scope) in program.scopes.iter().enumerate() {
        let found = program.imported_by(index).into_iter().filter(|file| *file != scope.file);
        graph.entry(scope.file.clone()).or_default().extend(found);
    }
    graph
}

/// A module in its place.
struct Scope {
    file: PathBuf,
    parent: Option<usize>,
    children: BTreeMap<String, usize>,
    text: Module,
}

struct Program<'a> {
    scopes: Vec<Scope>,
    read: &'a dyn Fn(&Path) -> Option<String>,
}

/// What a path leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Found {
    Module(usize),
    /// Something that a module defines.
    Item(usize),
    /// Something that another crate defines.
    Elsewhere,
}

/// Imports that lead to each other are cut here.
const DEEPEST: usize = 16;

impl Program<'_> {
    /// Loads a file, whose modules lie in `folder`.
    fn load(&mut self, file: &Path, folder: &Path, parent: Option<usize>) -> Option<usize> {
        let text = source::read(&(self.read)(file)?);
        Some(self.add(file, folder, parent, text))
    }

    fn add(&mut self, file: &Path, folder: &Path, parent: Option<usize>, mut text: Module) -> usize {
        let (declared, inline) = (std::mem::take(&mut text.declared), std::mem::take(&mut text.inline));
        let index = self.scopes.len();
        self.scopes.push(Scope { file: file.to_owned(), parent, children: BTreeMap::new(), text });
        for name in declared {
            let below = folder.join(&name);
            let beside = below.with_extension("rs");
            let child = self.load(&beside, &below, Some(index));
            let child = child.or_else(|| self.load(&below.join("mod.rs"), &below, Some(index)));
            if let Some(child) = child {
                self.scopes[index].children.insert(name, child);
            }
        }
        for (name, text) in inline {
            let child = self.add(file, &folder.join(&name), Some(index), text);
            self.scopes[index].children.insert(name, child);
        }
        index
    }

    /// The files of everything that a module names.
    fn imported_by(&self, scope: usize) -> BTreeSet<PathBuf> {
        let text = &self.scopes[scope].text;
        let imports = text.imports.iter().filter_map(|import| match self.from(scope, &import.path)? {
            Found::Item(at) if self.only_handed_on(scope, import, at) => None,
            Found::Item(at) => Some(at),
            Found::Module(at) => import.name.is_none().then_some(at),
            Found::Elsewhere => None,
        });
        let paths = text.paths.iter().filter_map(|path| match self.from(scope, path)? {
            Found::Item(at) => Some(at),
            Found::Module(_) | Found::Elsewhere => None,
        });
        imports.chain(paths).map(|at| self.scopes[at].file.clone()).collect()
    }

    /// Whether an import only shows to others what a module below defines.
    fn only_handed_on(&self, scope: usize, import: &Import, from: usize) -> bool {
        let mut above = self.scopes[from].parent;
        while above.is_some_and(|at| at != scope) {
            above = above.and_then(|at| self.scopes[at].parent);
        }
        let used = import.name.as_ref().is_some_and(|name| self.scopes[scope].text.names.contains(name));
        above.is_some() && import.public && !used
    }

    /// Where a path leads that stands in a module.
    fn from(&self, scope: usize, path: &[String]) -> Option<Found> {
        self.follow(scope, path, DEEPEST)
    }

    fn follow(&self, scope: usize, path: &[String], depth: usize) -> Option<Found> {
        let (first, rest) = path.split_first()?;
        let start = match first.as_str() {
            "crate" => 0,
            "self" => scope,
            "super" => self.scopes[scope].parent?,
            // A name without a module before it that is not brought in from elsewhere is this module's own, another
            // crate's or the language's.
            _ => match self.named(scope, first, rest.is_empty(), depth)? {
                Found::Module(at) => at,
                found => return Some(found),
            },
        };
        self.below(start, rest, depth)
    }

    /// Where the rest of a path leads behind a module.
    fn below(&self, scope: usize, path: &[String], depth: usize) -> Option<Found> {
        let Some((first, rest)) = path.split_first() else { return Some(Found::Module(scope)) };
        match first.as_str() {
            "super" => self.below(self.scopes[scope].parent?, rest, depth),
            "self" => self.below(scope, rest, depth),
            _ => match self.named(scope, first, rest.is_empty(), depth) {
                Some(Found::Module(at)) => self.below(at, rest, depth),
                Some(found) => Some(found),
                None => Some(Found::Item(scope)),
            },
        }
    }

    /// What a name means in a module, if a module below or an import gives it. At the end of a path, something brought in
    /// goes before a module of the same name.
    fn named(&self, scope: usize, name: &str, last: bool, depth: usize) -> Option<Found> {
        let child = self.scopes[scope].children.get(name).map(|child| Found::Module(*child));
        let brought = || {
            let depth = depth.checked_sub(1)?;
            let imports = &self.scopes[scope].text.imports;
            let import = imports.iter().find(|import| import.name.as_deref() == Some(name))?;
            // What leads to itself, such as `use tokio;`, is another crate's too.
            let own = import.path.len() == 1 && import.path[0] == name;
            let found = if own { None } else { self.follow(scope, &import.path, depth) };
            Some(found.unwrap_or(Found::Elsewhere))
        };
        if last { brought().or(child) } else { child.or_else(brought) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The imports of a crate of these files, as `from to` with names below `src`.
    fn imports(files: &[(&str, &str)]) -> Vec<String> {
        let files: BTreeMap<PathBuf, String> =
            files.iter().map(|(name, text)| (Path::new("src").join(name), (*text).to_owned())).collect();
        let graph = graph(Path::new("src/lib.rs"), &|file| files.get(file).cloned());
        assert_eq!(graph.len(), files.len(), "every file is part of the crate");
        let short = |file: &Path| file.strip_prefix("src").map(|file| file.display().to_string());
        let pairs = graph.iter().flat_map(|(from, to)| to.iter().map(move |to| (from, to)));
        pairs.map(|(from, to)| format!("{} {}", short(from).unwrap(), short(to).unwrap())).collect()
    }

    #[test]
    fn what_is_named_is_imported_from_where_it_is_defined() {
        let files = [
            ("lib.rs", "mod a; mod b; mod c; mod d; pub use a::A;"),
            ("a.rs", "pub struct A; use crate::b::B;"),
            ("b.rs", "pub struct B; fn f() { crate::c::g() }"),
            ("c.rs", "use super::A;"),
            ("d.rs", "use super::b; fn f(b: b::B) {}"),
        ];
        assert_eq!(imports(&files), ["a.rs b.rs", "b.rs c.rs", "c.rs a.rs", "d.rs b.rs"]);
    }

    #[test]
    fn a_parent_that_hands_on_imports_nothing_and_one_that_uses_does() {
        let child = ("a.rs", "pub struct A; use super::lower;");
        let only = ("lib.rs", "mod a; pub use a::A; fn lower() {}");
        assert_eq!(imports(&[only, child]), ["a.rs lib.rs"]);
        let uses = ("lib.rs", "mod a; pub use a::A; fn lower() -> A { A }");
        assert_eq!(imports(&[uses, child]), ["a.rs lib.rs", "lib.rs a.rs"]);
        let own = ("lib.rs", "mod a; use a::A; fn lower() {}");
        assert_eq!(imports(&[own, child]), ["a.rs lib.rs", "lib.rs a.rs"]);
    }

    #[test]
    fn modules_in_folders_and_inline_ones_are_found() {
        let files = [
            ("lib.rs", "mod a; mod b { mod c; pub use c::C; }"),
            ("a/mod.rs", "mod d; pub use d::D;"),
            ("a/d.rs", "pub struct D; use super::super::b::C;"),
            ("b/c.rs", "pub struct C; use crate::a::{self, D}; type E = a::D;"),
        ];
        assert_eq!(imports(&files), ["a/d.rs b/c.rs", "b/c.rs a/d.rs"]);
    }

    #[test]
    fn names_of_other_crates_are_theirs_also_where_a_file_hands_them_on() {
        let files = [
            ("lib.rs", "mod a; mod b; use tokio;"),
            ("a.rs", "pub use tokio::Sleep; use std::{self, sync::Arc}; use ids;"),
            ("b.rs", "use crate::a::Sleep; fn f() { tokio::spawn(Sleep::new()) }"),
        ];
        assert_eq!(imports(&files), Vec::<String>::new());
    }

    #[test]
    fn everything_of_a_module_is_an_import_of_its_file() {
        let files =
            [("lib.rs", "mod a; mod b;"), ("a.rs", "use super::b::*;"), ("b.rs", "use crate::a::E::*;")];
        assert_eq!(imports(&files), ["a.rs b.rs", "b.rs a.rs"]);
    }

    #[test]
    fn tests_comments_and_strings_import_nothing() {
        let files = [
            ("lib.rs", "mod a; pub fn f() {} #[cfg(test)] mod tests { use crate::a::A; }"),
            ("a.rs", "pub struct A; // use crate::f;\n const B: &str = \"crate::f()\"; /* super::f */"),
        ];
        assert_eq!(imports(&files), Vec::<String>::new());
    }
}
