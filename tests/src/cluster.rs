//! A cluster of real processes on a real etcd: `cluster.kill(&owner)`, `listener.gone_on(…)`.

mod ctl;
mod people;
mod rooms;
mod tickets;

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::{Command, ExitStatus},
    time::Duration,
};

use anyhow::{Context, Result};
use stentor_admission::key_line;
use stentor_programs::{Etcd, free_port};
use tempfile::TempDir;
use tonic::transport::{Channel, Endpoint};

pub use people::{demo_voice, demo_voices};

use crate::{
    certs::Certificates,
    chaos::Wires,
    http,
    process::{Process, binary, eventually},
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

/// What a cluster has besides its nodes.
#[derive(Debug, Default)]
pub struct Extras {
    /// The collector that spans are sent to.
    pub otlp: Option<String>,
    /// Wires between the nodes and to the directory that can be broken; else they are connected directly.
    pub wires: Option<Wires>,
    /// The `stentor` that nodes are started from; none is that of this build.
    pub stentor: Option<PathBuf>,
    /// Members of etcd; none is one.
    pub members: usize,
    /// Settings that are not at their defaults, as `section.key=value`.
    pub settings: Vec<String>,
    /// The same of one node: its name, and the setting.
    pub of_node: Vec<(String, String)>,
}

/// The cluster. Dropping it ends every process that it has started.
#[derive(Debug)]
pub struct Cluster {
    nodes: Vec<Node>,
    etcd: Etcd,
    folder: TempDir,
    ticket_keys: String,
    cluster_keys: String,
    admin_token: String,
    certificates: Option<Certificates>,
    extras: Extras,
}

#[derive(Debug)]
struct Node {
    name: String,
    roles: &'static str,
    link: SocketAddr,
    /// What the others are told instead of the link's own address.
    advertise: Option<SocketAddr>,
    directory: String,
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
        Self::start_with(shape, Extras::default()).await
    }

    /// The same, with extras.
    ///
    /// # Errors
    /// As [`Cluster::start`].
    pub async fn start_with(shape: Shape, extras: Extras) -> Result<Self> {
        let folder = TempDir::new()?;
        let mut cluster = Self {
            nodes: Vec::new(),
            etcd: Etcd::of(extras.members.max(1), None)?,
            certificates: shape.tls.then(|| Certificates::make(folder.path())).transpose()?,
            folder,
            ticket_keys: key_line("test", &rand::random::<[u8; 32]>())?,
            cluster_keys: key_line("test", &rand::random::<[u8; 32]>())?,
            admin_token: format!("{:032x}", rand::random::<u128>()),
            extras,
        };
        cluster.start_etcd().await?;
        let tiers = [
            ("origin", "origin", shape.origins),
            ("relay", "relay", shape.relays),
            ("edge", "edge,admin", shape.edges),
        ];
        for (tier, roles, count) in tiers {
            for index in 0..count {
                let name = format!("{tier}-{}", (b'a' + index as u8) as char);
                cluster.set_clock(&name, 0)?;
                let node = cluster.plan(name, roles)?;
                cluster.nodes.push(node);
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

    fn plan(&mut self, name: String, roles: &'static str) -> Result<Node> {
        let [link, edge, admin, ops] = [free_port()?, free_port()?, free_port()?, free_port()?];
        let mut members = self.etcd.members();
        let (mut address, mut advertise) = (IpAddr::V4(Ipv4Addr::LOCALHOST), None);
        if let Some(wires) = &mut self.extras.wires {
            address = wires.address(&name);
            advertise = Some(wires.to_node(&name, (address, link).into())?);
            for member in &mut members {
                *member = wires.to_directory(&name, *member)?;
            }
        }
        let members: Vec<String> = members.iter().map(SocketAddr::to_string).collect();
        let (directory, link) = (format!("etcd://{}/test", members.join(",")), (address, link).into());
        Ok(Node { name, roles, link, advertise, directory, edge, admin, ops, process: None })
    }

    fn launch(&mut self, index: usize) -> Result<()> {
        let admin_tokens = format!("tests:{}", self.admin_token);
        let env = [
            ("STENTOR_AUTH__TICKET_KEYS", &self.ticket_keys),
            ("STENTOR_AUTH__CLUSTER_KEYS", &self.cluster_keys),
            ("STENTOR_AUTH__ADMIN_TOKENS", &admin_tokens),
            ("STENTOR_CLOCK_FILE", &self.clock_file(&self.nodes[index].name).to_string_lossy().into_owned()),
        ];
        let node = &self.nodes[index];
        let mut args: Vec<String> =
            ["node", "--id", &node.name, "--roles", node.roles, "--directory", &node.directory]
                .map(str::to_owned)
                .to_vec();
        let at = |port: u16| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let ports = [
            ("--link-listen", node.link),
            ("--edge-listen", at(node.edge)),
            ("--admin-listen", at(node.admin)),
            ("--ops-listen", at(node.ops)),
        ];
        args.extend(ports.into_iter().flat_map(|(flag, port)| [flag.to_owned(), port.to_string()]));
        if let Some(advertise) = node.advertise {
            args.extend(["--set".to_owned(), format!("link.advertise={advertise}")]);
        }
        let own = self.extras.of_node.iter().filter(|(name, _)| *name == node.name).map(|(_, set)| set);
        let settings = self.extras.settings.iter().chain(own);
        args.extend(settings.flat_map(|set| ["--set".to_owned(), set.clone()]));
        if let Some(certificates) = &self.certificates {
            args.extend(certificates.link_settings());
        }
        if let Some(otlp) = &self.extras.otlp {
            args.extend(["--otlp".to_owned(), otlp.clone()]);
        }
        let mut command = Command::new(self.stentor()?);
        let process = Process::start(&node.name, command.args(args).envs(env), self.folder.path())?;
        self.nodes[index].process = Some(process);
        Ok(())
    }

    /// The node's program: this build's, or that of the other one that is given.
    fn stentor(&self) -> Result<PathBuf> {
        self.extras.stentor.clone().map_or_else(|| binary("stentor"), Ok)
    }

    /// Nodes that are started from now on are of another build; `None` is this one. Returns what they were of before.
    pub const fn change_build(&mut self, stentor: Option<PathBuf>) -> Option<PathBuf> {
        std::mem::replace(&mut self.extras.stentor, stentor)
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
        let all = self.nodes.iter().map(|node| vec![node.link.port(), node.ops]);
        let edges = self.edges().map(|node| vec![node.edge, node.admin]);
        all.chain(edges).flatten().collect()
    }

    /// Where the nodes' links listen.
    #[must_use]
    pub fn link_ports(&self) -> Vec<u16> {
        self.nodes.iter().map(|node| node.link.port()).collect()
    }

    /// How many edges there are.
    #[must_use]
    pub fn edge_count(&self) -> usize {
        self.edges().count()
    }

    /// The URLs of all edges, this one first.
    #[must_use]
    pub fn edge_urls(&self, first: usize) -> Vec<String> {
        let (count, url) = (self.edge_count(), |edge| format!("http://127.0.0.1:{}", self.edge_port(edge)));
        (0..count).map(|index| url((first + index) % count)).collect()
    }

    /// Where operators connect to an edge.
    #[must_use]
    pub fn admin_port(&self, index: usize) -> u16 {
        self.nth_edge(index).admin
    }

    /// What lets operators in.
    #[must_use]
    pub fn admin_token(&self) -> &str {
        &self.admin_token
    }

    /// The wires, if the cluster was started with some.
    #[must_use]
    pub const fn wires(&self) -> Option<&Wires> {
        self.extras.wires.as_ref()
    }

    /// Where the logs are.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The etcd under the cluster.
    pub const fn etcd(&mut self) -> &mut Etcd {
        &mut self.etcd
    }

    /// Starts the members of etcd that do not run, with the data they had, and waits until all answer.
    ///
    /// # Errors
    /// When one does not within 20 s.
    pub async fn start_etcd(&mut self) -> Result<()> {
        self.etcd.spawn()?;
        let etcd = &self.etcd;
        eventually("etcd to be well", READY, || async { etcd.is_ready().then_some(()) }).await
    }

    /// A gRPC channel to an edge.
    ///
    /// # Errors
    /// When it cannot be reached.
    pub async fn channel(&self, edge: usize) -> Result<Channel> {
        let url = format!("http://127.0.0.1:{}", self.edge_port(edge));
        Ok(Endpoint::from_shared(url)?.tcp_nodelay(true).connect().await?)
    }

    /// Sets a node's wall clock this many milliseconds ahead of the true one, whether it runs or not.
    ///
    /// # Errors
    /// When the file that the node follows cannot be written.
    pub fn set_clock(&self, name: &str, ahead_ms: i64) -> Result<()> {
        let file = self.clock_file(name);
        std::fs::write(&file, ahead_ms.to_string()).with_context(|| file.display().to_string())
    }

    fn clock_file(&self, name: &str) -> PathBuf {
        self.folder.path().join(format!("{name}.clock"))
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

    /// Whether a node has ended by itself.
    ///
    /// # Errors
    /// When it was not started.
    pub fn ended(&mut self, name: &str) -> Result<bool> {
        let index = self.index(name)?;
        let ended = self.nodes[index].process.as_mut().context("it does not run")?.ended()?;
        if ended {
            self.nodes[index].process = None;
        }
        Ok(ended)
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
}
