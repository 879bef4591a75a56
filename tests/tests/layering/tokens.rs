//! Rust source cut into the words that matter to a reader of imports: names, `::` and single signs. Comments, strings,
//! characters, lifetimes and numbers are left out, so that nothing in them is taken for an import.
//!
//! It is no parser: what is not Rust is cut somehow, and the compiler says so elsewhere.

use std::{iter::Peekable, str::Chars};

/// One word of a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Token {
    /// A name or keyword, `r#` taken off.
    Name(String),
    /// `::`
    Path,
    /// Any other sign.
    Sign(char),
}

impl Token {
    pub fn is(&self, name: &str) -> bool {
        matches!(self, Self::Name(own) if own == name)
    }
}

/// The words of a source, without what is compiled for unit tests or for the documentation alone.
pub fn tokens(source: &str) -> Vec<Token> {
    without_tests(&all(source))
}

fn all(source: &str) -> Vec<Token> {
    let (mut rest, mut found) = (source.chars().peekable(), Vec::new());
    while let Some(next) = rest.next() {
        match next {
            '/' if rest.peek() == Some(&'/') => while rest.next().is_some_and(|sign| sign != '\n') {},
            '/' if rest.peek() == Some(&'*') => skip_block_comment(&mut rest),
            '"' => skip_string(&mut rest),
            '\'' => skip_character(&mut rest),
            ':' if rest.next_if_eq(&':').is_some() => found.push(Token::Path),
            sign if is_part(sign) => found.extend(word(sign, &mut rest)),
            sign if sign.is_whitespace() => {}
            sign => found.push(Token::Sign(sign)),
        }
    }
    found
}

fn is_part(sign: char) -> bool {
    sign.is_alphanumeric() || sign == '_'
}

/// A name, or nothing for a number or for the letters before a string (`b"`, `r#"`).
fn word(first: char, rest: &mut Peekable<Chars<'_>>) -> Option<Token> {
    let mut word = String::from(first);
    while let Some(sign) = rest.next_if(|sign| is_part(*sign)) {
        word.push(sign);
    }
    if first.is_ascii_digit() {
        return None;
    }
    match rest.peek() {
        Some('"' | '#') if matches!(word.as_str(), "r" | "br" | "cr") => {
            return if skip_raw_string(rest) { None } else { word_after_raw(rest) };
        }
        Some('"') if matches!(word.as_str(), "b" | "c") => {
            rest.next();
            skip_string(rest);
            return None;
        }
        Some('\'') if word == "b" => {
            rest.next();
            skip_character(rest);
            return None;
        }
        _ => {}
    }
    Some(Token::Name(word))
}

/// The name behind `r#`, whose `#` is taken already.
fn word_after_raw(rest: &mut Peekable<Chars<'_>>) -> Option<Token> {
    let first = rest.next_if(|sign| is_part(*sign))?;
    word(first, rest)
}

/// Skips `#"…"#` with any number of `#`; false when it was the `#` of a raw name.
fn skip_raw_string(rest: &mut Peekable<Chars<'_>>) -> bool {
    let mut hashes = 0;
    while rest.next_if_eq(&'#').is_some() {
        hashes += 1;
    }
    if rest.next_if_eq(&'"').is_none() {
        return false;
    }
    while let Some(sign) = rest.next() {
        let mut closing = 0;
        while sign == '"' && closing < hashes && rest.next_if_eq(&'#').is_some() {
            closing += 1;
        }
        if sign == '"' && closing == hashes {
            break;
        }
    }
    true
}

fn skip_string(rest: &mut Peekable<Chars<'_>>) {
    while let Some(sign) = rest.next() {
        match sign {
            '\\' => drop(rest.next()),
            '"' => return,
            _ => {}
        }
    }
}

/// Skips a character or a lifetime, whose `'` is taken already.
fn skip_character(rest: &mut Peekable<Chars<'_>>) {
    match rest.next() {
        Some('\\') => {
            rest.next();
            while rest.next().is_some_and(|sign| sign != '\'') {}
        }
        // `'a'` or `'a`: a lifetime goes on as a name does and is not closed.
        Some(sign) if is_part(sign) => {
            if rest.next_if_eq(&'\'').is_none() {
                while rest.next_if(|sign| is_part(*sign)).is_some() {}
            }
        }
        _ => drop(rest.next_if_eq(&'\'')),
    }
}

/// Block comments nest.
fn skip_block_comment(rest: &mut Peekable<Chars<'_>>) {
    let mut depth = 0;
    let mut last = '/';
    for sign in rest.by_ref() {
        match (last, sign) {
            ('/', '*') => depth += 1,
            ('*', '/') => depth -= 1,
            _ => {
                last = sign;
                continue;
            }
        }
        if depth == 0 {
            return;
        }
        last = ' ';
    }
}

