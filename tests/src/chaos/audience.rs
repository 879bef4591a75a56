//! The people in the room: two who speak, a crowd that listens cheaply, and recorders at each edge that keep every slot they
//! are given with its lineage and its arrival.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context, Result};
use stentor_ids::{Role, RoomId};
use stentor_pace::check::{NoGap, SlotOnce};
use stentor_probe::{Heard, Patience, Source, SpeakConfig, SpeakHandle, Speaker, Target};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::{
    cluster::{Cluster, demo_voice},
    listening::Listening,
    load::Crowd,
};

/// Who speaks.
pub(super) const VOICES: [&str; 2] = ["ann", "ben"];
/// How long a recorder may take until it hears the room.
const HEAR: Duration = Duration::from_secs(20);
/// How long a speaker tries to come back.
const PATIENCE: Duration = Duration::from_secs(60);
/// What the crowd asks for: long pages, so that it costs next to nothing.
const PAGE: &str = "live.ogg?page=200";

/// What one listener was given over some time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Given {
    /// Frames.
    pub frames: u64,
    /// Slots between the first and the last that did not come.
    pub missing: u64,
    /// Frames whose slot was not above the one before.
    pub repeated: u64,
    /// Frames of a lineage below the one before.
    pub fell: u64,
    /// Times that the lineage changed.
    pub changes: u64,
    /// Longest time between two frames.
    pub longest: Duration,
}

impl Given {
    /// Out of the frames as they came.
    #[must_use]
    pub fn read<'a>(heard: impl IntoIterator<Item = &'a Heard>) -> Self {
        let (mut once, mut whole, mut given) = (SlotOnce::default(), NoGap::default(), Self::default());
        let mut last: Option<&Heard> = None;
        for frame in heard {
            given.frames += 1;
            let wrong = once.given(frame.slot, frame.lineage).is_err();
            let torn = whole.given(frame.slot).is_err();
            if let Some(before) = last.replace(frame) {
                let fell = frame.lineage < before.lineage;
                given.fell += u64::from(fell);
                given.repeated += u64::from(wrong && !fell);
                given.missing += if torn { frame.slot.since(before.slot) - 1 } else { 0 };
                given.changes += u64::from(frame.lineage != before.lineage);
                given.longest = given.longest.max(frame.arrived.since(before.arrived));
            }
        }
        given
    }
}

/// Everyone. Dropping it hangs up.
#[derive(Debug)]
pub(super) struct Audience {
    room: String,
    recorders: Vec<Recorder>,
    crowds: BTreeMap<usize, Crowd>,
    voices: Voices,
}

/// A listener that keeps every slot it is given.
#[derive(Debug)]
pub(super) struct Recorder {
    /// The edge that it began at.
    pub(super) edge: usize,
    listening: Listening,
    /// Frames that it had when it was last marked.
    mark: usize,
}

/// Both demo voices in one room. Dropping it hangs up.
#[derive(Debug)]
pub(super) struct Voices {
    handles: Vec<SpeakHandle>,
    stop: CancellationToken,
    /// Ends with this.
    _tasks: JoinSet<()>,
}

impl Recorder {
    /// A new one at an edge, with the other edges to come back at.
    pub(super) fn start(cluster: &Cluster, room: &str, edge: usize) -> Result<Self> {
        Ok(Self { edge, listening: Listening::start_at(cluster.edge_urls(edge), room)?, mark: 0 })
    }

    /// Whether it had to connect again, or elsewhere.
    pub(super) fn strayed(&self) -> bool {
        let report = self.listening.report();
        report.moves + report.reconnects > 0
    }

    /// Waits until it hears the room.
    pub(super) async fn hears(&self) -> Result<()> {
        let heard = self.listening.frames(25, HEAR).await;
        heard.with_context(|| format!("a recorder that began at edge {}", self.edge))
    }

    /// Starts a new count.
    pub(super) fn mark(&mut self) {
        // The frame before the mark counts: what follows it may be missing.
        self.mark = self.listening.look(|record| record.heard().len()).saturating_sub(1);
    }

    /// What it was given since the mark.
    pub(super) fn given(&self) -> Given {
        self.listening.look(|record| Given::read(record.heard().range(self.mark..)))
    }
}

impl Voices {
    /// Both, one through each of the first two edges, for ever.
    pub(super) fn start(cluster: &Cluster, room: &str) -> Result<Self> {
        let (stop, mut tasks) = (CancellationToken::new(), JoinSet::new());
        let voice = |(edge, name): (usize, &str)| {
            let target = Target {
                edges: cluster.edge_urls(edge),
                ticket: Some(cluster.ticket(room, name, Role::Speaker)?),
                ca_pem: None,
            };
            let patience = Patience { first: PATIENCE, later: PATIENCE };
            let config = SpeakConfig { target, room: RoomId::new(room)?, monitor: false, patience };
            let speaker = Speaker::new(config, Source::file(demo_voice(edge))?.repeated()?);
            let (handle, stop) = (speaker.handle(), stop.clone());
            tasks.spawn(async move { drop(speaker.run(stop).await) });
            Ok(handle)
        };
        let handles = VOICES.into_iter().enumerate().map(voice).collect::<Result<_>>()?;
        Ok(Self { handles, stop, _tasks: tasks })
    }

