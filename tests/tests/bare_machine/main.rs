//! What a machine needs is listed whole in `.ci/packages`: sources and scripts are read for the programs that they start,
//! and `.ci/setup` says so when apt does not know what the list names.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod setup;
mod shell;

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use stentor_programs::Program;

/// What `Command::new` may be given: programs of this workspace, and whatever the one place starts that starts others.
const OWN: &[&str] =
    &["env!(\"CARGO_BIN_EXE_", "binary(", "self.stentor()", "std::env::current_exe()", "script("];
const THE_ONE_PLACE: &str = "tests/programs/src/program.rs";

/// A script, the uses of `.ci/packages` whose programs it may start, and its functions that run their arguments, with the
/// number of arguments before the command.
struct Script {
    file: &'static str,
    uses: &'static [&'static str],
    runners: &'static [(&'static str, usize)],
}

const SCRIPTS: &[Script] = &[
    Script { file: ".ci/setup", uses: &[], runners: &[] },
    Script { file: ".ci/run", uses: &[], runners: &[] },
    Script { file: ".ci/timed", uses: &[], runners: &[] },
    Script { file: ".ci/fresh", uses: &["fresh"], runners: &[] },
    Script { file: ".ci/demo", uses: &[], runners: &[] },
    Script { file: "deploy/local/cluster", uses: &["cluster"], runners: &[("start", 1)] },
    Script { file: "services/node/demo/make-voices.sh", uses: &["voices"], runners: &[] },
];

/// What dependencies' build scripts start or read, by the crate that makes them do so. It is not read anywhere: a crate that
/// wants something else has to be found out by a build on a bare machine, `.ci/fresh make test`.
const BUILDS: &[(&str, &str)] = &[
    ("cc", "cc"),
    ("cmake", "cmake"),
    ("prost-build", "protoc"),
    ("etcd-client", "/usr/include/google/protobuf/struct.proto"),
    ("bindgen", "libclang"),
    ("pkg-config", "pkg-config"),
    ("openssl-sys", "/usr/include/openssl/ssl.h"),
];

/// What every Debian has: packages that are essential or required, bash's own commands and reserved words, apt.
const BASE: &str = ". [ [[ apt-cache apt-config apt-get awk base64 basename bash break cat cd chmod compgen continue cp date \
    declare df dirname do done echo esac eval exit export false fi find flock grep head id install kill local mapfile mkdir \
    mktemp mount mv pivot_root printf pwd read readlink return rm sed seq set setpriv sh sha256sum shift shopt sleep sort tail tar tee \
    test timeout touch tr trap true umask umount uname unset unshare wait";

/// The Rust toolchain, and what `make` is called by.
const GIVEN: &[&str] = &["cargo", "rustc", "make"];

