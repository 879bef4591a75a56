//! The binary as a script meets it: exit codes, what goes to which stream, and what it says when nobody answers.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::{
    io::Write as _,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Command, Output, Stdio},
};

const TOKEN: &str = "0123456789abcdef0123456789abcdef";
/// `name:secret`, the secret 32 bytes of 7.
const KEYS: &str = "main:BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc";

fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stentorctl"));
    command.args(args).env_clear().stdin(Stdio::null());
    command
}

fn run(args: &[&str]) -> Output {
    command(args).env("STENTOR_TICKET_KEYS", KEYS).output().unwrap()
}

fn said(output: &Output) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

/// An address where nobody listens.
fn nowhere() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

fn wav(path: &Path) {
    let (rate, samples) = (8000_u32, 800_u32);
    let mut bytes = b"RIFF".to_vec();
    bytes.extend((36 + samples * 2).to_le_bytes());
    bytes.extend(b"WAVEfmt \x10\0\0\0\x01\0\x01\0");
    bytes.extend([rate, rate * 2].map(u32::to_le_bytes).concat());
    bytes.extend(b"\x02\0\x10\0data");
    bytes.extend((samples * 2).to_le_bytes());
    bytes.resize(bytes.len() + samples as usize * 2, 0);
    std::fs::write(path, bytes).unwrap();
}

#[test]
fn nobody_at_the_admin_address_is_3_and_says_what_to_do() {
    let url = nowhere();
    for args in [["room", "list"], ["node", "list"], ["room", "get"]] {
        let room = if args[1] == "get" { &["friday"][..] } else { &[] };
        let (code, out, err) = said(&run(&[&["--admin", &url, "--token", TOKEN], &args[..], room].concat()));
        assert_eq!((code, out.as_str()), (Some(3), ""), "{err}");
        assert!(err.contains(&url) && err.contains("refused") && err.contains("stentor dev"), "{err}");
    }
}

#[test]
fn nobody_at_the_edge_is_3_for_speaking_and_listening() {
    let (url, folder) = (nowhere(), tempfile::tempdir().unwrap());
    let file = folder.path().join("tone.wav");
    wav(&file);
    let speak = ["speak", "--edge", &url, "--room", "friday", "--name", "Ann", file.to_str().unwrap()];
    for args in [&speak[..], &["listen", "--edge", &url, "--room", "friday"]] {
        let (code, out, err) = said(&run(args));
        assert_eq!((code, out.as_str()), (Some(3), ""), "{err}");
        assert!(err.contains(&url) && err.contains("--edge URL"), "{err}");
    }
}

#[test]
fn a_missing_token_is_told_before_anything_is_tried() {
    let (code, _, err) = said(&run(&["--admin", &nowhere(), "room", "list"]));
    assert_eq!(code, Some(1));
    assert!(err.contains("STENTOR_ADMIN_TOKEN") && err.contains("--dev"), "{err}");
}

#[test]
fn wrong_usage_is_2() {
    for args in [
        &["room", "create", "a b"][..],
        &["room", "frobnicate"],
        &["room", "update", "friday"],
        &["room", "update", "friday", "--public", "--private"],
        &["participant", "role", "friday", "ben", "king"],
        &["participant", "gain", "friday", "ben", "loud"],
        &["speak", "--room", "friday", "file.ogg"],
        &["--admin", "127.0.0.1:7070", "--token", TOKEN, "room", "list"],
        &["--edge", "ftp://x", "listen", "--room", "friday"],
        &[],
    ] {
        let (code, out, err) = said(&run(args));
        assert_eq!((code, out.as_str()), (Some(2), ""), "{args:?}: {err}");
        assert!(!err.is_empty());
    }
}

#[test]
fn a_file_that_cannot_be_spoken_is_told_before_anything_is_sent() {
    let folder = tempfile::tempdir().unwrap();
    let text = folder.path().join("notes.txt");
    std::fs::write(&text, "Dear diary").unwrap();
    for (file, words) in
        [(text.to_str().unwrap(), "neither Ogg/Opus nor WAV"), ("no/such.ogg", "no/such.ogg")]
    {
        let (code, _, err) =
            said(&run(&["speak", "--edge", &nowhere(), "--room", "friday", "--name", "Ann", file]));
        assert_eq!(code, Some(1), "{err}");
        assert!(err.contains(words), "{err}");
    }
}

