//! Between the wire and what a feed holds. What a peer says is checked here, once.

use stentor_ids::{Code, Epoch, Fault, Lineage, NodeId, RoomId, Slot};
use stentor_pace::WallTime;
use stentor_proto::v1::{self, subscribe_request::Message as Up, subscribe_response::Message as Down};
use stentor_relay::{CLOCKS, Frame, MOST, can_be_epoch, can_be_lineage};

use crate::{Feed, Item, Reported, bad_name, bans_to_wire, by_clock::slot_by_clock};

/// A child's first message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Hello {
    pub(super) room: RoomId,
    pub(super) node: NodeId,
    pub(super) edge: bool,
    pub(super) seen: Reported,
    /// The first slot that the child lacks; `None` for "from now on".
    pub(super) from: Option<Slot>,
    pub(super) serial: u64,
    /// Which of the rooms of this name the child has seen; 0 if it has seen none.
    pub(super) incarnation: u64,
}

impl Hello {
    /// What a node says about itself and its feed when it subscribes.
    pub(super) fn of(feed: &Feed, node: NodeId, edge: bool) -> Self {
        let highest = feed.highest();
        let (epoch, lineage) = (feed.epoch(), feed.lineage());
        Self {
            room: feed.room().clone(),
            node,
            edge,
            seen: Reported { slot: highest.unwrap_or_default(), epoch, lineage },
            from: highest.map(Slot::next),
            serial: feed.serial(),
            incarnation: feed.incarnation(),
        }
    }

    /// The same of a room of which nothing was seen: what was seen of another one of its name says nothing of this one.
    pub(super) fn anew(self) -> Self {
        Self { seen: Reported::default(), from: None, serial: 0, incarnation: 0, ..self }
    }
}

impl TryFrom<v1::SubscribeRequest> for Hello {
    type Error = Fault;

    fn try_from(request: v1::SubscribeRequest) -> Result<Self, Fault> {
        let Some(Up::Hello(hello)) = request.message else {
            return Err(Fault::new(
                Code::InvalidArgument,
                "the first message of a subscription must be a hello",
            ));
        };
        Ok(Self {
            room: RoomId::new(&hello.room).map_err(bad_name)?,
            node: NodeId::new(&hello.node).map_err(bad_name)?,
            edge: hello.edge,
            seen: Reported {
                slot: Slot(hello.highest_slot),
                epoch: Epoch(hello.highest_epoch),
                lineage: Lineage(hello.highest_lineage),
            },
            from: Some(Slot(hello.from_slot)).filter(|slot| *slot > Slot(0)),
            serial: hello.event_serial,
            incarnation: hello.incarnation,
        })
    }
}

impl From<Hello> for v1::SubscribeRequest {
    fn from(hello: Hello) -> Self {
        let hello = v1::SubscribeHello {
            room: hello.room.to_string(),
            node: hello.node.to_string(),
            highest_slot: hello.seen.slot.0,
            highest_epoch: hello.seen.epoch.0,
            from_slot: hello.from.unwrap_or_default().0,
            edge: hello.edge,
            highest_lineage: hello.seen.lineage.0,
            event_serial: hello.serial,
            incarnation: hello.incarnation,
        };
        Self { message: Some(Up::Hello(hello)) }
    }
}

/// A report of the listeners below a child, and of who is stuck there.
pub(super) fn report(report: v1::CountReport) -> v1::SubscribeRequest {
    v1::SubscribeRequest { message: Some(Up::Count(report)) }
}

/// The message that carries an item; `None` for the end of the feed, which is no message.
pub(super) fn message_of(item: Item) -> Result<v1::SubscribeResponse, crate::Closed> {
    let message = match item {
        Item::Status(status) => Down::Room(status.as_ref().clone()),
        Item::Frame(frame) => Down::Frame(v1::Frame {
            epoch: frame.epoch.0,
            lineage: frame.lineage.0,
            slot: frame.slot.0,
            opus: frame.opus,
            captured_us: frame.captured.as_micros(),
        }),
        Item::Levels(levels) => Down::Levels(levels.as_ref().clone()),
        Item::Bans { words, whole_above } => Down::Bans(bans_to_wire(words, whole_above)),
        Item::Stage(stage) => Down::Stage(stage),
        Item::Event(event) => Down::Event(event),
        Item::Gap { slot, count } => Down::Gap(v1::Gap { slot: slot.0, count, skipped: true }),
        Item::Fence { epoch, from_slot } => Down::Fence(v1::Fence { epoch: epoch.0, from_slot: from_slot.0 }),
        Item::Closed(closed) => return Err(closed),
    };
    Ok(v1::SubscribeResponse { message: Some(message) })
}

