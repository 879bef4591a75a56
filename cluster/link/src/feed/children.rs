//! Who takes a room from a feed, what they said they had seen, and how many listen below them or are stuck. All of it goes
//! with the child.
//!
//! A child is a stream and not a name: two nodes that call themselves the same count as two, and that is told. One that comes
//! again before its old stream has ended counts twice until that is stale, which is some seconds at most.

use std::time::Duration;

use stentor_ids::{Lineage, NodeId};
use stentor_proto::v1;
use stentor_relay::{Count, Stuck, can_be_lineage};

use super::{
    Feed,
    kid::{Kid, Reported},
};

/// Reports of an older stream, while a newer one of the same name reports as well, that make it two nodes: three seconds of
/// them. One may be on its way while a node comes again.
const TWO: u32 = 3;

/// What became of a child's count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Taken {
    /// It is in the sum.
    Yes,
    /// It is, and so is that of another node of the same name.
    Twice,
    /// It cannot be true.
    CannotBe,
}

/// A child's place at a feed. Dropping it takes all that the child said along.
pub(crate) struct Child {
    feed: Feed,
    number: u64,
}

impl Feed {
    /// A child's stream begins. `None` if there are too many.
    pub(crate) fn child(&self, node: NodeId, reported: Reported) -> Option<Child> {
        let mut state = self.0.state.lock();
        let number = state.last_child + 1;
        if !state.counts.join(number) {
            return None;
        }
        state.last_child = number;
        state.children.insert(number, Kid { node, reported, counts: false, beside: 0 });
        drop(state);
        // The owner may be waiting for what children report.
        self.wake();
        Some(Child { feed: self.clone(), number })
    }
}

impl Child {
    /// The child reported the sum below it, and who is stuck there. A second node of its name is told once.
    pub(crate) fn report(&self, report: &v1::CountReport) -> Taken {
        let count = report.count.as_ref().map(count_from_wire).unwrap_or_default();
        let stuck = Stuck::on(Lineage(report.lineage), Duration::from_millis(report.stuck_ms.into()));
        let mut state = self.feed.0.state.lock();
        let epoch = state.ring.epoch().max(state.told_epoch());
        if !count.can_be() || stuck.is_some_and(|stuck| !can_be_lineage(epoch, stuck.lineage)) {
            return Taken::CannotBe;
        }
        state.counts.report(stentor_clock::now(), self.number, count, stuck);
        let Some(own) = state.children.get_mut(&self.number) else { return Taken::Yes };
        own.counts = true;
        let node = own.node.clone();
        let newer = state.children.range(self.number + 1..).any(|(_, kid)| kid.node == node && kid.counts);
        let Some(own) = state.children.get_mut(&self.number).filter(|_| newer) else { return Taken::Yes };
        own.beside = own.beside.saturating_add(1);
        if own.beside == TWO { Taken::Twice } else { Taken::Yes }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let mut state = self.feed.0.state.lock();
        state.children.remove(&self.number);
        state.counts.leave(self.number);
    }
}

