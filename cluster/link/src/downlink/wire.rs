//! Between the wire and what a feed holds. What a peer says is checked here, once.

use std::time::Duration;

use stentor_ids::{Code, Epoch, Fault, Lineage, NodeId, RoomId, SLOTS_PER_SECOND, Slot};
use stentor_pace::WallTime;
use stentor_proto::v1::{self, subscribe_request::Message as Up, subscribe_response::Message as Down};
use stentor_relay::Frame;

use crate::{Feed, Item, Reported, bad_name, bans_to_wire, clock};

/// How far ahead of the wall clock a slot may be: ten minutes, for clocks that were set back. A slot beyond it would put
/// every true one out of the ring for good.
const AHEAD: u64 = 600 * SLOTS_PER_SECOND;

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
        }
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
        };
        Self { message: Some(Up::Hello(hello)) }
    }
}

/// A report of the listeners below a child.
pub(super) fn report(count: v1::ListenerCount) -> v1::SubscribeRequest {
    v1::SubscribeRequest { message: Some(Up::Count(v1::CountReport { count: Some(count) })) }
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
        Item::Event(event) => Down::Event(event),
        Item::Gap { slot, count } => Down::Gap(v1::Gap { slot: slot.0, count, skipped: true }),
        Item::Fence { epoch, from_slot } => Down::Fence(v1::Fence { epoch: epoch.0, from_slot: from_slot.0 }),
        Item::Closed(closed) => return Err(closed),
    };
    Ok(v1::SubscribeResponse { message: Some(message) })
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

/// The highest slot that can be true now for a room in this state.
pub(super) fn ceiling(status: Option<&v1::RoomStatus>) -> Slot {
    let since = status.and_then(|status| u64::try_from(status.live_since_us).ok()).unwrap_or_default();
    if since == 0 {
        return Slot(u64::MAX);
    }
    let live: Duration = clock::wall().since(WallTime::from_micros(since));
    Slot::at(live).plus(AHEAD)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hello_survives_the_wire() {
        let feed = Feed::new(RoomId::new("demo").unwrap());
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
        let fault = Hello::try_from(report(v1::ListenerCount::default())).unwrap_err();
        assert!(fault.detail.contains("hello"), "{fault}");
    }

    #[test]
    fn a_slot_far_ahead_of_the_clock_is_above_the_ceiling() {
        let minute_ago = clock::wall() - Duration::from_secs(60);
        let live_since_us = i64::try_from(minute_ago.as_micros()).unwrap();
        let status = v1::RoomStatus { live_since_us, ..Default::default() };
        let ceiling = ceiling(Some(&status));
        assert!(ceiling >= Slot(3000 + AHEAD) && ceiling < Slot(4000 + AHEAD), "{ceiling}");
        assert_eq!(super::ceiling(None), Slot(u64::MAX));
    }
}
