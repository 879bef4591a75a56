//! `ListenService`.

use std::time::Duration;

use stentor_ids::{Code, Role};
use stentor_kit::{SOON, until, until_async};
use stentor_proto::{
    fault_of,
    v1::{
        self, Gap, Lifecycle, Visibility, listen_response::Message,
        listen_service_client::ListenServiceClient, participant_event::What,
    },
};
use stentor_telemetry::Protocol;
use tokio::time::timeout;
use tonic::{Request, Status, Streaming, transport::Channel};

use super::stage::{Stage, frame, status};

/// What ten slots take as they are pushed: less than they last, so that the test is short, and no less than a link needs.
const TEN_SLOTS: Duration = Duration::from_millis(3);

async fn client(stage: &Stage) -> ListenServiceClient<Channel> {
    ListenServiceClient::connect(format!("http://{}", stage.addr)).await.unwrap()
}

async fn hear(
    stage: &Stage,
    unbuffered: bool,
    ticket: Option<&str>,
) -> Result<Streaming<v1::ListenResponse>, Status> {
    let mut request = Request::new(v1::ListenRequest { room: "demo".into(), unbuffered });
    if let Some(ticket) = ticket {
        request.metadata_mut().insert("authorization", format!("Bearer {ticket}").parse().unwrap());
    }
    let answer = client(stage).await.listen(request).await?;
    Ok(answer.into_inner())
}

async fn next(stream: &mut Streaming<v1::ListenResponse>) -> Result<Option<Message>, Status> {
    let message = timeout(SOON, stream.message()).await.expect("a message comes")?;
    Ok(message.and_then(|response| response.message))
}

async fn frame_of(stream: &mut Streaming<v1::ListenResponse>) -> v1::Frame {
    match next(stream).await {
        Ok(Some(Message::Frame(frame))) => frame,
        other => panic!("a frame should come: {other:?}"),
    }
}

