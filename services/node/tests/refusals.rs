//! What a node says when it cannot start: which setting, file, port or id is in the way, and that it exits with 1.

mod process;

use std::{
    net::{SocketAddr, TcpListener},
    process::{Command, Output, Stdio},
};

use process::{Running, ready, until};
use rustix::process::Signal;
use stentor_programs::Program;

const KEYS: [(&str, &str); 3] = [
    ("STENTOR_AUTH__TICKET_KEYS", "test:MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY"),
    ("STENTOR_AUTH__CLUSTER_KEYS", "test:ZmVkY2JhOTg3NjU0MzIxMGZlZGNiYTk4NzY1NDMyMTA"),
    ("STENTOR_AUTH__ADMIN_TOKENS", "ann:0123456789abcdef0123456789abcdef"),
];

/// A port that is taken for as long as the listener is kept.
fn taken() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let addr = listener.local_addr().expect("a bound port");
    (listener, addr)
}

/// A node whose ports are all free ones, with `args` over them.
fn node(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stentor"));
    command.args(["node", "--directory", "embedded"]);
    for port in ["--link-listen", "--edge-listen", "--admin-listen", "--ops-listen"] {
        // A flag is given once.
        if !args.contains(&port) {
            command.args([port, "127.0.0.1:0"]);
        }
    }
    command.args(args).envs(KEYS).stdin(Stdio::null());
    command
}

/// What a node says that does not start.
fn refusal(command: &mut Command) -> String {
    let Output { status, stderr, .. } = command.output().expect("the binary is there");
    assert_eq!(status.code(), Some(1), "{command:?}");
    String::from_utf8_lossy(&stderr).into_owned()
}

#[test]
fn a_port_in_use_is_named_with_the_flag_that_changes_it() {
    for flag in ["--link-listen", "--edge-listen", "--admin-listen", "--ops-listen"] {
        let (_listener, addr) = taken();
        let said = refusal(&mut node(&[flag, &addr.to_string()]));
        assert!(said.contains(&addr.to_string()) && said.contains(flag), "{flag}: {said}");
    }
}

#[test]
fn a_typo_in_the_configuration_is_named_with_its_file() {
    let file = tempfile::NamedTempFile::with_suffix(".toml").unwrap();
    std::fs::write(file.path(), "[edge]\nbufer_ms = 60\n").unwrap();
    let path = file.path().display().to_string();
    let said = refusal(&mut node(&["--config", &path]));
    assert!(said.contains("bufer_ms") && said.contains(&path), "{said}");
    let said = refusal(node(&[]).env("STENTOR_EDGE__BUFER_MS", "60"));
    assert!(said.contains("STENTOR_EDGE__BUFER_MS"), "{said}");
}

#[test]
fn an_etcd_that_is_not_there_is_named() {
    let (listener, addr) = taken();
    drop(listener);
    let mut command = Command::new(env!("CARGO_BIN_EXE_stentor"));
    command.args(["node", "--roles", "relay", "--link-listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0"]);
    command.args(["--directory", &format!("etcd://{addr}"), "--set", "directory.connect_timeout_ms=500"]);
    let said = refusal(&mut command);
    assert!(said.contains(&addr.to_string()) && said.contains("not available"), "{said}");
}

#[test]
fn plain_text_off_loopback_is_refused_unless_it_is_meant() {
    let said = refusal(&mut node(&["--roles", "relay", "--link-listen", "0.0.0.0:0"]));
    assert!(said.contains("plain text") && said.contains("--insecure"), "{said}");
    // Meant, it gets as far as the question what others shall be told.
    let said = refusal(&mut node(&["--roles", "relay", "--link-listen", "0.0.0.0:0", "--insecure"]));
    assert!(said.contains("link.advertise"), "{said}");
}

#[test]
fn a_role_without_its_keys_is_refused() {
    for (role, variable) in [
        ("edge", "STENTOR_AUTH__TICKET_KEYS"),
        ("edge", "STENTOR_AUTH__CLUSTER_KEYS"),
        ("admin", "STENTOR_AUTH__ADMIN_TOKENS"),
    ] {
        let said = refusal(node(&["--roles", role]).env_remove(variable));
        assert!(said.contains(variable) && said.contains(role), "{said}");
    }
}

#[test]
fn an_admin_token_without_a_name_is_refused_with_the_form_that_is_taken() {
    let token = "0123456789abcdef0123456789abcdef";
    let said = refusal(node(&["--roles", "admin"]).env("STENTOR_AUTH__ADMIN_TOKENS", token));
    assert!(said.contains("admin token 1 has no name; write name:token") && !said.contains(token), "{said}");
}

#[test]
fn the_printed_configuration_holds_no_secret() {
    let output = node(&["--print-config"]).output().unwrap();
    assert!(output.status.success());
    let printed = String::from_utf8(output.stdout).unwrap();
    assert!(printed.contains("[directory]") && printed.contains("url = \"embedded\""), "{printed}");
    assert!(printed.contains("***") && KEYS.iter().all(|(_, secret)| !printed.contains(secret)), "{printed}");
}

/// A real etcd of one member in a folder of its own.
fn etcd(folder: &std::path::Path) -> (Running, SocketAddr) {
    let [(client, at), (peer, peers)] = [taken(), taken()];
    drop((client, peer));
    let (client, peers) = (format!("http://{at}"), format!("http://{peers}"));
    let mut command = Program::Etcd.command().expect("etcd is installed");
    command.args(["--name", "one", "--log-level", "error", "--data-dir"]).arg(folder);
    command.args(["--listen-client-urls", &client, "--advertise-client-urls", &client]);
    command.args(["--listen-peer-urls", &peers, "--initial-advertise-peer-urls", &peers]);
    command.args(["--initial-cluster", &format!("one={peers}")]);
    let running = Running(command.spawn().expect("etcd can be started"));
    until("etcd to listen", || std::net::TcpStream::connect(at).is_ok());
    (running, at)
}

#[test]
fn a_second_node_of_the_same_id_is_refused_and_the_first_one_leaves_with_0() {
    let folder = tempfile::tempdir().unwrap();
    let (_etcd, at) = etcd(folder.path());
    let (listener, ops) = taken();
    drop(listener);
    let url = format!("etcd://{at}");
    let relay = |ops: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_stentor"));
        command.args(["node", "--roles", "relay", "--id", "relay-1", "--link-listen", "127.0.0.1:0"]);
        command.args(["--directory", &url, "--ops-listen", ops]);
        command
    };
    let mut first = Running(relay(&ops.to_string()).spawn().unwrap());
    until("the node to be ready", || ready(ops));
    let said = refusal(&mut relay("127.0.0.1:0"));
    assert!(said.contains("relay-1") && said.contains("already"), "{said}");

    first.signal(Signal::TERM);
    assert_eq!(first.ended(), Some(0));
    // It has deregistered: its name is free at once.
    let _again = Running(relay(&ops.to_string()).spawn().unwrap());
    until("the name to be free", || ready(ops));
}
