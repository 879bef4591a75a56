//! Calls between nodes: answers, refusals and deadlines.

use std::sync::Arc;

use async_trait::async_trait;
use stentor_ids::{Code, Fault, NodeId, RoomId};
use stentor_link::{
    Locator,
    control::{Client, Handler},
};
use stentor_proto::v1;
use stentor_telemetry::Tier;
use tokio::time::Instant;

use super::cluster::{Cluster, Extra, Node, id, live, room};

/// A node that knows itself, where rooms are if it has a view of them, and nothing else; it never finishes a command.
#[derive(Default)]
pub struct Answers(Option<Locator>);

#[async_trait]
impl Handler for Answers {
    async fn locate(&self, room: RoomId) -> Result<v1::LocateResponse, Fault> {
        match &self.0 {
            Some(locator) => locator.status(&room).await,
            None => Err(Fault::new(Code::UnknownRoom, format!("there is no room {room}"))),
        }
    }
    async fn command(&self, _: RoomId, _: v1::CommandRequest) -> Result<v1::CommandReply, Fault> {
        std::future::pending().await
    }
    async fn take_over(&self, _: RoomId, _: v1::TakeOverRequest) -> Result<v1::TakeOverResponse, Fault> {
        Err(Fault::new(Code::Draining, "leaving"))
    }
    async fn probe(&self, room: Option<RoomId>) -> Result<v1::ProbeResponse, Fault> {
        Ok(v1::ProbeResponse { node: "origin-1".into(), owns: room.is_some(), ..Default::default() })
    }
    async fn drain(&self, draining: bool) -> Result<v1::DrainResponse, Fault> {
        Ok(v1::DrainResponse { draining, ..Default::default() })
    }
    async fn hand_off(&self, _: RoomId, to: Option<NodeId>) -> Result<v1::TakeOverResponse, Fault> {
        let node = to.map(|to| to.to_string()).unwrap_or_default();
        Ok(v1::TakeOverResponse { node, ..Default::default() })
    }
}

/// A relay that locates rooms from its view, as the composed node does.
pub async fn locating(cluster: &Cluster, name: &str) -> Node {
    let locator = Locator::new(id(name), cluster.pool.clone(), cluster.view.clone());
    let control: Option<Arc<dyn Handler>> = Some(Arc::new(Answers(Some(locator))));
    cluster.node(name, Tier::Relay, Extra { control, ..Default::default() }).await
}

#[tokio::test]
async fn calls_are_answered_refused_by_code_or_given_up_in_time() {
    let cluster = Cluster::new();
    let control: Option<Arc<dyn Handler>> = Some(Arc::new(Answers::default()));
    let node = cluster.node("origin-1", Tier::Origin, Extra { control, ..Default::default() }).await;
    let (client, addr) = (Client::new(cluster.pool.clone()), node.link_addr());
    assert!(client.probe(&addr, Some(&room())).await.unwrap().owns);
    assert!(!client.probe(&addr, None).await.unwrap().owns);
    assert!(client.drain(&addr, true).await.unwrap().draining);
    assert_eq!(client.hand_off(&addr, &room(), Some(&id("origin-2"))).await.unwrap().node, "origin-2");
    let request = v1::TakeOverRequest { room: room().to_string(), ..Default::default() };
    assert_eq!(client.take_over(&addr, request).await.unwrap_err().code, Code::Draining);
    let badly_named = v1::TakeOverRequest { room: "a b".into(), ..Default::default() };
    assert_eq!(client.take_over(&addr, badly_named).await.unwrap_err().code, Code::InvalidArgument);

    let begun = Instant::now();
    let command = v1::CommandRequest { room: room().to_string(), ..Default::default() };
    assert_eq!(client.command(&addr, command).await.unwrap_err().code, Code::NodeUnavailable);
    assert!(begun.elapsed().as_millis() < 3000);
    node.proxy.freeze();
    let begun = Instant::now();
    assert_eq!(client.probe(&addr, None).await.unwrap_err().code, Code::NodeUnavailable);
    assert!(begun.elapsed().as_millis() < 2000);
    assert_eq!(client.probe("no address", None).await.unwrap_err().code, Code::InvalidArgument);
}

#[tokio::test]
async fn an_edge_locates_a_room_by_a_relay_and_by_the_other_if_one_is_gone() {
    let cluster = Cluster::new();
    let origin = cluster.origin("origin-1").await;
    let relays = [locating(&cluster, "relay-1").await, locating(&cluster, "relay-2").await];
    let locator = cluster.locator("edge-1");
    assert_eq!(locator.status(&room()).await.unwrap_err().code, Code::UnknownRoom);
    cluster.view.set_status(Some(live("", 1)));
    let located = locator.status(&room()).await.unwrap();
    assert_eq!((located.owner_addr.as_str(), located.room.unwrap().owner.as_str()), ("", ""));
    cluster.view.set_owner(Some((&origin, 3, 0)));
    cluster.view.set_mirror(Some(&relays[0]));
    for relay in &relays {
        relay.proxy.cut();
        let located = locator.status(&room()).await.unwrap();
        let status = located.room.unwrap();
        assert_eq!(
            (located.owner_addr, status.owner.as_str(), status.epoch),
            (origin.link_addr(), "origin-1", 3)
        );
        assert_eq!((located.mirror_addr, status.mirror.as_str()), (relays[0].link_addr(), "relay-1"));
        relay.proxy.restore();
    }
}
