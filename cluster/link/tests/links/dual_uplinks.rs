//! Speakers at an edge and both origins of their room: whichever fails, the other one hears everything.

use std::{sync::Arc, sync::atomic::Ordering, time::Duration};

use bytes::Bytes;
use stentor_ids::{Code, Epoch, ParticipantId, Slot};
use stentor_link::uplink::{SpeakerEvent, SpeakerSession, Uplinks};
use stentor_telemetry::LinkKind;

use super::{
    cluster::{Cluster, Node, id, live, until},
    ears::{Ears, attach, event, locating_relays, resume, say, uplinks},
};

/// A room with an owner and a mirror, and an edge with a speaker whom both hear.
struct Stage {
    cluster: Cluster,
    owner: Arc<Ears>,
    mirror: Arc<Ears>,
    nodes: [Node; 2],
    _relays: [Node; 2],
    uplinks: Uplinks,
    anna: SpeakerSession,
}

impl Stage {
    async fn new() -> Self {
        let cluster = Cluster::new();
        let (owner, mirror) = (Ears::new("origin-1", 1), Ears::mirror("origin-2", 1));
        "origin-2".clone_into(&mut owner.mirror.lock().unwrap());
        let nodes = [owner.join(&cluster).await, mirror.join(&cluster).await];
        let relays = locating_relays(&cluster).await;
        cluster.view.set_status(Some(live("", 1)));
        cluster.view.set_owner(Some((&nodes[0], 1, 0)));
        let uplinks = uplinks(&cluster);
        let anna = attach(&uplinks, "anna").await;
        say(&anna, 0);
        until("both hear", || owner.heard().len() == 1).await;
        let mut seq = 1_000_000;
        until("the mirror hears", || {
            seq += 1;
            say(&anna, seq);
            !mirror.heard().is_empty()
        })
        .await;
        until("the owner has the rest", || owner.last() == Some((100, seq))).await;
        for ears in [&owner, &mirror] {
            ears.heard.lock().unwrap().clear();
        }
        Self { cluster, owner, mirror, nodes, _relays: relays, uplinks, anna }
    }

    /// Speaks at twice real time.
    async fn speak(&self, seqs: std::ops::Range<u64>) {
        let mut tick = tokio::time::interval(Duration::from_millis(10));
        for seq in seqs {
            tick.tick().await;
            say(&self.anna, seq);
        }
    }

    fn ways(&self) -> i64 {
        self.cluster.metrics.for_node(&id("edge-1")).links(LinkKind::Uplink).get()
    }
}

/// That each was heard at least once, the first time in order, all under one stream.
fn assert_all_heard(ears: &Ears, seqs: std::ops::Range<u64>) {
    let mut first: Vec<u64> = Vec::new();
    for (stream, seq) in ears.heard() {
        assert_eq!(stream, 100);
        if seq < seqs.end && !first.contains(&seq) {
            first.push(seq);
        }
    }
    assert_eq!(first, seqs.collect::<Vec<_>>());
}

