//! Speakers at an edge and the owner of their room: heard, refused, and followed to the next owner.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use bytes::Bytes;
use stentor_ids::{Code, Epoch, ParticipantId, Role, Slot};
use stentor_link::uplink::{SpeakerEvent, Uplinks};
use stentor_pace::WallTime;
use stentor_proto::v1;
use stentor_telemetry::{Packet as Outcome, Tier};
use tokio::time::timeout;

use super::{
    cluster::{Cluster, Node, SOON, id, live, room, until},
    ears::{Ears, attach, event, locating_relays, say, speaker, uplinks},
};

/// A cluster with an owner of the room, two relays that locate it, and an edge's uplinks.
async fn stage() -> (Cluster, Arc<Ears>, Node, [Node; 2], Uplinks) {
    let cluster = Cluster::new();
    let ears = Ears::new("origin-1", 1);
    let node = ears.join(&cluster).await;
    let relays = locating_relays(&cluster).await;
    cluster.view.set_status(Some(live("", 1)));
    cluster.view.set_owner(Some((&node, 1, 0)));
    let uplinks = uplinks(&cluster);
    (cluster, ears, node, relays, uplinks)
}

#[tokio::test]
async fn a_speaker_is_heard_and_hears_the_others() {
    let (_cluster, ears, _node, _relays, uplinks) = stage().await;
    let mut anna = attach(&uplinks, "anna").await;
    let bert = attach(&uplinks, "bert").await;
    assert_eq!((anna.role(), anna.muted(), anna.stream(), bert.stream()), (Role::Speaker, false, 100, 101));
    say(&anna, 7);
    say(&bert, 3);
    say(&anna, 8);
    until("all three are heard", || ears.heard().len() == 3).await;
    assert_eq!(ears.heard(), [(100, 7), (101, 3), (100, 8)]);
    assert_eq!(ears.heard.lock().unwrap()[0].captured, WallTime::from_micros(7));

    let to_edge = ears.edge();
    let name = ParticipantId::new("anna").unwrap();
    assert!(to_edge.monitor(&name, Slot(5), Bytes::from_static(b"stage")));
    let muted = v1::ParticipantEvent {
        participant: "anna".into(),
        what: Some(v1::participant_event::What::Muted(true)),
        ..Default::default()
    };
    assert!(to_edge.event(muted.clone()));
    let monitor = SpeakerEvent::Monitor { slot: Slot(5), opus: Bytes::from_static(b"stage") };
    assert_eq!(event(&mut anna).await, monitor);
    assert_eq!(event(&mut anna).await, SpeakerEvent::Event(muted));

    drop(bert);
    until("who leaves is detached", || *ears.detached.lock().unwrap() == [101]).await;
    drop(anna);
    until("the last one closes the uplink", || to_edge.is_closed()).await;
}

