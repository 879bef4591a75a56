//! A cluster of real processes on a real etcd: `cluster.kill(&owner)`, `listener.gone_on(…)`.

use std::{
    path::{Path, PathBuf},
    process::{ExitStatus, Output},
    time::{Duration, SystemTime},
};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use stentor_admission::{Claims, KeySet, key_line};
use stentor_ids::{ParticipantId, Role, RoomId};
use stentor_pace::WallTime;
use tempfile::TempDir;
use tonic::transport::{Channel, Endpoint};

use crate::{
    certs::Certificates,
    etcd::Etcd,
    http,
    listening::Listening,
    process::{Process, binary, eventually, free_port},
    speech::Audio,
};

/// How long a node may take until it is ready: its first view, its lease, its ports.
const READY: Duration = Duration::from_secs(20);

/// How many nodes of each tier. The edges are the admin nodes too.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    /// Nodes that run rooms.
    pub origins: usize,
    /// Nodes of the middle tier.
    pub relays: usize,
    /// Nodes that people connect to.
    pub edges: usize,
    /// Whether nodes speak mutual TLS to each other.
    pub tls: bool,
}

impl Default for Shape {
    /// Two of each, as one sets out.
    fn default() -> Self {
        Self { origins: 2, relays: 2, edges: 2, tls: false }
    }
}

/// The cluster. Dropping it ends every process that it has started.
#[derive(Debug)]
pub struct Cluster {
    nodes: Vec<Node>,
    etcd: Etcd,
    folder: TempDir,
    ticket_keys: String,
    admin_token: String,
    certificates: Option<Certificates>,
    otlp: Option<String>,
}

#[derive(Debug)]
struct Node {
    name: String,
    roles: &'static str,
    link: u16,
    edge: u16,
    admin: u16,
    ops: u16,
    process: Option<Process>,
}

impl Cluster {
    /// Starts etcd and all nodes, and waits until each is ready.
    ///
    /// # Errors
    /// When something does not start; the error holds the end of its log.
    pub async fn start(shape: Shape) -> Result<Self> {
        Self::start_traced(shape, None).await
    }

    /// The same, with spans sent to a collector.
    ///
    /// # Errors
    /// As [`Cluster::start`].
    pub async fn start_traced(shape: Shape, otlp: Option<String>) -> Result<Self> {
        let folder = TempDir::new()?;
        let mut cluster = Self {
            nodes: Vec::new(),
            etcd: Etcd::start().await?,
            certificates: shape.tls.then(|| Certificates::make(folder.path())).transpose()?,
            folder,
            ticket_keys: key_line("test", &rand::random::<[u8; 32]>())?,
            admin_token: format!("{:032x}", rand::random::<u128>()),
            otlp,
        };
        let tiers = [
            ("origin", "origin", shape.origins),
            ("relay", "relay", shape.relays),
            ("edge", "edge,admin", shape.edges),
        ];
        for (tier, roles, count) in tiers {
            for index in 0..count {
                let ports = [free_port()?, free_port()?, free_port()?, free_port()?];
                let [link, edge, admin, ops] = ports;
                let name = format!("{tier}-{}", (b'a' + index as u8) as char);
                cluster.nodes.push(Node { name, roles, link, edge, admin, ops, process: None });
            }
        }
        for index in 0..cluster.nodes.len() {
            cluster.launch(index)?;
        }
        for index in 0..cluster.nodes.len() {
            cluster.ready(index).await?;
        }
        Ok(cluster)
    }

