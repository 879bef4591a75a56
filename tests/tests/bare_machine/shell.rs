//! Which programs a shell script starts: the words at which a command begins, as far as they are written out. What is in a
//! variable, or under a path, is the script's own.
//!
//! It reads what our scripts are written in (words, quotes, substitutions, here-documents) and not all of the language.

use std::collections::{BTreeSet, VecDeque};

/// Words behind which another command begins.
const PREFIXES: &[&str] = &[
    "!", "{", "command", "do", "elif", "else", "env", "exec", "if", "nohup", "setsid", "sudo", "then",
    "time", "until", "while",
];
/// Words that begin a list of words and not of commands.
const LISTS: &[&str] = &["for", "case", "select", "function"];

/// The programs that a script starts by their names. `runners` are functions of it that run their arguments, each with the
/// number of arguments before the command.
pub(crate) fn programs(script: &str, runners: &[(&str, usize)]) -> BTreeSet<String> {
    let mut reader = Reader {
        rest: script.chars().collect(),
        runners,
        found: BTreeSet::new(),
        functions: BTreeSet::new(),
    };
    while !reader.rest.is_empty() {
        reader.list(false);
    }
    let Reader { mut found, functions, .. } = reader;
    found.retain(|word| is_program(word) && !functions.contains(word));
    found
}

/// Whether a word can be a program's name; what has no small letter is a variable's.
fn is_program(word: &str) -> bool {
    is_name(word) && word.contains(|c: char| c.is_ascii_lowercase() || c == '[')
}

fn is_name(word: &str) -> bool {
    word.starts_with(|c: char| c.is_ascii_alphabetic() || c == '[')
        && word.chars().all(|c| c.is_ascii_alphanumeric() || "-_.+[".contains(c))
}

struct Reader<'a> {
    rest: VecDeque<char>,
    runners: &'a [(&'a str, usize)],
    found: BTreeSet<String>,
    functions: BTreeSet<String>,
}

/// What the next word is.
#[derive(Clone, Copy, PartialEq)]
enum Next {
    /// A command, after so many words that are not.
    Command(usize),
    Argument,
}

