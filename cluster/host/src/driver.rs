//! What `stentor-ownership` is handed and gets back: the directory's keys, as its tenures see them.

use stentor_directory::{self as directory, Owner, Ownership, Revision, View, Written};
use stentor_ids::{Fault, RoomId};
use stentor_ownership::{
    Bid, Driver, Held, Keys, MirrorHeld, MirrorKey, Moment, OwnerHeld, OwnerKey, Reach, Shown, Wants,
};
use stentor_proto::v1;
use stentor_room::Record;

use ractor::RpcReplyPort;

/// The room actor, as the driver of its room's tenure.
pub(crate) struct RoomDriver;

impl Driver for RoomDriver {
    type Right = Ownership;
    type Place = directory::MirrorKey;
    type Record = Record;
    type Asker = RpcReplyPort<Result<v1::TakeOverResponse, Fault>>;
}

/// What this node is to a room.
pub(crate) type Standing = stentor_ownership::Standing<RoomDriver>;

/// An owner key that this node wrote.
pub(crate) fn owned(right: Ownership) -> OwnerHeld<RoomDriver> {
    Held { key: owner_key(right.owner()), written: moment(right.written()), right }
}

/// A mirror key that this node wrote.
pub(crate) fn mirrored(place: directory::MirrorKey) -> MirrorHeld<RoomDriver> {
    Held { key: mirror_key(place.mirror()), written: moment(place.written()), right: place }
}

pub(crate) fn owner_key(owner: &Owner) -> OwnerKey {
    OwnerKey {
        node: owner.node.clone(),
        epoch: owner.epoch,
        from_slot: owner.from_slot,
        revision: owner.revision,
    }
}

pub(crate) fn mirror_key(mirror: &directory::Mirror) -> MirrorKey {
    MirrorKey { node: mirror.node.clone(), revision: mirror.revision }
}

fn bid(bid: &directory::Bid) -> Bid {
    let directory::Bid { node, epoch, listeners, children, revision } = bid.clone();
    Bid { node, epoch, reach: Reach { listeners, children }, revision }
}

/// What a view shows of a room whose record wants this.
pub(crate) fn shown(view: &View, room: &RoomId, wants: Wants) -> Shown {
    let keys = view.rooms.get(room).map(|known| {
        let mirror_at = known.mirror.as_ref().and_then(|mirror| view.nodes.get(&mirror.node));
        Keys {
            owner: known.owner.as_ref().map(owner_key),
            mirror: known.mirror.as_ref().map(mirror_key),
            mirror_at: mirror_at.map(|node| node.link_addr.clone()),
            wants,
            bids: known.bids.iter().map(bid).collect(),
        }
    });
    Shown { at: moment(view.at()), keys }
}

/// Whom a room is to have, as its record says.
pub(crate) const fn wants(record: &Record) -> Wants {
    if record.lifecycle().has_owner() { Wants::Origins } else { Wants::Nobody }
}

/// The revision of a key as a request names it; 0 for none.
pub(crate) fn revision_to_wire(revision: Option<Revision>) -> i64 {
    revision.map_or(0, |revision| i64::try_from(revision.0).unwrap_or(i64::MAX))
}

fn moment(written: Written) -> Moment {
    Moment { history: written.history, revision: written.revision }
}
