//! A mirror's watch over the owner of its room: it drives the pure [`Detector`], asks whom that wants asked, and claims the room
//! when it is sure that nobody runs it.

use std::{sync::Arc, time::Duration};

use futures::future::join_all;
use ractor::ActorRef;
use stentor_directory::{Error, Ownership};
use stentor_ids::{NodeId, RoomId};
use stentor_ownership::{Act, Answer, Detector};
use stentor_pace::Time;
use stentor_placement::carriers;
use stentor_room::Record;
use tokio::time::{sleep_until, timeout};

use crate::{
    actor::Message,
    claim,
    hosted::{Hosted, Seat},
    origin::Origin,
    standby::Promotion,
    timebase::wall,
    topology::relays,
};

/// How long whoever is asked has to answer. A process that is gone answers at once, by its closed port.
const ASK: Duration = Duration::from_millis(300);
/// Relays that are asked whether they hear the owner: more than one may fail at the same time as the owner.
const RELAYS_ASKED: usize = 3;
/// Slots by which a claim's first slot lies ahead: a second. Relays may see the claim in the directory before this node has
/// its answer, and refuse from that slot on what still comes under the old epoch; until then the mirror goes on under that,
/// so the wait costs nothing.
const AHEAD: u64 = 50;

/// Watches until the room is claimed. The actor is told, and drops the watch when it is no mirror any more.
pub(crate) async fn watch_owner(origin: Arc<Origin>, hosted: Arc<Hosted>, actor: ActorRef<Message>) {
    let mut detector = Detector::new(origin.timebase.now());
    let (mut known, mut news) = (hosted.peer.known(), origin.topology.changed(&hosted.id));
    let (mut owner, mut heard) = (hosted.seat().owner().clone(), Time::default());
    loop {
        let now = origin.timebase.now();
        if owner != *hosted.seat().owner() {
            owner = hosted.seat().owner().clone();
            detector = Detector::new(now);
        }
        let last = hosted.peer.last_heard();
        if last > heard {
            heard = last;
            detector.heard(last);
        }
        if !known.borrow_and_update().connected {
            detector.lost(now);
        }
        news.mark_unchanged();
        let shown = origin.view.snapshot();
        if shown.current
            && let Some(room) = shown.rooms.get(&hosted.id)
        {
            if room.owner.is_some() { detector.owned(now) } else { detector.unowned(now) }
        }
        drop(shown);
        match detector.poll(now) {
            Some(Act::Ask) => {
                let answer = ask(&origin, &hosted).await;
                tracing::info!(room = %hosted.id, ?answer, "the room's owner is not heard; others were asked");
                detector.answered(origin.timebase.now(), answer);
            }
            Some(Act::Claim) => match claim(&origin, &hosted).await {
                Ok((ownership, record)) => {
                    let took = Some(origin.timebase.now().since(detector.since().unwrap_or(now)));
                    // The actor is gone: then the key is left to the watch.
                    return drop(actor.cast(Message::Promoted(Promotion { ownership, record, took })));
                }
                Err(error) => {
                    tracing::warn!(room = %hosted.id, %error, "the room could not be claimed");
                    detector.refused(origin.timebase.now());
                }
            },
            None => {
                let due = detector.next_deadline().map(|due| origin.timebase.instant(due.at));
                let alarm = async {
                    match due {
                        Some(at) => sleep_until(at).await,
                        None => std::future::pending().await,
                    }
                };
                tokio::select! {
                    () = alarm => {}
                    // The room's other origin lasts as long as the room.
                    _ = known.changed() => {}
                    // The topology lasts as long as the node.
                    _ = news.changed() => {}
                }
            }
        }
    }
}

/// Asks the owner whether it runs the room, and relays whether they hear it.
async fn ask(origin: &Origin, hosted: &Hosted) -> Answer {
    let owner = hosted.seat().owner().node.clone();
    let peers = origin.topology.peers();
    let edges = peers.iter().filter(|peer| peer.edge).count();
    let asked: Vec<_> = carriers(&hosted.id, &relays(&peers), edges).into_iter().take(RELAYS_ASKED).collect();
    let at = |node: &NodeId| origin.place_of(node).map(|place| place.link_addr);
    let runs = async {
        match at(&owner) {
            Some(link_addr) => claim::still_runs(origin, &owner, &link_addr, &hosted.id).await,
            None => false,
        }
    };
    let heard = join_all(asked.iter().filter_map(at).map(|relay| heard(origin, relay, &hosted.id, &owner)));
    let (runs, heard) = tokio::join!(runs, heard);
    Answer { runs, heard: heard.into_iter().flatten().min() }
}

/// How long ago a relay got a slot from the owner itself.
async fn heard(origin: &Origin, relay: String, room: &RoomId, owner: &NodeId) -> Option<Duration> {
    let answer = timeout(ASK, origin.control.heard(&relay, Some(room), Some(owner))).await;
    let ago = answer.ok()?.ok()?.heard_ms_ago?;
    Some(Duration::from_millis(ago.into()))
}

/// Claims the room from an owner that nobody hears.
async fn claim(origin: &Origin, hosted: &Hosted) -> Result<(Ownership, Record), Error> {
    let Seat::Mirror { owner, .. } = hosted.seat() else { return Err(Error::LeaseGone) };
    let seen = hosted.feed.epoch().max(hosted.feed.reported().unwrap_or_default().epoch).max(owner.epoch);
    // What was recorded of the room when this node began to mirror it may be old; the view is as new as can be had.
    let shown = origin.view.snapshot().rooms.get(&hosted.id).cloned();
    let record = shown.as_ref().and_then(|room| Record::decode(&room.record).ok());
    let record = record.unwrap_or_else(|| hosted.kept().record);
    // A claim of this node's own whose answer was lost is claimed over.
    let own = shown.as_ref().and_then(|room| room.owner.as_ref()).filter(|shown| shown.node == origin.me);
    let preempt = own.map_or(owner.revision, |own| own.revision);
    let by_clock = || record.lifecycle().resume_slot(wall(), None, AHEAD).unwrap_or_default();
    let heard = hosted.under_way(origin.timebase.now());
    let from_slot = heard.map_or_else(by_clock, |(next, _)| next.plus(AHEAD));
    claim::promote(origin, &hosted.id, seen, Some(preempt), from_slot).await
}
