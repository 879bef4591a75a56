//! `ParticipantService`.

use std::collections::BTreeSet;

use stentor_ids::{Code, Role};
use stentor_kit::SOON;
use stentor_proto::{
    fault_of,
    v1::{
        self, Lifecycle, Visibility, command_request::Command, listen_response::Message as Heard,
        listen_service_client::ListenServiceClient, participant_event::What,
        participant_service_client::ParticipantServiceClient,
    },
};
use tonic::{Request, transport::Channel};
use tonic_reflection::pb::v1::{
    ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
    server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
};

use super::stage::{Stage, status};

async fn client(stage: &Stage) -> ParticipantServiceClient<Channel> {
    ParticipantServiceClient::connect(format!("http://{}", stage.addr)).await.unwrap()
}

fn with<T>(ticket: &str, message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("authorization", format!("Bearer {ticket}").parse().unwrap());
    request
}

fn demo() -> v1::RoomRequest {
    v1::RoomRequest { room: "demo".into() }
}

#[tokio::test]
async fn a_command_reaches_the_owner_in_its_givers_name() {
    let stage = Stage::new().await;
    stage.origin.keep(status("demo", Lifecycle::Live, Visibility::Public));
    let mut client = client(&stage).await;
    let host = stage.ticket("ann", Role::Host, SOON);
    let answer = client.go_live(with(&host, demo())).await.unwrap().into_inner();
    assert_eq!(answer.room.unwrap().room, "demo");
    client.decline(with(&stage.listener("bob"), demo())).await.unwrap();
    let given: Vec<_> = stage.origin.commands.lock().unwrap().drain(..).collect();
    let by =
        given.iter().map(|given| given.by.clone().unwrap()).map(|by| (by.participant.clone(), by.role()));
    assert_eq!(
        by.collect::<Vec<_>>(),
        [("ann".to_owned(), v1::Role::Host), ("bob".to_owned(), v1::Role::Listener)]
    );
    assert!(matches!(given[0].command, Some(Command::GoLive(_))));
    assert!(matches!(given[1].command, Some(Command::Decline(_))));
}

#[tokio::test]
async fn a_listener_joins_without_a_message_to_the_owner() {
    let stage = Stage::new().await;
    stage.origin.keep(status("demo", Lifecycle::Open, Visibility::Private));
    let join = v1::JoinRequest { room: "demo".into() };
    let answer = client(&stage).await.join(with(&stage.listener("bob"), join)).await.unwrap().into_inner();
    assert_eq!(
        (answer.room.clone().unwrap().lifecycle(), answer.role()),
        (Lifecycle::Open, v1::Role::Listener)
    );
    assert!(matches!(answer.state, Some(v1::join_response::State::Seated(_))), "{answer:?}");
    assert!(stage.origin.commands.lock().unwrap().is_empty());
}

#[tokio::test]
async fn what_an_edge_serves_can_be_looked_up_and_nothing_else() {
    let stage = Stage::new().await;
    let channel = Channel::from_shared(format!("http://{}", stage.addr)).unwrap().connect().await.unwrap();
    let request = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let asked = tokio_stream::once(request);
    let answer = ServerReflectionClient::new(channel).server_reflection_info(asked).await;
    let answer = answer.unwrap().into_inner().message().await.unwrap().unwrap();
    let Some(MessageResponse::ListServicesResponse(services)) = answer.message_response else {
        panic!("it lists no services")
    };
    let names: BTreeSet<_> = services.service.into_iter().map(|service| service.name).collect();
    let served = [
        "stentor.v1.ListenService",
        "stentor.v1.ParticipantService",
        "stentor.v1.SpeakService",
        "grpc.health.v1.Health",
        "grpc.reflection.v1.ServerReflection",
    ];
    assert_eq!(names, served.map(str::to_owned).into());
}