#[tokio::test]
async fn a_listener_gets_the_room_then_every_slot_once_then_the_end() {
    let stage = Stage::new().await;
    let air = stage.on_air(Visibility::Public);
    for unbuffered in [false, true] {
        let mut stream = hear(&stage, unbuffered, None).await.unwrap();
        let Ok(Some(Message::Room(room))) = next(&mut stream).await else { panic!("the room comes first") };
        assert_eq!((room.room.as_str(), room.lifecycle()), ("demo", Lifecycle::Live));
        let first = frame_of(&mut stream).await;
        assert!(first.captured_us > 0 && (first.epoch, first.lineage) == (1, 1));
        for slot in first.slot + 1..first.slot + 50 {
            assert_eq!(frame_of(&mut stream).await.slot, slot);
        }
    }
    let mut stream = hear(&stage, false, None).await.unwrap();
    next(&mut stream).await.unwrap();
    frame_of(&mut stream).await;
    air.end().await;
    let mut last = 0;
    loop {
        match next(&mut stream).await.unwrap() {
            Some(Message::Frame(frame)) => last = frame.slot,
            Some(Message::Room(room)) => assert_eq!(room.lifecycle(), Lifecycle::Ended),
            Some(Message::Ended(_)) => break,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(last, air.feed.highest().unwrap().0);
    assert_eq!(next(&mut stream).await.unwrap(), None, "the stream ends with OK");
    until("both others are gone", || stage.metrics.listeners(Protocol::Grpc).get() == 0).await;
}

#[tokio::test]
async fn slots_that_nobody_had_are_told_as_a_gap() {
    let stage = Stage::new().await;
    let air = stage.on_air(Visibility::Public);
    let mut stream = hear(&stage, false, None).await.unwrap();
    next(&mut stream).await.unwrap();
    frame_of(&mut stream).await;
    air.stop().await;
    let highest = air.feed.highest().unwrap().0;
    (highest + 6..highest + 10).for_each(|slot| {
        air.feed.push(frame(slot));
    });
    let mut missing = 0;
    loop {
        match next(&mut stream).await.unwrap().unwrap() {
            Message::Frame(frame) if frame.slot > highest => break,
            Message::Frame(_) => {}
            Message::Gap(Gap { count, skipped, .. }) => {
                assert!(!skipped);
                missing += count;
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(missing, 5, "as many as nobody had");
    until("the origin has counted them", || air.feed.counts().slots_filled >= missing).await;
}

#[tokio::test]
async fn a_listener_that_does_not_read_is_skipped_and_told_so() {
    let stage = Stage::new().await;
    let feed = stage.origin.keep(status("demo", Lifecycle::Live, Visibility::Public));
    feed.push(frame(0));
    let channel =
        Channel::from_shared(format!("http://{}", stage.addr)).unwrap().initial_stream_window_size(65_535);
    let mut client = ListenServiceClient::new(channel.connect().await.unwrap());
    let request = v1::ListenRequest { room: "demo".into(), unbuffered: true };
    let mut stream = client.listen(request).await.unwrap().into_inner();
    next(&mut stream).await.unwrap();
    // The window takes some 600 slots, and the feed keeps 200.
    for slot in 1..4000 {
        feed.push(frame(slot));
        if slot % 10 == 0 {
            tokio::time::sleep(TEN_SLOTS).await;
        }
    }
    let (mut last, mut skipped) = (0, 0);
    while last < 3999 {
        match next(&mut stream).await.unwrap().unwrap() {
            Message::Frame(frame) => {
                assert!(frame.slot > last);
                last = frame.slot;
            }
            Message::Gap(gap) if gap.skipped => skipped += gap.count,
            Message::Gap(_) => {}
            other => panic!("{other:?}"),
        }
    }
    assert!(skipped > 100, "{skipped} slots were skipped");
}

#[tokio::test]
async fn a_refusal_carries_its_code_and_when_to_come_back() {
    let stage = Stage::new().await;
    let refused = async |ticket: Option<&str>| fault_of(&hear(&stage, false, ticket).await.unwrap_err());
    assert_eq!(refused(None).await.code, Code::UnknownRoom);
    stage.origin.keep(status("demo", Lifecycle::Open, Visibility::Private));
    // The edge remembers for a moment that it is not there.
    until_async("it is there", async || refused(None).await.code == Code::Unauthenticated).await;
    assert_eq!(refused(Some("a.b.c")).await.code, Code::InvalidTicket);
    let fault = refused(Some(&stage.listener("ann"))).await;
    assert_eq!((fault.code, fault.retry_after), (Code::NotLiveYet, Some(Duration::from_secs(5))));
}

#[tokio::test]
async fn a_stream_ends_when_its_ticket_does_or_its_holder_is_banned() {
    let stage = Stage::new().await;
    let air = stage.on_air(Visibility::Private);
    let short = stage.ticket("ann", Role::Listener, Duration::from_millis(500));
    let mut ends = Vec::new();
    for ticket in [short, stage.listener("bob")] {
        ends.push(hear(&stage, false, Some(&ticket)).await.unwrap());
    }
    air.event("bob", What::Banned("shouting".into()));
    for (mut stream, code) in ends.into_iter().zip([Code::TicketExpired, Code::Banned]) {
        let status = loop {
            match next(&mut stream).await {
                Ok(Some(_)) => {}
                Ok(None) => panic!("it ends with a reason"),
                Err(status) => break status,
            }
        };
        assert_eq!(fault_of(&status).code, code);
    }
    let fault = fault_of(&hear(&stage, false, Some(&stage.listener("bob"))).await.unwrap_err());
    assert_eq!(fault.code, Code::Banned);
}

#[tokio::test]
async fn health_and_reflection_are_there() {
    let stage = Stage::new().await;
    let channel = Channel::from_shared(format!("http://{}", stage.addr)).unwrap().connect().await.unwrap();
    let mut health = tonic_health::pb::health_client::HealthClient::new(channel);
    let service = "stentor.v1.ListenService".to_owned();
    let answer = health.check(tonic_health::pb::HealthCheckRequest { service }).await.unwrap().into_inner();
    assert_eq!(answer.status(), tonic_health::pb::health_check_response::ServingStatus::Serving);
}
