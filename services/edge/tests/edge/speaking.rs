//! `SpeakService`.

use std::time::Duration;

use bytes::Bytes;
use stentor_ids::{Code, ParticipantId, Role, Slot};
use stentor_kit::{SOON, until};
use stentor_proto::{
    fault_of,
    v1::{
        self, Lifecycle, Visibility, participant_event::What, speak_request, speak_response::Message,
        speak_service_client::SpeakServiceClient,
    },
};
use stentor_telemetry::{Packet as Outcome, Tier};
use tokio::{sync::mpsc, time::timeout};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Status, Streaming};

use super::stage::{Stage, TONE, status};

struct Voice {
    to: mpsc::Sender<v1::SpeakRequest>,
    from: Streaming<v1::SpeakResponse>,
}

fn hello() -> v1::SpeakRequest {
    let hello = v1::SpeakHello { room: "demo".into(), monitor: true, ..Default::default() };
    v1::SpeakRequest { message: Some(speak_request::Message::Hello(hello)) }
}

fn packet(seq: u64, opus: Bytes) -> v1::SpeakRequest {
    v1::SpeakRequest { message: Some(speak_request::Message::Packet(v1::SpeakPacket { seq, opus })) }
}

async fn speak(stage: &Stage, ticket: Option<String>, first: v1::SpeakRequest) -> Result<Voice, Status> {
    let mut client = SpeakServiceClient::connect(format!("http://{}", stage.addr)).await.unwrap();
    let (to, requests) = mpsc::channel(1024);
    to.send(first).await.unwrap();
    let mut request = Request::new(ReceiverStream::new(requests));
    if let Some(ticket) = ticket {
        request.metadata_mut().insert("authorization", format!("Bearer {ticket}").parse().unwrap());
    }
    let from = timeout(SOON, client.speak(request)).await.expect("an answer comes")?.into_inner();
    Ok(Voice { to, from })
}

impl Voice {
    async fn next(&mut self) -> Result<Option<Message>, Status> {
        let message = timeout(SOON, self.from.message()).await.expect("a message comes")?;
        Ok(message.and_then(|response| response.message))
    }

    async fn end(&mut self) -> Code {
        loop {
            match self.next().await {
                Ok(Some(_)) => {}
                Ok(None) => panic!("it ends with a reason"),
                Err(status) => return fault_of(&status).code,
            }
        }
    }
}

async fn on_stage() -> (Stage, Voice) {
    let stage = Stage::new().await;
    stage.origin.keep(status("demo", Lifecycle::Live, Visibility::Public));
    let ticket = stage.ticket("ann", Role::Speaker, SOON);
    let mut ann = speak(&stage, Some(ticket), hello()).await.unwrap();
    let Ok(Some(Message::Welcome(welcome))) = ann.next().await else { panic!("a welcome comes first") };
    assert_eq!((welcome.participant.as_str(), welcome.role()), ("ann", v1::Role::Speaker));
    (stage, ann)
}

#[tokio::test]
async fn a_speaker_is_heard_by_the_owner_and_hears_the_stage() {
    let (stage, mut ann) = on_stage().await;
    for seq in [1, 2, 2, 1, 3] {
        ann.to.send(packet(seq, TONE[0].clone())).await.unwrap();
    }
    until("the owner heard each once", || stage.origin.heard.lock().unwrap().len() == 3).await;
    let heard: Vec<_> = stage.origin.heard.lock().unwrap().iter().map(|one| (one.stream, one.seq)).collect();
    assert_eq!(heard, [(100, 1), (100, 2), (100, 3)]);
    assert!(stage.origin.heard.lock().unwrap()[0].captured.as_micros() > 0);
    let edge = stage.origin.edge.lock().unwrap().clone().unwrap();
    edge.monitor(&ParticipantId::new("ann").unwrap(), Slot(9), Bytes::from_static(b"stage"));
    let muted = |what| v1::ParticipantEvent { participant: "ann".into(), what: Some(what), serial: 0 };
    edge.event(muted(What::Muted(true)));
    assert!(matches!(ann.next().await, Ok(Some(Message::Monitor(frame))) if frame.slot == 9));
    assert!(
        matches!(ann.next().await, Ok(Some(Message::Event(event))) if event.what == Some(What::Muted(true)))
    );
    edge.event(muted(What::Removed("off topic".into())));
    assert_eq!(ann.end().await, Code::RoleForbids);
}

/// Speaks on, a packet each 20 ms, until something holds.
async fn speak_until(what: &str, ann: &Voice, seq: &mut u64, mut holds: impl FnMut() -> bool) {
    let mut pace = tokio::time::interval(Duration::from_millis(20));
    let speaks = async {
        while !holds() {
            pace.tick().await;
            *seq += 1;
            ann.to.send(packet(*seq, TONE[0].clone())).await.unwrap();
        }
    };
    timeout(SOON, speaks).await.unwrap_or_else(|_| panic!("waited in vain until {what}"));
}