#[test]
fn a_ticket_is_made_and_read() {
    let create =
        ["ticket", "create", "--room", "friday", "--role", "host", "--name", "Ann Lee", "--ttl", "2h"];
    let (code, ticket, err) = said(&run(&create));
    assert_eq!((code, err.as_str()), (Some(0), ""));
    assert_eq!(ticket.trim().split('.').count(), 3, "one line that a shell can take: {ticket}");

    let mut inspect = command(&["-o", "json", "ticket", "inspect", "-"]);
    inspect.env("STENTOR_TICKET_KEYS", KEYS).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut inspect = inspect.spawn().unwrap();
    inspect.stdin.take().unwrap().write_all(ticket.as_bytes()).unwrap();
    let (_, json, _) = said(&inspect.wait_with_output().unwrap());
    let read: serde_json::Value = serde_json::from_str(&json).unwrap();
    for (field, value) in
        [("room", "friday"), ("participant", "ann-lee"), ("name", "Ann Lee"), ("role", "host")]
    {
        assert_eq!(read[field], value, "{json}");
    }
    assert_eq!(read["valid"], true, "{json}");

    let without = command(&["ticket", "inspect", ticket.trim()]).output().unwrap();
    let (code, out, _) = said(&without);
    assert_eq!(code, Some(0));
    assert!(out.contains("Ann Lee") && out.contains("not checked"), "{out}");
}

#[test]
fn a_new_key_signs_tickets_that_its_public_half_verifies() {
    for kind in ["es256", "eddsa", "hs256"] {
        let folder = tempfile::tempdir().unwrap();
        let [private, public] = ["tickets.key", "tickets.jwks"].map(|name| folder.path().join(name));
        let (private, public) = (private.to_str().unwrap(), public.to_str().unwrap());
        let mut keygen = vec!["ticket", "keygen", "--kind", kind, "--kid", "2026-a", "--out", private];
        if kind != "hs256" {
            keygen.extend(["--jwks", public]);
        }
        let (code, out, err) = said(&command(&keygen).output().unwrap());
        assert_eq!((code, err.as_str()), (Some(0), ""), "{kind}");
        assert!(out.contains("2026-a") && out.contains(private), "{out}");
        let mode = std::fs::metadata(private).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{kind}");

        let create = ["ticket", "create", "--room", "friday", "--role", "host", "--name", "Ann"];
        let create = [&create[..], &["--key-file", private]].concat();
        let (code, ticket, err) = said(&command(&create).output().unwrap());
        assert_eq!((code, err.as_str()), (Some(0), ""), "{kind}");
        let check = if kind == "hs256" { private } else { public };
        let inspect = ["-o", "json", "ticket", "inspect", ticket.trim(), "--key-file", check];
        let read: serde_json::Value =
            serde_json::from_str(&said(&command(&inspect).output().unwrap()).1).unwrap();
        assert_eq!((&read["valid"], &read["key"]), (&true.into(), &"2026-a".into()), "{read}");

        // The public half signs nothing, and no file is written over.
        if kind != "hs256" {
            let with_public = [&create[..8], &["--key-file", public]].concat();
            let (code, _, err) = said(&command(&with_public).output().unwrap());
            assert!(code == Some(1) && err.contains(public) && err.contains("private"), "{err}");
        }
        let before = std::fs::read_to_string(private).unwrap();
        let (code, _, err) = said(&command(&keygen).output().unwrap());
        assert!(code == Some(1) && err.contains(private) && err.contains("already"), "{err}");
        assert_eq!(std::fs::read_to_string(private).unwrap(), before);
    }
}

#[test]
fn a_new_key_prints_what_is_public_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tickets.key");
    let path = path.to_str().unwrap();
    let (_, jwks, _) = said(&command(&["ticket", "keygen", "--out", path]).output().unwrap());
    let private: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let set: serde_json::Value = serde_json::from_str(&jwks).unwrap();
    assert_eq!(set["keys"][0]["x"], private["x"]);
    assert!(set["keys"][0].get("d").is_none() && !jwks.contains(private["d"].as_str().unwrap()));
    let shared = ["ticket", "keygen", "--kind", "hs256", "--out", "x", "--jwks", "y"];
    let (code, _, err) = said(&command(&shared).output().unwrap());
    assert!(code == Some(2) && err.contains("no public half"), "{err}");
}

#[test]
fn no_keys_for_a_ticket_say_where_to_get_them() {
    let args = ["ticket", "create", "--room", "friday", "--role", "host", "--name", "Ann"];
    let (code, _, err) = said(&command(&args).output().unwrap());
    assert_eq!(code, Some(1));
    assert!(err.contains("--key-file") && err.contains("STENTOR_TICKET_KEYS"), "{err}");
}

#[test]
fn the_env_file_of_a_dev_cluster_stands_in_for_the_environment() {
    let (url, folder) = (nowhere(), tempfile::tempdir().unwrap());
    let file = folder.path().join("dev.env");
    std::fs::write(&file, format!("export STENTOR_ADMIN={url}\nexport STENTOR_ADMIN_TOKEN={TOKEN}\n"))
        .unwrap();
    let (code, _, err) =
        said(&command(&["--env-file", file.to_str().unwrap(), "room", "list"]).output().unwrap());
    assert_eq!(code, Some(3), "{err}");
    assert!(err.contains(&url), "{err}");
}

#[test]
fn help_shows_examples_and_exit_codes() {
    let (code, out, _) = said(&run(&["--help"]));
    assert_eq!(code, Some(0));
    for words in ["Examples:", "Exit codes:", "speak", "listen", "--env-file"] {
        assert!(out.contains(words), "{words} is not in\n{out}");
    }
}