    fn launch(&mut self, index: usize) -> Result<()> {
        let directory = format!("{}/test", self.etcd.endpoint().replace("http://", "etcd://"));
        let env = [
            ("STENTOR_AUTH__TICKET_KEYS", &self.ticket_keys),
            ("STENTOR_AUTH__ADMIN_TOKENS", &self.admin_token),
        ];
        let node = &self.nodes[index];
        let at = |port: u16| format!("127.0.0.1:{port}");
        let mut args: Vec<String> =
            ["node", "--id", &node.name, "--roles", node.roles, "--directory", &directory]
                .map(str::to_owned)
                .to_vec();
        let ports =
            [("--link-listen", node.link), ("--edge-listen", node.edge), ("--admin-listen", node.admin)];
        for (flag, port) in ports.into_iter().chain([("--ops-listen", node.ops)]) {
            args.extend([flag.to_owned(), at(port)]);
        }
        if let Some(certificates) = &self.certificates {
            args.extend(certificates.link_settings());
        }
        if let Some(otlp) = &self.otlp {
            args.extend(["--otlp".to_owned(), otlp.clone()]);
        }
        let env = env.map(|(name, value)| (name, value.as_str()));
        let process = Process::start(&node.name, &binary("stentor")?, args, &env, self.folder.path())?;
        self.nodes[index].process = Some(process);
        Ok(())
    }

    async fn ready(&mut self, index: usize) -> Result<()> {
        let (name, port) = (self.nodes[index].name.clone(), self.nodes[index].ops);
        let what = format!("{name} to be ready");
        let up = eventually(&what, READY, || async move {
            http::get(port, "/readyz").await.ok().filter(|answer| answer.status == 200)
        });
        up.await.with_context(|| {
            self.nodes[index].process.as_ref().map_or_else(String::new, Process::log_tail)
        })?;
        Ok(())
    }

