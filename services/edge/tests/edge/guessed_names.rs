//! Names that somebody makes up, and rooms that are there.

use std::sync::atomic::Ordering::Relaxed;

use stentor_ids::{Code, Fault};
use stentor_kit::SOON;
use stentor_proto::{
    fault_of,
    v1::{self, Lifecycle, Visibility, listen_service_client::ListenServiceClient},
};
use tokio::{task::JoinSet, time::timeout};
use tonic::{Request, transport::Channel};

use super::{
    client::{get, listen},
    stage::{Stage, status},
};

/// As many as somebody tries at once.
const NAMES: usize = 4096;

async fn client(stage: &Stage) -> ListenServiceClient<Channel> {
    ListenServiceClient::connect(format!("http://{}", stage.addr)).await.unwrap()
}

async fn refused(mut client: ListenServiceClient<Channel>, room: String) -> Fault {
    let asked = client.listen(v1::ListenRequest { room, unbuffered: false });
    fault_of(&timeout(SOON, asked).await.expect("an answer").unwrap_err())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn made_up_names_on_one_connection_keep_nobody_from_a_room() {
    let stage = Stage::new().await;
    stage.origin.keep(status("soon", Lifecycle::Scheduled, Visibility::Public));
    let _air = stage.on_air(Visibility::Public);
    let guesser = client(&stage).await;
    let mut guesses = JoinSet::new();
    for number in 0..NAMES {
        guesses.spawn(refused(guesser.clone(), format!("guess-{number}")));
    }
    let (mut none, mut too_fast) = (0, 0);
    for fault in guesses.join_all().await {
        match fault.code {
            Code::UnknownRoom => none += 1,
            Code::TooFast => {
                assert!(fault.retry_after.is_some(), "{fault}");
                too_fast += 1;
            }
            _ => panic!("{fault}"),
        }
    }
    assert!(too_fast > NAMES / 2 && none >= 20, "{too_fast} were too fast and {none} are no rooms");
    assert!(stage.origin.located.load(Relaxed) <= none, "the origin was asked about others as well");

    // Neither has been asked for here before.
    let soon = get(stage.addr, "/v1/rooms/soon/live.ogg").await;
    assert_eq!((soon.code().as_str(), soon.status), ("not_live_yet", 425));
    listen(stage.addr, "/v1/rooms/demo/live.ogg?page=20").await.pages(5).await;
    assert_eq!(refused(guesser.clone(), "soon".into()).await.code, Code::NotLiveYet, "it is known by now");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_holds_a_ticket_is_let_in_on_a_connection_that_guesses() {
    let stage = Stage::new().await;
    let _air = stage.on_air(Visibility::Private);
    let mut guesser = client(&stage).await;
    let listen = v1::ListenRequest { room: "demo".into(), unbuffered: false };
    let too_fast = async {
        // A guess is free again after a moment, so that a machine with much to do guesses on.
        for number in 0_u64.. {
            if refused(guesser.clone(), format!("guess-{number}")).await.code != Code::TooFast {
                continue;
            }
            let mut request = Request::new(listen.clone());
            request.metadata_mut().insert("authorization", "Bearer a.b.c".parse().unwrap());
            if fault_of(&guesser.clone().listen(request).await.unwrap_err()).code == Code::TooFast {
                return;
            }
        }
    };
    timeout(SOON, too_fast).await.expect("what is no ticket is too fast as well");
    let mut request = Request::new(listen);
    let ticket = format!("Bearer {}", stage.listener("ann"));
    request.metadata_mut().insert("authorization", ticket.parse().unwrap());
    let mut stream = guesser.listen(request).await.unwrap().into_inner();
    assert!(timeout(SOON, stream.message()).await.unwrap().unwrap().is_some());
}
