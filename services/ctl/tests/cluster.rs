//! The binary against a real admin node: what it prints of happenings, and how it waits for a drain.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::{
    process::{Output, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use stentor_admin::{Admin, Config, Protection};
use stentor_admission::AdminTokens;
use stentor_directory::{Directory, NodeRecord, NodeRole, Session};
use stentor_host::Topology;
use stentor_ids::{Code, Fault, NodeId, RoomId};
use stentor_link::{Journal, LinkServer, Pool, Security, Services, control};
use stentor_proto::{
    span,
    v1::{self, DrainChange, TakeOver, happening::What},
};
use stentor_telemetry::Metrics;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command},
    time::timeout,
};
use tokio_util::sync::{CancellationToken, DropGuard};

const TOKEN: &str = "0123456789abcdef0123456789abcdef";
const SOON: Duration = Duration::from_secs(15);

/// An admin node, and a node `o-1` that tells what a test says and drains when a test says so.
struct Cluster {
    url: String,
    journal: Journal,
    drained: Arc<AtomicBool>,
    origin: Session,
    _admin: Session,
    _stop: DropGuard,
}

impl Cluster {
    async fn start() -> Self {
        let (directory, metrics, stop) = (Directory::embedded(), Metrics::new(), CancellationToken::new());
        let (admin, origin) = (NodeId::new("admin-1").unwrap(), NodeId::new("o-1").unwrap());
        let (journal, drained) = (Journal::new(origin.clone()), Arc::new(AtomicBool::new(false)));

        let server = LinkServer::bind("127.0.0.1:0".parse().unwrap(), &Security::Insecure).unwrap();
        let link_addr = server.local_addr().to_string();
        let services = Services {
            control: Some(Arc::new(Leaving(drained.clone()))),
            journal: Some(journal.clone()),
            ..Services::default()
        };
        tokio::spawn(server.run(origin.clone(), services, metrics.for_node(&origin), stop.clone()));

        let register = async |record| directory.register(record, Duration::from_secs(1)).await.unwrap();
        let record = NodeRecord { link_addr, ..NodeRecord::new(origin.clone(), NodeRole::Origin) };
        let sessions =
            (register(NodeRecord::new(admin.clone(), NodeRole::Admin)).await, register(record).await);
        let seen = |view: &stentor_directory::View| view.current && view.nodes.contains_key(&origin);
        timeout(SOON, directory.view().wait_for(seen)).await.unwrap();

        let pool = Pool::new(Security::Insecure, None, &metrics.for_node(&admin)).unwrap();
        let cluster = stentor_admin::Cluster {
            topology: Arc::new(Topology::new(directory.view(), NodeRole::Admin.into())),
            control: control::Client::new(pool),
            directory,
            journal: Journal::new(admin.clone()),
        };
        let config = Config { listen: "127.0.0.1:0".parse().unwrap(), ..Config::default() };
        let tokens = AdminTokens::parse(&format!("ann:{TOKEN}")).unwrap();
        let protection = Protection { tokens, tls: None, insecure: false };
        let served = Admin::new(&config, protection, cluster, metrics.for_node(&admin)).unwrap();
        let url = format!("http://{}", served.local_addr());
        tokio::spawn(served.run(stop.clone()));
        Self { url, journal, drained, origin: sessions.1, _admin: sessions.0, _stop: stop.drop_guard() }
    }

    fn run(&self, args: &[&str]) -> Child {
        let mut command = Command::new(env!("CARGO_BIN_EXE_stentorctl"));
        command.args(["--admin", &self.url, "--token", TOKEN]).args(args).env_clear();
        let command = command.env("TZ", "UTC").stdin(Stdio::null()).kill_on_drop(true);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    fn tell_drain(&self, waits_for: &[&str]) {
        let waits_for = waits_for.iter().map(ToString::to_string).collect();
        self.journal.tell(None, What::Drain(DrainChange { draining: true, waits_for }));
    }
}

/// Drains when it is told that it is done.
struct Leaving(Arc<AtomicBool>);

fn not_asked<T>() -> Result<T, Fault> {
    Err(Fault::new(Code::Internal, "no operator asks this of a node"))
}

#[tonic::async_trait]
impl control::Handler for Leaving {
    async fn locate(&self, _: RoomId) -> Result<v1::LocateResponse, Fault> {
        not_asked()
    }

    async fn command(&self, _: RoomId, _: v1::CommandRequest) -> Result<v1::CommandReply, Fault> {
        not_asked()
    }

    async fn take_over(&self, _: RoomId, _: v1::TakeOverRequest) -> Result<v1::TakeOverResponse, Fault> {
        not_asked()
    }

    async fn probe(&self, _: Option<RoomId>) -> Result<v1::ProbeResponse, Fault> {
        not_asked()
    }

    async fn drain(&self, draining: bool) -> Result<v1::DrainResponse, Fault> {
        let rooms = if self.0.load(Relaxed) { 0 } else { 2 };
        let waits_for = if rooms > 0 { vec![format!("{rooms} rooms that it owns")] } else { Vec::new() };
        Ok(v1::DrainResponse { draining, rooms, connections: 0, waits_for })
    }

    async fn hand_off(&self, _: RoomId, _: Option<NodeId>) -> Result<v1::TakeOverResponse, Fault> {
        not_asked()
    }
}

async fn ended(child: Child) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = timeout(SOON, child.wait_with_output()).await.unwrap().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code(), text(stdout), text(stderr))
}

