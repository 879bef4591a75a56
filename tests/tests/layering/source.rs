//! What one source file says of modules and names: which modules it declares, what it imports, which paths stand in its
//! code. Where they lead is for `program` to find out.

use std::collections::BTreeSet;

use super::tokens::{Token, tokens};

/// A module as its text has it.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Module {
    /// `mod name;`: modules in files of their own.
    pub declared: Vec<String>,
    /// `mod name { … }`
    pub inline: Vec<(String, Module)>,
    /// What `use` brings in, one entry a name.
    pub imports: Vec<Import>,
    /// Paths of two names or more outside `use`, such as `crate::a::b` or `a::b`.
    pub paths: BTreeSet<Vec<String>>,
    /// Every name outside `use` and `mod`, but for those of fields, methods and associated types (`.a`, `A = B`).
    pub names: BTreeSet<String>,
}

/// One name of a `use`.
#[derive(Debug, PartialEq, Eq)]
pub struct Import {
    /// The path, `self` at its end taken off.
    pub path: Vec<String>,
    /// What it is called here; none for `*`.
    pub name: Option<String>,
    /// Whether others see it (`pub use`, also `pub(crate)`).
    pub public: bool,
}

/// Reads a source.
pub fn read(source: &str) -> Module {
    let tokens = tokens(source);
    Reader { tokens: &tokens, at: 0 }.module()
}

struct Reader<'a> {
    tokens: &'a [Token],
    at: usize,
}

impl Reader<'_> {
    fn peek(&self, ahead: usize) -> Option<&Token> {
        self.tokens.get(self.at + ahead)
    }

    fn name(&self, ahead: usize) -> Option<String> {
        if let Token::Name(name) = self.peek(ahead)? { Some(name.clone()) } else { None }
    }

    fn sign(&mut self, sign: char) -> bool {
        let found = self.peek(0) == Some(&Token::Sign(sign));
        self.at += usize::from(found);
        found
    }

    /// Up to the bracket that closes the module, or to the end.
    fn module(&mut self) -> Module {
        let (mut module, mut depth, mut public) = (Module::default(), 0_usize, false);
        while let Some(token) = self.peek(0) {
            match token {
                Token::Sign('}') if depth == 0 => break,
                Token::Sign('{') => depth += 1,
                Token::Sign('}') => depth -= 1,
                Token::Name(name) if name == "pub" => {
                    self.visibility();
                    public = true;
                    continue;
                }
                // Not the `use<…>` of an `impl Trait`.
                Token::Name(name) if name == "use" && self.peek(1) != Some(&Token::Sign('<')) => {
                    self.at += 1;
                    self.tree(&[], public, &mut module.imports);
                }
                Token::Name(name) if name == "mod" && self.name(1).is_some() => self.child(&mut module),
                Token::Name(_) => {
                    self.path(&mut module);
                    public = false;
                    continue;
                }
                // A path whose root is another crate, and the rest of one behind `<…>`.
                Token::Path if self.name(1).is_some() => self.at += 1,
                _ => {}
            }
            public = false;
            self.at += 1;
        }
        module
    }

    /// Over `pub` and what stands in brackets behind it, which is no import.
    fn visibility(&mut self) {
        self.at += 1;
        let restricted = ["crate", "self", "super", "in"];
        if self.peek(0) == Some(&Token::Sign('('))
            && self.name(1).is_some_and(|name| restricted.contains(&name.as_str()))
        {
            while self.peek(0).is_some() && !self.sign(')') {
                self.at += 1;
            }
        }
    }

    /// Over `mod name`, to the sign behind it.
    fn child(&mut self, module: &mut Module) {
        let name = self.name(1).unwrap_or_default();
        self.at += 2;
        if self.sign('{') {
            module.inline.push((name, self.module()));
        } else {
            module.declared.push(name);
        }
    }

    /// Over a name and those that `::` joins to it.
    fn path(&mut self, module: &mut Module) {
        let mut path = Vec::from_iter(self.name(0));
        let dots =
            self.tokens[..self.at].iter().rev().take_while(|token| **token == Token::Sign('.')).count();
        self.at += 1;
        let assigned =
            self.peek(0) == Some(&Token::Sign('=')) && !matches!(self.peek(1), Some(Token::Sign('=' | '>')));
        while self.peek(0) == Some(&Token::Path) {
            let Some(name) = self.name(1) else { break };
            path.push(name);
            self.at += 2;
        }
        if dots != 1 && !assigned {
            module.names.extend(path.iter().cloned());
        }
        if path.len() > 1 {
            module.paths.insert(path);
        }
    }

    /// Over what stands behind `use`, or between the brackets of one: one branch.
    fn tree(&mut self, stem: &[String], public: bool, imports: &mut Vec<Import>) {
        let mut path = stem.to_vec();
        loop {
            match self.peek(0) {
                Some(Token::Name(name)) => path.push(name.clone()),
                Some(Token::Path) => {}
                Some(Token::Sign('*')) => {
                    self.at += 1;
                    imports.push(Import { path, name: None, public });
                    return;
                }
                Some(Token::Sign('{')) => {
                    self.at += 1;
                    while !self.sign('}') && self.peek(0).is_some() {
                        self.tree(&path, public, imports);
                        self.sign(',');
                    }
                    return;
                }
                _ => break,
            }
            self.at += 1;
            if self.peek(0).is_some_and(|token| token.is("as")) {
                let name = self.name(1);
                self.at += 2;
                imports.push(Import { path: module_itself(path), name, public });
                return;
            }
        }
        let path = module_itself(path);
        imports.push(Import { name: path.last().cloned(), path, public });
    }
}

