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

use stentor_directory::NodeRole;
use stentor_kit::{Node, Plan, Puppet, SOON, Script, room, says};
use stentor_link::Services;
use stentor_proto::{
    span,
    v1::{DrainChange, DrainResponse, TakeOver, happening::What},
};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command},
    time::timeout,
};

const TOKEN: &str = "0123456789abcdef0123456789abcdef";

/// An admin node, and a node `o-1` that tells what a test says and drains when a test says so.
struct Cluster {
    url: String,
    drained: Arc<AtomicBool>,
    origin: Puppet,
    _admin: Node,
}

impl Cluster {
    async fn start() -> Self {
        let (nodes, drained) = (stentor_kit::Cluster::new(), Arc::new(AtomicBool::new(false)));
        let done = drained.clone();
        let leaving = Script {
            drain: says(move |_, draining| {
                let rooms = if done.load(Relaxed) { 0 } else { 2 };
                let waits_for =
                    if rooms > 0 { vec![format!("{rooms} rooms that it owns")] } else { Vec::new() };
                Ok(DrainResponse { draining: *draining, rooms, connections: 0, waits_for })
            }),
            ..Script::default()
        };
        let services = Services { control: Some(Arc::new(leaving)), ..Services::default() };
        let origin = nodes.puppet("o-1", NodeRole::Origin, services).await;
        let plan = Plan::of(&["admin"]).set("auth", "admin_tokens", format!("ann:{TOKEN}"));
        let admin = nodes.start("admin-1", plan).await;
        Self { url: format!("http://{}", admin.admin_addr()), drained, origin, _admin: admin }
    }

    fn run(&self, args: &[&str]) -> Child {
        let mut command = Command::new(env!("CARGO_BIN_EXE_stentorctl"));
        command.args(["--admin", &self.url, "--token", TOKEN]).args(args).env_clear();
        let command = command.env("TZ", "UTC").stdin(Stdio::null()).kill_on_drop(true);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    fn tell_drain(&self, waits_for: &[&str]) {
        let waits_for = waits_for.iter().map(ToString::to_string).collect();
        self.origin.journal.tell(None, What::Drain(DrainChange { draining: true, waits_for }));
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
    let room = room("town-hall");
    let telling = async {
        loop {
            cluster.origin.journal.tell(Some(&room), told.clone());
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
    cluster.origin.journal.tell(None, What::Drain(DrainChange { draining: false, waits_for: Vec::new() }));
    line(&mut err, "work again").await;
    assert_eq!(ended(child).await.0, Some(1));

    let mut child = cluster.run(&["node", "drain", "o-1", "--wait", "30"]);
    let mut err = BufReader::new(child.stderr.take().unwrap());
    line(&mut err, "waits for 2 rooms").await;
    cluster.origin.session.close().await.unwrap();
    line(&mut err, "o-1 has left the cluster").await;
    assert_eq!(ended(child).await.0, Some(0));
}