fn without_tests(tokens: &[Token]) -> Vec<Token> {
    let (mut kept, mut at) = (Vec::new(), 0);
    while at < tokens.len() {
        if is_test_attribute(&tokens[at..]) {
            at = behind_item(tokens, at);
        } else {
            kept.push(tokens[at].clone());
            at += 1;
        }
    }
    kept
}

/// Whether `#[cfg(test)]`, `#[cfg(all(test, …))]` or `#[cfg(doc)]` stands here.
fn is_test_attribute(tokens: &[Token]) -> bool {
    let signs = |at: usize, sign| tokens.get(at) == Some(&Token::Sign(sign));
    let names = |at: usize, name| tokens.get(at).is_some_and(|token| token.is(name));
    let condition = signs(0, '#') && signs(1, '[') && names(2, "cfg") && signs(3, '(');
    condition && (names(4, "test") || names(4, "doc") || names(4, "all") && signs(5, '(') && names(6, "test"))
}

/// Where it goes on behind the attributes that begin here and what they are on.
fn behind_item(tokens: &[Token], mut at: usize) -> usize {
    while tokens.get(at) == Some(&Token::Sign('#')) {
        at = behind_group(tokens, at + 1);
    }
    let import = tokens[at..].iter().take_while(|token| **token != Token::Sign('{')).any(|t| t.is("use"));
    let item = tokens.get(at).is_some_and(|token| ITEMS.iter().any(|name| token.is(name)));
    while let Some(token) = tokens.get(at) {
        match token {
            Token::Sign(';') => return at + 1,
            // A field, a variant or an arm ends with a comma; a comma of an item is one between generics.
            Token::Sign(',') if !item => return at + 1,
            Token::Sign('}' | ')' | ']') => return at,
            Token::Sign('{') if !import => return behind_group(tokens, at),
            Token::Sign('{' | '(' | '[') => at = behind_group(tokens, at),
            _ => at += 1,
        }
    }
    at
}

/// What an item may begin with.
const ITEMS: &[&str] = &[
    "pub",
    "fn",
    "mod",
    "use",
    "impl",
    "struct",
    "enum",
    "const",
    "static",
    "trait",
    "type",
    "async",
    "unsafe",
    "macro_rules",
    "union",
];

/// Where it goes on behind the bracket that opens here.
fn behind_group(tokens: &[Token], mut at: usize) -> usize {
    let mut depth = 0_usize;
    while let Some(token) = tokens.get(at) {
        at += 1;
        match token {
            Token::Sign('(' | '[' | '{') => depth += 1,
            Token::Sign(')' | ']' | '}') => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            break;
        }
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(source: &str) -> Vec<String> {
        let name = |token| if let Token::Name(name) = token { Some(name) } else { None };
        tokens(source).into_iter().filter_map(name).collect()
    }

    #[test]
    fn comments_strings_characters_and_numbers_are_no_words() {
        assert_eq!(names("a // b\n/* c /* d */ e */ f \"g \\\" h\" i"), ["a", "f", "i"]);
        assert_eq!(names(r####"a r"b" br#"c " d"# e r##"f "# g"## h"####), ["a", "e", "h"]);
        assert_eq!(names(r"'a' '\'' '\u{1F600}' b'c' '{' x"), ["x"]);
        assert_eq!(names("1_000u64 0x1f 2.5 x1"), ["x1"]);
    }

    #[test]
    fn lifetimes_hide_nothing_behind_them() {
        assert_eq!(names("fn a<'b>(c: &'static str) 'd: loop { e }"), ["fn", "a", "c", "str", "loop", "e"]);
    }

    #[test]
    fn raw_names_are_names() {
        assert_eq!(names("r#type r#loop"), ["type", "loop"]);
    }

    #[test]
    fn what_is_compiled_for_tests_alone_is_left_out() {
        assert_eq!(names("#[cfg(test)] mod tests; #[cfg(doc)] use b::C; a"), ["a"]);
        assert_eq!(names("#[cfg(test)] #[x(y)] mod tests { use b::{c}; } a"), ["a"]);
        assert_eq!(names("#[cfg(test)] pub(crate) use b::{c, d}; a"), ["a"]);
        assert_eq!(names("#[cfg(all(test, unix))] fn b<T, U>(c: T) -> D { e() } a"), ["a"]);
        assert_eq!(names("struct A { #[cfg(test)] b: C, d: E }"), ["struct", "A", "d", "E"]);
        assert_eq!(names("#[cfg(unix)] mod b; a"), ["cfg", "unix", "mod", "b", "a"]);
    }
}