impl Reader<'_> {
    /// Reads commands, those in brackets up to the closing one.
    fn list(&mut self, bracketed: bool) {
        let (mut next, mut heredocs) = (Next::Command(0), Vec::new());
        while let Some(c) = self.rest.pop_front() {
            match c {
                ' ' | '\t' => {}
                '\\' if self.rest.front() == Some(&'\n') => self.skip(),
                '#' => self.skip_until("\n", false),
                '\n' => {
                    heredocs.drain(..).for_each(|end: String| self.heredoc(&end));
                    next = Next::Command(0);
                }
                ';' | '|' | '&' => next = Next::Command(0),
                '(' if self.rest.front() == Some(&'(') => self.skip_until("))", true),
                '(' => {
                    self.list(true);
                    next = Next::Argument;
                }
                ')' if bracketed => return,
                // Behind a pattern of a `case`.
                ')' => next = Next::Command(0),
                '<' | '>' => heredocs.extend(self.redirection(c)),
                first => {
                    self.rest.push_front(first);
                    let word = self.word();
                    next = self.take(&word, next, bracketed);
                }
            }
        }
    }

    /// Takes a word for what it is here, and says what the one behind it is.
    fn take(&mut self, word: &str, next: Next, bracketed: bool) -> Next {
        let Next::Command(skip) = next else { return next };
        let assigned = word.split_once('=').is_some_and(|(name, _)| is_name(name.trim_end_matches('+')));
        match self.rest.front() {
            _ if skip > 0 => return Next::Command(skip - 1),
            _ if assigned || word.starts_with('-') || PREFIXES.contains(&word) => return next,
            Some('(') => {
                self.functions.insert(word.to_owned());
                self.skip_until(")", true);
                return next;
            }
            Some(')') if !bracketed => return next,
            _ if LISTS.contains(&word) => return Next::Argument,
            _ => {}
        }
        self.found.insert(word.to_owned());
        let runs = self.runners.iter().find(|(name, _)| *name == word);
        runs.map_or(Next::Argument, |(_, before)| Next::Command(*before))
    }

    /// Reads a word, and the commands in it.
    fn word(&mut self) -> String {
        let mut word = String::new();
        while let Some(&c) = self.rest.front() {
            let array = c == '(' && word.ends_with('=');
            if !array && " \t\n;|&()<>".contains(c) {
                break;
            }
            self.rest.pop_front();
            match c {
                '\'' => self.skip_until("'", true),
                '"' => self.quoted(),
                '\\' => self.skip(),
                '$' => self.expansion(),
                '(' => self.array(),
                _ => word.push(c),
            }
            // What is quoted or expanded is nobody's name.
            if "'\"$".contains(c) {
                word.push('$');
            }
        }
        word
    }

    fn quoted(&mut self) {
        while let Some(c) = self.rest.pop_front() {
            match c {
                '"' => return,
                '\\' => self.skip(),
                '$' => self.expansion(),
                _ => {}
            }
        }
    }

    /// Behind a `$`.
    fn expansion(&mut self) {
        match self.rest.front() {
            Some('(') if self.rest.get(1) == Some(&'(') => self.skip_until("))", true),
            Some('(') => {
                self.skip();
                self.list(true);
            }
            Some('{') => self.skip_until("}", true),
            _ => {}
        }
    }

    /// The words of an array, and the commands in them.
    fn array(&mut self) {
        while let Some(c) = self.rest.front() {
            match c {
                ')' => return self.skip(),
                '"' | '\'' | '$' => drop(self.word()),
                _ => self.skip(),
            }
        }
    }

    /// Behind a `<` or `>`: reads where to or from, and gives the end of a here-document.
    fn redirection(&mut self, sign: char) -> Option<String> {
        if self.rest.front() == Some(&'(') {
            self.skip();
            self.list(true);
            return None;
        }
        let mut signs = 1;
        while matches!(self.rest.front(), Some(c) if "<>&-".contains(*c)) {
            signs += usize::from(self.rest.pop_front() == Some(sign));
        }
        while matches!(self.rest.front(), Some(' ')) {
            self.skip();
        }
        let here = sign == '<' && signs == 2;
        let quoted = here && matches!(self.rest.front(), Some('\'' | '"'));
        if quoted {
            self.skip();
        }
        let word = self.word();
        here.then_some(word.trim_end_matches('$').to_owned())
    }

    /// A here-document, which is read as a quoted word is.
    fn heredoc(&mut self, end: &str) {
        let mut text = String::new();
        loop {
            let line: String = self.rest.iter().take_while(|c| **c != '\n').collect();
            self.rest.drain(..(line.chars().count() + 1).min(self.rest.len()));
            if line.trim_start_matches('\t') == end || self.rest.is_empty() {
                break;
            }
            text.extend([&line, "\n"]);
        }
        let after = std::mem::replace(&mut self.rest, text.chars().collect());
        self.quoted();
        self.rest = after;
    }

    fn skip(&mut self) {
        self.rest.pop_front();
    }

    /// Skips what is up to these characters, and these as well if asked to.
    fn skip_until(&mut self, end: &str, and_these: bool) {
        while !self.rest.is_empty() && !self.rest.iter().take(end.len()).copied().eq(end.chars()) {
            self.rest.pop_front();
        }
        if and_these {
            self.rest.drain(..end.len().min(self.rest.len()));
        }
    }
}

#[test]
fn a_script_is_read_for_the_programs_that_it_starts() {
    let script = r#"
# cp in a comment
names=(rm "$(date)") x=1 LANG=C sort <in >"$out" | head -n 1 # and mv
speak() { espeak-ng -w "$1" 'ls $(not)'; }
speak a && ! "$bin/own" run || ./here/it; if grep -q x <<<"y"; then exec env A=b setsid sox -n; fi
for name in cat dog; do start name etcd --data "$(mktemp -d)"; done
case $1 in
    tar) curl "http://$((1 + 2))/" 2>&1 ;;
esac
cat <<END
wc is text, $(uname) is not
END
while read -r line; do printf '%s\n' "$line"; done < <(openssl rand)
"#;
    let found = programs(script, &[("start", 1)]);
    let expected = "cat curl date done esac espeak-ng etcd fi grep head mktemp openssl printf read sort sox \
                    start uname";
    assert_eq!(found.iter().map(String::as_str).collect::<Vec<_>>().join(" "), expected);
}
