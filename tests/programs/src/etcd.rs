//! A real etcd for tests: of one member or of several, on free ports, with data in a temporary folder that outlive a
//! restart. It is gone when dropped.
//!
//! It knows nothing of Stentor.

use std::{
    fs::{self, File},
    io::{self, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use tempfile::TempDir;

use crate::{port::free_port, program::Program};

/// Longest start on a busy machine.
const START: Duration = Duration::from_secs(20);

/// Files for TLS. Clients must show a certificate of the same authority.
#[derive(Debug)]
pub struct ServerTls {
    /// The authority.
    pub ca: PathBuf,
    /// The server's certificate.
    pub cert: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

/// The servers.
#[derive(Debug)]
pub struct Etcd {
    folder: TempDir,
    members: Vec<Member>,
    tls: Option<ServerTls>,
}

#[derive(Debug)]
struct Member {
    client: u16,
    peer: u16,
    health: u16,
    process: Option<Child>,
}

impl Etcd {
    /// One member that is ready to answer.
    ///
    /// # Errors
    /// etcd is not installed, or does not come up within 20 s; the error has its log.
    pub fn start() -> io::Result<Self> {
        let mut etcd = Self::of(1, None)?;
        etcd.run()?;
        Ok(etcd)
    }

    /// The same, over TLS.
    ///
    /// # Errors
    /// As [`Etcd::start`].
    pub fn start_with(tls: ServerTls) -> io::Result<Self> {
        let mut etcd = Self::of(1, Some(tls))?;
        etcd.run()?;
        Ok(etcd)
    }

    /// So many members, none of which runs yet.
    ///
    /// # Errors
    /// There is no free port or no room for the data.
    pub fn of(members: usize, tls: Option<ServerTls>) -> io::Result<Self> {
        let member = |_| {
            let [client, peer, health] = [free_port()?, free_port()?, free_port()?];
            Ok(Member { client, peer, health, process: None })
        };
        let members = (0..members).map(member).collect::<io::Result<_>>()?;
        Ok(Self { folder: TempDir::new()?, members, tls })
    }

    /// Where clients reach the first member, as a URL.
    #[must_use]
    pub fn endpoint(&self) -> String {
        self.url(&self.members[0])
    }

    /// Where clients reach each member.
    #[must_use]
    pub fn members(&self) -> Vec<SocketAddr> {
        self.members.iter().map(|member| (Ipv4Addr::LOCALHOST, member.client).into()).collect()
    }

    /// A member's process id; `None` if it does not run.
    #[must_use]
    pub fn pid(&self, member: usize) -> Option<u32> {
        self.members.get(member)?.process.as_ref().map(Child::id)
    }

    /// Starts the members that do not run, with the ports and data they had, and waits until all answer.
    ///
    /// # Errors
    /// As [`Etcd::start`].
    pub fn run(&mut self) -> io::Result<()> {
        self.spawn()?;
        let give_up = Instant::now() + START;
        while !self.is_ready() {
            let ended = |member: &mut Member| {
                matches!(member.process.as_mut()?.try_wait(), Ok(Some(_))).then_some(())
            };
            if self.members.iter_mut().any(|member| ended(member).is_some()) || Instant::now() > give_up {
                let log = fs::read_to_string(self.log(0)).unwrap_or_default();
                return Err(io::Error::other(format!("etcd is not ready within {START:?}: {log}")));
            }
            sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// Starts the members that do not run, and does not wait: [`is_ready`](Self::is_ready) says when they answer.
    ///
    /// # Errors
    /// etcd is not installed.
    pub fn spawn(&mut self) -> io::Result<()> {
        let peer = |member: &Member| format!("http://127.0.0.1:{}", member.peer);
        let named = |(index, member)| format!("member-{index}={}", peer(member));
        let cluster = self.members.iter().enumerate().map(named).collect::<Vec<_>>().join(",");
        for index in 0..self.members.len() {
            let member = &self.members[index];
            if member.process.is_some() {
                continue;
            }
            let (client, peer) = (self.url(member), peer(member));
            let mut command = Program::Etcd.command()?;
            command
                .args(["--name", &format!("member-{index}"), "--log-level", "error", "--logger", "zap"])
                .arg("--data-dir")
                .arg(self.data(index))
                .args(["--listen-client-urls", &client, "--advertise-client-urls", &client])
                .args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer])
                .args(["--initial-cluster", &cluster])
                .args(["--listen-metrics-urls", &format!("http://127.0.0.1:{}", member.health)])
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(File::options().create(true).append(true).open(self.log(index))?);
            if self.members.len() == 1 {
                // Nobody else is to be waited for before it elects itself.
                command.args(["--heartbeat-interval", "50", "--election-timeout", "500"]);
            }
            if let Some(ServerTls { ca, cert, key }) = &self.tls {
                command.arg("--client-cert-auth").arg("--trusted-ca-file").arg(ca);
                command.arg("--cert-file").arg(cert).arg("--key-file").arg(key);
            }
            self.members[index].process = Some(command.spawn()?);
        }
        Ok(())
    }

    /// Whether every member answers that it is well.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.members.iter().all(|member| is_healthy(member.health))
    }

    /// Ends all members at once, as `kill -9` does; their data stay.
    ///
    /// # Errors
    /// One cannot be reaped.
    pub fn kill(&mut self) -> io::Result<()> {
        (0..self.members.len()).try_for_each(|member| self.kill_member(member))
    }

    /// Ends one member so.
    ///
    /// # Errors
    /// It cannot be reaped.
    pub fn kill_member(&mut self, member: usize) -> io::Result<()> {
        let Some(mut process) = self.members[member].process.take() else { return Ok(()) };
        process.kill()?;
        process.wait().map(drop)
    }

    /// Ends all members and loses their data.
    ///
    /// # Errors
    /// A member cannot be reaped or its data cannot be removed.
    pub fn wipe(&mut self) -> io::Result<()> {
        self.kill()?;
        (0..self.members.len()).try_for_each(|member| fs::remove_dir_all(self.data(member)))
    }

    /// Ends all members and keeps a copy of the first one's data as they are now, in place of an earlier one.
    ///
    /// # Errors
    /// The data cannot be copied.
    pub fn back_up(&mut self) -> io::Result<()> {
        self.kill()?;
        drop(fs::remove_dir_all(self.backup()));
        copy(&self.data(0), &self.backup())
    }

    /// Ends all members and goes back to the data that were kept.
    ///
    /// # Errors
    /// As [`Etcd::wipe`] and [`Etcd::back_up`].
    pub fn restore(&mut self) -> io::Result<()> {
        self.wipe()?;
        copy(&self.backup(), &self.data(0))
    }

    /// What `etcdctl` answers a client of the first member.
    ///
    /// # Errors
    /// It is not installed or fails; the error is what it said.
    pub fn control(&self, args: &[&str]) -> io::Result<String> {
        let mut command = Program::Etcdctl.command()?;
        command.env("ETCDCTL_API", "3").args(["--endpoints", &self.endpoint()]).args(args);
        let output = command.output()?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            return Err(io::Error::other(format!("etcdctl {}: {said}", args.join(" "))));
        }
        String::from_utf8(output.stdout).map_err(io::Error::other)
    }

    fn url(&self, member: &Member) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://127.0.0.1:{}", member.client)
    }

    fn data(&self, member: usize) -> PathBuf {
        self.folder.path().join(format!("data-{member}"))
    }

    fn backup(&self) -> PathBuf {
        self.folder.path().join("backup")
    }

    fn log(&self, member: usize) -> PathBuf {
        self.folder.path().join(format!("etcd-{member}.log"))
    }
}

impl Drop for Etcd {
    fn drop(&mut self) {
        drop(self.kill());
    }
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        if source.is_dir() {
            copy(&source, &target)?;
        } else {
            fs::copy(source, target)?;
        }
    }
    Ok(())
}

fn is_healthy(port: u16) -> bool {
    let ask = || -> io::Result<String> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        stream.set_read_timeout(Some(Duration::from_secs(1)))?;
        stream.write_all(b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    };
    ask().is_ok_and(|answer| answer.contains(r#""health":"true""#))
}
