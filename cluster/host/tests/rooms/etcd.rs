//! A real etcd of one member, for one test: on free ports, gone when dropped.

use std::{
    net::{TcpListener, TcpStream},
    process::{Child, Stdio},
    time::Duration,
};

use stentor_programs::Program;
use tokio::time::Instant;

/// Longest start on a busy machine.
const START: Duration = Duration::from_secs(20);

pub struct Etcd {
    folder: tempfile::TempDir,
    ports: [u16; 2],
    process: Option<Child>,
}

impl Etcd {
    pub fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut etcd = Self { folder, ports: [free_port(), free_port()], process: None };
        etcd.run();
        etcd
    }

    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.ports[0])
    }

    /// Ends it at once.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }

    /// Ends it at once, and removes its data.
    pub fn wipe(&mut self) {
        self.kill();
        std::fs::remove_dir_all(self.folder.path()).unwrap();
        std::fs::create_dir(self.folder.path()).unwrap();
    }

    /// Starts it, with the data it had.
    pub fn run(&mut self) {
        let (client, peer) = (self.endpoint(), format!("http://127.0.0.1:{}", self.ports[1]));
        let mut command = Program::Etcd.command().expect("etcd is installed");
        command
            .args(["--name", "test", "--log-level", "error"])
            .args(["--heartbeat-interval", "50", "--election-timeout", "500"])
            .arg("--data-dir")
            .arg(self.folder.path())
            .args(["--listen-client-urls", &client, "--advertise-client-urls", &client])
            .args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer])
            .args(["--initial-cluster", &format!("test={peer}")])
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        self.process = Some(command.spawn().unwrap());
        let give_up = Instant::now() + START;
        while TcpStream::connect(("127.0.0.1", self.ports[0])).is_err()
            || self.ask(&["endpoint", "health"]).is_none()
        {
            assert!(Instant::now() < give_up, "etcd is not ready after {START:?}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// What `etcdctl` answers.
    pub fn control(&self, args: &[&str]) -> String {
        self.ask(args).unwrap_or_else(|| panic!("etcdctl {args:?}"))
    }

    fn ask(&self, args: &[&str]) -> Option<String> {
        let endpoint = self.endpoint();
        let mut command = Program::Etcdctl.command().expect("etcdctl is installed");
        command.env("ETCDCTL_API", "3").args(["--endpoints", &endpoint]).args(args);
        let output = command.output().unwrap();
        output.status.success().then(|| String::from_utf8(output.stdout).unwrap())
    }
}

impl Drop for Etcd {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Below the range of outgoing connections' ports, so that it is free again after a kill.
fn free_port() -> u16 {
    let start = 15_000 + std::process::id() as u16 % 16_000;
    let free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
    static NEXT: std::sync::atomic::AtomicU16 = std::sync::atomic::AtomicU16::new(0);
    let skip = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    (start + 10 * skip..).find(free).expect("a port is free")
}