/// `a::{self}` is `a`.
fn module_itself(mut path: Vec<String>) -> Vec<String> {
    if path.len() > 1 && path.last().is_some_and(|name| name == "self") {
        path.pop();
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `path as name` of each import, public ones with `pub` before.
    fn imports(source: &str) -> Vec<String> {
        let told = |import: &Import| {
            let public = if import.public { "pub " } else { "" };
            format!("{public}{} as {}", import.path.join("::"), import.name.as_deref().unwrap_or("*"))
        };
        read(source).imports.iter().map(told).collect()
    }

    fn paths(source: &str) -> Vec<String> {
        read(source).paths.iter().map(|path| path.join("::")).collect()
    }

    #[test]
    fn groups_and_names_of_imports_are_taken_apart() {
        assert_eq!(imports("use a;"), ["a as a"]);
        assert_eq!(
            imports("use crate::{a::{self, b as c}, b::*, d::{E, F,}};"),
            ["crate::a as a", "crate::a::b as c", "crate::b as *", "crate::d::E as E", "crate::d::F as F"]
        );
        assert_eq!(
            imports("pub use a::B; pub(in crate::c) use d::E; use f::g;"),
            ["pub a::B as B", "pub d::E as E", "f::g as g"]
        );
        assert_eq!(imports("use a::b as _;"), ["a::b as _"]);
    }

    #[test]
    fn an_import_within_a_function_is_one() {
        assert_eq!(imports("fn a() { if b { use c::d; } }"), ["c::d as d"]);
        assert_eq!(imports("fn a() -> impl B + use<'_> { c }"), Vec::<String>::new());
    }

    #[test]
    fn paths_in_code_and_in_macros_are_found() {
        assert_eq!(
            paths("fn a() -> b::C<d::E> { f!(crate::g::h(), super::i::<j::K>) }"),
            ["b::C", "crate::g::h", "d::E", "j::K", "super::i"]
        );
        assert_eq!(paths("pub(in crate::a) struct B(pub(super) c::D, pub (e::F, G));"), ["c::D", "e::F"]);
        assert_eq!(paths("// crate::a\n\"crate::b\" <C as D>::e; ::f::g"), Vec::<String>::new());
    }

    #[test]
    fn names_of_fields_methods_and_associated_types_are_others() {
        let names = read("fn a(b: impl C<D = E>) { b.f(G { h, ..I }); if J == k {} }").names;
        let names: Vec<_> = names.iter().map(String::as_str).collect();
        assert_eq!(names, ["C", "E", "G", "I", "J", "a", "b", "fn", "h", "if", "impl", "k"]);
    }

    #[test]
    fn modules_are_declared_or_inline() {
        let module = read("mod a; pub mod b { mod c; use super::a::D; } mod e;");
        assert_eq!(module.declared, ["a", "e"]);
        assert!(module.imports.is_empty());
        let [(name, inline)] = module.inline.as_slice() else { panic!("one inline module: {module:?}") };
        assert_eq!((name.as_str(), inline.declared.as_slice()), ("b", &["c".to_owned()][..]));
        assert_eq!(inline.imports.len(), 1);
    }
}
