//! A mirror that does not hear its owner asks relays whether they do, before it claims the room: the relays are nodes, and
//! what is cut is the wire to the owner, for one of those who call over it after the other.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::time::Duration;

use stentor_directory::View;
use stentor_kit::{Pair, RELAYS};
use stentor_room::Spec;

/// How long nobody may claim: several times as long as a mirror takes that nobody tells of the owner.
const NOBODY_CLAIMS: Duration = Duration::from_secs(8);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_claims_from_an_owner_that_a_relay_hears() {
    let pair = Pair::of(Spec::default()).await;
    let Pair { cluster, room, owner, mirror, .. } = &pair;
    let _relays = pair.relays().await;
    let heard = cluster.listen_as_edge("edge-1", room).await;
    heard.heard_of(1, 50).await;
    let told = owner.status(room).await;
    assert_eq!((told.owner.as_str(), told.mirror.as_str()), ("origin-1", "origin-2"));

    pair.cut_mirror_off();
    let mut view = cluster.directory.view();
    let claims = |view: &View| view.owner(room).is_none_or(|now| now.node != owner.id);
    let claimed = tokio::time::timeout(NOBODY_CLAIMS, view.wait_for(claims)).await;
    assert!(claimed.is_err(), "the relays hear the owner, and its room is {:?}", cluster.owner(room));

    RELAYS.into_iter().for_each(|relay| pair.to_owner.cut(relay));
    let claim = cluster.owner_from(room, 2).await;
    assert_eq!(claim.node, mirror.id, "neither the owner nor a relay has answered for it");
    heard.heard_of(2, 50).await;
    assert_eq!(heard.audio().missing, [0; 0], "the mirror has led on");
}
