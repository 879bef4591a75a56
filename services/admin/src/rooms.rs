//! Who is to be told what about a room. A room that nobody needs to own is a record, and its own rules change it; an open
//! or live room is its owner's, and the owner is asked.
//!
//! Either may change hands between the look and the call; then it is looked up and asked again. An act whose answer was
//! lost may have been done; a repetition that finds it done counts as done.

use std::time::Duration;

use futures::{StreamExt, stream};
use stentor_directory::{Error as DirectoryError, NodeRole, Revision, Room as Stored, View};
use stentor_ids::{Code, Fault, NodeId, RoomId};
use stentor_link::Owner;
use stentor_proto::{
    told::to_operators,
    v1::{self, command_request::Command as Wire},
};
use stentor_room::{Actor, Command, Record, Refusal, Room, Spec};
use tokio::time::{Instant, timeout, timeout_at};

use crate::{Cluster, act::Act, search::Search};

/// How long a room's owner has to tell the room; then its record has to do.
const TELL: Duration = Duration::from_secs(1);
/// How long an answer is held back so that it can name the first owner. A claim takes some hundred milliseconds for each
/// origin that is asked in vain.
const OWNER: Duration = Duration::from_secs(5);
/// How long this node's view may trail behind what was just written.
const VIEW: Duration = Duration::from_secs(2);
/// How long the owners of a page of rooms are asked for what only they know; then the records have to do.
const PAGE: Duration = Duration::from_secs(2);
/// Owners that are asked at the same time for one page.
const PAGE_CALLS: usize = 16;
/// How soon to come back when a room has no owner.
const OWNER_RETRY: Duration = Duration::from_secs(1);

#[derive(Clone)]
pub(crate) struct Rooms {
    cluster: Cluster,
}

/// Where a room is to be found.
enum Place {
    /// With its owner.
    Owner(Owner),
    /// In its record alone.
    Record(Box<Record>, Revision),
    /// Between owners: it should have one.
    Between(Box<Record>, Revision),
    /// With an owner that is no member of the cluster, until its key goes.
    Gone,
}

impl Rooms {
    pub(crate) const fn new(cluster: Cluster) -> Self {
        Self { cluster }
    }

    pub(crate) async fn create(&self, room: &RoomId, spec: Spec, open: bool) -> Result<v1::Room, Fault> {
        let record =
            Record::new(spec).map_err(|error| Fault::new(Code::InvalidArgument, error.to_string()))?;
        // Nodes that still know of a former room of this name tell the two apart by it.
        let record = record.incarnated(rand::random_range(1..=u64::MAX));
        let record = if open { applied(room, record, Command::Open)? } else { record };
        let revision = self.cluster.directory.create(room, record.encode()).await?;
        self.seen(revision).await;
        if open { self.get_with_owner(room).await } else { self.recorded(room).await }
    }

    /// The room as its owner tells it; as its record does, with slot 0, if there is none that answers.
    pub(crate) async fn get(&self, room: &RoomId) -> Result<v1::Room, Fault> {
        if let Some(owner) = self.cluster.topology.owner(room) {
            let get = Wire::Get(v1::Empty {});
            let told = timeout(TELL, self.ask(&owner, room, get)).await;
            if let Ok(Ok(v1::CommandReply { room: Some(status), .. })) = told {
                return Ok(to_operators(&status));
            }
        }
        self.recorded(room).await
    }

    /// A page of rooms by name, and after which the next one begins if there is one.
    pub(crate) async fn list(
        &self,
        size: usize,
        after: Option<RoomId>,
    ) -> Result<(Vec<v1::Room>, Option<RoomId>), Fault> {
        let view = self.cluster.listed()?;
        let mut names = view.rooms.after(after.as_ref()).map(|(name, _)| name.clone());
        let page: Vec<RoomId> = names.by_ref().take(size).collect();
        let next = page.last().filter(|_| names.next().is_some()).cloned();
        let deadline = Instant::now() + PAGE;
        let told = stream::iter(page).map(|room| async move {
            match timeout_at(deadline, self.get(&room)).await {
                Ok(status) => status.ok(),
                Err(_) => self.at_hand(&room),
            }
        });
        // A room that was deleted meanwhile is left out.
        let rooms = told.buffered(PAGE_CALLS).filter_map(std::future::ready).collect().await;
        Ok((rooms, next))
    }

    /// Opens the doors. The answer names the owner if one comes within five seconds; if none does, the doors are open all
    /// the same and whoever claims the room later finds them so.
    pub(crate) async fn open(&self, room: &RoomId) -> Result<v1::Room, Fault> {
        self.act(room, &Act::Open).await?;
        self.get_with_owner(room).await
    }

