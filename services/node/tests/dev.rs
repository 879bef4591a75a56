//! `stentor dev` as a person meets it: one command, and a conversation is heard.

mod process;

use std::{
    net::{Ipv4Addr, SocketAddr},
    os::unix::fs::PermissionsExt as _,
    process::{Command, Stdio},
};

use process::{Running, get, ready, until};
use rustix::process::Signal;
use stentor_programs::free_port;

#[test]
fn one_command_puts_the_demo_on_the_air_at_two_edges_and_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let (said, env) = (folder.path().join("said"), folder.path().join("env"));
    let [edge_a, edge_b, admin, ops] =
        [(); 4].map(|()| SocketAddr::from((Ipv4Addr::LOCALHOST, free_port().unwrap())));

    let mut command = Command::new(env!("CARGO_BIN_EXE_stentor"));
    command.arg("dev").arg("--env-file").arg(&env).arg("--data").arg(folder.path().join("rooms"));
    for (flag, at) in [("--edge-a", edge_a), ("--edge-b", edge_b), ("--admin", admin), ("--ops", ops)] {
        command.args([flag, &at.to_string()]);
    }
    let mut start = || {
        let out = std::fs::File::create(&said).unwrap();
        Running(command.stdin(Stdio::null()).stdout(out).spawn().unwrap())
    };
    // The second start finds the room on the air in its data folder, and goes on with it.
    for _ in 0..2 {
        let mut dev = start();
        until("the commands to be printed", || {
            assert!(dev.0.try_wait().unwrap().is_none(), "it ended");
            std::fs::read_to_string(&said).unwrap().contains("ticket create")
        });
        let printed = std::fs::read_to_string(&said).unwrap();
        assert!(printed.contains(&format!("source {}", env.display())), "{printed}");
        assert_eq!(std::fs::metadata(&env).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(ready(ops));
        for edge in [edge_a, edge_b] {
            assert!(printed.contains(&format!("http://{edge}/v1/rooms/demo/live.ogg")), "{printed}");
            let heard = get(edge, "/v1/rooms/demo/live.ogg?page=20", 8000).unwrap();
            assert!(heard.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&heard[..200]));
            assert!(heard.windows(8).any(|eight| eight == b"OpusHead"));
        }
        let metrics = String::from_utf8(get(ops, "/metrics", 1 << 20).unwrap()).unwrap();
        assert!(metrics.contains("stentor_claims_total{node=\"origin-"), "{metrics}");
        for secret in std::fs::read_to_string(&env).unwrap().lines().filter(|line| !line.contains("http://"))
        {
            let (_, secret) = secret.split_once('=').unwrap();
            assert!(!printed.contains(secret) && !metrics.contains(secret));
        }

        dev.signal(Signal::INT);
        assert_eq!(dev.ended(), Some(0));
        assert!(!env.exists());
    }
}