/// The next line of a child's output that holds a text.
async fn line(from: &mut (impl tokio::io::AsyncBufRead + Unpin), holds: &str) -> String {
    let read = async {
        let mut line = String::new();
        while !line.contains(holds) {
            line.clear();
            assert!(from.read_line(&mut line).await.unwrap() > 0, "it ends without {holds:?}");
        }
        line
    };
    timeout(SOON, read).await.unwrap()
}

/// Tells of a take-over until the watch that a child has begun brings it.
async fn taken_over(cluster: &Cluster, args: &[&str]) -> String {
    let mut child = cluster.run(args);
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let (from, to) = ("o-2".to_owned(), "o-1".to_owned());
    let took = Some(span(Duration::from_millis(420)));
    let told = TakeOver { from, to, epoch: 3, from_slot: 8123, planned: false, took };
    let told = What::TakeOver(told);
    let room = RoomId::new("town-hall").unwrap();
    let telling = async {
        loop {
            cluster.journal.tell(Some(&room), told.clone());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let line = tokio::select! {
        line = line(&mut out, "town-hall") => line,
        () = telling => unreachable!("it never ends"),
    };
    child.kill().await.unwrap();
    line
}

#[tokio::test]
async fn what_happens_is_printed_one_line_each() {
    let cluster = Cluster::start().await;
    let told = taken_over(&cluster, &["watch", "--room", "town-hall"]).await;
    let (time, told) = told.split_once("  ").unwrap();
    assert_eq!((time.len(), &time[2..3], &time[8..9]), (12, ":", "."), "{time}");
    let words = "o-1           town-hall         taken over by o-1 from o-2, epoch 3, slot 8123, 420.0 ms";
    assert_eq!(told.trim_end(), words);

    let told = taken_over(&cluster, &["-o", "json", "watch"]).await;
    let told: serde_json::Value = serde_json::from_str(&told).unwrap();
    for (field, value) in [("what", "take_over"), ("node", "o-1"), ("room", "town-hall"), ("from", "o-2")] {
        assert_eq!(told[field], value, "{told}");
    }
    assert_eq!((&told["epoch"], &told["took_ms"]), (&3.into(), &420.into()), "{told}");
}

#[tokio::test]
async fn a_drain_says_what_it_waits_for() {
    let cluster = Cluster::start().await;
    let (code, out, _) = ended(cluster.run(&["node", "drain", "o-1"])).await;
    assert_eq!(code, Some(0));
    assert!(out.contains("draining") && out.contains("waits for") && out.contains("2 rooms"), "{out}");
    let (_, out, _) = ended(cluster.run(&["-o", "json", "node", "drain", "o-1"])).await;
    let told: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&told["id"], &told["waits_for"][0]), (&"o-1".into(), &"2 rooms that it owns".into()));
}

#[tokio::test]
async fn a_drain_is_followed_until_it_is_done() {
    let cluster = Cluster::start().await;
    let mut child = cluster.run(&["node", "drain", "o-1", "--wait", "30"]);
    let mut err = BufReader::new(child.stderr.take().unwrap());
    line(&mut err, "waits for 2 rooms that it owns").await;
    cluster.tell_drain(&["1 room"]);
    line(&mut err, "waits for 1 room").await;
    cluster.drained.store(true, Relaxed);
    cluster.tell_drain(&[]);
    let (code, out, _) = ended(child).await;
    assert_eq!(code, Some(0), "{out}");
    assert!(out.contains("it is drained"), "{out}");
}

#[tokio::test]
async fn a_drain_that_is_not_done_in_time_is_5_and_says_what_it_waits_for() {
    let cluster = Cluster::start().await;
    let (code, out, err) = ended(cluster.run(&["node", "drain", "o-1", "--wait", "0.5"])).await;
    assert_eq!((code, out.as_str()), (Some(5), ""), "{err}");
    assert!(err.contains("not drained after 500.0 ms") && err.contains("2 rooms that it owns"), "{err}");
    let (code, _, err) = ended(cluster.run(&["node", "drain", "o-9", "--wait", "30"])).await;
    assert_eq!(code, Some(1), "{err}");
    assert!(err.contains("o-9"), "{err}");
}

#[tokio::test]
async fn a_node_that_leaves_while_it_is_drained_counts_as_drained_and_one_given_work_again_does_not() {
    let cluster = Cluster::start().await;
    let mut child = cluster.run(&["node", "drain", "o-1", "--wait", "30"]);
    let mut err = BufReader::new(child.stderr.take().unwrap());
    line(&mut err, "waits for 2 rooms").await;
    cluster.journal.tell(None, What::Drain(DrainChange { draining: false, waits_for: Vec::new() }));
    line(&mut err, "work again").await;
    assert_eq!(ended(child).await.0, Some(1));

    let mut child = cluster.run(&["node", "drain", "o-1", "--wait", "30"]);
    let mut err = BufReader::new(child.stderr.take().unwrap());
    line(&mut err, "waits for 2 rooms").await;
    let Cluster { origin, _admin, _stop, .. } = cluster;
    origin.close().await.unwrap();
    line(&mut err, "o-1 has left the cluster").await;
    assert_eq!(ended(child).await.0, Some(0));
}
