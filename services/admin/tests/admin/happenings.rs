//! What happens in the cluster, as one stream.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use stentor_directory::NodeRole;
use stentor_ids::{Code, RoomId};
use stentor_kit::{SOON, until};
use stentor_link::Journal;
use stentor_proto::{
    fault_of,
    v1::{self, Happening, Lifecycle, MirrorChange, NodeChange, ReachChange, happening::What},
};
use tokio::{
    net::TcpListener,
    time::{sleep, timeout},
};
use tonic::Streaming;

use crate::support::{Cluster, Operator, Puppet, refused, room, told};

async fn watch(operator: &mut Operator, room: &str) -> Streaming<Happening> {
    operator.watch_happenings(v1::WatchRequest { room: room.into() }).await.unwrap().into_inner()
}

async fn next(stream: &mut Streaming<Happening>) -> Happening {
    timeout(SOON, stream.message()).await.expect("news in time").unwrap().expect("the watch goes on")
}

async fn puppet(cluster: &Cluster, name: &str) -> Puppet {
    cluster.puppet(name, |_, _| Ok(told("talk", Lifecycle::Open, 0))).await
}

fn mirrored_by(mirror: &str) -> What {
    What::Mirror(MirrorChange { mirror: mirror.into(), ready: true })
}

fn there(there: bool) -> What {
    What::Membership(NodeChange { there })
}

