//! Rooms as they change: the state now, each change of a record or an owner, and now and then what only an owner knows.
//! A client that is slow is told the newest state of each room and not those in between.
//!
//! What a change costs is what changed, however many rooms there are.
//!
//! Invariant: nothing is told twice in a row of one room, and what a watch asks of owners is bounded however many rooms
//! there are.

use std::{
    collections::{BTreeMap, BTreeSet, btree_map::Entry},
    hash::{DefaultHasher, Hasher},
    ops::ControlFlow,
    time::Duration,
};

use futures::{StreamExt, stream};
use prost::Message as _;
use stentor_directory::{Changed, ChangedKeys, View};
use stentor_ids::{Code, Fault, RoomId};
use stentor_proto::{
    status_of,
    v1::{Lifecycle, Room},
};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep, timeout_at},
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use crate::{
    Cluster,
    places::Places,
    rooms::Rooms,
    search::{Version, version},
};

/// Least time between two walks: many changes at once are one walk.
const PAUSE: Duration = Duration::from_millis(50);
/// How often owners are asked for what no record says: levels, counts, hands, the slot.
const SAMPLE_EVERY: Duration = Duration::from_secs(1);
/// Rooms that are asked for then. Where more run, each has its turn later.
const SAMPLE: usize = 50;
/// Rooms that are asked for before the client has taken the one before.
const AHEAD: usize = 8;

pub(crate) type Statuses = ReceiverStream<Result<Room, Status>>;

#[derive(Clone)]
pub(crate) struct Watches {
    cluster: Cluster,
    rooms: Rooms,
    places: Places,
}

impl Watches {
    pub(crate) const fn new(cluster: Cluster, rooms: Rooms, places: Places) -> Self {
        Self { cluster, rooms, places }
    }

    /// Watches one room until it ends, or every room.
    pub(crate) async fn watch(&self, room: Option<RoomId>) -> Result<Statuses, Fault> {
        let place = self.places.take()?;
        match &room {
            Some(room) => drop(self.rooms.get(room).await?),
            None => drop(self.cluster.listed()?),
        }
        // One status waits at most: whatever else changes is told as it is when that one has been taken.
        let (told, statuses) = mpsc::channel(1);
        let mut watch = Watch {
            watches: self.clone(),
            room,
            told: told.clone(),
            known: BTreeMap::new(),
            again: BTreeSet::new(),
            sampled: None,
        };
        tokio::spawn(place.keep(told, async move { watch.tell_all().await }));
        Ok(ReceiverStream::new(statuses))
    }
}

/// What a client knows of a room.
struct Known {
    version: Version,
    /// Of the last status that it was told.
    digest: Option<u64>,
}

struct Watch {
    watches: Watches,
    room: Option<RoomId>,
    told: mpsc::Sender<Result<Room, Status>>,
    known: BTreeMap<RoomId, Known>,
    /// Rooms that could not be told.
    again: BTreeSet<RoomId>,
    /// The last room whose owner had its turn.
    sampled: Option<RoomId>,
}

impl Watch {
    async fn tell_all(&mut self) {
        let mut view = self.watches.cluster.view().reader();
        let mut sample_at = Instant::now() + SAMPLE_EVERY;
        let (mut now, mut changed) = view.next().await;
        loop {
            let mut due = self.changed(&now, &changed);
            if Instant::now() >= sample_at {
                sample_at = Instant::now() + SAMPLE_EVERY;
                due.extend(self.sample(&now));
            }
            if self.is_gone(&now) {
                let fault = Fault::new(Code::UnknownRoom, "the room is no more");
                let _ = self.told.send(Err(status_of(&fault))).await;
                return;
            }
            drop(now);
            let rooms = self.watches.rooms.clone();
            let mut statuses = stream::iter(due).map(|room| get(rooms.clone(), room)).buffered(AHEAD);
            while let Some((room, status)) = statuses.next().await {
                if self.tell(room, status).await.is_break() {
                    return;
                }
            }
            sleep(PAUSE).await;
            (now, changed) = match timeout_at(sample_at, view.next()).await {
                Ok(next) => next,
                Err(_) => {
                    let now = self.watches.cluster.view().snapshot();
                    (now, Changed::Keys(ChangedKeys::default()))
                }
            };
        }
    }

    /// Rooms whose record or owner is not as it was told last.
    fn changed(&mut self, view: &View, changed: &Changed) -> Vec<RoomId> {
        let mut due = std::mem::take(&mut self.again);
        match (&self.room, changed) {
            (Some(room), _) => drop(due.insert(room.clone())),
            // Whether a room's owner is there is a part of how the room is.
            (None, Changed::Keys(keys)) if keys.nodes.is_empty() => {
                due.extend(keys.rooms().into_iter().cloned())
            }
            (None, _) => {
                self.known.retain(|room, _| view.rooms.contains_key(room));
                due.extend(view.rooms.keys().cloned());
            }
        }
        due.retain(|room| self.is_news(view, room));
        due.into_iter().collect()
    }

    fn is_news(&mut self, view: &View, room: &RoomId) -> bool {
        let version = version(view, room);
        if version.is_none() {
            self.known.remove(room);
            return false;
        }
        match self.known.entry(room.clone()) {
            Entry::Occupied(known) if known.get().version == version => return false,
            Entry::Occupied(mut known) => known.get_mut().version = version,
            Entry::Vacant(place) => drop(place.insert(Known { version, digest: None })),
        }
        true
    }

    /// Owned rooms whose turn it is, by name, round and round.
    fn sample(&mut self, view: &View) -> Vec<RoomId> {
        let owned = |room: &&RoomId| view.owner(room).is_some();
        if let Some(room) = &self.room {
            return [room].into_iter().filter(owned).cloned().collect();
        }
        let after = self.sampled.take();
        let turn = view.rooms.after(after.as_ref()).map(|(room, _)| room);
        let turn: Vec<RoomId> = turn.filter(owned).take(SAMPLE).cloned().collect();
        self.sampled = turn.last().filter(|_| turn.len() == SAMPLE).cloned();
        turn
    }

    /// Whether the one room that is watched was deleted.
    fn is_gone(&self, view: &View) -> bool {
        view.current && self.room.as_ref().is_some_and(|room| !view.rooms.contains_key(room))
    }

    /// Tells the client of a room, unless it knows. Breaks off when there is nobody or nothing more to tell.
    async fn tell(&mut self, room: RoomId, status: Result<Room, Fault>) -> ControlFlow<()> {
        let Ok(status) = status else {
            // It is asked for again at the next walk.
            self.known.remove(&room);
            self.again.insert(room);
            return ControlFlow::Continue(());
        };
        let digest = digest(&status);
        if let Some(known) = self.known.get_mut(&room)
            && known.digest.replace(digest) == Some(digest)
        {
            return ControlFlow::Continue(());
        }
        let over = self.room.is_some() && status.lifecycle() == Lifecycle::Ended;
        if self.told.send(Ok(status)).await.is_err() || over {
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    }
}

async fn get(rooms: Rooms, room: RoomId) -> (RoomId, Result<Room, Fault>) {
    let status = rooms.get(&room).await;
    (room, status)
}

/// Equal for equal statuses; a watch of thousands of rooms keeps this of each and not the status.
fn digest(status: &Room) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(&status.encode_to_vec());
    hasher.finish()
}
