//! Real speech through a room.

use stentor_clock::wall;
use stentor_kit::{Cluster, SOON, speak, talk, talk_from, until, voice, who};
use stentor_link::uplink::SpeakerEvent;
use stentor_mix::SILENCE;
use stentor_proto::v1::{MuteRequest, command_request};
use stentor_telemetry::Tier;

#[tokio::test(start_paused = true)]
async fn a_conversation_fills_every_slot_once_and_is_heard() {
    let cluster = Cluster::in_memory();
    let origin = cluster.origin("origin-1").await;
    let room = cluster.create("demo", true).await;
    cluster.owner_from(&room, 1).await;
    let edge = cluster.uplinks("edge-1");
    let heard = cluster.listen("relay-1", &room).await;
    let talking = ["voice-a.ogg", "voice-b.ogg"].map(|name| (name, voice(name)));
    let mut speakers = Vec::new();
    for (name, packets) in talking {
        speakers.push(talk(speak(&edge, &room, name, false).await, packets));
    }
    heard.heard_of(1, 250).await;

    let audio = heard.audio();
    assert_eq!((audio.missing.as_slice(), audio.twice), (&[][..], 0));
    let frames = heard.frames();
    let spoken = frames.iter().filter(|frame| frame.captured.as_micros() > 0).count();
    assert!(spoken > frames.len() / 2, "{spoken} of {} slots say when they were captured", frames.len());
    let status = origin.status(&room).await;
    assert_eq!(status.stage.iter().filter(|one| one.connected()).count(), 2);
    assert!(frames.iter().any(|frame| frame.opus.len() > 20), "speech takes more than silence");

    drop(speakers);
    until("the speakers are gone", || cluster.metrics.for_node(&origin.id).speakers(Tier::Origin).get() == 0)
        .await;
    assert!(origin.status(&room).await.stage.iter().all(|one| !one.connected()));
}

#[tokio::test(start_paused = true)]
async fn a_speaker_hears_the_others_and_not_itself() {
    let cluster = Cluster::in_memory();
    let _origin = cluster.origin("origin-1").await;
    let room = cluster.create("demo", true).await;
    cluster.owner_from(&room, 1).await;
    let edge = cluster.uplinks("edge-1");
    let mut ann = speak(&edge, &room, "ann", true).await;
    let bob = talk(speak(&edge, &room, "bob", false).await, voice("voice-a.ogg"));
    let mut sizes = Vec::new();
    while sizes.len() < 100 {
        match tokio::time::timeout(SOON, ann.events().recv()).await.unwrap() {
            Some(SpeakerEvent::Monitor { opus, .. }) => sizes.push(opus.len()),
            other => drop(other),
        }
    }
    assert!(sizes.iter().any(|size| *size > 20), "ann hears bob: {sizes:?}");
    drop(bob);
}

#[tokio::test(start_paused = true)]
async fn a_mute_silences_within_two_slots_and_a_flood_disturbs_nobody() {
    let cluster = Cluster::in_memory();
    let origin = cluster.origin("origin-1").await;
    let room = cluster.create("demo", true).await;
    cluster.owner_from(&room, 1).await;
    let edge = cluster.uplinks("edge-1");
    let heard = cluster.listen("relay-1", &room).await;
    let ann = speak(&edge, &room, "ann", false).await;
    // As fast as it goes: what does not fit is dropped, and the room keeps its beat.
    let packets = voice("voice-b.ogg");
    for seq in 0..20_000_u64 {
        ann.send(seq, packets[seq as usize % packets.len()].clone(), wall());
    }
    let _talking = talk_from(20_000, ann, voice("voice-a.ogg"));
    heard.heard_of(1, 100).await;

    let mute = MuteRequest { participant: "ann".into(), muted: true, ..Default::default() };
    let asked = origin.newest(&room).unwrap();
    origin.command(&room, command_request::Command::Mute(mute)).await.unwrap();
    until("the room has gone on", || heard.highest() > asked.plus(60)).await;
    let silent = |slot: u64| heard.frames().iter().any(|f| f.slot.0 == slot && f.captured.as_micros() == 0);
    let spoken: Vec<_> = (asked.0 + 3..asked.0 + 50).filter(|slot| !silent(*slot)).collect();
    assert_eq!(spoken, [0; 0], "asked for when slot {asked} was out: two more may have speech in them");
    assert!(heard.frames().iter().any(|f| f.slot.0 > asked.0 + 30 && f.opus == SILENCE));
    assert_eq!(heard.audio().missing, [0; 0]);
    let told = heard.events();
    assert!(told.iter().any(|event| event.participant == who("ann").as_str()), "{told:?}");
}
