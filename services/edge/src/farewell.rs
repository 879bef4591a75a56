//! What people are told when the edge leaves: which other edge to go to, and until when. Each goes to an edge of its own
//! choice by rendezvous, and by a deadline of its own, so that a crowd comes nowhere all at once.
//!
//! It does not know how a person is connected. A player that cannot be told, as of plain Ogg, is fed until the edge is
//! gone.
//!
//! Invariant: every deadline is within [`EARLIEST`] to [`LATEST`] of the time there is, evenly spread.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use stentor_ids::{NodeId, ParticipantId};
use stentor_link::{Peer, Topology};
use stentor_pace::Time;
use stentor_placement::refuge;
use stentor_proto::{span, v1};
use tokio::sync::watch;

/// The parts of the time between which deadlines lie: the first has time to find the other edge, the last to be heard out
/// here while it does.
const EARLIEST: f64 = 0.2;
const LATEST: f64 = 0.8;
/// The golden ratio's fractional part: its multiples are spread as evenly as can be, however many there are (Knuth, The
/// Art of Computer Programming, volume 3, section 6.4).
const GOLDEN: f64 = 0.618_033_988_749_894_9;

/// That the edge leaves.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Leaving {
    /// Since when.
    pub(crate) since: Time,
    /// The time there is.
    pub(crate) within: Duration,
}

/// The edge's farewell. Clones share it.
#[derive(Clone)]
pub(crate) struct Farewell {
    leaving: watch::Receiver<Option<Leaving>>,
    me: NodeId,
    topology: Arc<dyn Topology>,
    people: Arc<AtomicU64>,
}

/// What one person is told.
pub(crate) struct Hint {
    farewell: Farewell,
    who: String,
    /// From 0 to 1: its place among all.
    share: f64,
}

impl Farewell {
    /// `leaving` turns when the edge `me` leaves, and back if it stays after all.
    pub(crate) fn new(
        leaving: watch::Receiver<Option<Leaving>>,
        me: NodeId,
        topology: Arc<dyn Topology>,
    ) -> Self {
        Self { leaving, me, topology, people: Arc::default() }
    }

    /// For someone who came in; who is not known by name gets one.
    pub(crate) fn hint(&self, participant: Option<&ParticipantId>) -> Hint {
        let number = self.people.fetch_add(1, Relaxed);
        let who = participant.map_or_else(|| format!("{}/{number}", self.me), ToString::to_string);
        let mut farewell = self.clone();
        // Who was let in just before the edge began to leave hears of it as well.
        farewell.leaving.mark_changed();
        Hint { farewell, who, share: (number as f64 * GOLDEN).fract() }
    }

    /// The URL of an edge that stays; empty if this edge knows of none.
    fn refuge(&self, who: &str) -> String {
        let peers = self.topology.peers();
        let edges: Vec<_> = peers
            .iter()
            .filter(|peer| peer.edge && peer.id != self.me && !peer.public_addr.is_empty())
            .map(Peer::candidate)
            .collect();
        let chosen = refuge(who, &edges);
        let addr = peers.iter().find(|peer| Some(&peer.id) == chosen.as_ref()).map(|peer| &peer.public_addr);
        match addr {
            Some(url) if url.contains("://") => url.trim_end_matches('/').to_owned(),
            Some(addr) => format!("http://{addr}"),
            None => String::new(),
        }
    }
}

impl Hint {
    /// Waits until this person is to go, and says where. May be dropped and called again without losing any; a person that
    /// is still here when the edge begins to leave anew is told anew.
    pub(crate) async fn given(&mut self) -> v1::Move {
        loop {
            if self.farewell.leaving.changed().await.is_err() {
                // The edge is gone, and ends every connection itself.
                std::future::pending::<()>().await;
            }
            let leaving = *self.farewell.leaving.borrow_and_update();
            if let Some(leaving) = leaving {
                let left = left(leaving, self.share, stentor_clock::now());
                return v1::Move { url: self.farewell.refuge(&self.who), deadline: Some(span(left)) };
            }
        }
    }
}