    /// Does something to a room, wherever it is.
    pub(crate) async fn act(&self, room: &RoomId, act: &Act) -> Result<v1::Room, Fault> {
        let mut search = Search::new(room, self.cluster.view());
        let mut doubt = false;
        loop {
            let outcome = match self.find(room).await? {
                Place::Owner(owner) => self
                    .ask(&owner, room, act.wire(room))
                    .await
                    .map(|reply| reply.room.as_ref().map(to_operators)),
                Place::Record(record, revision) => self.write(room, *record, revision, act).await,
                // The last resort of an operator: a room that no origin takes can still be ended.
                Place::Between(record, revision) if *act == Act::End && self.is_forsaken(&search) => {
                    self.write(room, *record, revision, act).await
                }
                // Nobody has to wait for what any owner would refuse.
                Place::Between(record, _) => {
                    applied(room, *record, act.command()).and_then(|_| Err(no_owner(room)))
                }
                Place::Gone => Err(no_owner(room)),
            };
            match outcome {
                Ok(Some(status)) => return Ok(status),
                Ok(None) => return self.get(room).await,
                Err(fault) if doubt && matches!(fault.code, Code::WrongState | Code::RoomEnded) => {
                    let status = self.get(room).await?;
                    return if act.is_done_in(status.lifecycle()) { Ok(status) } else { Err(fault) };
                }
                Err(fault) => {
                    // An owner that says no has done nothing; one that says nothing may have.
                    doubt |= fault.code == Code::NodeUnavailable;
                    search.again(fault).await?;
                }
            }
        }
    }

    /// Forgets a room that nobody may be in.
    pub(crate) async fn delete(&self, room: &RoomId) -> Result<(), Fault> {
        let mut search = Search::new(room, self.cluster.view());
        loop {
            let stored = self.stored(room).await?;
            let record = readable(room, &stored)?;
            if record.lifecycle().has_owner() {
                let detail = format!("room {room} is {}; end it first, then delete it", record.lifecycle());
                return Err(Fault::new(Code::WrongState, detail));
            }
            match self.cluster.directory.delete(room, stored.revision).await {
                Ok(()) => {
                    let gone = |view: &View| !view.rooms.contains_key(room);
                    let _ = timeout(VIEW, self.cluster.view().wait_for(gone)).await;
                    return Ok(());
                }
                // An owner that lets go of a room that has just ended, or somebody who was faster.
                Err(error) => search.again(overtaken(error)).await?,
            }
        }
    }

    /// Raised hands, as the owner knows them; `None` if there is no owner that answers.
    pub(crate) async fn hands(&self, room: &RoomId) -> Option<v1::Hands> {
        let owner = self.cluster.topology.owner(room)?;
        let list = Wire::ListHands(v1::Empty {});
        let told = timeout(TELL, self.ask(&owner, room, list)).await.ok()?.ok()?;
        Some(v1::Hands { hands: told.hands })
    }

    /// Has the owner transfer the room to another origin: the named one, or the best by placement.
    pub(crate) async fn transfer(&self, room: &RoomId, to: Option<&NodeId>) -> Result<v1::Room, Fault> {
        let mut search = Search::new(room, self.cluster.view());
        let mut first: Option<NodeId> = None;
        loop {
            let owner = match self.find(room).await? {
                Place::Owner(owner) => owner,
                Place::Record(record, _) => return Err(not_running(room, &record)),
                Place::Between(..) | Place::Gone => {
                    search.again(no_owner(room)).await?;
                    continue;
                }
            };
            let left = first.as_ref().is_some_and(|first| *first != owner.node);
            if left && to.is_none_or(|to| *to == owner.node) {
                // An earlier try, whose answer was lost, has done it.
                return self.get(room).await;
            }
            if to == Some(&owner.node) {
                let detail = format!("room {room} is at {} already; name another origin", owner.node);
                return Err(Fault::new(Code::WrongState, detail));
            }
            match self.cluster.control.hand_off(&owner.link_addr, room, to).await {
                Ok(taken) => {
                    let owns =
                        |view: &View| view.owner(room).is_some_and(|owner| owner.epoch.0 >= taken.epoch);
                    let _ = timeout(VIEW, self.cluster.view().wait_for(owns)).await;
                    return self.get(room).await;
                }
                Err(fault) => search.again(fault).await?,
            }
            first.get_or_insert(owner.node);
        }
    }

    /// Whether no origin is going to take the room that is searched.
    fn is_forsaken(&self, search: &Search<'_>) -> bool {
        search.age() > OWNER || !has_origin(&self.cluster.view().snapshot())
    }

    async fn find(&self, room: &RoomId) -> Result<Place, Fault> {
        if let Some(owner) = self.cluster.topology.owner(room) {
            return Ok(Place::Owner(owner));
        }
        let stored = self.stored(room).await?;
        if let Some(owner) = stored.owner {
            // The view trails behind, or the owner has left the membership a moment ago.
            let view = self.cluster.view().snapshot();
            let Some(node) = view.nodes.get(&owner.node) else { return Ok(Place::Gone) };
            let (link_addr, epoch) = (node.link_addr.clone(), owner.epoch);
            return Ok(Place::Owner(Owner {
                node: owner.node,
                link_addr,
                epoch,
                from_slot: owner.from_slot,
            }));
        }
        let record = readable(room, &stored)?;
        let place = if record.lifecycle().has_owner() { Place::Between } else { Place::Record };
        Ok(place(Box::new(record), stored.revision))
    }