#[tokio::test]
async fn both_origins_hear_the_same_packets_and_the_stage_comes_once_from_either() {
    let mut stage = Stage::new().await;
    stage.speak(1..30).await;
    until("both have the last", || {
        [&stage.owner, &stage.mirror].iter().all(|ears| ears.last() == Some((100, 29)))
    })
    .await;
    assert_all_heard(&stage.owner, 1..30);
    assert_all_heard(&stage.mirror, 1..30);

    let name = ParticipantId::new("anna").unwrap();
    let (owner, mirror) = (stage.owner.edge(), stage.mirror.mirrored_edge().unwrap());
    let frame = |slot| Bytes::from(vec![slot]);
    for (from, slot) in [(&owner, 5), (&owner, 6), (&mirror, 6), (&mirror, 7), (&owner, 7), (&owner, 8)] {
        assert!(from.monitor(&name, Slot(slot.into()), frame(slot)));
        // The two ways are not ordered to each other.
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    for slot in 5..9 {
        let monitor = SpeakerEvent::Monitor { slot: Slot(slot.into()), opus: frame(slot) };
        assert_eq!(event(&mut stage.anna).await, monitor);
    }
    assert!(stage.anna.events().try_recv().is_err());
    drop(stage.anna);
    until("who leaves is detached at both", || {
        [&stage.owner, &stage.mirror].iter().all(|ears| *ears.detached.lock().unwrap() == [100])
    })
    .await;
    until("the last one closes both", || owner.is_closed() && mirror.is_closed()).await;
}

#[tokio::test]
async fn the_mirror_hears_everything_while_the_owner_is_dead() {
    let stage = Stage::new().await;
    stage.speak(1..20).await;
    stage.nodes[0].proxy.cut();
    stage.speak(20..80).await;
    until("the mirror has the last", || stage.mirror.last() == Some((100, 79))).await;
    assert_all_heard(&stage.mirror, 1..80);
}

#[tokio::test]
async fn the_mirror_hears_everything_while_the_owner_is_a_black_hole_and_the_owner_while_the_mirror_is() {
    let mut stage = Stage::new().await;
    stage.nodes[0].proxy.freeze();
    stage.speak(1..120).await;
    let behind = stage.mirror.last().map_or(119, |(_, seq)| 119 - seq);
    assert!(behind <= 10, "nothing waits for the owner: {behind} packets are still under way");
    until("the mirror has the last", || stage.mirror.last() == Some((100, 119))).await;
    assert_all_heard(&stage.mirror, 1..120);

    stage.nodes[0].proxy.restore();
    until("the owner is back", || stage.owner.last().is_some_and(|(_, seq)| seq >= 100)).await;
    stage.nodes[1].proxy.freeze();
    stage.owner.heard.lock().unwrap().clear();
    stage.speak(200..320).await;
    until("the owner has the last", || stage.owner.last() == Some((100, 319))).await;
    stage.owner.heard.lock().unwrap().retain(|packet| packet.seq >= 200);
    assert_all_heard(&stage.owner, 200..320);
    assert!(stage.anna.events().try_recv().is_err());
}

#[tokio::test]
async fn a_mirror_that_becomes_the_owner_hears_everything_and_the_next_mirror_follows() {
    let mut stage = Stage::new().await;
    stage.speak(1..20).await;
    // The owner is a black hole: nothing says so but the mirror, once it owns the room.
    stage.nodes[0].proxy.freeze();
    stage.speak(20..40).await;
    stage.mirror.own(2);
    stage.cluster.view.set_owner(Some((&stage.nodes[1], 2, 0)));
    let mirrored = stage.mirror.mirrored_edge().unwrap();
    assert!(mirrored.moved(&id("origin-2"), Epoch(2)));
    assert!(mirrored.mirror_changed(&None));
    stage.speak(40..100).await;
    until("the way to the mirror is given up for the one to the owner", || mirrored.is_closed()).await;
    stage.speak(100..120).await;
    until("the new owner has the last", || stage.mirror.last() == Some((100, 119))).await;
    assert_all_heard(&stage.mirror, 1..120);
    until("one way is left", || stage.ways() == 1).await;

    let next = Ears::mirror("origin-3", 2);
    let _node = next.join(&stage.cluster).await;
    assert!(stage.mirror.edge().mirror_changed(&Some(id("origin-3"))));
    let mut seq = 200;
    until("the next mirror hears", || {
        seq += 1;
        say(&stage.anna, seq);
        !next.heard().is_empty()
    })
    .await;
    assert!(stage.anna.events().try_recv().is_err());
}

#[tokio::test]
async fn a_mirror_that_names_another_one_has_taken_over_and_is_not_left_for_it() {
    let stage = Stage::new().await;
    stage.nodes[0].proxy.freeze();
    stage.mirror.own(2);
    stage.cluster.view.set_owner(Some((&stage.nodes[1], 2, 0)));
    let next = Ears::mirror("origin-3", 2);
    let _node = next.join(&stage.cluster).await;
    let mirrored = stage.mirror.mirrored_edge().unwrap();
    "origin-3".clone_into(&mut stage.mirror.mirror.lock().unwrap());
    assert!(mirrored.mirror_changed(&Some(id("origin-3"))));
    stage.speak(1..200).await;
    until("the way to the mirror is given up for the one to the owner", || mirrored.is_closed()).await;
    until("the new owner has the last", || stage.mirror.last() == Some((100, 199))).await;
    assert_all_heard(&stage.mirror, 1..200);
    let mut seq = 200;
    until("the next mirror hears", || {
        seq += 1;
        say(&stage.anna, seq);
        !next.heard().is_empty()
    })
    .await;
}

#[tokio::test]
async fn an_owner_that_hands_its_room_over_is_heard_until_it_says_goodbye() {
    let stage = Stage::new().await;
    stage.mirror.own(2);
    let mirrored = stage.mirror.mirrored_edge().unwrap();
    assert!(mirrored.moved(&id("origin-2"), Epoch(2)));
    stage.speak(1..80).await;
    until("the old owner is heard still", || stage.owner.last() == Some((100, 79))).await;
    assert_all_heard(&stage.owner, 1..80);
    assert!(stage.owner.edge().moved(&id("origin-2"), Epoch(2)));
    stage.speak(80..120).await;
    until("the new owner has the last", || stage.mirror.last() == Some((100, 119))).await;
    assert_all_heard(&stage.mirror, 1..120);
    assert!(stage.owner.edge().is_closed());
}

#[tokio::test]
async fn a_mirror_that_is_replaced_is_left_and_one_that_does_not_know_a_speaker_is_asked_again() {
    let stage = Stage::new().await;
    let next = Ears::mirror("origin-3", 1);
    next.knows_speakers.store(false, Ordering::Relaxed);
    let _node = next.join(&stage.cluster).await;
    let before = stage.mirror.mirrored_edge().unwrap();
    assert!(stage.owner.edge().mirror_changed(&Some(id("origin-3"))));
    until("the replaced one is left", || before.is_closed()).await;
    until("the next one is asked", || next.mirrored_edge().is_some()).await;
    stage.speak(1..30).await;
    assert_eq!(next.heard(), []);
    next.knows_speakers.store(true, Ordering::Relaxed);
    let mut seq = 29;
    until("the next one hears", || {
        seq += 1;
        say(&stage.anna, seq);
        !next.heard().is_empty()
    })
    .await;
    until("the owner has heard all the while", || stage.owner.last() == Some((100, seq))).await;
    assert_all_heard(&stage.owner, 1..seq + 1);
}

#[tokio::test]
async fn a_speaker_resumes_at_the_mirror_while_no_owner_answers_and_kept_when_one_comes() {
    let cluster = Cluster::new();
    let mirror = Ears::mirror("origin-2", 1);
    let node = mirror.join(&cluster).await;
    let _relays = locating_relays(&cluster).await;
    cluster.view.set_status(Some(live("", 1)));
    cluster.view.set_mirror(Some(&node));
    let uplinks = uplinks(&cluster);
    let mut anna = resume(&uplinks, "anna", Some(501)).await;
    assert_eq!(anna.stream(), 501);
    (1..20).for_each(|seq| say(&anna, seq));
    until("the mirror hears", || mirror.last() == Some((501, 19))).await;

    let owner = Ears::new("origin-3", 2);
    let node = owner.join(&cluster).await;
    cluster.view.set_owner(Some((&node, 2, 0)));
    let mut seq = 20;
    until("the owner hears, under the same stream", || {
        seq += 1;
        say(&anna, seq);
        owner.heard().first().is_some_and(|(stream, _)| *stream == 501)
    })
    .await;
    assert!(anna.events().try_recv().is_err());
}

#[tokio::test]
async fn an_owner_may_refuse_a_speaker_that_the_mirror_took() {
    let stage = Stage::new().await;
    stage.nodes[0].proxy.cut();
    stage.owner.knows_speakers.store(false, Ordering::Relaxed);
    let mut bert = resume(&stage.uplinks, "bert", Some(900)).await;
    say(&bert, 1);
    until("the mirror hears", || stage.mirror.last() == Some((900, 1))).await;
    stage.nodes[0].proxy.restore();
    let SpeakerEvent::Lost(fault) = event(&mut bert).await else { panic!("the place is lost") };
    assert_eq!(fault.code, Code::RoleForbids);
    until("the mirror is told", || stage.mirror.detached.lock().unwrap().contains(&900)).await;
}