/// Whether a child can have seen what it says it has.
///
/// # Errors
/// `InvalidArgument`, with what cannot be.
pub(super) fn believe(hello: &Hello, feed: &Feed) -> Result<(), Fault> {
    let status = feed.status();
    let told = status.as_ref().map_or(Epoch(0), |status| Epoch(status.epoch));
    let (epoch, furthest) = (feed.epoch().max(told), furthest(feed.highest(), status.as_deref()));
    let Hello { node, room, seen, .. } = hello;
    let said = if seen.slot > furthest {
        format!("slot {} of {room}; the room is at most at {furthest}", seen.slot)
    } else if !can_be_epoch(epoch, seen.epoch) {
        format!("epoch {} of {room}; it is at {epoch} here", seen.epoch)
    } else if !can_be_lineage(epoch, seen.lineage) {
        format!("lineage {} of {room}; it is at epoch {epoch} here", seen.lineage)
    } else {
        return Ok(());
    };
    Err(Fault::new(Code::InvalidArgument, format!("{node} says that it has seen {said}")))
}

/// A frame as a parent sent it.
pub(super) fn frame_of(frame: v1::Frame) -> Frame {
    Frame {
        epoch: Epoch(frame.epoch),
        lineage: Lineage(frame.lineage),
        slot: Slot(frame.slot),
        opus: frame.opus,
        captured: WallTime::from_micros(frame.captured_us),
    }
}

/// The highest slot that a child can have seen of a room that has come to `highest` here: where owners change, each counts
/// by its own clock.
fn furthest(highest: Option<Slot>, status: Option<&v1::RoomStatus>) -> Slot {
    slot_by_clock(status).map_or(MOST, |clock| clock.max(highest.unwrap_or_default()).plus(CLOCKS))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_hello_survives_the_wire() {
        let feed = crate::FeedWriter::new(RoomId::new("demo").unwrap());
        let frame = Frame {
            epoch: Epoch(3),
            lineage: Lineage(2),
            slot: Slot(77),
            opus: bytes::Bytes::new(),
            captured: WallTime::default(),
        };
        feed.push(frame);
        let hello = Hello::of(&feed, NodeId::new("relay-1").unwrap(), false);
        assert_eq!((hello.from, hello.seen.epoch), (Some(Slot(78)), Epoch(3)));
        assert_eq!(Hello::try_from(v1::SubscribeRequest::from(hello.clone())), Ok(hello));
    }

    #[test]
    fn a_hello_with_a_bad_name_or_none_at_all_is_refused_by_what_is_wrong() {
        let hello = v1::SubscribeHello { room: "a/b".into(), node: "n".into(), ..Default::default() };
        let bad = v1::SubscribeRequest { message: Some(Up::Hello(hello)) };
        let fault = Hello::try_from(bad).unwrap_err();
        assert_eq!(fault.code, Code::InvalidArgument);
        assert!(fault.detail.contains("\"a/b\""), "{fault}");
        let fault = Hello::try_from(report(v1::CountReport::default())).unwrap_err();
        assert!(fault.detail.contains("hello"), "{fault}");
    }

    #[test]
    fn what_a_child_can_have_seen_is_judged_by_the_room_and_by_the_clock_where_that_tells() {
        let live = |wall: WallTime| {
            let live_since_us = i64::try_from(wall.as_micros()).unwrap();
            v1::RoomStatus { live_since_us, ..Default::default() }
        };
        let minute = Duration::from_secs(60);
        let status = live(stentor_clock::wall() - minute);
        let by_clock = furthest(None, Some(&status)).0 - CLOCKS;
        assert!((3_000..4_000).contains(&by_clock), "{by_clock}");
        assert_eq!(furthest(Some(Slot(9_000_000)), Some(&status)), Slot(9_000_000 + CLOCKS));
        // A clock that stands before the go-live says nothing of how far the room has come.
        assert_eq!(furthest(Some(Slot(5)), Some(&live(stentor_clock::wall() + minute))), MOST);
        assert_eq!(furthest(None, None), MOST);
    }
}