    async fn stored(&self, room: &RoomId) -> Result<Stored, Fault> {
        let stored = self.cluster.directory.get(room).await?;
        stored.ok_or_else(|| DirectoryError::UnknownRoom { room: room.clone() }.into())
    }

    /// Changes a record by the room's own rules.
    async fn write(
        &self,
        room: &RoomId,
        record: Record,
        revision: Revision,
        act: &Act,
    ) -> Result<Option<v1::Room>, Fault> {
        let record = applied(room, record, act.command())?;
        match self.cluster.directory.update_unowned(room, revision, record.encode()).await {
            Ok(revision) => {
                self.seen(revision).await;
                self.recorded(room).await.map(Some)
            }
            Err(error) => Err(overtaken(error)),
        }
    }

    async fn ask(&self, owner: &Owner, room: &RoomId, command: Wire) -> Result<v1::CommandReply, Fault> {
        let by = Some(v1::Actor::default());
        let request = v1::CommandRequest { room: room.to_string(), by, command: Some(command) };
        self.cluster.control.command(&owner.link_addr, request).await
    }

    /// The room as its record tells it.
    async fn recorded(&self, room: &RoomId) -> Result<v1::Room, Fault> {
        if let Some(status) = self.at_hand(room) {
            return Ok(status);
        }
        self.seen(self.stored(room).await?.revision).await;
        self.at_hand(room).ok_or_else(|| {
            let detail =
                format!("room {room} is in the directory, and this node does not see it yet; ask again");
            Fault::new(Code::DirectoryUnavailable, detail).retry_after(OWNER_RETRY)
        })
    }

    /// The room as the view has its record and who holds its offices.
    fn at_hand(&self, room: &RoomId) -> Option<v1::Room> {
        let mut status = self.cluster.topology.status(room)?;
        let mirror = self.cluster.topology.mirror(room);
        status.mirror = mirror.map(|mirror| mirror.node.to_string()).unwrap_or_default();
        Some(to_operators(&status))
    }

    /// The room with its owner named, if one comes in time; where no origin can come, nobody waits.
    async fn get_with_owner(&self, room: &RoomId) -> Result<v1::Room, Fault> {
        let settled = |view: &View| view.owner(room).is_some() || !has_origin(view);
        let _ = timeout(OWNER, self.cluster.view().wait_for(settled)).await;
        self.get(room).await
    }

    /// Waits until the view has what was written, or for [`VIEW`]. A directory that went back to an older state meanwhile
    /// makes the wait end early or in vain, and does no harm: this is only so that an answer shows what it has done.
    async fn seen(&self, revision: Revision) {
        let seen = |view: &View| view.revision >= revision;
        let _ = timeout(VIEW, self.cluster.view().wait_for(seen)).await;
    }
}

fn has_origin(view: &View) -> bool {
    view.nodes.values().any(|node| node.roles.has(NodeRole::Origin) && !node.labels.draining)
}

fn readable(room: &RoomId, stored: &Stored) -> Result<Record, Fault> {
    Record::decode(&stored.record).map_err(|error| {
        Fault::new(Code::Internal, format!("room {room} cannot be read from the directory: {error}"))
    })
}

/// Why a record was not written. Where somebody was faster, the room is to be looked up again.
fn overtaken(error: DirectoryError) -> Fault {
    match error {
        DirectoryError::Owned { .. } | DirectoryError::Changed { .. } => {
            Fault::new(Code::NotOwner, error.to_string()).retry_after(OWNER_RETRY)
        }
        error => error.into(),
    }
}

/// A record after an operator's command.
fn applied(room: &RoomId, record: Record, command: Command) -> Result<Record, Fault> {
    let mut changed = Room::new(record);
    match changed.handle(stentor_clock::wall(), &Actor::Operator, command) {
        Ok(_) => Ok(changed.record().clone()),
        // A participant comes back later; an operator can open the doors.
        Err(Refusal::NotOpen { .. }) => {
            let detail = format!("room {room} is scheduled and its doors are closed; open it first");
            Err(Fault::new(Code::WrongState, detail))
        }
        Err(refusal) => Err(refusal.into()),
    }
}

fn no_owner(room: &RoomId) -> Fault {
    let detail = format!(
        "room {room} is open and no origin owns it; one claims it within seconds, if one lives that is not draining"
    );
    Fault::new(Code::NoOwner, detail).retry_after(OWNER_RETRY)
}

fn not_running(room: &RoomId, record: &Record) -> Fault {
    let detail = format!("room {room} is {}; only open and live rooms are at a node", record.lifecycle());
    Fault::new(Code::WrongState, detail)
}
