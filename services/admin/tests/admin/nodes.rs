//! The members of the cluster.

use std::sync::{Arc, Mutex, mpsc};

use stentor_directory::{Labels, NodeRecord, NodeRole};
use stentor_ids::{Code, Fault, NodeId};
use stentor_kit::{SOON, Script, says};
use stentor_link::Services;
use stentor_proto::v1::{self, Lifecycle};
use tokio::{sync::Notify, task::block_in_place};

use crate::support::{Cluster, new, refused, told};

/// Of a node that leaves.
fn draining() -> Labels {
    Labels { draining: true, ..Labels::default() }
}

#[tokio::test]
async fn nodes_are_listed_with_the_rooms_they_own() {
    let cluster = Cluster::start().await;
    let mut operator = cluster.operator();
    let puppet = cluster.puppet("o-1", |_, _| Ok(told("talk", Lifecycle::Open, 0))).await;
    for name in ["talk", "other"] {
        cluster.operator().create_room(new(name, false)).await.unwrap();
        cluster.claim(&puppet.session, name, false).await;
    }
    let nodes = operator.list_nodes(v1::ListNodesRequest {}).await.unwrap().into_inner().nodes;
    let told: Vec<_> = nodes.iter().map(|node| (node.id.as_str(), node.rooms, &node.roles[..])).collect();
    assert_eq!(told, [("admin-1", 0, &["admin".to_owned()][..]), ("o-1", 2, &["origin".to_owned()][..])]);
    assert_eq!((nodes[0].build.as_str(), nodes[0].capacity), (env!("CARGO_PKG_VERSION"), 1));
    assert!(!nodes[1].link_addr.is_empty());
}

#[tokio::test]
async fn a_node_is_told_to_drain_and_to_stop_draining() {
    let cluster = Cluster::start().await;
    let mut operator = cluster.operator();
    let puppet = cluster.puppet("o-1", |_, _| Ok(told("talk", Lifecycle::Open, 0))).await;
    let node = || v1::NodeRequest { node: "o-1".into() };
    let drained = operator.drain_node(node()).await.unwrap().into_inner();
    assert_eq!((drained.id.as_str(), drained.draining, drained.rooms), ("o-1", true, 3));
    assert_eq!(drained.waits_for, ["3 rooms that it owns"]);
    let back = operator.undrain_node(node()).await.unwrap().into_inner();
    assert!(!back.draining && back.waits_for.is_empty());
    assert_eq!(puppet.said.heard(), ["drain true", "drain false"]);
    let unknown = refused(operator.drain_node(v1::NodeRequest { node: "o-9".into() }).await);
    assert_eq!(unknown.code, Code::UnknownNode);
    assert!(unknown.detail.contains("o-9"), "{unknown}");
}

#[tokio::test]
async fn a_node_that_does_not_answer_is_named_as_unavailable() {
    let cluster = Cluster::start().await;
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let _session = cluster.register("o-1", NodeRole::Origin, nobody.to_string()).await;
    let fault = refused(cluster.operator().drain_node(v1::NodeRequest { node: "o-1".into() }).await);
    assert_eq!(fault.code, Code::NodeUnavailable, "{fault}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_leaves_and_answers_too_late_is_believed_by_its_record() {
    let cluster = Cluster::start().await;
    let (called, (leaves, has_left)) = (Arc::new(Notify::new()), mpsc::channel::<()>());
    let (call, has_left) = (called.clone(), Mutex::new(has_left));
    let too_late = Script {
        drain: says(move |_, _| {
            call.notify_one();
            let _ = block_in_place(|| has_left.lock().unwrap().recv_timeout(SOON));
            Err(Fault::new(Code::NodeUnavailable, "nobody waits any more"))
        }),
        ..Script::default()
    };
    let services = Services { control: Some(Arc::new(too_late)), ..Services::default() };
    let puppet = stentor_kit::Cluster::puppet(&cluster, "o-1", NodeRole::Origin, services).await;
    let node = || v1::NodeRequest { node: "o-1".into() };
    let (id, link_addr) = (puppet.session.node().clone(), puppet.addr.to_string());
    let record =
        NodeRecord { link_addr, labels: draining(), ..NodeRecord::new(id.clone(), NodeRole::Origin) };
    let begins_to_leave = async {
        called.notified().await;
        puppet.session.update(record).await.unwrap();
        cluster.shows("it drains", |view| view.nodes[&id].labels.draining).await;
        drop(leaves);
    };
    let mut operator = cluster.operator();
    let (drained, ()) = tokio::join!(operator.drain_node(node()), begins_to_leave);
    let drained = drained.unwrap().into_inner();
    assert!(drained.draining && !drained.waits_for.is_empty(), "{drained:?}");
    // It drains already and says nothing: nobody knows whether it has heard.
    assert_eq!(refused(operator.drain_node(node()).await).code, Code::NodeUnavailable);
}

#[tokio::test]
async fn a_room_moves_only_to_an_origin_that_takes_rooms() {
    let cluster = Cluster::start().await;
    let mut operator = cluster.operator();
    let puppet = cluster.puppet("o-1", |_, _| Ok(told("talk", Lifecycle::Open, 0))).await;
    let leaving = cluster.register("o-2", NodeRole::Origin, "127.0.0.1:1".into()).await;
    let id = NodeId::new("o-2").unwrap();
    let record = NodeRecord { labels: draining(), ..NodeRecord::new(id.clone(), NodeRole::Origin) };
    leaving.update(record).await.unwrap();
    cluster.shows("it drains", |view| view.nodes.get(&id).is_some_and(|node| node.labels.draining)).await;
    operator.create_room(new("talk", false)).await.unwrap();
    cluster.claim(&puppet.session, "talk", false).await;
    for (to, code, words) in [
        ("o-9", Code::UnknownNode, "no node o-9"),
        ("admin-1", Code::WrongState, "admin-1 is admin and runs no rooms"),
        ("o-2", Code::WrongState, "o-2 is draining"),
        ("o-1", Code::WrongState, "is at o-1 already"),
    ] {
        let request = v1::MoveRoomRequest { room: "talk".into(), to: to.into() };
        let fault = refused(operator.move_room(request).await);
        assert_eq!(fault.code, code, "{fault}");
        assert!(fault.detail.contains(words), "{fault}");
    }
    assert!(puppet.said.heard().is_empty(), "the owner was not bothered");
}