    /// Whether one of them speaks through another edge than it began at.
    pub(super) fn strayed(&self, cluster: &Cluster) -> bool {
        self.handles.iter().enumerate().any(|(edge, voice)| {
            voice.report().edge.is_none_or(|url| Some(&url) != cluster.edge_urls(edge).first())
        })
    }
}

impl Drop for Voices {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Audience {
    /// Speakers at the first two edges; at each edge so many recorders, and as many of the crowd as make up `listeners`.
    pub(super) async fn gather(
        cluster: &Cluster,
        room: &str,
        recorders: usize,
        listeners: usize,
    ) -> Result<Self> {
        let voices = Voices::start(cluster, room)?;
        cluster.connected(room, voices.handles.len(), HEAR).await?;
        let mut audience =
            Self { room: room.to_owned(), recorders: Vec::new(), crowds: BTreeMap::new(), voices };
        audience.seat(cluster, recorders)?;
        audience.refill(cluster, recorders, listeners).await?;
        Ok(audience)
    }

    /// New recorders at each edge.
    fn seat(&mut self, cluster: &Cluster, recorders: usize) -> Result<()> {
        self.recorders.clear();
        for edge in 0..cluster.edge_count() {
            for _ in 0..recorders {
                self.recorders.push(Recorder::start(cluster, &self.room, edge)?);
            }
        }
        Ok(())
    }

    /// Brings the crowd at each edge up to its number.
    async fn refill(&mut self, cluster: &Cluster, recorders: usize, listeners: usize) -> Result<()> {
        let edges = cluster.edge_count();
        let each = (listeners / edges.max(1)).saturating_sub(recorders);
        for edge in 0..edges {
            let full = self.crowds.get(&edge).is_some_and(|crowd| crowd.closed() == 0);
            if !full {
                self.crowds.remove(&edge);
                let path = format!("/v1/rooms/{}/{PAGE}", self.room);
                self.crowds.insert(edge, Crowd::gather(cluster.edge_port(edge), &path, each).await?);
            }
        }
        Ok(())
    }

    /// Everyone back in their places, if some had to leave them.
    pub(super) async fn settle(
        &mut self,
        cluster: &Cluster,
        recorders: usize,
        listeners: usize,
    ) -> Result<()> {
        if self.recorders.iter().any(Recorder::strayed) {
            self.seat(cluster, recorders)?;
        }
        if self.voices.strayed(cluster) {
            self.voices = Voices::start(cluster, &self.room)?;
        }
        self.refill(cluster, recorders, listeners).await
    }

    /// Waits until every recorder hears the room.
    pub(super) async fn hears(&self) -> Result<()> {
        for recorder in &self.recorders {
            recorder.hears().await?;
        }
        Ok(())
    }

    /// Starts a new count.
    pub(super) fn mark(&mut self) {
        self.recorders.iter_mut().for_each(Recorder::mark);
    }

    /// What each recorder was given since the mark, of those that began at these edges.
    pub(super) fn given(&self, edges: impl Fn(usize) -> bool) -> Vec<Given> {
        self.recorders.iter().filter(|recorder| edges(recorder.edge)).map(Recorder::given).collect()
    }

    /// Members of the crowd at these edges whose connection has ended.
    pub(super) fn gone(&self, edges: impl Fn(usize) -> bool) -> u64 {
        self.crowds.iter().filter(|(edge, _)| edges(**edge)).map(|(_, crowd)| crowd.closed()).sum()
    }
}

#[cfg(test)]
mod tests {
    use stentor_ids::{Epoch, Lineage, Slot};
    use stentor_pace::{Time, WallTime};

    use super::*;

    fn given(frames: &[(u64, u64, u64)]) -> Given {
        let heard = |&(slot, lineage, millis): &(u64, u64, u64)| Heard {
            slot: Slot(slot),
            epoch: Epoch(1),
            lineage: Lineage(lineage),
            arrived: Time::from_millis(millis),
            at: WallTime::default(),
            captured: None,
        };
        Given::read(&frames.iter().map(heard).collect::<Vec<_>>())
    }

    #[test]
    fn what_is_missing_repeated_and_fallen_is_told_apart() {
        let whole = given(&[(5, 1, 0), (6, 1, 20), (7, 2, 90)]);
        assert_eq!((whole.missing, whole.repeated, whole.fell, whole.changes), (0, 0, 0, 1));
        assert_eq!((whole.frames, whole.longest.as_millis()), (3, 70));
        let torn = given(&[(5, 2, 0), (9, 2, 20), (9, 2, 40), (10, 1, 60)]);
        assert_eq!((torn.missing, torn.repeated, torn.fell, torn.changes), (3, 1, 1, 1));
    }
}