/// The time left now for someone with this share. Never nothing, which would be no deadline.
fn left(leaving: Leaving, share: f64, now: Time) -> Duration {
    let at = leaving.since + leaving.within.mul_f64(EARLIEST + (LATEST - EARLIEST) * share);
    at.since(now).max(Duration::from_millis(1))
}

#[cfg(test)]
mod tests {
    use stentor_link::{Labels, Owner};

    use stentor_proto::length_of;

    use super::*;

    struct View(Vec<Peer>);

    impl Topology for View {
        fn peers(&self) -> Arc<Vec<Peer>> {
            Arc::new(self.0.clone())
        }
        fn owner(&self, _: &stentor_ids::RoomId) -> Option<Owner> {
            None
        }
        fn status(&self, _: &stentor_ids::RoomId) -> Option<v1::RoomStatus> {
            None
        }
        fn changed(&self, _: &stentor_ids::RoomId) -> watch::Receiver<u64> {
            watch::channel(0).1
        }
    }

    fn edge(id: &str, public_addr: &str) -> Peer {
        Peer {
            id: NodeId::new(id).unwrap(),
            origin: false,
            relay: false,
            edge: true,
            admin: false,
            link_addr: String::new(),
            public_addr: public_addr.into(),
            labels: Labels::default(),
            rooms: 0,
        }
    }

    fn farewell(peers: Vec<Peer>) -> (watch::Sender<Option<Leaving>>, Farewell) {
        let (tell, leaving) = watch::channel(None);
        (tell, Farewell::new(leaving, NodeId::new("me").unwrap(), Arc::new(View(peers))))
    }

    #[tokio::test]
    async fn a_crowd_is_spread_over_the_edges_that_stay_and_over_the_time_there_is() {
        let peers = vec![
            edge("a", "a:80"),
            edge("b", "https://b/"),
            edge("me", "me:80"),
            Peer { labels: Labels { draining: true, ..Labels::default() }, ..edge("gone", "gone:80") },
            Peer { edge: false, ..edge("relay", "") },
        ];
        let (tell, farewell) = farewell(peers);
        let mut hints: Vec<_> = (0..1000).map(|_| farewell.hint(None)).collect();
        let within = Duration::from_secs(1000);
        tell.send_replace(Some(Leaving { since: stentor_clock::now(), within }));
        let (mut by_url, mut by_time) = ([0; 2], [0; 6]);
        for hint in &mut hints {
            let v1::Move { url, deadline } = hint.given().await;
            by_url[["http://a:80", "https://b"].iter().position(|known| *known == url).expect(&url)] += 1;
            let deadline = length_of(deadline).as_millis() as usize;
            assert!((199_000..=800_000).contains(&deadline), "{deadline}");
            by_time[(deadline.saturating_sub(200_000) / 100_000).min(5)] += 1;
        }
        assert!(by_url.iter().all(|count| *count > 400), "{by_url:?}");
        assert!(by_time.iter().all(|count| (150..=180).contains(count)), "{by_time:?}");
    }

    #[tokio::test]
    async fn who_is_known_by_name_is_sent_to_one_edge_however_often_it_came() {
        let (tell, farewell) =
            farewell((0..9).map(|n| edge(&format!("e{n}"), &format!("e{n}:80"))).collect());
        tell.send_replace(Some(Leaving { since: stentor_clock::now(), within: Duration::from_secs(9) }));
        let ann = ParticipantId::new("ann").unwrap();
        let (mut first, mut second) = (farewell.hint(Some(&ann)), farewell.hint(Some(&ann)));
        assert_eq!(first.given().await.url, second.given().await.url);
    }

    #[tokio::test]
    async fn the_last_edge_has_nowhere_to_send_people_to_and_says_so() {
        let (tell, farewell) = farewell(vec![edge("me", "me:80")]);
        let mut hint = farewell.hint(None);
        tell.send_replace(Some(Leaving { since: Time::default(), within: Duration::ZERO }));
        assert_eq!(
            hint.given().await,
            v1::Move { url: String::new(), deadline: Some(span(Duration::from_millis(1))) }
        );
        tell.send_replace(None);
        tokio::time::timeout(Duration::from_millis(50), hint.given()).await.expect_err("it stays");
    }
}
