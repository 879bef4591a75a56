//! A room's two origins do not hear each other, and everyone else hears both. Both mix, and half the audience goes by the
//! mirror's lineage, which is the higher one. The owner decides who may speak, and the directory brings it to the mirror.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use stentor_kit::{Heard, Pair, speak, talk, until, voice};
use stentor_link::Carry;
use stentor_proto::v1::{MuteRequest, command_request::Command};
use stentor_room::Spec;

/// Slots that tell whether somebody speaks: half a second.
const SLOTS: usize = 25;

/// Whether speech is in most of the newest slots that the mirror mixed, or in none.
fn mirror_speaks(heard: &Heard, speech: bool) -> bool {
    // A mirror begins odd lineages, an owner even ones; a feed has both.
    let frames: Vec<_> = heard.frames().into_iter().filter(|frame| frame.lineage.0 % 2 == 1).collect();
    let newest = &frames[frames.len().saturating_sub(SLOTS)..];
    let spoken = newest.iter().filter(|frame| frame.captured.as_micros() > 0).count();
    newest.len() == SLOTS && if speech { spoken > SLOTS / 2 } else { spoken == 0 }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_muted_and_who_comes_while_origins_are_cut_is_muted_and_heard_at_the_mirror() {
    let pair = Pair::of(Spec::default()).await;
    let Pair { cluster, room, owner, mirror, .. } = &pair;
    let _relays = pair.relays().await;
    let heard = cluster.listen_as_edge("edge-1", room).await;
    let edge = cluster.uplinks("edge-1");
    let _ann = talk(speak(&edge, room, "ann", false).await, voice("voice-a.ogg"));
    heard.heard_of(1, 50).await;

    pair.cut_apart();
    until("the mirror is heard, and ann from it", || mirror_speaks(&heard, true)).await;
    let mute = |muted| MuteRequest { participant: "ann".into(), muted, ..Default::default() };
    owner.command(room, Command::Mute(mute(true))).await.unwrap();
    until("ann is muted at the mirror", || mirror_speaks(&heard, false)).await;
    let feed = mirror.host().feed(room).await.unwrap();
    let status = feed.status().unwrap();
    assert!(status.stage.iter().any(|one| one.id == "ann" && one.muted), "{status:?}");
    assert_eq!((status.owner.as_str(), status.mirror.as_str()), ("origin-1", "origin-2"));

    let bob = talk(speak(&edge, room, "bob", false).await, voice("voice-b.ogg"));
    until("bob, who came, is heard from the mirror", || mirror_speaks(&heard, true)).await;
    drop(bob);
    until("nobody speaks", || mirror_speaks(&heard, false)).await;
    owner.command(room, Command::Mute(mute(false))).await.unwrap();
    until("ann is heard again", || mirror_speaks(&heard, true)).await;
    assert_eq!(cluster.owner(room).unwrap().node, owner.id, "relays hear it");
    assert_eq!(heard.audio().missing, [0; 0]);
}
