//! What goes out on each way, whatever happens on the other.

use futures::{FutureExt, StreamExt};
use proptest::prelude::*;
use stentor_ids::Role;
use stentor_proto::role_to_wire;

use super::*;
use crate::uplink::{Speaker, attachment::SessionSide};

fn lane() -> Arc<Lane> {
    Arc::new(Lane::new(Counter::default()))
}

fn arrive(lane: &Lane, id: u64, resume: Option<u64>) -> SessionSide {
    let participant = ParticipantId::new("anna").unwrap();
    let speaker = Speaker { participant, name: "Anna".into(), role: Role::Host, monitor: false };
    let (attachment, side) = Attachment::new(id, speaker, resume);
    assert!(lane.join());
    lane.arrive(attachment);
    side
}

fn given(stream: u64) -> v1::SpeakerAttached {
    let role = role_to_wire(Role::Host).into();
    v1::SpeakerAttached { participant: "anna".into(), stream, role, muted: false }
}

fn connect(lane: &Arc<Lane>, way: Way) -> Outbound {
    lane.connect(way, v1::UplinkHello::default())
}

fn send(lane: &Lane, seq: u64) {
    lane.send(1, v1::SpeakerPacket { seq, ..Default::default() });
}

/// All that goes out now, as text.
fn out(outbound: &mut Outbound) -> String {
    let mut told = Vec::new();
    while let Some(next) = outbound.next().now_or_never() {
        told.push(match next.map(|request| request.message.unwrap()) {
            Some(Message::Hello(_)) => "hello".to_owned(),
            Some(Message::Attach(attach)) => format!("attach {}", attach.stream),
            Some(Message::Detach(detach)) => format!("detach {}", detach.stream),
            Some(Message::Packet(packet)) => format!("{}/{}", packet.stream, packet.seq),
            None => {
                told.push("end".to_owned());
                break;
            }
        });
    }
    told.join(", ")
}

#[test]
fn a_mirror_is_asked_once_the_owner_gave_a_stream_and_again_when_that_rises() {
    let lane = lane();
    let (mut owner, mut mirror) = (connect(&lane, Way::Owner), connect(&lane, Way::Mirror));
    let _side = arrive(&lane, 1, None);
    send(&lane, 1);
    assert_eq!((out(&mut owner), out(&mut mirror)), ("hello, attach 0".into(), "hello".into()));
    lane.attached(Way::Owner, &given(7));
    assert_eq!((out(&mut owner), out(&mut mirror)), ("7/1".into(), "attach 7".into()));
    lane.attached(Way::Mirror, &given(7));
    assert_eq!(out(&mut mirror), "7/1");
    lane.attached(Way::Owner, &given(9));
    send(&lane, 2);
    // Until the mirror knows the new stream, it is told the one that it knows.
    assert_eq!((out(&mut owner), out(&mut mirror)), ("9/2".into(), "attach 9, 7/2".into()));
    lane.attached(Way::Mirror, &given(9));
    send(&lane, 3);
    assert_eq!((out(&mut owner), out(&mut mirror)), ("9/3".into(), "9/3".into()));
    lane.leave(1);
    assert_eq!((out(&mut owner), out(&mut mirror)), ("detach 9".into(), "detach 9".into()));
    lane.attached(Way::Mirror, &given(9));
    assert_eq!(out(&mut mirror), "detach 9", "a speaker that was taken too late is let go");
    lane.disconnect(Way::Mirror);
    assert_eq!(out(&mut mirror), "end");
}

#[test]
fn the_first_origin_to_answer_takes_a_resumed_speaker_and_the_owner_may_refuse_it() {
    let lane = lane();
    let (mut owner, mut mirror) = (connect(&lane, Way::Owner), connect(&lane, Way::Mirror));
    let mut side = arrive(&lane, 1, Some(5));
    assert_eq!((out(&mut owner), out(&mut mirror)), ("hello, attach 5".into(), "hello, attach 5".into()));
    lane.attached(Way::Mirror, &given(5));
    assert_eq!(side.answer.try_recv().unwrap().unwrap().stream, 5);
    assert!(lane.is_mirrored() && !lane.is_whole());
    let refused = v1::SpeakerRefused { participant: "anna".into(), ..Default::default() };
    lane.refused(refused);
    assert!(matches!(side.events.try_recv(), Ok(SpeakerEvent::Lost(_))));
    assert_eq!((out(&mut owner), out(&mut mirror)), (String::new(), "detach 5".into()));
    assert!(lane.is_whole() && !lane.is_mirrored());
}

proptest! {
    /// Whatever happens on one way, and however long nothing is taken there, all goes out at once on the other.
    #[test]
    fn one_way_never_holds_up_the_other(still: bool, steps in prop::collection::vec(0_u8..6, 0..200)) {
        let (open, other) = if still { (Way::Mirror, Way::Owner) } else { (Way::Owner, Way::Mirror) };
        let lane = lane();
        let _side = arrive(&lane, 1, Some(5));
        let mut taken = connect(&lane, open);
        lane.attached(open, &given(5));
        out(&mut taken);
        let mut troubled = None;
        for (step, seq) in steps.into_iter().zip(1..) {
            match step {
                0 => troubled = Some(connect(&lane, other)),
                1 => lane.disconnect(other),
                2 => lane.attached(other, &given(5)),
                3 => lane.refused_by_mirror("nobody"),
                4 => drop(troubled.as_mut().and_then(|outbound| outbound.next().now_or_never())),
                _ => {}
            }
            send(&lane, seq);
            prop_assert_eq!(out(&mut taken), format!("5/{seq}"));
        }
    }
}
