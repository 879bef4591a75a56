//! What happens at a node, for whoever watches: told as it happens, kept for nobody.
//!
//! A watcher that lags is told how much it missed. Telling never waits, and costs next to nothing while nobody watches.

use futures::{Stream, StreamExt};
use stentor_ids::{NodeId, RoomId};
use stentor_proto::{
    moment,
    v1::{self, happening::What},
};
use tokio::sync::broadcast;
use tokio_stream::wrappers::{BroadcastStream, errors::BroadcastStreamRecvError};

/// Happenings that a watcher may lag behind: those of a node with 200 rooms that all change their parents at once. Beyond
/// it the oldest go, and the watcher is told how many.
const KEPT: usize = 1024;

/// One node's journal. Clones are the same journal.
#[derive(Debug, Clone)]
pub struct Journal {
    node: NodeId,
    told: broadcast::Sender<v1::Happening>,
}

impl Journal {
    /// The journal of a node.
    #[must_use]
    pub fn new(node: NodeId) -> Self {
        Self { node, told: broadcast::Sender::new(KEPT) }
    }

    /// Tells what happened just now, to a room or (with `None`) to the node.
    pub fn tell(&self, room: Option<&RoomId>, what: What) {
        if self.told.receiver_count() == 0 {
            return;
        }
        // The last watcher may have gone meanwhile; then nobody misses it.
        drop(self.told.send(self.happening(room, what)));
    }

    /// What happens from now on.
    pub fn watch(&self) -> impl Stream<Item = v1::Happening> + Send + use<> {
        let journal = self.clone();
        BroadcastStream::new(self.told.subscribe()).map(move |told| match told {
            Ok(happening) => happening,
            Err(BroadcastStreamRecvError::Lagged(missed)) => journal.happening(None, What::Missed(missed)),
        })
    }

    fn happening(&self, room: Option<&RoomId>, what: What) -> v1::Happening {
        v1::Happening {
            at: Some(moment(stentor_clock::wall().as_micros())),
            node: self.node.to_string(),
            room: room.map(ToString::to_string).unwrap_or_default(),
            what: Some(what),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_watcher_that_lags_is_told_how_much_it_missed() {
        let journal = Journal::new(NodeId::new("n").unwrap());
        let membership = || What::Membership(v1::NodeChange { there: true });
        journal.tell(None, membership());
        let watch = journal.watch();
        for _ in 0..KEPT + 3 {
            journal.tell(None, membership());
        }
        let told: Vec<_> = watch.take(KEPT + 1).map(|told| told.what).collect().await;
        assert_eq!(told[0], Some(What::Missed(3)));
        assert!(told[1..].iter().all(|what| *what == Some(membership())));
    }
}
