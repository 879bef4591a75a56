//! What a speaker does when edges welcome it, mute it, break off, throw it out and send it elsewhere.

use std::{io::Cursor, time::Duration};

use crate::fake::{Edge, Step, happened, told, welcome};
use bytes::Bytes;
use stentor_ids::{Code, Fault, RoomId, Slot};
use stentor_probe::{
    Error, OggSink, Patience, Sink as _, Source, SpeakConfig, SpeakEnd, SpeakReport, Speaker, Target,
};
use stentor_proto::{
    span, status_of,
    v1::{Ended, Move, SpeakRequest, participant_event::What, speak_request, speak_response::Message},
};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic::Status;

/// So many packets of 20 ms.
fn source(packets: u64) -> Source {
    let mut sink = OggSink::new(Vec::new()).unwrap();
    (0..packets).for_each(|slot| sink.frame(Slot(slot), &Bytes::from_static(stentor_mix::SILENCE)).unwrap());
    sink.finish().unwrap();
    Source::reader("memory", Cursor::new(sink.into_inner())).unwrap()
}

fn config(edge: &Edge) -> SpeakConfig {
    SpeakConfig {
        target: Target { edges: vec![edge.url.clone()], ticket: Some("t1cket".into()), ca_pem: None },
        room: RoomId::new("friday").unwrap(),
        monitor: false,
        patience: Patience { first: Duration::ZERO, later: Duration::from_secs(10) },
    }
}

async fn speak(edge: &Edge, packets: u64) -> Result<SpeakReport, Error> {
    let speaker = Speaker::new(config(edge), source(packets));
    let run = tokio::time::timeout(Duration::from_secs(20), speaker.run(CancellationToken::new()));
    run.await.expect("the speaker ends")
}

/// Numbers of the packets, and the resume tokens of the hellos.
fn sent(edge: &Edge) -> (Vec<u64>, Vec<String>) {
    let (mut packets, mut hellos) = (Vec::new(), Vec::new());
    for SpeakRequest { message } in edge.spoken() {
        match message.unwrap() {
            speak_request::Message::Hello(hello) => {
                assert_eq!(hello.room, "friday");
                hellos.push(hello.resume_token);
            }
            speak_request::Message::Packet(packet) => packets.push(packet.seq),
        }
    }
    (packets, hellos)
}

#[tokio::test]
async fn a_file_is_spoken_in_real_time_to_its_end() {
    let edge = Edge::start(vec![], vec![vec![welcome(""), Step::Pause(Duration::from_secs(1))]]).await;
    let start = Instant::now();
    let report = speak(&edge, 40).await.unwrap();
    assert!(start.elapsed() >= Duration::from_millis(780), "{:?}", start.elapsed());
    assert_eq!(report.end, Some(SpeakEnd::Finished));
    assert_eq!((report.sent, report.dropped, report.reconnects), (40, 0, 0));
    assert_eq!(report.spoken, Duration::from_millis(800));
    assert_eq!(report.participant.unwrap().as_str(), "ann");
    assert_eq!(sent(&edge), ((0..40).collect(), vec![String::new()]));
    assert_eq!(edge.tickets(), ["Bearer t1cket"]);
}

#[tokio::test]
async fn a_broken_connection_is_resumed_and_the_voice_goes_on_in_time() {
    let breaks = vec![
        welcome("resume-7"),
        Step::Pause(Duration::from_millis(300)),
        Step::Fail(Status::unavailable("the edge dies")),
    ];
    let edge =
        Edge::start(vec![], vec![breaks, vec![welcome("resume-8"), Step::Pause(Duration::from_secs(3))]])
            .await;
    let report = speak(&edge, 50).await.unwrap();
    assert_eq!((report.end.clone(), report.reconnects), (Some(SpeakEnd::Finished), 1));
    let (packets, hellos) = sent(&edge);
    assert_eq!(hellos, ["", "resume-7"]);
    assert!(packets.is_sorted_by(|a, b| a < b), "{packets:?}");
    // What was due between the connections is dropped, not sent late.
    assert_eq!(report.sent + report.dropped, 50, "{report:?}");
}

#[tokio::test]
async fn a_mute_is_told_and_a_removal_ends_it_with_its_reason() {
    let script = vec![
        welcome(""),
        happened("ben", What::Removed("not me".into())),
        happened("ann", What::Muted(true)),
        Step::Pause(Duration::from_millis(200)),
        happened("ann", What::Removed("off topic".into())),
        Step::Hang,
    ];
    let edge = Edge::start(vec![], vec![script]).await;
    let speaker = Speaker::new(config(&edge), source(500));
    let mut handle = speaker.handle();
    let run = tokio::spawn(speaker.run(CancellationToken::new()));
    let muted = handle.wait_for(|report| report.muted).await.unwrap();
    assert_eq!(muted.edge.as_ref(), Some(&edge.url));
    let report = run.await.unwrap().unwrap();
    assert_eq!(report.end, Some(SpeakEnd::Removed("off topic".into())));
    assert_eq!(report.edge, None);
}

