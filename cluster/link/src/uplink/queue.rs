//! What goes to one origin of a room: what there is to say, then the packets of the speakers that it knows. Pure: it is
//! told the time, and knows neither the connection nor the other origin's queue.
//!
//! A packet goes out once its speaker is attached over the present connection, stamped with its stream. It waits for
//! that no longer than [`PACKET_AGE`]: the oldest are dropped, never accumulated.
//!
//! Invariants: `Bounded`, by [`SPEAKER_PACKETS`] and [`MAX_SAID`]; the packets of a speaker go out in order, each at
//! most once.

use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

use stentor_pace::Time;
use stentor_proto::v1::{self, uplink_request::Message};

/// How old a packet may become in the queue: an origin's jitter buffer would not wait for it any longer.
pub(super) const PACKET_AGE: Duration = Duration::from_millis(200);
/// Packets that one speaker may have waiting: 200 ms of the shortest packets, 10 ms. Beyond it the speaker's oldest
/// goes, so that no speaker pushes out another.
pub(super) const SPEAKER_PACKETS: usize = 20;
/// Speakers of one room at one edge. A stage holds 20 by default; beyond it an attach is refused.
pub(super) const MAX_SPEAKERS: usize = 256;
/// Messages that may wait while the origin takes none. Only detaches can bring it so far, since a speaker has one
/// attach waiting at most; beyond it they are let go, and the speakers are detached with the connection.
const MAX_SAID: usize = 4 * MAX_SPEAKERS;

/// The queue of one way.
#[derive(Default)]
pub(super) struct Queue {
    /// Grows with each connection; a stream of requests of an older one ends.
    connection: u64,
    open: bool,
    said: VecDeque<Said>,
    /// The speakers that are to be attached over this connection, and under which stream they were.
    speakers: HashMap<u64, Option<u64>>,
    packets: VecDeque<Waiting>,
}

struct Said {
    /// The speaker that this attaches, if it does.
    attach: Option<u64>,
    message: Message,
}

struct Waiting {
    since: Time,
    speaker: u64,
    packet: v1::SpeakerPacket,
}

impl Queue {
    /// Begins a connection, by its hello and the speakers to attach, and returns its number. What an earlier one had to
    /// say is forgotten.
    pub(super) fn connect(&mut self, hello: Message, attaches: impl Iterator<Item = (u64, Message)>) -> u64 {
        self.disconnect();
        self.open = true;
        self.said.push_back(Said { attach: None, message: hello });
        attaches.for_each(|(speaker, attach)| self.attach(speaker, attach));
        self.connection
    }

    /// Ends the connection that there is, if there is one. Packets wait for the next.
    pub(super) fn disconnect(&mut self) {
        self.connection += 1;
        self.open = false;
        self.said.clear();
        self.speakers.clear();
    }

    /// Whether this is the connection that there is.
    pub(super) const fn is(&self, connection: u64) -> bool {
        self.connection == connection
    }

    /// Asks to attach a speaker. The next connection begins with what is asked for then, so without one there is
    /// nothing to do.
    pub(super) fn attach(&mut self, speaker: u64, attach: Message) {
        if self.open {
            self.unsay(speaker);
            self.said.push_back(Said { attach: Some(speaker), message: attach });
            self.speakers.entry(speaker).or_default();
        }
    }

    /// Detaches a speaker.
    pub(super) fn detach(&mut self, speaker: u64, detach: Message) {
        let asked = self.speakers.contains_key(&speaker);
        let given = self.stream(speaker).is_some();
        let unsaid = self.unsay(speaker);
        self.forget(speaker);
        if asked && (given || !unsaid) {
            self.say_detach(detach);
        }
    }

    /// Detaches a speaker that is none of ours any more.
    pub(super) fn say_detach(&mut self, message: Message) {
        if self.open && self.said.len() < MAX_SAID {
            self.said.push_back(Said { attach: None, message });
        }
    }

    /// The origin knows the speaker: its packets go out, under this stream.
    pub(super) fn attached(&mut self, speaker: u64, stream: u64) {
        if self.open {
            self.speakers.insert(speaker, Some(stream));
        }
    }

