//! A node of any role may open as many files as the system lets it: each connection is one.

mod process;

use std::{
    net::{Ipv4Addr, SocketAddr},
    process::{Command, Stdio},
};

use process::{Running, ready, until};
use rustix::process::{Resource, Rlimit, Signal, getrlimit, setrlimit};
use stentor_programs::free_port;

#[test]
fn a_relay_that_is_started_with_a_low_limit_raises_it() {
    let most = getrlimit(Resource::Nofile).maximum;
    // What is started from here has it too.
    setrlimit(Resource::Nofile, Rlimit { current: Some(256), maximum: most }).unwrap();
    let [link, ops] = [(); 2].map(|()| SocketAddr::from((Ipv4Addr::LOCALHOST, free_port().unwrap())));
    let mut command = Command::new(env!("CARGO_BIN_EXE_stentor"));
    command.args(["node", "--roles", "relay", "--directory", "embedded"]);
    command.args(["--set", &format!("link.listen={link}"), "--set", &format!("ops.listen={ops}")]);
    let mut relay = Running(command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap());
    until("it is ready", || ready(ops));
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", relay.0.id())).unwrap();
    let files = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    let soft = files.split_whitespace().nth(3).unwrap();
    assert_eq!(soft, most.map_or("unlimited".to_owned(), |most| most.to_string()), "{files}");
    relay.signal(Signal::TERM);
    assert_eq!(relay.ended(), Some(0));
}
