//! When each parent of one room last brought a slot: what is asked before the room is taken from its owner.

use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;
use stentor_ids::NodeId;
use stentor_pace::Time;
use stentor_relay::MAX_CANDIDATES;

/// The last slot of each parent, whether it is one still or not. At most [`MAX_CANDIDATES`] nodes; beyond it the one that
/// was heard longest ago goes. Clones share it.
#[derive(Clone, Default)]
pub(super) struct Heard(Arc<Mutex<Vec<(NodeId, Time)>>>);

impl Heard {
    /// A slot came from this node.
    pub(super) fn note(&self, now: Time, node: &NodeId) {
        let mut heard = self.0.lock();
        if let Some((_, at)) = heard.iter_mut().find(|(known, _)| known == node) {
            *at = now;
            return;
        }
        if heard.len() >= MAX_CANDIDATES {
            heard.sort_unstable_by_key(|(_, at)| std::cmp::Reverse(*at));
            heard.truncate(MAX_CANDIDATES - 1);
        }
        heard.push((node.clone(), now));
    }

    /// How long ago the last slot came from this node.
    pub(super) fn ago(&self, now: Time, node: &NodeId) -> Option<Duration> {
        let heard = self.0.lock();
        heard.iter().find(|(known, _)| known == node).map(|(_, at)| now.since(*at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_slot_of_each_node_is_known_and_the_oldest_goes() {
        let (heard, node) = (Heard::default(), |n: usize| NodeId::new(format!("n{n}")).unwrap());
        for n in 0..=MAX_CANDIDATES {
            heard.note(Time::from_millis(10 + n as u64), &node(n));
        }
        let now = Time::from_millis(100);
        heard.note(Time::from_millis(90), &node(1));
        assert_eq!(heard.ago(now, &node(0)), None);
        assert_eq!(heard.ago(now, &node(1)), Some(Duration::from_millis(10)));
        assert_eq!(heard.0.lock().len(), MAX_CANDIDATES);
    }
}