/// Tells until it is heard, as a node is watched a moment after it came.
async fn tell_until_heard(journal: &Journal, of: &RoomId, stream: &mut Streaming<Happening>) -> Happening {
    let telling = async {
        loop {
            journal.tell(Some(of), mirrored_by("o-9"));
            sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::select! {
        told = next(stream) => told,
        () = telling => unreachable!("it never ends"),
    }
}

/// An address at which every connection is closed as it comes, and how many came.
async fn hangs_up() -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (addr, came) = (listener.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
    let counted = came.clone();
    tokio::spawn(async move {
        while listener.accept().await.is_ok() {
            counted.fetch_add(1, Relaxed);
        }
    });
    (addr, came)
}

#[tokio::test]
async fn what_nodes_tell_is_told_with_node_and_room() {
    let cluster = Cluster::start().await;
    let (one, two) = (puppet(&cluster, "o-1").await, puppet(&cluster, "o-2").await);
    let mut stream = watch(&mut cluster.operator(), "").await;
    one.journal.tell(Some(&room("talk")), mirrored_by("o-2"));
    let told = next(&mut stream).await;
    assert_eq!((told.node.as_str(), told.room.as_str()), ("o-1", "talk"));
    assert_eq!(told.what, Some(mirrored_by("o-2")));
    assert!(told.at.is_some());
    let drains = What::Drain(v1::DrainChange { draining: true, waits_for: vec!["2 rooms".into()] });
    two.journal.tell(None, drains.clone());
    let told = next(&mut stream).await;
    assert_eq!((told.node.as_str(), told.room.as_str(), told.what), ("o-2", "", Some(drains)));
}

#[tokio::test]
async fn who_asks_for_one_room_hears_of_no_other_and_not_of_nodes_that_come() {
    let cluster = Cluster::start().await;
    let puppet = puppet(&cluster, "o-1").await;
    let mut stream = watch(&mut cluster.operator(), "talk").await;
    let _later = cluster.register("e-1", NodeRole::Edge, String::new()).await;
    puppet.journal.tell(Some(&room("other")), mirrored_by("o-3"));
    puppet.journal.tell(None, there(true));
    puppet.journal.tell(Some(&room("talk")), mirrored_by("o-2"));
    let told = next(&mut stream).await;
    assert_eq!((told.room.as_str(), told.what), ("talk", Some(mirrored_by("o-2"))));
    let bad = cluster.operator().watch_happenings(v1::WatchRequest { room: "a/b".into() }).await;
    assert_eq!(refused(bad).code, Code::InvalidArgument);
}

#[tokio::test]
async fn a_node_that_comes_later_is_watched_and_its_coming_and_going_are_told() {
    let cluster = Cluster::start().await;
    let mut stream = watch(&mut cluster.operator(), "").await;
    let puppet = puppet(&cluster, "o-1").await;
    let told = next(&mut stream).await;
    assert_eq!((told.node.as_str(), told.what), ("o-1", Some(there(true))));
    let told = tell_until_heard(&puppet.journal, &room("talk"), &mut stream).await;
    assert_eq!(told.what, Some(mirrored_by("o-9")));
    puppet.session.close().await.unwrap();
    let mut told = next(&mut stream).await;
    while told.what == Some(mirrored_by("o-9")) {
        told = next(&mut stream).await;
    }
    assert_eq!((told.node.as_str(), told.what), ("o-1", Some(there(false))));
}

#[tokio::test]
async fn a_node_that_cannot_be_watched_is_told_once() {
    let cluster = Cluster::start().await;
    let (nobody, tried) = hangs_up().await;
    let _dead = cluster.register("o-1", NodeRole::Origin, nobody.to_string()).await;
    let alive = puppet(&cluster, "o-2").await;
    let mut stream = watch(&mut cluster.operator(), "").await;
    let told = next(&mut stream).await;
    assert_eq!(told.node, "o-1");
    let Some(What::Reach(ReachChange { reached: false, why })) = told.what else { panic!("{told:?}") };
    assert!(!why.is_empty());
    let before = tried.load(Relaxed);
    until("it is tried again, and again", || tried.load(Relaxed) >= before + 2).await;
    alive.journal.tell(None, there(true));
    assert_eq!(next(&mut stream).await.node, "o-2");
}

#[tokio::test]
async fn a_node_that_is_lost_is_watched_again_when_it_is_back() {
    let cluster = Cluster::start().await;
    let (addr, journal, stop) = cluster.linked("o-1", "127.0.0.1:0".parse().unwrap()).await;
    let _session = cluster.register("o-1", NodeRole::Origin, addr.to_string()).await;
    let mut stream = watch(&mut cluster.operator(), "").await;
    journal.tell(Some(&room("talk")), mirrored_by("o-2"));
    assert_eq!(next(&mut stream).await.what, Some(mirrored_by("o-2")));
    drop(stop);
    let Some(What::Reach(lost)) = next(&mut stream).await.what else { panic!("it is lost") };
    assert!(!lost.reached && !lost.why.is_empty(), "{lost:?}");
    let (_, journal, _stop) = cluster.linked("o-1", addr).await;
    let back = What::Reach(ReachChange { reached: true, why: String::new() });
    assert_eq!(next(&mut stream).await.what, Some(back));
    journal.tell(Some(&room("talk")), mirrored_by("o-3"));
    assert_eq!(next(&mut stream).await.what, Some(mirrored_by("o-3")));
}

#[tokio::test]
async fn an_operator_that_does_not_read_is_told_how_much_it_missed() {
    const TOLD: u64 = 20_000;
    let cluster = Cluster::start().await;
    let puppet = puppet(&cluster, "o-1").await;
    let mut slow = Cluster::operator_over(cluster.narrow_channel().await);
    for of in ["", "talk"] {
        let mut stream = watch(&mut slow, of).await;
        for _ in 0..TOLD {
            puppet.journal.tell(Some(&room("talk")), mirrored_by("o-2"));
            tokio::task::yield_now().await;
        }
        let mut heard = (0, 0);
        while heard.0 + heard.1 < TOLD {
            match next(&mut stream).await.what {
                Some(What::Missed(missed)) => heard.1 += missed,
                told => {
                    assert_eq!(told, Some(mirrored_by("o-2")));
                    heard.0 += 1;
                }
            }
        }
        assert!(heard.0 + heard.1 == TOLD && heard.1 > TOLD / 2, "{heard:?} of {of:?}");
    }
}

#[tokio::test]
async fn it_is_told_that_the_node_leaves_and_nothing_goes_on() {
    let mut cluster = Cluster::start().await;
    let puppet = puppet(&cluster, "o-1").await;
    let mut stream = watch(&mut cluster.operator(), "").await;
    let _left = cluster.leave();
    let left = timeout(SOON, stream.message()).await.expect("news in time").unwrap_err();
    assert_eq!(fault_of(&left).code, Code::Draining);
    drop(puppet);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_real_origin_does_is_told() {
    let cluster = Cluster::start().await;
    let _origin = cluster.origin("o-1").await;
    let mut operator = cluster.operator();
    let mut stream = watch(&mut operator, "talk").await;
    operator.create_room(crate::support::new("talk", true)).await.unwrap();
    operator.take_room_live(crate::support::asked("talk")).await.unwrap();
    loop {
        let told = next(&mut stream).await;
        let from = if matches!(told.what, Some(What::Operator(_))) { "admin-1" } else { "o-1" };
        assert_eq!((told.node.as_str(), told.room.as_str()), (from, "talk"));
        if let Some(What::Lineage(change)) = told.what {
            assert_eq!((change.leader.as_str(), change.slot), ("o-1", 0));
            break;
        }
    }
}
