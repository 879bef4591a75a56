//! What a listener does when edges answer, refuse, break off and send it elsewhere.

use std::time::Duration;

use crate::fake::{Edge, Step, ended, frames, go_to, heard};
use stentor_ids::{Code, Fault, RoomId, Slot};
use stentor_probe::{Error, Gap, ListenConfig, ListenEnd, Listener, Patience, Pcm, Report, Target};
use stentor_proto::{
    status_of,
    v1::{self, listen_response::Message},
};
use tokio_util::sync::CancellationToken;
use tonic::{Status, transport::Identity};

fn config(edges: &[&str]) -> ListenConfig {
    let edges = edges.iter().map(|&edge| edge.to_owned()).collect();
    ListenConfig {
        target: Target { edges, ticket: Some("t1cket".into()), ca_pem: None },
        room: RoomId::new("friday").unwrap(),
        unbuffered: false,
        reconnect: true,
        patience: Patience { first: Duration::ZERO, later: Duration::from_secs(10) },
    }
}

async fn listen(config: ListenConfig) -> (Result<ListenEnd, Error>, Report) {
    let listener = Listener::new(config, ());
    let handle = listener.handle();
    let run = tokio::time::timeout(Duration::from_secs(20), listener.run(CancellationToken::new()));
    let end = run.await.expect("the listener ends").map(|(end, ())| end);
    (end, handle.report())
}

#[tokio::test]
async fn a_room_is_heard_to_its_end() {
    let edge = Edge::start(vec![[frames(7..60), ended()].into_iter().flatten().collect()], vec![]).await;
    let (end, report) = listen(config(&[&edge.url])).await;
    assert_eq!(end.unwrap(), ListenEnd::RoomEnded);
    assert_eq!((report.got, report.missed, report.reconnects), (53, 0, 0));
    assert_eq!((report.first_slot, report.last_slot), (Some(Slot(7)), Some(Slot(59))));
    assert_eq!(edge.tickets(), ["Bearer t1cket"]);
}

#[tokio::test]
async fn a_broken_connection_is_replaced_and_what_was_missed_is_told() {
    let mut broken = frames(0..10);
    broken.push(Step::Fail(Status::unavailable("the edge dies")));
    let again = [frames(15..20), ended()].into_iter().flatten().collect();
    let edge = Edge::start(vec![broken, again], vec![]).await;
    let (end, report) = listen(config(&[&edge.url])).await;
    assert_eq!(end.unwrap(), ListenEnd::RoomEnded);
    assert_eq!((report.got, report.missed, report.reconnects, report.moves), (15, 5, 1, 0));
    assert_eq!(report.gaps, [Gap { slot: Slot(10), count: 5 }]);
}

#[tokio::test]
async fn a_listener_that_must_not_reconnect_gives_the_error_back() {
    let mut broken = frames(0..10);
    broken.push(Step::Fail(Status::unavailable("the edge dies")));
    let edge = Edge::start(vec![broken, ended()], vec![]).await;
    let (end, report) = listen(ListenConfig { reconnect: false, ..config(&[&edge.url]) }).await;
    assert!(end.is_err());
    assert_eq!(report.got, 10);
}

#[tokio::test]
async fn a_dead_edge_is_left_for_the_next_one_in_the_list() {
    let dead = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let edge = Edge::start(vec![[frames(0..3), ended()].into_iter().flatten().collect()], vec![]).await;
    let patience = Patience { first: Duration::from_secs(10), ..Patience::default() };
    let config = ListenConfig { patience, ..config(&[&format!("http://{dead}"), &edge.url]) };
    let (end, report) = listen(config).await;
    assert_eq!(end.unwrap(), ListenEnd::RoomEnded);
    assert_eq!((report.got, report.reconnects), (3, 0));
}

#[tokio::test]
async fn a_refusal_comes_back_with_its_code_and_is_not_tried_again() {
    let fault = Fault::new(Code::Banned, "eve is banned from this room");
    let edge = Edge::start(vec![vec![Step::Fail(status_of(&fault))], ended()], vec![]).await;
    let patience = Patience { first: Duration::from_secs(10), ..Patience::default() };
    let (end, _) = listen(ListenConfig { patience, ..config(&[&edge.url]) }).await;
    assert!(matches!(&end, Err(Error::Refused(told)) if *told == fault), "{end:?}");
    assert_eq!(edge.tickets().len(), 1);
}

#[tokio::test]
async fn a_room_that_is_not_on_the_air_yet_is_waited_for() {
    let early = Fault::new(Code::NotLiveYet, "room friday is open").retry_after(Duration::from_millis(50));
    let refused = || vec![Step::Fail(status_of(&early))];
    let aired = [frames(0..5), ended()].into_iter().flatten().collect();
    let edge = Edge::start(vec![refused(), refused(), aired], vec![]).await;
    let patience = Patience { first: Duration::from_secs(10), ..Patience::default() };
    let (end, report) = listen(ListenConfig { patience, ..config(&[&edge.url]) }).await;
    assert_eq!((end.unwrap(), report.got, report.reconnects), (ListenEnd::RoomEnded, 5, 0));
}

