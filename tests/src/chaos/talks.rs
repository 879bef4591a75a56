//! Other rooms in which people talk at the same time, spread over the origins as placement has it: each with both demo voices
//! and a listener that keeps every slot with its lineage.

use std::time::Duration;

use anyhow::{Context, Result};

use super::{
    audience::{Given, Recorder, Voices},
    watchers::{Operator, is_well},
};
use crate::{cluster::Cluster, process::eventually};

/// How long a room may take until it has an owner and is on the air.
const LIVE: Duration = Duration::from_secs(20);

/// Those rooms. Dropping it hangs up.
#[derive(Debug)]
pub(super) struct Talks(Vec<Talk>);

#[derive(Debug)]
struct Talk {
    room: String,
    recorder: Recorder,
    voices: Voices,
}

impl Talks {
    /// So many rooms on the air.
    pub(super) async fn gather(cluster: &Cluster, operator: &Operator, count: usize) -> Result<Self> {
        let mut talks = Vec::new();
        for index in 0..count {
            let room = format!("talk-{index}");
            operator.open(&room).await?;
            let live = || async { operator.go_live(&room).await.ok() };
            eventually(&format!("{room} to go live"), LIVE, live).await?;
            let voices = Voices::start(cluster, &room)?;
            let recorder = Recorder::start(cluster, &room, index % cluster.edge_count())?;
            talks.push(Talk { room, recorder, voices });
        }
        Ok(Self(talks))
    }

    /// Everyone back in their places, if some had to leave them.
    pub(super) fn settle(&mut self, cluster: &Cluster) -> Result<()> {
        for Talk { room, recorder, voices } in &mut self.0 {
            if recorder.strayed() {
                *recorder = Recorder::start(cluster, room, recorder.edge)?;
            }
            if voices.strayed(cluster) {
                *voices = Voices::start(cluster, room)?;
            }
        }
        Ok(())
    }

    /// Waits until each room is well and heard.
    pub(super) async fn well(&self, operator: &Operator, mirrored: bool, within: Duration) -> Result<()> {
        for Talk { room, recorder, .. } in &self.0 {
            eventually(&format!("{room} to be well"), within, || async {
                operator.room(room).await.ok().filter(|status| is_well(status, mirrored)).map(drop)
            })
            .await?;
            recorder.hears().await.with_context(|| room.clone())?;
        }
        Ok(())
    }

    /// Starts a new count.
    pub(super) fn mark(&mut self) {
        self.0.iter_mut().for_each(|talk| talk.recorder.mark());
    }

    /// What the listener of each room was given since the mark, of those that began at these edges.
    pub(super) fn given(&self, edges: impl Fn(usize) -> bool) -> Vec<(String, Given)> {
        let here = self.0.iter().filter(|talk| edges(talk.recorder.edge));
        here.map(|talk| (talk.room.clone(), talk.recorder.given())).collect()
    }
}
