//! What happens in the cluster: the journals of all nodes as one stream, and which nodes come and go. Knows not what the
//! happenings mean.
//!
//! A client that is slow holds the streams of the nodes back, and each of them then tells how much of it was missed. So
//! what waits here is bounded: [`AHEAD`] happenings, and what the window of a link's stream takes of each node.

use std::{collections::BTreeMap, convert::Infallible, time::Duration};

use stentor_directory::{Changed, View};
use stentor_ids::{Fault, NodeId, RoomId};
use stentor_link::control;
use stentor_pace::Backoff;
use stentor_proto::{
    fault_of, moment,
    v1::{Happening, NodeChange, ReachChange, happening::What},
};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep},
};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::task::AbortOnDropHandle;
use tonic::{Status, Streaming};

use crate::{Cluster, places::Places};

/// Happenings that wait for the client. Then the nodes have to.
const AHEAD: usize = 64;
/// Least time between two looks at who is there: many changes at once are one look.
const PAUSE: Duration = Duration::from_millis(50);
/// How soon a node that was lost is watched again, at first and at most. A stream that lasts longer than that is none
/// that flaps.
const RETRY: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(10));

pub(crate) type Told = ReceiverStream<Result<Happening, Status>>;

#[derive(Clone)]
pub(crate) struct Happenings {
    cluster: Cluster,
    places: Places,
}

impl Happenings {
    pub(crate) const fn new(cluster: Cluster, places: Places) -> Self {
        Self { cluster, places }
    }

    /// What happens from now on, everywhere or to one room. The answer comes when every node that is there now is watched,
    /// or was found not to answer.
    pub(crate) async fn watch(&self, room: Option<RoomId>) -> Result<Told, Fault> {
        let place = self.places.take()?;
        drop(self.cluster.listed()?);
        let (told, stream) = mpsc::channel(AHEAD);
        let (first, mut tried) = mpsc::channel(1);
        let watch = Watch { cluster: self.cluster.clone(), room, told: told.clone(), nodes: BTreeMap::new() };
        tokio::spawn(place.keep(told, watch.run(first)));
        // Nobody sends: it is over when the last one has let go.
        let _: Option<Infallible> = tried.recv().await;
        Ok(ReceiverStream::new(stream))
    }
}

/// Held until a node was tried once.
type First = mpsc::Sender<Infallible>;

struct Watch {
    cluster: Cluster,
    room: Option<RoomId>,
    told: mpsc::Sender<Result<Happening, Status>>,
    nodes: BTreeMap<NodeId, Watched>,
}

struct Watched {
    link_addr: String,
    /// None where there is no link to it.
    _follower: Option<AbortOnDropHandle<()>>,
}

impl Watch {
    async fn run(mut self, first: First) {
        let mut view = self.cluster.view().reader();
        drop(self.look(&view.next().await.0, Some(&first)));
        drop(first);
        loop {
            let (now, changed) = view.next().await;
            if matches!(&changed, Changed::Keys(keys) if keys.nodes.is_empty()) {
                continue;
            }
            let changes = self.look(&now, None);
            drop(now);
            for (node, there) in changes {
                // Who asks for one room hears of that alone.
                let told = happening(&node, What::Membership(NodeChange { there }));
                if self.room.is_none() && self.told.send(Ok(told)).await.is_err() {
                    return;
                }
            }
            sleep(PAUSE).await;
        }
    }

    /// Watches the nodes that are there and no others. Who came, and who went.
    fn look(&mut self, view: &View, first: Option<&First>) -> Vec<(NodeId, bool)> {
        let gone = |id: &NodeId| view.current && !view.nodes.contains_key(id);
        let mut changes: Vec<_> =
            self.nodes.keys().filter(|id| gone(id)).map(|id| (id.clone(), false)).collect();
        for (id, _) in &changes {
            self.nodes.remove(id);
        }
        for (id, node) in &view.nodes {
            let known = self.nodes.get(id);
            if known.is_some_and(|known| known.link_addr == node.link_addr) {
                continue;
            }
            if known.is_none() {
                changes.push((id.clone(), true));
            }
            let follower = (!node.link_addr.is_empty()).then(|| self.follow(id, &node.link_addr, first));
            self.nodes.insert(id.clone(), Watched { link_addr: node.link_addr.clone(), _follower: follower });
        }
        changes
    }

    fn follow(&self, id: &NodeId, link_addr: &str, first: Option<&First>) -> AbortOnDropHandle<()> {
        let follower = Follower {
            node: id.clone(),
            link_addr: link_addr.to_owned(),
            room: self.room.clone(),
            control: self.cluster.control.clone(),
            told: self.told.clone(),
        };
        AbortOnDropHandle::new(tokio::spawn(follower.run(first.cloned())))
    }
}

/// Passes on what one node tells.
struct Follower {
    node: NodeId,
    link_addr: String,
    room: Option<RoomId>,
    control: control::Client,
    told: mpsc::Sender<Result<Happening, Status>>,
}

impl Follower {
    /// Until the client is gone. That a node cannot be watched is told once, and that it can be again.
    async fn run(self, mut first: Option<First>) {
        let (mut backoff, mut reached) = (Backoff::new(RETRY.0, RETRY.1), true);
        loop {
            let stream = self.control.watch(&self.link_addr, self.room.as_ref()).await;
            drop(first.take());
            let why = match stream {
                Ok(stream) => {
                    let since = Instant::now();
                    if !reached && self.tell(reach(String::new())).await.is_none() {
                        return;
                    }
                    reached = true;
                    let Some(why) = self.pass_on(stream).await else { return };
                    if since.elapsed() > RETRY.1 {
                        backoff.reset();
                    }
                    why
                }
                Err(fault) => fault.detail.into_owned(),
            };
            if reached && self.tell(reach(why)).await.is_none() {
                return;
            }
            reached = false;
            sleep(backoff.next(rand::random())).await;
        }
    }

    /// Until the stream breaks; gives why. None if the client is gone.
    async fn pass_on(&self, mut stream: Streaming<Happening>) -> Option<String> {
        loop {
            match stream.message().await {
                Ok(Some(told)) => self.told.send(Ok(told)).await.ok()?,
                Ok(None) => return Some("the node has ended the watch".to_owned()),
                Err(status) => return Some(fault_of(&status).detail.into_owned()),
            }
        }
    }

    async fn tell(&self, what: What) -> Option<()> {
        self.told.send(Ok(happening(&self.node, what))).await.ok()
    }
}

/// That a node cannot be watched; with no reason, that it can.
fn reach(why: String) -> What {
    What::Reach(ReachChange { reached: why.is_empty(), why })
}

/// What this node has seen of another one just now.
fn happening(node: &NodeId, what: What) -> Happening {
    Happening {
        at: Some(moment(stentor_clock::wall().as_micros())),
        node: node.to_string(),
        room: String::new(),
        what: Some(what),
    }
}