    /// The stream under which the origin knows the speaker.
    pub(super) fn stream(&self, speaker: u64) -> Option<u64> {
        self.speakers.get(&speaker).copied().flatten()
    }

    /// Whether it was asked to attach the speaker, which has not been refused since.
    pub(super) fn is_asked(&self, speaker: u64) -> bool {
        self.speakers.contains_key(&speaker)
    }

    /// The speaker is no more, or was refused: its packets go nowhere.
    pub(super) fn forget(&mut self, speaker: u64) {
        self.unsay(speaker);
        self.speakers.remove(&speaker);
        self.packets.retain(|waiting| waiting.speaker != speaker);
    }

    /// Puts a packet in, and returns how many are dropped for it.
    pub(super) fn push(&mut self, now: Time, speaker: u64, packet: v1::SpeakerPacket) -> u64 {
        let mut dropped = self.drop_old(now);
        let of_speaker = |waiting: &&Waiting| waiting.speaker == speaker;
        if self.packets.iter().filter(of_speaker).count() >= SPEAKER_PACKETS
            && let Some(oldest) = self.packets.iter().position(|waiting| waiting.speaker == speaker)
        {
            self.packets.remove(oldest);
            dropped += 1;
        }
        self.packets.push_back(Waiting { since: now, speaker, packet });
        dropped
    }

    /// Drops packets that waited too long, and says how many.
    pub(super) fn drop_old(&mut self, now: Time) -> u64 {
        let old = self.packets.iter().take_while(|waiting| now.since(waiting.since) > PACKET_AGE).count();
        self.packets.drain(..old);
        old as u64
    }

    /// What goes out next.
    pub(super) fn next(&mut self) -> Option<Message> {
        if let Some(said) = self.said.pop_front() {
            return Some(said.message);
        }
        let ready = self.packets.iter().position(|waiting| self.stream(waiting.speaker).is_some())?;
        let Waiting { speaker, mut packet, .. } = self.packets.remove(ready)?;
        packet.stream = self.stream(speaker)?;
        Some(Message::Packet(packet))
    }