#[tokio::test]
async fn a_speaker_follows_its_room_to_the_next_owner_without_noticing() {
    let (cluster, first, _node, _relays, uplinks) = stage().await;
    let mut anna = attach(&uplinks, "anna").await;
    say(&anna, 1);
    until("the first owner hears", || first.heard().len() == 1).await;
    let second = Ears::new("origin-2", 2);
    let node = second.join(&cluster).await;
    first.owns.store(false, Ordering::Relaxed);
    cluster.view.set_owner(Some((&node, 2, 0)));
    assert!(first.edge().moved(&id("origin-2"), Epoch(2)));
    for seq in 2..60 {
        say(&anna, seq);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    until("the second owner hears the last one", || second.heard().last() == Some(&(100, 59))).await;
    let heard: Vec<_> = first.heard().into_iter().chain(second.heard()).collect();
    assert!(heard.is_sorted(), "{heard:?}");
    assert!(heard.len() >= 50, "little is lost on the way: {heard:?}");
    assert!(anna.events().try_recv().is_err());
}

#[tokio::test]
async fn while_a_room_has_no_owner_packets_are_dropped_and_then_the_newest_are_heard() {
    let (cluster, first, node, _relays, uplinks) = stage().await;
    let mut anna = attach(&uplinks, "anna").await;
    say(&anna, 0);
    until("the owner hears", || !first.heard().is_empty()).await;
    node.proxy.cut();
    cluster.view.set_owner(None);
    cluster.forget(&node);
    for seq in 1..=100 {
        say(&anna, seq);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let second = Ears::new("origin-2", 2);
    let node = second.join(&cluster).await;
    cluster.view.set_owner(Some((&node, 2, 0)));
    until("the new owner hears the newest", || second.heard().last() == Some(&(100, 100))).await;
    let heard = second.heard();
    assert!(heard.len() <= 20, "no more than 200 ms were kept: {heard:?}");
    let dropped = cluster.metrics.for_node(&id("edge-1")).uplink_packets(Tier::Edge, Outcome::Dropped).get();
    // A few went into the connection as it broke.
    assert!((70..=100).contains(&dropped), "{dropped} were dropped");
    assert!(anna.events().try_recv().is_err());
}

#[tokio::test]
async fn an_owner_that_vanishes_from_the_view_is_left_even_if_its_connection_hangs() {
    let (cluster, first, node, _relays, uplinks) = stage().await;
    let anna = attach(&uplinks, "anna").await;
    say(&anna, 0);
    until("the owner hears", || !first.heard().is_empty()).await;
    node.proxy.freeze();
    let second = Ears::new("origin-2", 2);
    let next = second.join(&cluster).await;
    cluster.view.set_owner(Some((&next, 2, 0)));
    cluster.forget(&node);
    let mut seq = 0;
    until("the new owner hears", || {
        seq += 1;
        say(&anna, seq);
        !second.heard().is_empty()
    })
    .await;
}

#[tokio::test]
async fn a_speaker_is_refused_with_the_owners_reason_and_gives_way_to_a_newer_connection() {
    let (_cluster, ears, _node, _relays, uplinks) = stage().await;
    let refused = uplinks.attach(&room(), speaker("carl", Role::Listener), None).await;
    let fault = refused.err().unwrap();
    assert_eq!((fault.code, fault.detail.as_ref()), (Code::RoleForbids, "a listener does not speak"));
    let nowhere = stentor_ids::RoomId::new("nowhere").unwrap();
    let fault = uplinks.attach(&nowhere, speaker("carl", Role::Speaker), None).await.err().unwrap();
    assert_eq!(fault.code, Code::UnknownRoom, "{fault}");

    let mut old = attach(&uplinks, "anna").await;
    let new = attach(&uplinks, "anna").await;
    assert!(matches!(event(&mut old).await, SpeakerEvent::Lost(_)));
    assert!(new.stream() > old.stream());
    say(&old, 1);
    say(&new, 2);
    until("the new one is heard", || !ears.heard().is_empty()).await;
    drop(old);
    say(&new, 3);
    until("and goes on", || ears.heard() == [(new.stream(), 2), (new.stream(), 3)]).await;
}

#[tokio::test]
async fn the_end_of_a_room_is_told_to_its_speakers() {
    let (cluster, ears, _node, _relays, uplinks) = stage().await;
    let mut anna = attach(&uplinks, "anna").await;
    assert!(ears.edge().ended());
    assert_eq!(event(&mut anna).await, SpeakerEvent::Ended);
    assert!(timeout(SOON, anna.events().recv()).await.unwrap().is_none());
    let ended = v1::RoomStatus { lifecycle: v1::Lifecycle::Ended.into(), ..live("", 1) };
    cluster.view.set_status(Some(ended));
    let fault = uplinks.attach(&room(), speaker("bert", Role::Speaker), None).await.err().unwrap();
    assert_eq!(fault.code, Code::RoomEnded, "{fault}");
}

#[tokio::test]
async fn an_oversize_packet_is_counted_and_disturbs_nobody() {
    let (_cluster, ears, node, _relays, uplinks) = stage().await;
    let anna = attach(&uplinks, "anna").await;
    anna.send(1, Bytes::from_static(&[0xfc; 1501]), WallTime::default());
    anna.send(2, Bytes::new(), WallTime::default());
    say(&anna, 3);
    until("the good one is heard", || ears.heard() == [(100, 3)]).await;
    assert_eq!(node.metrics.uplink_packets(Tier::Origin, Outcome::Invalid).get(), 2);
}