    /// Names of all nodes, origins first, then relays, then edges.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.nodes.iter().map(|node| node.name.clone()).collect()
    }

    /// A running node.
    ///
    /// # Errors
    /// When there is none of that name, or it does not run.
    pub fn node(&self, name: &str) -> Result<&Process> {
        self.nodes
            .iter()
            .find(|node| node.name == name)
            .and_then(|node| node.process.as_ref())
            .with_context(|| format!("{name} does not run"))
    }

    fn index(&self, name: &str) -> Result<usize> {
        self.nodes.iter().position(|node| node.name == name).with_context(|| format!("no node {name}"))
    }

    fn edges(&self) -> impl Iterator<Item = &Node> {
        self.nodes.iter().filter(|node| node.roles.contains("edge"))
    }

    fn nth_edge(&self, index: usize) -> &Node {
        self.edges().nth(index).expect("the shape has that many edges")
    }

    /// The process of an edge.
    #[must_use]
    pub fn edge(&self, index: usize) -> &Process {
        self.nth_edge(index).process.as_ref().expect("the edge runs")
    }

    /// Where people connect to an edge.
    #[must_use]
    pub fn edge_port(&self, index: usize) -> u16 {
        self.nth_edge(index).edge
    }

    /// Every port that the cluster's nodes listen on.
    #[must_use]
    pub fn ports(&self) -> Vec<u16> {
        let all = self.nodes.iter().map(|node| vec![node.link, node.ops]);
        let edges = self.edges().map(|node| vec![node.edge, node.admin]);
        all.chain(edges).flatten().collect()
    }

    /// Where the nodes' links listen.
    #[must_use]
    pub fn link_ports(&self) -> Vec<u16> {
        self.nodes.iter().map(|node| node.link).collect()
    }

    /// The etcd under the cluster.
    pub const fn etcd(&mut self) -> &mut Etcd {
        &mut self.etcd
    }

    /// A gRPC channel to an edge.
    ///
    /// # Errors
    /// When it cannot be reached.
    pub async fn channel(&self, edge: usize) -> Result<Channel> {
        let url = format!("http://127.0.0.1:{}", self.edge_port(edge));
        Ok(Endpoint::from_shared(url)?.tcp_nodelay(true).connect().await?)
    }

    /// Kill -9.
    ///
    /// # Errors
    /// When it does not run.
    pub fn kill(&mut self, name: &str) -> Result<()> {
        let index = self.index(name)?;
        self.nodes[index].process.take().context("it does not run")?.kill()
    }

    /// Waits until a node has ended by itself.
    ///
    /// # Errors
    /// When it still runs after `within`.
    pub fn wait(&mut self, name: &str, within: Duration) -> Result<ExitStatus> {
        let index = self.index(name)?;
        let status = self.nodes[index].process.as_mut().context("it does not run")?.wait(within)?;
        self.nodes[index].process = None;
        Ok(status)
    }

    /// Starts a node that has ended again, under its name and on its ports.
    ///
    /// # Errors
    /// When it does not become ready.
    pub async fn restart(&mut self, name: &str) -> Result<()> {
        let index = self.index(name)?;
        self.launch(index)?;
        self.ready(index).await
    }

    /// A signed ticket, good for an hour.
    ///
    /// # Errors
    /// When a name is none.
    pub fn ticket(&self, room: &str, sub: &str, role: Role) -> Result<String> {
        self.ticket_until(room, sub, role, wall_now() + Duration::from_secs(3600))
    }

    /// A ticket that was good until a minute ago.
    ///
    /// # Errors
    /// When a name is none.
    pub fn expired_ticket(&self, room: &str, sub: &str) -> Result<String> {
        self.ticket_until(room, sub, Role::Speaker, wall_now() - Duration::from_secs(60))
    }

    fn ticket_until(&self, room: &str, sub: &str, role: Role, expires: WallTime) -> Result<String> {
        let claims = Claims {
            room: RoomId::new(room)?,
            participant: ParticipantId::new(sub)?,
            name: sub.to_owned(),
            role,
            expires_at: expires,
            not_before: None,
            issued_at: None,
        };
        Ok(KeySet::parse(&self.ticket_keys)?.sign(&claims, None)?)
    }

    /// Runs `stentorctl` with these arguments against one of the admin nodes.
    ///
    /// # Errors
    /// When it cannot be started.
    async fn run_ctl(&self, admin: usize, args: &[&str]) -> Result<Output> {
        let node = self.nth_edge(admin);
        let mut command = tokio::process::Command::new(binary("stentorctl")?);
        command
            .args(args)
            .kill_on_drop(true)
            .envs(self.ctl_env(admin))
            .env("STENTOR_ADMIN", format!("http://127.0.0.1:{}", node.admin));
        Ok(tokio::time::timeout(Duration::from_secs(60), command.output())
            .await
            .context("stentorctl hangs")??)
    }

    fn ctl_env(&self, edge: usize) -> [(&'static str, String); 3] {
        [
            ("STENTOR_EDGE", format!("http://127.0.0.1:{}", self.edge_port(edge))),
            ("STENTOR_ADMIN_TOKEN", self.admin_token.clone()),
            ("STENTOR_TICKET_KEYS", self.ticket_keys.clone()),
        ]
    }

    /// What `stentorctl` prints, whether it succeeds or not.
    ///
    /// # Errors
    /// When it cannot be started.
    pub async fn ctl_output(&self, args: &[&str]) -> Result<Output> {
        self.run_ctl(0, args).await
    }

    /// What `stentorctl` prints when it succeeds.
    ///
    /// # Errors
    /// When it does not; the error is what it said.
    pub async fn ctl(&self, args: &[&str]) -> Result<String> {
        self.ctl_at(0, args).await
    }

    /// The same against another admin node.
    ///
    /// # Errors
    /// As [`Cluster::ctl`].
    pub async fn ctl_at(&self, admin: usize, args: &[&str]) -> Result<String> {
        let output = self.run_ctl(admin, args).await?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        ensure!(output.status.success(), "stentorctl {} failed: {said}", args.join(" "));
        Ok(String::from_utf8(output.stdout)?)
    }

    /// The same as JSON.
    ///
    /// # Errors
    /// As [`Cluster::ctl`], and when it prints no JSON.
    pub async fn ctl_json(&self, args: &[&str]) -> Result<Value> {
        let text = self.ctl(&[&["-o", "json"], args].concat()).await?;
        serde_json::from_str(&text).with_context(|| format!("not JSON: {text}"))
    }

    /// Creates a public room and puts it on the air.
    ///
    /// # Errors
    /// When the operator's calls fail.
    pub async fn live_room(&self, room: &str) -> Result<()> {
        self.ctl(&["room", "create", room]).await?;
        self.ctl(&["room", "open", room]).await?;
        self.ctl(&["room", "go-live", room]).await?;
        Ok(())
    }

    /// One of the demo voices speaks in a loop through an edge, as a process of its own.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn speak(&self, room: &str, name: &str, role: Role, edge: usize) -> Result<Process> {
        let ticket = self.ticket(room, name, role)?;
        let file = demo_folder().join(if edge == 0 { "voice-a.ogg" } else { "voice-b.ogg" });
        let args =
            ["speak", "--room", room, "--name", name, "--ticket", &ticket, "--loop", &file.to_string_lossy()]
                .map(str::to_owned);
        let env = self.ctl_env(edge);
        let env: Vec<(&str, &str)> = env.iter().map(|(name, value)| (*name, value.as_str())).collect();
        Process::start(&format!("speak-{name}"), &binary("stentorctl")?, args, &env, self.folder.path())
    }

    /// Both demo voices speak, one through each of the first two edges; waits until the room has both.
    ///
    /// # Errors
    /// When they are not connected within 20 s.
    pub async fn speak_demo(&self, room: &str) -> Result<[Process; 2]> {
        let voices = [self.speak(room, "ann", Role::Speaker, 0)?, self.speak(room, "ben", Role::Speaker, 1)?];
        let connected = self.connected(room, 2, Duration::from_secs(20)).await;
        connected.with_context(|| voices.iter().map(Process::log_tail).collect::<String>())?;
        Ok(voices)
    }

    /// Waits until so many participants on the stage are connected.
    ///
    /// # Errors
    /// When they are not within that time.
    pub async fn connected(&self, room: &str, count: usize, within: Duration) -> Result<()> {
        eventually(&format!("{count} connected on the stage of {room}"), within, || async {
            let answer = self.ctl_json(&["participant", "list", room]).await.ok()?;
            let stage = answer["stage"].as_array()?.clone();
            (stage.iter().filter(|seat| seat["connected"] == true).count() == count).then_some(())
        })
        .await
    }

    /// A listener by gRPC at an edge, from now on.
    ///
    /// # Errors
    /// When it cannot be set up.
    pub fn listen(&self, edge: usize, room: &str) -> Result<Listening> {
        Listening::start(&format!("http://127.0.0.1:{}", self.edge_port(edge)), room)
    }

    /// The node that owns a room.
    ///
    /// # Errors
    /// When nobody does within that time.
    pub async fn owner(&self, room: &str, within: Duration) -> Result<String> {
        self.owner_other_than(room, "", within).await
    }

    /// The node that owns a room, once it is another than this.
    ///
    /// # Errors
    /// When there is none within that time.
    pub async fn owner_other_than(&self, room: &str, not: &str, within: Duration) -> Result<String> {
        eventually(&format!("an owner of {room} other than {not:?}"), within, || async {
            let answer = self.ctl_json(&["room", "get", room]).await.ok()?;
            let owner = answer["primary"].as_str()?.to_owned();
            (!owner.is_empty() && owner != not).then_some(owner)
        })
        .await
    }
}

/// The demo voices, decoded.
///
/// # Errors
/// When they are not there.
pub fn demo_voices() -> Result<[Audio; 2]> {
    let read = |name: &str| Audio::read_ogg(&demo_folder().join(name));
    Ok([read("voice-a.ogg")?, read("voice-b.ogg")?])
}

fn demo_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../services/node/demo")
}

fn wall_now() -> WallTime {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    WallTime::from_micros(since.as_micros() as u64)
}