#[tokio::test]
async fn a_refusal_of_the_owner_and_a_missing_ticket_are_told() {
    let stage = Stage::new().await;
    stage.origin.keep(status("demo", Lifecycle::Live, Visibility::Public));
    let mut client = client(&stage).await;
    let mute = v1::MuteRequest { room: "demo".into(), participant: "nobody".into(), muted: true };
    let host = stage.ticket("ann", Role::Host, SOON);
    let fault = fault_of(&client.mute(with(&host, mute)).await.unwrap_err());
    assert_eq!(
        (fault.code, fault.detail.as_ref()),
        (Code::UnknownParticipant, "nobody of that name is in the room")
    );
    let fault = fault_of(&client.raise_hand(Request::new(demo())).await.unwrap_err());
    assert_eq!(fault.code, Code::Unauthenticated);
    let elsewhere = v1::RoomRequest { room: "other".into() };
    let fault = fault_of(&client.leave(with(&host, elsewhere)).await.unwrap_err());
    assert_eq!(fault.code, Code::WrongRoom);
}

#[tokio::test]
async fn hands_go_to_the_owner_in_batches_and_everyone_is_told_what_became_of_the_own() {
    let stage = Stage::new().await;
    stage.origin.keep(status("demo", Lifecycle::Live, Visibility::Public));
    let client = client(&stage).await;
    let raise = |name: String| {
        let (mut client, ticket) = (client.clone(), stage.listener(&name));
        async move { (client.raise_hand(with(&ticket, demo())).await.map_err(|status| fault_of(&status)), name) }
    };
    let names = (0..60).map(|n| format!("bob{n}")).chain(["late".to_owned()]);
    for (answer, name) in futures::future::join_all(names.map(raise)).await {
        match answer {
            Ok(answer) => assert_eq!(answer.into_inner().room.unwrap().room, "demo"),
            Err(fault) => {
                let wait = Some(std::time::Duration::from_millis(700));
                assert_eq!((name.as_str(), fault.code, fault.retry_after), ("late", Code::Overloaded, wait));
                assert_eq!(fault.detail, "1000 hands are up");
            }
        }
    }
    let batches: Vec<_> = stage.origin.hands.lock().unwrap().drain(..).collect();
    assert!(batches.len() <= 10, "{} batches for 61 hands", batches.len());
    let changes: Vec<_> = batches.into_iter().flat_map(|batch| batch.changes).collect();
    assert_eq!(changes.len(), 61);
    assert!(
        changes.iter().all(|change| change.up && change.by.as_ref().unwrap().role() == v1::Role::Listener)
    );
    assert!(stage.origin.commands.lock().unwrap().is_empty());
}

#[tokio::test]
async fn commands_beyond_a_persons_pace_stop_at_the_edge() {
    let stage = Stage::new().await;
    stage.origin.keep(status("demo", Lifecycle::Live, Visibility::Public));
    let (mut client, bob) = (client(&stage).await, stage.listener("bob"));
    let mut refused = 0;
    for _ in 0..40 {
        if let Err(status) = client.decline(with(&bob, demo())).await {
            let fault = fault_of(&status);
            assert_eq!(fault.code, Code::TooFast);
            assert!(fault.retry_after.is_some());
            refused += 1;
        }
    }
    assert!(refused >= 10, "{refused} of 40 were refused");
}

#[tokio::test]
async fn a_listener_is_told_what_happens_to_it_and_not_to_others() {
    let stage = Stage::new().await;
    let air = stage.on_air(Visibility::Public);
    let mut listen = ListenServiceClient::connect(format!("http://{}", stage.addr)).await.unwrap();
    let request = v1::ListenRequest { room: "demo".into(), ..Default::default() };
    let mut heard = listen.listen(with(&stage.listener("bob"), request)).await.unwrap().into_inner();
    air.event("ann", What::HandLowered("full".into()));
    air.event("bob", What::Invited(v1::Role::Speaker.into()));
    air.event("bob", What::HandLowered("later".into()));
    let mut told = Vec::new();
    while told.len() < 2 {
        let message = tokio::time::timeout(SOON, heard.message()).await.unwrap().unwrap().unwrap().message;
        if let Some(Heard::Event(event)) = message {
            assert_eq!(event.participant, "bob");
            told.push(event.what.unwrap());
        }
    }
    assert_eq!(told, [What::Invited(v1::Role::Speaker.into()), What::HandLowered("later".into())]);
}