/// A file or folder of this repository.
fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// All files of the repository but those that are built or downloaded, by their paths in it.
fn files() -> Vec<String> {
    let (top, mut found, mut folders) = (repository(""), Vec::new(), vec![String::new()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(top.join(&folder)).unwrap() {
            let entry = entry.unwrap();
            let path = format!("{folder}{}", entry.file_name().into_string().unwrap());
            match entry.file_type().unwrap() {
                kind if kind.is_file() => found.push(path),
                kind if kind.is_dir() && ![".git", "target", "node_modules"].contains(&path.as_str()) => {
                    folders.push(path + "/");
                }
                _ => {}
            }
        }
    }
    found
}

/// What `.ci/packages` lists for these uses, or for any if there are none.
fn listed(uses: &[&str]) -> BTreeSet<String> {
    let list = read(&repository(".ci/packages"));
    let lines = list.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let entries = lines.filter(|words| words.first().is_some_and(|word| !word.starts_with('#')));
    let wanted = entries.filter(|words| uses.is_empty() || uses.iter().any(|one| words[2..].contains(one)));
    wanted.map(|words| words[0].to_owned()).collect()
}

#[test]
fn every_program_that_tests_start_is_installed_for_them() {
    let listed = listed(&["test"]);
    for program in Program::ALL {
        assert!(listed.contains(program.name()), ".ci/packages has no package for tests with {program:?}");
    }
}

#[test]
fn rust_code_starts_programs_of_others_in_one_place_only() {
    let mut wrong = Vec::new();
    for file in files().iter().filter(|file| file.ends_with(".rs") && *file != THE_ONE_PLACE) {
        let text = read(&repository(file));
        // Not this file's own words for it.
        let (start, renamed) = (concat!("Command", "::new("), concat!("process::Command", " as "));
        let starts = text.match_indices(start).filter(|(at, _)| {
            let before = text[..*at].chars().next_back();
            let given = text[at + start.len()..].trim_start();
            !before.is_some_and(char::is_alphanumeric) && !OWN.iter().any(|own| given.starts_with(own))
        });
        let all = starts.chain(text.match_indices(renamed));
        wrong.extend(all.map(|(at, _)| format!("{file}:{}", text[..at].lines().count().max(1))));
    }
    assert!(
        wrong.is_empty(),
        "these start a program that is not ours; use `Program` of stentor-programs: {wrong:#?}"
    );
}

#[test]
fn every_program_that_scripts_start_is_listed_for_their_use() {
    let base: BTreeSet<&str> = BASE.split_whitespace().chain(GIVEN.iter().copied()).collect();
    let mut wrong = Vec::new();
    let mut known: BTreeSet<&str> = BTreeSet::new();
    for Script { file, uses, runners } in SCRIPTS {
        known.insert(file);
        let may = if uses.is_empty() { BTreeSet::new() } else { listed(uses) };
        for program in shell::programs(&read(&repository(file)), runners) {
            if !base.contains(program.as_str()) && !may.contains(&program) {
                wrong.push(format!("{file} starts {program}; is it in .ci/packages for {uses:?}?"));
            }
        }
    }
    for file in files() {
        let text = fs::read(repository(&file)).unwrap();
        let first = text.split(|byte| *byte == b'\n').next().unwrap_or_default();
        if first.starts_with(b"#!") && first.ends_with(b"sh") && !known.contains(file.as_str()) {
            wrong.push(format!("{file} is a script that this test does not know; add it to `SCRIPTS`"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_program_that_the_makefile_starts_is_listed() {
    let makefile = read(&repository("Makefile"));
    let recipes = makefile.lines().filter_map(|line| line.strip_prefix('\t'));
    let recipes =
        recipes.map(|line| line.trim_start_matches('@').replace("$$", "$")).collect::<Vec<_>>().join("\n");
    let mut started = shell::programs(&recipes, &[]);
    started.retain(|program| {
        !BASE.split_whitespace().chain(GIVEN.iter().copied()).any(|given| given == program)
    });
    let listed = listed(&[]);
    let missing: Vec<_> = started.difference(&listed).collect();
    assert!(missing.is_empty(), "not in .ci/packages: {missing:?}");
}

#[test]
fn what_build_scripts_need_is_listed_for_every_build() {
    let lock = read(&repository("Cargo.lock"));
    for (name, needed) in BUILDS.iter().filter(|(name, _)| lock.contains(&format!("name = \"{name}\"\n"))) {
        for one in ["build", "cluster", "test"] {
            assert!(
                listed(&[one]).contains(*needed),
                "{name} needs {needed}, which .ci/packages lacks for {one}"
            );
        }
    }
}

#[test]
fn the_oldest_rust_is_the_same_wherever_it_is_said() {
    let said = format!("rust-version = \"{}\"", env!("CARGO_PKG_RUST_VERSION"));
    assert!(read(&repository("Cargo.toml")).contains(&said));
    for file in ["README.md", ".ci/setup"] {
        let said = format!("Rust {} or newer", env!("CARGO_PKG_RUST_VERSION"));
        assert!(read(&repository(file)).contains(&said), "{file} does not say '{said}'");
    }
}