fn count_from_wire(count: &v1::ListenerCount) -> Count {
    Count {
        listeners: count.listeners,
        age: Duration::from_millis(count.age_ms.into()),
        reporting: count.edges_reporting,
        known: count.edges_known,
        filled: count.slots_filled,
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use stentor_ids::{Epoch, RoomId, Slot};
    use stentor_pace::WallTime;
    use stentor_relay::Frame;

    use super::*;
    use crate::FeedWriter;

    fn count(listeners: u64) -> v1::CountReport {
        let count = v1::ListenerCount { listeners, edges_reporting: 1, edges_known: 1, ..Default::default() };
        v1::CountReport { count: Some(count), ..Default::default() }
    }

    fn stuck(lineage: Lineage, stuck_ms: u32) -> v1::CountReport {
        v1::CountReport { lineage: lineage.0, stuck_ms, ..count(1) }
    }

    fn at(epoch: u64) -> Reported {
        Reported { slot: Slot(epoch), epoch: Epoch(epoch), lineage: Lineage(epoch) }
    }

    #[test]
    fn what_a_child_said_goes_with_it() {
        let (feed, node) = (FeedWriter::new(RoomId::new("demo").unwrap()), NodeId::new("edge-1").unwrap());
        assert_eq!(feed.reported(), None);
        let high = feed.child(node.clone(), at(9)).unwrap();
        let low = feed.child(node, at(4)).unwrap();
        assert_eq!(high.report(&count(5)), Taken::Yes);
        assert_eq!((feed.reported(), feed.counts().listeners), (Some(at(9)), 5));
        drop(high);
        assert_eq!((feed.reported(), feed.counts().listeners), (Some(at(4)), 0));
        drop(low);
        assert_eq!(feed.reported(), None);
    }

    #[test]
    fn two_nodes_of_one_name_count_as_two_and_are_told_once() {
        let (feed, node) = (FeedWriter::new(RoomId::new("demo").unwrap()), NodeId::new("edge-1").unwrap());
        let [one, two] = [(); 2].map(|()| feed.child(node.clone(), Reported::default()).unwrap());
        let told: Vec<_> = (0..9).map(|_| (one.report(&count(3)), two.report(&count(4))).0).collect();
        assert_eq!(feed.counts().listeners, 7);
        assert_eq!(told.iter().filter(|taken| **taken == Taken::Twice).count(), 1, "{told:?}");
    }

    #[test]
    fn a_sum_that_cannot_be_is_not_in_the_sum() {
        let (feed, node) = (FeedWriter::new(RoomId::new("demo").unwrap()), NodeId::new("edge-1").unwrap());
        let child = feed.child(node, Reported::default()).unwrap();
        assert_eq!(child.report(&count(3)), Taken::Yes);
        assert_eq!(child.report(&count(u64::MAX)), Taken::CannotBe);
        assert_eq!(feed.counts().listeners, 3);
    }

    /// A feed that has come to the first slot of epoch 7.
    fn on_air() -> FeedWriter {
        let feed = FeedWriter::new(RoomId::new("demo").unwrap());
        let (epoch, captured) = (Epoch(7), WallTime::default());
        feed.push(Frame { epoch, lineage: Lineage::of(epoch), slot: Slot(0), opus: Bytes::new(), captured });
        feed
    }

    fn child(feed: &Feed, name: &str) -> Child {
        feed.child(NodeId::new(name).unwrap(), Reported::default()).unwrap()
    }

    #[test]
    fn who_is_stuck_is_told_on_and_a_child_of_an_older_build_never_is() {
        let feed = on_air();
        let [new, old] = ["edge-1", "edge-2"].map(|name| child(&feed, name));
        let line = |count| Lineage(Lineage::of(Epoch(7)).0 + count);
        assert_eq!((old.report(&count(1)), feed.stuck()), (Taken::Yes, None));
        for healthy in [stuck(line(1), 999), stuck(Lineage(0), 9_000), count(1)] {
            assert_eq!((new.report(&healthy), feed.stuck()), (Taken::Yes, None), "{healthy:?}");
        }
        new.report(&stuck(line(1), 1_500));
        let told = feed.stuck().unwrap();
        assert_eq!((told.lineage, told.stood), (line(1), Duration::from_millis(1_500)));
        let report = feed.report();
        assert_eq!((report.lineage, report.stuck_ms, report.count.unwrap().listeners), (line(1).0, 1_500, 2));
        new.report(&count(1));
        assert_eq!((feed.stuck(), feed.report().stuck_ms), (None, 0));
    }

    #[test]
    fn a_child_that_is_stuck_where_nobody_can_be_is_not_believed_and_hides_nobody() {
        let feed = on_air();
        let [liar, honest] = ["edge-1", "edge-2"].map(|name| child(&feed, name));
        let line = |count| Lineage(Lineage::of(Epoch(7)).0 + count);
        honest.report(&stuck(line(1), 2_000));
        for lie in [Lineage(u64::MAX), Lineage::of(Epoch(7 + stentor_relay::EPOCHS_AHEAD + 1))] {
            assert_eq!(liar.report(&stuck(lie, u32::MAX)), Taken::CannotBe);
        }
        for lie in [line(1 << 15), line(0xffff), Lineage::of(Epoch(8)), Lineage::of(Epoch(3))] {
            liar.report(&stuck(lie, u32::MAX));
            assert_eq!(feed.stuck().map(|stuck| stuck.lineage), Some(line(1)), "{lie}");
        }
    }
}
