//! A speaker whose connection or edge goes.

use std::{io::Cursor, time::Duration};

use bytes::Bytes;
use stentor_admission::{SigningKeys, key_line};
use stentor_clock::wall;
use stentor_ids::{Code, Role, RoomId, Slot};
use stentor_kit::{SOON, until};
use stentor_probe::{OggSink, Patience, Sink as _, Source, SpeakConfig, SpeakEnd, Speaker, Target};
use stentor_proto::{
    fault_of,
    v1::{self, Lifecycle, Visibility, speak_request, speak_response::Message},
};
use tokio::{sync::mpsc, time::timeout};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Status};

use super::stage::{Stage, claims, cluster_keys, status};

/// Says hello, and gives the resume token of the welcome.
async fn welcomed(stage: &Stage, ticket: &str, resume_token: &str) -> Result<String, Status> {
    let addr = format!("http://{}", stage.addr);
    let mut client = v1::speak_service_client::SpeakServiceClient::connect(addr).await.unwrap();
    let (to, requests) = mpsc::channel(8);
    let hello = v1::SpeakHello { room: "demo".into(), resume_token: resume_token.into(), monitor: false };
    to.send(v1::SpeakRequest { message: Some(speak_request::Message::Hello(hello)) }).await.unwrap();
    let mut request = Request::new(ReceiverStream::new(requests));
    request.metadata_mut().insert("authorization", format!("Bearer {ticket}").parse().unwrap());
    let mut answers = timeout(SOON, client.speak(request)).await.expect("an answer comes")?.into_inner();
    let first = timeout(SOON, answers.message()).await.expect("a message comes")?;
    let Some(Message::Welcome(welcome)) = first.and_then(|first| first.message) else {
        panic!("a welcome comes first")
    };
    Ok(welcome.resume_token)
}

#[tokio::test]
async fn who_comes_back_with_its_token_goes_on_under_a_higher_stream() {
    let stage = Stage::new().await;
    stage.origin.keep(status("demo", Lifecycle::Live, Visibility::Public));
    let ann = stage.ticket("ann", Role::Speaker, SOON);
    let token = welcomed(&stage, &ann, "").await.unwrap();
    let again = welcomed(&stage, &ann, &token).await.unwrap();
    assert_ne!(token, again);
    let attached = stage.origin.attached.lock().unwrap().clone();
    // The origin gave 100 to the first.
    assert_eq!(attached, [("ann".to_owned(), 0), ("ann".to_owned(), 101)]);
}

#[tokio::test]
async fn a_token_that_is_garbage_or_someone_else_s_is_refused_with_a_reason() {
    let stage = Stage::new().await;
    stage.origin.keep(status("demo", Lifecycle::Live, Visibility::Public));
    let [ann, eve] = ["ann", "eve"].map(|who| stage.ticket(who, Role::Speaker, SOON));
    let token = welcomed(&stage, &ann, "").await.unwrap();
    let long = "x".repeat(5000);
    for (ticket, token, why) in [
        (&eve, token.as_str(), "another participant's"),
        (&ann, "garbage", "malformed"),
        (&ann, &ann, "another kind"),
        (&ann, &long, "5000 bytes"),
        (&ann, &token[..token.len() - 1], "resume token"),
    ] {
        let fault = fault_of(&welcomed(&stage, ticket, token).await.unwrap_err());
        assert!(fault.code == Code::InvalidTicket && fault.detail.contains(why), "{why}: {fault}");
        assert!(fault.detail.ends_with("connect without it"), "{fault}");
    }
    assert_eq!(fault_of(&welcomed(&stage, &token, "").await.unwrap_err()).code, Code::InvalidTicket);
    assert_eq!(stage.origin.attached.lock().unwrap().len(), 1, "nobody else came as far as the origin");
}

#[tokio::test]
async fn what_an_edge_can_seal_itself_makes_nobody_a_speaker() {
    let stage = Stage::new().await;
    stage.origin.keep(status("demo", Lifecycle::Live, Visibility::Public));
    let ann = stage.ticket("ann", Role::Speaker, SOON);
    let sealed = |ticket: &str| cluster_keys().seal_resume(ticket, 7);
    let secret = key_line("main", &[8; 32]).unwrap();
    let forged =
        SigningKeys::parse(&secret).unwrap().sign(&claims("ann", Role::Host, wall() + SOON), None).unwrap();
    let expired = stage.sign(&claims("ann", Role::Speaker, wall() - Duration::from_secs(60)));
    for (token, why) in
        [(sealed(&forged), "signed with no key"), (sealed(&expired), "its ticket has expired")]
    {
        let fault = fault_of(&welcomed(&stage, &ann, &token).await.unwrap_err());
        assert!(fault.code == Code::InvalidTicket && fault.detail.contains(why), "{why}: {fault}");
    }
    // Neither is a ticket.
    for ticket in [&forged, &sealed(&ann)] {
        assert_eq!(fault_of(&welcomed(&stage, ticket, "").await.unwrap_err()).code, Code::InvalidTicket);
    }
    // Around her own ticket, any edge's seal is as good as another's, and worth what the ticket is.
    welcomed(&stage, &ann, &sealed(&ann)).await.unwrap();
    assert_eq!(*stage.origin.attached.lock().unwrap(), [("ann".to_owned(), 8)]);
}

#[tokio::test]
async fn a_speaker_at_a_leaving_edge_speaks_on_at_another_and_not_a_packet_is_lost() {
    const PACKETS: u64 = 150;
    let stage = Stage::new().await;
    stage.origin.keep(status("demo", Lifecycle::Live, Visibility::Public));
    let other = stage.other("edge-2").await;
    let mut sink = OggSink::new(Vec::new()).unwrap();
    (0..PACKETS).for_each(|slot| sink.frame(Slot(slot), &Bytes::from_static(stentor_mix::SILENCE)).unwrap());
    sink.finish().unwrap();
    let ticket = Some(stage.ticket("ann", Role::Speaker, Duration::from_secs(60)));
    let config = SpeakConfig {
        target: Target { edges: vec![format!("http://{}", stage.addr)], ticket, ca_pem: None },
        room: RoomId::new("demo").unwrap(),
        monitor: true,
        patience: Patience::default(),
    };
    let speaker = Speaker::new(config, Source::reader("memory", Cursor::new(sink.into_inner())).unwrap());
    let mut handle = speaker.handle();
    let run = tokio::spawn(speaker.run(CancellationToken::new()));
    handle.wait_for(|report| report.sent >= 20).await.unwrap();
    assert!(timeout(SOON, stage.edge.drain(Duration::from_secs(3))).await.unwrap(), "it has gone");
    assert_eq!(other.edge.connections(), 1);
    let report = timeout(SOON, run).await.unwrap().unwrap().unwrap();
    assert_eq!((report.end, report.moves, report.reconnects), (Some(SpeakEnd::Finished), 1, 0));
    assert_eq!((report.sent, report.dropped), (PACKETS, 0));
    until("all of it was heard", || stage.origin.heard.lock().unwrap().len() as u64 >= PACKETS).await;
    let mut heard: Vec<_> =
        stage.origin.heard.lock().unwrap().iter().map(|packet| (packet.stream, packet.seq)).collect();
    heard.sort_unstable();
    assert_eq!(heard.iter().map(|(_, seq)| *seq).collect::<Vec<_>>(), (0..PACKETS).collect::<Vec<_>>());
    assert_eq!((heard[0].0, heard[PACKETS as usize - 1].0), (100, 101));
}
