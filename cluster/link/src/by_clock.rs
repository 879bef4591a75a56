//! Where a room is by the wall clock.

use stentor_ids::Slot;
use stentor_pace::WallTime;
use stentor_proto::v1;

/// The slot that is under way in a room of this state by the wall clock; `None` where that tells nothing, as it stands before
/// the go-live.
#[must_use]
pub fn slot_by_clock(status: Option<&v1::RoomStatus>) -> Option<Slot> {
    let since = u64::try_from(status?.live_since_us).ok().filter(|since| *since > 0)?;
    let (since, now) = (WallTime::from_micros(since), stentor_clock::wall());
    (now >= since).then(|| Slot::at(now.since(since)))
}