#[tokio::test]
async fn a_ban_and_the_end_of_the_room_end_it() {
    let banned = vec![welcome(""), happened("ann", What::Banned("spam".into()))];
    let over = vec![welcome(""), told(Message::Ended(Ended {}))];
    let edge = Edge::start(vec![], vec![banned, over]).await;
    assert_eq!(speak(&edge, 500).await.unwrap().end, Some(SpeakEnd::Banned("spam".into())));
    assert_eq!(speak(&edge, 500).await.unwrap().end, Some(SpeakEnd::RoomEnded));
}

#[tokio::test]
async fn a_refusal_comes_back_with_its_code() {
    let fault = Fault::new(Code::RoleForbids, "a listener may not speak; raise a hand");
    let edge = Edge::start(vec![], vec![vec![Step::Fail(status_of(&fault))]]).await;
    let refused = speak(&edge, 50).await;
    assert!(matches!(&refused, Err(Error::Refused(told)) if *told == fault), "{refused:?}");
}

#[tokio::test]
async fn a_speaker_goes_where_it_is_sent() {
    // It takes its time; the voice goes on at the first one meanwhile.
    let taken_in = vec![Step::Pause(Duration::from_millis(300)), welcome("resume-2"), Step::Hang];
    let second = Edge::start(vec![], vec![taken_in]).await;
    let to = Move { url: second.url.clone(), deadline: Some(span(Duration::from_millis(200))) };
    let script = vec![
        welcome("resume-1"),
        Step::Pause(Duration::from_millis(200)),
        told(Message::Move(to)),
        Step::Hang,
    ];
    let first = Edge::start(vec![], vec![script]).await;
    let report = speak(&first, 50).await.unwrap();
    assert_eq!((report.end, report.moves, report.reconnects), (Some(SpeakEnd::Finished), 1, 0));
    assert_eq!((report.sent, report.dropped), (50, 0));
    let [(before, hello), (after, resumed)] = [sent(&first), sent(&second)];
    assert!(before.len() >= 20 && after.len() >= 5, "{} and {}", before.len(), after.len());
    assert_eq!([before, after].concat(), (0..50).collect::<Vec<_>>());
    assert_eq!((hello, resumed), (vec![String::new()], vec!["resume-1".to_owned()]));
}

#[tokio::test]
async fn a_resume_token_that_is_refused_is_done_without() {
    let breaks =
        vec![welcome("old"), Step::Pause(Duration::from_millis(100)), Step::Fail(Status::unavailable("x"))];
    let refusal = Fault::new(Code::InvalidTicket, "the resume token is refused: it has expired");
    let refused = vec![Step::Fail(status_of(&refusal))];
    let taken = vec![welcome("new"), Step::Pause(Duration::from_secs(3))];
    let edge = Edge::start(vec![], vec![breaks, refused, taken]).await;
    let report = speak(&edge, 30).await.unwrap();
    assert_eq!((report.end, report.reconnects), (Some(SpeakEnd::Finished), 1));
    // The fake edge keeps no hello of a call that it refuses.
    assert_eq!((sent(&edge).1, edge.tickets().len()), (vec![String::new(); 2], 3));
}

#[tokio::test]
async fn stopping_ends_it_at_once_and_what_was_said_arrives() {
    let edge = Edge::start(vec![], vec![vec![welcome(""), Step::Pause(Duration::from_millis(500))]]).await;
    let speaker = Speaker::new(config(&edge), source(5000));
    let (mut handle, stop) = (speaker.handle(), CancellationToken::new());
    let run = tokio::spawn(speaker.run(stop.clone()));
    handle.wait_for(|report| report.sent >= 10).await.unwrap();
    stop.cancel();
    let report = run.await.unwrap().unwrap();
    assert_eq!(report.end, Some(SpeakEnd::Stopped));
    assert_eq!(sent(&edge).0.len() as u64, report.sent);
}

#[tokio::test]
async fn a_source_that_breaks_ends_it_with_the_reason() {
    let edge = Edge::start(vec![], vec![vec![welcome(""), Step::Hang]]).await;
    let mut sink = OggSink::new(Vec::new()).unwrap();
    (0..60).for_each(|slot| sink.frame(Slot(slot), &Bytes::from_static(stentor_mix::SILENCE)).unwrap());
    sink.finish().unwrap();
    let mut bytes = sink.into_inner();
    let last = bytes.len() - 1;
    bytes[last] ^= 0xff;
    let source = Source::reader("broken.ogg", Cursor::new(bytes)).unwrap();
    let outcome = Speaker::new(config(&edge), source).run(CancellationToken::new()).await;
    assert!(
        matches!(&outcome, Err(Error::Source(error)) if error.to_string().contains("broken.ogg")),
        "{outcome:?}"
    );
}