#[tokio::test]
async fn a_move_misses_nothing_that_both_edges_have() {
    let second = Edge::start(vec![[frames(30..400), ended()].into_iter().flatten().collect()], vec![]).await;
    let first = [frames(0..20), go_to(&second.url), frames(20..600)].into_iter().flatten().collect();
    let first = Edge::start(vec![first], vec![]).await;
    let (end, report) = listen(config(&[&first.url])).await;
    assert_eq!(end.unwrap(), ListenEnd::RoomEnded);
    assert_eq!((report.got, report.missed, report.repeated), (400, 0, 0), "{report:?}");
    assert_eq!((report.moves, report.reconnects), (1, 0));
}

#[tokio::test]
async fn a_move_to_an_edge_that_is_ahead_is_bridged_by_the_old_one() {
    let second = Edge::start(vec![[frames(200..400), ended()].into_iter().flatten().collect()], vec![]).await;
    let first = [frames(0..20), go_to(&second.url), frames(20..600)].into_iter().flatten().collect();
    let first = Edge::start(vec![first], vec![]).await;
    let (end, report) = listen(config(&[&first.url])).await;
    assert_eq!(end.unwrap(), ListenEnd::RoomEnded);
    assert_eq!((report.got, report.missed, report.moves), (400, 0, 1), "{report:?}");
}

#[tokio::test]
async fn where_the_named_edge_takes_nobody_one_of_ours_is_gone_to_before_the_deadline() {
    let refusal = Fault::new(Code::Overloaded, "full").retry_after(Duration::from_millis(1));
    let named = Edge::start(vec![vec![Step::Fail(status_of(&refusal))]], vec![]).await;
    let ours = Edge::start(vec![[frames(30..900), ended()].into_iter().flatten().collect()], vec![]).await;
    let first = [frames(0..20), go_to(&named.url), frames(20..900)].into_iter().flatten().collect();
    let first = Edge::start(vec![first], vec![]).await;
    let (end, report) = listen(config(&[&first.url, &ours.url])).await;
    assert_eq!(end.unwrap(), ListenEnd::RoomEnded);
    assert_eq!((report.got, report.missed, report.moves), (900, 0, 1), "{report:?}");
    assert_eq!((named.tickets().len(), ours.tickets().len()), (1, 1));
}

#[tokio::test]
async fn an_edge_that_dies_after_it_sent_the_listener_elsewhere_costs_a_gap_and_no_more() {
    let second = Edge::start(vec![[frames(150..300), ended()].into_iter().flatten().collect()], vec![]).await;
    let mut first = frames(0..20);
    first.extend(go_to(&second.url));
    first.push(Step::Fail(Status::unavailable("the edge dies")));
    let first = Edge::start(vec![first], vec![]).await;
    let (end, report) = listen(config(&[&first.url])).await;
    assert_eq!(end.unwrap(), ListenEnd::RoomEnded);
    assert_eq!((report.got, report.missed, report.moves, report.reconnects), (170, 130, 1, 0), "{report:?}");
}

#[tokio::test]
async fn a_move_to_nowhere_leaves_the_old_edge_to_be_heard_to_its_end() {
    let nowhere = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let script = [frames(0..20), go_to(&format!("http://{nowhere}")), frames(20..90), ended()];
    let edge = Edge::start(vec![script.into_iter().flatten().collect()], vec![]).await;
    let (end, report) = listen(config(&[&edge.url])).await;
    assert_eq!(end.unwrap(), ListenEnd::RoomEnded);
    assert_eq!((report.got, report.missed, report.moves), (90, 0, 0), "{report:?}");
}

#[tokio::test]
async fn what_was_heard_is_in_the_sink_when_the_caller_stops() {
    let gap = v1::Gap { slot: 50, count: 5, skipped: true };
    let mut script = frames(0..50);
    script.extend([Step::Send(heard(Message::Gap(gap))), Step::Hang]);
    let edge = Edge::start(vec![script], vec![]).await;
    let listener = Listener::new(config(&[&edge.url]), Pcm::new(Duration::from_secs(60)).unwrap());
    let (mut handle, stop) = (listener.handle(), CancellationToken::new());
    let run = tokio::spawn(listener.run(stop.clone()));
    assert!(handle.wait_for(|record| record.missed() == 5).await);
    stop.cancel();
    let (end, pcm) = run.await.unwrap().unwrap();
    assert_eq!((end, pcm.into_samples().len()), (ListenEnd::Stopped, 50 * 960));
    assert_eq!(handle.report().skipped, 5);
}

#[tokio::test]
async fn an_edge_is_trusted_by_the_certificates_given_and_by_no_others() {
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let pem = made.cert.pem();
    let identity = Identity::from_pem(&pem, made.signing_key.serialize_pem());
    let script = || [frames(0..5), ended()].into_iter().flatten().collect();
    let edge = Edge::start_tls(identity, vec![script()]).await;
    let trusting = |pem: String| {
        let mut config = config(&[&edge.url]);
        config.target.ca_pem = Some(pem.into_bytes());
        config
    };
    let other = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap().cert.pem();
    let (end, _) = listen(trusting(other)).await;
    assert!(
        matches!(&end, Err(Error::Unreachable { reason, .. }) if reason.contains("certificate")),
        "{end:?}"
    );
    let (end, report) = listen(trusting(pem)).await;
    assert_eq!((end.unwrap(), report.got), (ListenEnd::RoomEnded, 5));
}
