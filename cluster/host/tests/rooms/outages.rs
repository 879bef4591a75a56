//! Owners that lose touch with the directory.

use std::{sync::mpsc, time::Duration};

use stentor_directory::SessionState;
use stentor_proto::v1::{Empty, Lifecycle, command_request::Command};

use crate::cluster::{Cluster, Origin, SOON, until};

/// An origin in a thread of its own, which can be paused as by SIGSTOP.
struct Pausable {
    origin: std::sync::Arc<Origin>,
    pause: mpsc::Sender<Duration>,
}

impl Pausable {
    fn start(cluster: &Cluster, name: &'static str) -> Self {
        let (directory, metrics) = (cluster.directory.clone(), cluster.metrics.clone());
        let (pause, pauses) = mpsc::channel::<Duration>();
        let (started, start) = mpsc::channel();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                let cluster = Cluster { directory, metrics };
                started.send(std::sync::Arc::new(cluster.origin(name).await)).unwrap();
                loop {
                    match pauses.try_recv() {
                        // Nothing else of this origin runs meanwhile.
                        Ok(pause) => std::thread::sleep(pause),
                        Err(mpsc::TryRecvError::Empty) => tokio::time::sleep(Duration::from_millis(5)).await,
                        Err(mpsc::TryRecvError::Disconnected) => return,
                    }
                }
            });
        });
        let origin = start.recv_timeout(SOON).unwrap();
        Self { origin, pause }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_owner_whose_lease_ran_out_puts_its_key_back_at_its_own_epoch() {
    let cluster = Cluster::new();
    let _view = cluster.directory.view();
    let paused = Pausable::start(&cluster, "origin-1");
    let room = cluster.create("demo", true).await;
    cluster.owner(&room, 1).await;
    let heard = cluster.listen("relay-1", &room).await;
    heard.heard_of(1, 20).await;
    let lease = paused.origin.session.lease().unwrap();

    paused.pause.send(Duration::from_millis(2_500)).unwrap();
    let mut view = cluster.directory.view();
    view.wait_for(|view| view.rooms[&room].owner.is_none()).await;
    let at = heard.highest();
    let owner = cluster.owner(&room, 1).await;
    assert_eq!((owner.node.as_str(), owner.epoch.0), ("origin-1", 1));
    until("it goes on", || heard.highest() > at.plus(50)).await;
    assert_ne!(*paused.origin.session.state().borrow(), SessionState::Held(lease), "it is a new lease");
    let ended = paused.origin.command(&room, Command::End(Empty {})).await.unwrap().room.unwrap();
    assert_eq!(ended.lifecycle(), Lifecycle::Ended, "and commits again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_paused_owner_finds_itself_fenced_and_steps_down() {
    let cluster = Cluster::new();
    let _view = cluster.directory.view();
    let paused = Pausable::start(&cluster, "origin-1");
    let room = cluster.create("demo", true).await;
    cluster.owner(&room, 1).await;
    let heard = cluster.listen("relay-1", &room).await;
    heard.heard_of(1, 20).await;
    let other = cluster.origin("origin-2").await;

    paused.pause.send(Duration::from_millis(4_000)).unwrap();
    let owner = cluster.owner(&room, 2).await;
    assert_eq!(owner.node, other.id);
    heard.heard_of(2, 150).await;
    until("the old owner has stepped down", || paused.origin.handle.rooms() == 0).await;
    let get = paused.origin.command(&room, Command::Get(Empty {})).await.unwrap_err();
    assert!(get.detail.contains("origin-2"), "{get}");
    let frames = heard.frames();
    let split = frames.iter().position(|frame| frame.epoch.0 == 2).unwrap();
    assert!(frames[split..].iter().all(|frame| frame.epoch.0 == 2), "nothing of the old owner comes after");
    assert_eq!(cluster.owner(&room, 2).await.epoch.0, 2, "and nothing moves again");
}