    /// Takes back a speaker's attach that has not gone out.
    fn unsay(&mut self, speaker: u64) -> bool {
        let before = self.said.len();
        self.said.retain(|said| said.attach != Some(speaker));
        self.said.len() < before
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use stentor_pace::check;

    use super::*;

    fn hello() -> Message {
        Message::Hello(v1::UplinkHello::default())
    }

    fn attach(stream: u64) -> Message {
        Message::Attach(v1::SpeakerAttach { stream, ..Default::default() })
    }

    fn detach(stream: u64) -> Message {
        Message::Detach(v1::SpeakerDetach { stream, ..Default::default() })
    }

    fn packet(seq: u64) -> v1::SpeakerPacket {
        v1::SpeakerPacket { seq, ..Default::default() }
    }

    /// All that goes out now, as text.
    fn out(queue: &mut Queue) -> String {
        let told = std::iter::from_fn(|| queue.next()).map(|message| match message {
            Message::Hello(_) => "hello".into(),
            Message::Attach(attach) => format!("attach {}", attach.stream),
            Message::Detach(detach) => format!("detach {}", detach.stream),
            Message::Packet(packet) => format!("{}/{}", packet.stream, packet.seq),
        });
        told.collect::<Vec<String>>().join(", ")
    }

    const NOW: Time = Time::from_millis(1000);

    #[test]
    fn packets_wait_until_their_speaker_is_attached_and_go_out_under_its_stream() {
        let mut queue = Queue::default();
        queue.push(NOW, 1, packet(1));
        queue.connect(hello(), [(1, attach(7))].into_iter());
        queue.push(NOW, 1, packet(2));
        assert_eq!(out(&mut queue), "hello, attach 7");
        queue.attached(1, 7);
        assert_eq!(out(&mut queue), "7/1, 7/2");
        queue.disconnect();
        queue.push(NOW, 1, packet(3));
        assert_eq!(out(&mut queue), "");
        queue.connect(hello(), [(1, attach(7))].into_iter());
        queue.attached(1, 8);
        assert_eq!(out(&mut queue), "hello, attach 7, 8/3");
    }

    #[test]
    fn a_speaker_that_went_before_it_was_attached_is_not_attached() {
        let mut queue = Queue::default();
        queue.connect(hello(), std::iter::empty());
        queue.attach(1, attach(0));
        queue.detach(1, detach(0));
        queue.attach(2, attach(0));
        assert_eq!(out(&mut queue), "hello, attach 0");
        queue.attached(2, 5);
        queue.attach(2, attach(6));
        queue.detach(2, detach(6));
        queue.detach(2, detach(6));
        assert_eq!(out(&mut queue), "detach 6");
    }

    #[derive(Debug, Clone)]
    enum Step {
        Connect,
        Disconnect,
        Attach(u64),
        Attached(u64),
        Refused(u64),
        Detach(u64),
        Push(u64),
        Take(u8),
        Pass(u64),
    }

    fn step() -> impl Strategy<Value = Step> {
        let speaker = 0_u64..4;
        prop_oneof![
            1 => Just(Step::Connect),
            1 => Just(Step::Disconnect),
            2 => speaker.clone().prop_map(Step::Attach),
            3 => speaker.clone().prop_map(Step::Attached),
            1 => speaker.clone().prop_map(Step::Refused),
            1 => speaker.clone().prop_map(Step::Detach),
            20 => speaker.prop_map(Step::Push),
            10 => (0_u8..8).prop_map(Step::Take),
            10 => (0_u64..60).prop_map(Step::Pass),
        ]
    }

    proptest! {
        /// Whatever the origin does: bounds hold, and what goes out is young, in order, and of speakers that it knows.
        #[test]
        fn a_queue_is_bounded_young_and_in_order(steps in prop::collection::vec(step(), 0..300)) {
            let mut queue = Queue::default();
            let (mut now, mut seq, mut open) = (NOW, 0_u64, false);
            let mut known: HashMap<u64, u64> = HashMap::new();
            let (mut pushed, mut last): (HashMap<u64, (u64, Time)>, HashMap<u64, u64>) = Default::default();
            for step in steps {
                match step {
                    Step::Connect => {
                        queue.connect(hello(), std::iter::empty());
                        (open, known) = (true, HashMap::new());
                    }
                    Step::Disconnect => {
                        queue.disconnect();
                        (open, known) = (false, HashMap::new());
                    }
                    Step::Attach(speaker) => queue.attach(speaker, attach(speaker)),
                    Step::Attached(speaker) => {
                        queue.attached(speaker, 100 + speaker);
                        if open {
                            known.insert(speaker, 100 + speaker);
                        }
                    }
                    Step::Refused(speaker) => {
                        queue.forget(speaker);
                        known.remove(&speaker);
                    }
                    Step::Detach(speaker) => {
                        queue.detach(speaker, detach(speaker));
                        known.remove(&speaker);
                    }
                    Step::Push(speaker) => {
                        seq += 1;
                        pushed.insert(seq, (speaker, now));
                        queue.push(now, speaker, packet(seq));
                    }
                    Step::Take(count) => {
                        queue.drop_old(now);
                        for _ in 0..count {
                            let Some(Message::Packet(packet)) = queue.next() else { continue };
                            let (speaker, since) = pushed[&packet.seq];
                            prop_assert!(now.since(since) <= PACKET_AGE);
                            prop_assert_eq!(known.get(&speaker), Some(&packet.stream));
                            prop_assert!(last.insert(speaker, packet.seq).is_none_or(|last| last < packet.seq));
                        }
                    }
                    Step::Pass(ms) => now = now + Duration::from_millis(ms),
                }
                prop_assert_eq!(check::bounded("said", queue.said.len(), MAX_SAID + 4), Ok(()));
                prop_assert_eq!(check::bounded("packets", queue.packets.len(), 4 * SPEAKER_PACKETS), Ok(()));
            }
        }
    }
}
