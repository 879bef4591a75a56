//! `.ci/setup` beside an apt that is not one: what it asks of it, and what it says.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::{Command, Output},
};

use tempfile::TempDir;

use crate::repository;

/// A copy of the script with a list of its own, and a `PATH` with nothing but what it needs and an apt that notes what it is
/// asked and knows `known` alone.
struct Machine {
    folder: TempDir,
}

impl Machine {
    fn new(packages: &str) -> Self {
        let machine = Self { folder: tempfile::tempdir().unwrap() };
        fs::create_dir_all(machine.path("bin")).unwrap();
        fs::copy(repository(".ci/setup"), machine.path("setup")).unwrap();
        fs::write(machine.path("packages"), packages).unwrap();
        for program in ["bash", "dirname"] {
            symlink(Path::new("/usr/bin").join(program), machine.path("bin").join(program)).unwrap();
        }
        machine.program("cargo", "");
        machine.program("id", "echo 0");
        machine.program("apt-get", "echo apt-get \"$@\" >>\"$NOTES\"");
        machine.program("apt-cache", "for last; do :; done; [ \"$last\" = known ]");
        machine
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn program(&self, name: &str, text: &str) {
        let file = self.path("bin").join(name);
        fs::write(&file, format!("#!/usr/bin/bash\n{text}\n")).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn set_up(&self, wanted: &str) -> Output {
        let script = |name| self.path(name);
        let mut command = Command::new(script("setup"));
        command.arg(wanted).env("PATH", self.path("bin")).env("NOTES", self.path("notes")).output().unwrap()
    }

    /// What apt-get was asked.
    fn notes(&self) -> String {
        fs::read_to_string(self.path("notes")).unwrap_or_default()
    }
}

fn said(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).unwrap()
}

#[test]
fn what_is_missing_is_installed_once_whether_a_command_or_a_file_tells() {
    let machine =
        Machine::new("# none\n\nnowhere known test\n/nonexistent/file known build test\nbash never test\n");
    let output = machine.set_up("test");
    assert!(output.status.success(), "{}", said(&output));
    let asked = machine.notes();
    assert_eq!(
        asked.lines().collect::<Vec<_>>(),
        ["apt-get update -q", "apt-get install -qy --no-install-recommends known"]
    );
}

#[test]
fn a_machine_that_has_all_of_it_is_left_alone() {
    let machine = Machine::new("bash never test\n/usr/bin/env never test\nnowhere unknown voices\n");
    assert!(machine.set_up("test").status.success());
    assert_eq!(machine.notes(), "");
}

#[test]
fn a_package_that_apt_does_not_know_is_told_in_one_line_and_nothing_is_installed() {
    let machine = Machine::new("nowhere known test\nneither no-such-package test\n");
    let output = machine.set_up("test");
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("apt knows no package no-such-package"), "{}", said(&output));
    assert_eq!(said(&output).lines().count(), 1);
    assert!(!machine.notes().contains("install"), "{}", machine.notes());
}

#[test]
fn a_use_that_is_not_listed_is_refused() {
    let output = Machine::new("bash never test\n").set_up("tests");
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("'tests'"), "{}", said(&output));
}
