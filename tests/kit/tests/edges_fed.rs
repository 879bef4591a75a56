//! The link between a room's two origins is cut and everybody else hears both, so both lead. Who listens goes over to the
//! mirror's lineage, the higher one, and the mirror dies. The owner goes on above what they heard, without another mirror: all
//! are nodes, and what is heard is what an edge plays.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use stentor_ids::{Lineage, Slot};
use stentor_kit::{Node, Pair, Plan, RELAYS, SOON, until_async};
use stentor_proto::v1::{
    self, listen_response::Message, listen_service_client::ListenServiceClient as Client,
};
use stentor_room::{Spec, Visibility};
use tokio::time::timeout;
use tonic::Streaming;

/// What an edge plays.
struct Listener(Streaming<v1::ListenResponse>);

impl Listener {
    async fn at(edge: &Node, room: &str) -> Self {
        let mut client = Client::connect(format!("http://{}", edge.public_addr())).await.unwrap();
        let request = v1::ListenRequest { room: room.into(), unbuffered: false };
        Self(client.listen(request).await.unwrap().into_inner())
    }

    /// The next slot that is played.
    async fn next(&mut self) -> (Slot, Lineage) {
        loop {
            let message = self.0.message().await.unwrap().unwrap().message;
            if let Some(Message::Frame(frame)) = message {
                return (Slot(frame.slot), Lineage(frame.lineage));
            }
        }
    }

    /// The next slot of a lineage that is wanted.
    async fn hears(&mut self, what: &str, wanted: impl Fn(Lineage) -> bool) -> (Slot, Lineage) {
        let heard = timeout(SOON, async {
            loop {
                let (slot, lineage) = self.next().await;
                if wanted(lineage) {
                    return (slot, lineage);
                }
            }
        });
        heard.await.unwrap_or_else(|_| panic!("{what} was not heard"))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_heard_a_mirror_that_does_not_hear_its_owner_and_dies_hears_the_owner_again() {
    let pair = Pair::of(Spec { visibility: Visibility::Public, ..Spec::default() }).await;
    let (cluster, owner) = (&pair.cluster, &pair.owner);
    let _relays = pair.relays().await;
    let keys = format!("test:{}", "A".repeat(43));
    let keyed = ["ticket_keys", "cluster_keys"];
    let plan = keyed.iter().fold(Plan::of(&["edge"]), |plan, name| plan.set("auth", name, keys.clone()));
    let edge = cluster.start("edge-1", plan).await;
    until_async("the mirror is ready", async || owner.status(&pair.room).await.mirror_ready).await;
    let mut listener = Listener::at(&edge, "talk").await;
    let (_, first) = listener.hears("the owner", |_| true).await;

    pair.cut_apart();
    // Relays hear the owner late, for as long as it takes: their edge goes over to who is on time.
    RELAYS.into_iter().for_each(|relay| pair.to_owner.cut(relay));
    let (_, second) = listener.hears("the mirror", |lineage| lineage > first).await;
    RELAYS.into_iter().for_each(|relay| pair.to_owner.mend(relay));
    for _ in 0..25 {
        assert_eq!(listener.next().await.1, second, "it stays where it is");
    }

    pair.mirror.kill().await;
    let (slot, third) = listener.hears("the owner, again,", |lineage| lineage > second).await;
    assert_eq!(third.epoch(), first.epoch(), "no other owner came");
    assert_eq!(owner.host().owns(&pair.room).map(|(epoch, _)| epoch), Some(first.epoch()));
    for next in 1..50 {
        assert_eq!(listener.next().await, (slot.plus(next), third));
    }
}
