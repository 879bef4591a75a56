//! A real etcd server of one member, for one test: on free ports, with data in a temporary folder, gone when dropped.
//!
//! It knows nothing of Stentor.

use std::{
    fs::{self, File},
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    thread::sleep,
    time::Duration,
};

use stentor_programs::Program;
use tempfile::TempDir;
use tokio::time::Instant;

/// Longest start on a busy machine.
const START: Duration = Duration::from_secs(20);
/// Ports below the range from which Linux takes the ports of outgoing connections, so that a server that is down for a
/// moment finds its port free again.
const PORTS: std::ops::Range<u32> = 15_000..32_000;

/// Files for TLS: the authority, the server's certificate and its key. Clients must show a certificate of the same
/// authority.
pub struct ServerTls {
    pub ca: PathBuf,
    pub cert: PathBuf,
    pub key: PathBuf,
}

pub struct EtcdServer {
    folder: TempDir,
    client: u16,
    peer: u16,
    health: u16,
    tls: Option<ServerTls>,
    process: Option<Child>,
}

impl EtcdServer {
    /// A server that is ready to answer.
    pub fn start() -> Self {
        Self::start_with(None)
    }

    pub fn start_with(tls: Option<ServerTls>) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let [client, peer, health] = [free_port(), free_port(), free_port()];
        let mut server = Self { folder, client, peer, health, tls, process: None };
        server.run();
        server
    }

    /// Where clients reach it, as a URL.
    pub fn endpoint(&self) -> String {
        format!("{}://{}", if self.tls.is_some() { "https" } else { "http" }, self.address())
    }

    pub fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.client))
    }

    /// Ends it at once, as `kill -9` does.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().expect("the server can be killed");
            process.wait().expect("the killed server can be waited for");
        }
    }

    /// Starts it again after [`kill`](Self::kill), with the same ports and data.
    pub fn run(&mut self) {
        let (peer, client) = (format!("http://127.0.0.1:{}", self.peer), self.endpoint());
        let log = File::create(self.log()).expect("a log file can be made");
        let mut command = Program::Etcd.command().expect("etcd is installed");
        command
            .args(["--name", "test", "--log-level", "error", "--logger", "zap"])
            .args(["--heartbeat-interval", "50", "--election-timeout", "500"])
            .arg("--data-dir")
            .arg(self.data())
            .args(["--listen-client-urls", &client, "--advertise-client-urls", &client])
            .args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer])
            .args(["--initial-cluster", &format!("test={peer}")])
            .args(["--listen-metrics-urls", &format!("http://127.0.0.1:{}", self.health)])
            .stdout(Stdio::null())
            .stderr(log);
        if let Some(ServerTls { ca, cert, key }) = &self.tls {
            command.arg("--client-cert-auth").arg("--trusted-ca-file").arg(ca);
            command.arg("--cert-file").arg(cert).arg("--key-file").arg(key);
        }
        self.process = Some(command.spawn().expect("etcd can be started"));
        self.wait_until_ready();
    }

    /// Loses all data; for a server that is not running.
    pub fn wipe(&self) {
        assert!(self.process.is_none(), "the server runs");
        fs::remove_dir_all(self.data()).expect("the data can be removed");
    }

    /// Keeps a copy of the data as it is now, in place of an earlier one; for a server that is not running.
    pub fn back_up(&self) {
        assert!(self.process.is_none(), "the server runs");
        drop(fs::remove_dir_all(self.backup()));
        copy(&self.data(), &self.backup());
    }

    /// Goes back to the data that was kept; for a server that is not running.
    pub fn restore(&self) {
        self.wipe();
        copy(&self.backup(), &self.data());
    }

    fn wait_until_ready(&mut self) {
        let give_up = Instant::now() + START;
        while !healthy(self.health) {
            let ended = self.process.as_mut().and_then(|process| process.try_wait().ok().flatten());
            if ended.is_some() || Instant::now() > give_up {
                let log = fs::read_to_string(self.log()).unwrap_or_default();
                panic!("etcd is not ready after {START:?} ({ended:?}): {log}");
            }
            sleep(Duration::from_millis(20));
        }
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn backup(&self) -> PathBuf {
        self.folder.path().join("backup")
    }

    fn log(&self) -> PathBuf {
        Path::join(self.folder.path(), "etcd.log")
    }
}

impl Drop for EtcdServer {
    fn drop(&mut self) {
        self.kill();
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder can be made");
    for entry in fs::read_dir(from).expect("the folder can be read") {
        let entry = entry.expect("the folder can be read");
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        if source.is_dir() {
            copy(&source, &target);
        } else {
            fs::copy(source, target).expect("a file can be copied");
        }
    }
}

fn healthy(port: u16) -> bool {
    let ask = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(Duration::from_secs(1)))?;
        stream.write_all(b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    };
    ask().is_ok_and(|answer| answer.contains(r#""health":"true""#))
}

/// A port that nobody listens on. Tests run as processes side by side, so each begins its search somewhere else.
fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let span = PORTS.end - PORTS.start;
    for _ in 0..span {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        let port = PORTS.start + std::process::id().wrapping_mul(7919).wrapping_add(step) % span;
        let port = u16::try_from(port).expect("the range is one of ports");
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
    panic!("no port of {PORTS:?} is free")
}