#[tokio::test]
async fn packets_of_who_is_known_to_be_muted_or_taken_off_the_stage_do_not_go_up() {
    let stage = Stage::new().await;
    let feed = stage.origin.keep(status("demo", Lifecycle::Live, Visibility::Public));
    let tell = |version, who: &str, muted| {
        let seat = v1::Participant { id: who.into(), muted, ..Default::default() };
        feed.take_stage(&v1::StageState { version, seats: vec![seat], epoch: 1 }).unwrap();
    };
    tell(1, "bob", false);
    let ticket = stage.ticket("ann", Role::Speaker, SOON * 6);
    let ann = speak(&stage, Some(ticket), hello()).await.unwrap();
    let heard = || stage.origin.heard.lock().unwrap().len();
    let kept = stage.metrics.uplink_packets(Tier::Edge, Outcome::Forbidden).clone();
    let mut seq = 0;
    speak_until("the room is taken, as ann speaks", &ann, &mut seq, || feed.cursors() > 0).await;
    speak_until("who has just come is heard", &ann, &mut seq, || heard() > 3).await;

    for (version, who, muted) in [(2, "ann", true), (4, "bob", false)] {
        tell(version, who, muted);
        let before = kept.get();
        speak_until("a packet is kept back", &ann, &mut seq, || kept.get() > before).await;
        // What was sent before has had its time by then.
        speak_until("more are", &ann, &mut seq, || kept.get() > before + 15).await;
        let gone_up = heard();
        speak_until("all are", &ann, &mut seq, || kept.get() > before + 30).await;
        assert_eq!(heard(), gone_up, "version {version}");
        tell(version + 1, "ann", false);
        speak_until("ann is heard again", &ann, &mut seq, || heard() > gone_up + 3).await;
        // Another parent says it late.
        tell(version, who, muted);
        let gone_up = heard();
        speak_until("ann is heard still", &ann, &mut seq, || heard() > gone_up + 3).await;
    }
}

#[tokio::test]
async fn malformed_and_oversize_packets_end_the_connection_with_their_value() {
    for bad in [Bytes::new(), Bytes::from_static(&[0xff; 9]), Bytes::from(vec![0x48; 1501])] {
        let (stage, mut ann) = on_stage().await;
        ann.to.send(packet(1, bad)).await.unwrap();
        assert_eq!(ann.end().await, Code::InvalidPacket);
        assert!(stage.origin.heard.lock().unwrap().is_empty());
    }
}

#[tokio::test]
async fn a_flood_is_let_go_and_then_sent_away() {
    let (stage, mut ann) = on_stage().await;
    for seq in 0..400 {
        if ann.to.send(packet(seq, TONE[0].clone())).await.is_err() {
            break;
        }
    }
    assert_eq!(ann.end().await, Code::TooFast);
    let heard = stage.origin.heard.lock().unwrap().len();
    assert!(heard <= 60, "{heard} packets of a flood went on to the owner");
}

#[tokio::test]
async fn who_may_not_speak_is_told_why() {
    let stage = Stage::new().await;
    stage.origin.keep(status("demo", Lifecycle::Live, Visibility::Public));
    let refused = async |ticket: Option<String>, first| match speak(&stage, ticket, first).await {
        Err(status) => fault_of(&status).code,
        Ok(mut voice) => voice.end().await,
    };
    assert_eq!(refused(None, hello()).await, Code::Unauthenticated);
    assert_eq!(refused(Some("a.b.c".into()), hello()).await, Code::InvalidTicket);
    let listener = stage.listener("bob");
    assert_eq!(refused(Some(listener), hello()).await, Code::RoleForbids);
    let speaker = stage.ticket("ann", Role::Speaker, SOON);
    assert_eq!(refused(Some(speaker), packet(1, TONE[0].clone())).await, Code::InvalidArgument);
}

#[tokio::test]
async fn a_speaker_is_told_of_the_end_of_the_room_and_of_its_ticket() {
    let (stage, mut ann) = on_stage().await;
    let short = stage.ticket("bob", Role::Speaker, Duration::from_millis(300));
    let mut bob = speak(&stage, Some(short), hello()).await.unwrap();
    assert_eq!(bob.end().await, Code::TicketExpired);
    let edge = stage.origin.edge.lock().unwrap().clone().unwrap();
    edge.ended();
    assert!(matches!(ann.next().await, Ok(Some(Message::Ended(_)))));
    assert!(matches!(ann.next().await, Ok(None)));
}
