//! `live.ogg`, from the first page to the last.

use std::time::Duration;

use stentor_ids::Role;
use stentor_kit::until;
use stentor_proto::v1::{Visibility, participant_event::What};
use tokio::time::Instant;

use super::{
    client::{get, judged, listen, pages, say},
    stage::{Stage, frame},
};

const LIVE: &str = "/v1/rooms/demo/live.ogg";
/// Longest wait for a room's first page that is on the air here already, on a busy machine: who had to wait for three pages of new sound
/// would wait as long.
const FIRST_SOUND: Duration = Duration::from_millis(300);
/// Slots that the first page may lie behind what is new: half a second, of which the seam buffer is some.
const BEHIND_LIVE: u64 = 25;

#[tokio::test]
async fn a_listener_hears_the_room_at_once_and_to_its_end_without_a_fault() {
    let stage = Stage::new().await;
    let air = stage.on_air(Visibility::Public);
    let _first = listen(stage.addr, LIVE).await.pages(3).await;
    let start = Instant::now();
    let mut stream = listen(stage.addr, LIVE).await;
    let begun = stream.pages(3).await;
    let (took, newest) = (start.elapsed(), air.feed.highest().unwrap().0);
    assert!(took < FIRST_SOUND, "the first sound took {took:?}");
    assert!(newest - begun[2].slot <= BEHIND_LIVE, "{} slots behind live", newest - begun[2].slot);
    stream.pages(15).await;
    air.end().await;
    let body = stream.rest().await;
    let pages = pages(&body);
    let (audio, last) = (&pages[2..pages.len() - 1], &pages[pages.len() - 1]);
    assert!(
        audio[..audio.len() - 1].windows(2).all(|two| two[1].slot == two[0].slot + 5 || two[1].slot % 5 > 0)
    );
    assert_eq!(audio.last().unwrap().slot, air.feed.highest().unwrap().0 + 1, "the end was cut off");
    assert_eq!((pages[0].flags, last.flags), (2, 4));
    assert!(pages.iter().map(|page| page.sequence).eq(0..pages.len() as u32));
    let slots: usize = audio.iter().map(|page| page.packets).sum();
    assert!((judged(&body) - (slots as f64 * 0.02 - 0.08)).abs() < 0.001);
    // The owner keeps telling that it has ended, whatever the edge still remembers.
    let answer = get(stage.addr, LIVE).await;
    assert_eq!(answer.code(), "room_ended");
}

#[tokio::test]
async fn each_page_time_is_what_was_asked_for_and_all_hear_the_same() {
    let stage = Stage::new().await;
    let air = stage.on_air(Visibility::Public);
    let mut streams = Vec::new();
    for page_ms in [20, 100, 1000] {
        streams.push((page_ms, listen(stage.addr, &format!("{LIVE}?page={page_ms}")).await));
    }
    for (page_ms, stream) in &mut streams {
        let pages = stream.pages(6).await;
        assert!(pages[3..].iter().all(|page| page.packets == *page_ms / 20), "{page_ms} ms: {pages:?}");
    }
    air.end().await;
    for (page_ms, stream) in streams {
        let body = stream.rest().await;
        let pages = pages(&body);
        assert_eq!(pages[pages.len() - 2].slot, air.feed.highest().unwrap().0 + 1, "{page_ms} ms");
        judged(&body);
    }
}

#[tokio::test]
async fn missing_slots_are_silence_and_time_stays_true() {
    let stage = Stage::new().await;
    let air = stage.on_air(Visibility::Public);
    let mut stream = listen(stage.addr, LIVE).await;
    stream.pages(5).await;
    air.stop().await;
    let next = air.feed.highest().unwrap().0 + 8;
    for slot in next..next + 20 {
        air.feed.push(frame(slot));
    }
    air.end().await;
    let body = stream.rest().await;
    let pages = pages(&body);
    let (audio, end) = (&pages[2..pages.len() - 1], next + 20);
    let packets: usize = audio.iter().map(|page| page.packets).sum();
    let first = audio[0].slot - audio[0].packets as u64;
    assert_eq!((audio.last().unwrap().slot, packets as u64), (end, end - first));
    judged(&body);
}

#[tokio::test]
async fn http_1_0_is_given_the_bare_stream() {
    let stage = Stage::new().await;
    let air = stage.on_air(Visibility::Public);
    let ended = tokio::spawn(say_and_read(stage.addr));
    until("it listens", || stage.metrics.listeners(stentor_telemetry::Protocol::Ogg).get() == 1).await;
    let at = air.feed.highest().unwrap();
    until("it has listened for a while", || air.feed.highest() > Some(at.plus(15))).await;
    air.end().await;
    let answer = ended.await.unwrap();
    assert_eq!((answer.status, answer.header("transfer-encoding")), (200, None));
    judged(&answer.body);
}

async fn say_and_read(addr: std::net::SocketAddr) -> super::client::Answer {
    say(addr, format!("GET {LIVE} HTTP/1.0\r\n\r\n").as_bytes()).await
}

#[tokio::test]
async fn a_stream_ends_with_its_ticket() {
    let stage = Stage::new().await;
    let _air = stage.on_air(Visibility::Private);
    let ticket = stage.ticket("ann", Role::Listener, Duration::from_millis(500));
    let stream = listen(stage.addr, &format!("{LIVE}?ticket={ticket}")).await;
    let other = listen(stage.addr, &format!("{LIVE}?ticket={}", stage.listener("bob"))).await;
    let body = stream.rest().await;
    assert_eq!(pages(&body).last().unwrap().flags, 4);
    judged(&body);
    until("it counts no more", || stage.metrics.listeners(stentor_telemetry::Protocol::Ogg).get() == 1).await;
    drop(other);
}

#[tokio::test]
async fn a_banned_listener_is_cut_off_and_kept_out_and_no_other() {
    let stage = Stage::new().await;
    let air = stage.on_air(Visibility::Public);
    let ann = listen(stage.addr, &format!("{LIVE}?ticket={}", stage.listener("ann"))).await;
    let mut bob = listen(stage.addr, &format!("{LIVE}?ticket={}", stage.listener("bob"))).await;
    air.event("ann", What::Banned("shouting".into()));
    assert_eq!(pages(&ann.rest().await).last().unwrap().flags, 4);
    let again = get(stage.addr, &format!("{LIVE}?ticket={}", stage.listener("ann"))).await;
    assert_eq!((again.code().as_str(), again.status), ("banned", 403));
    let heard = bob.pages(3).await.len();
    bob.pages(heard + 5).await;
}

#[tokio::test]
async fn listeners_are_counted_up_the_tree_and_a_hang_up_counts_down() {
    let stage = Stage::new().await;
    let air = stage.on_air(Visibility::Public);
    let mut streams = Vec::new();
    for _ in 0..5 {
        streams.push(listen(stage.addr, LIVE).await);
    }
    until("the origin knows of five", || air.feed.counts().listeners == 5).await;
    assert_eq!(stage.edge.connections(), 5);
    streams.truncate(2);
    until("the origin knows of two", || air.feed.counts().listeners == 2).await;
    assert_eq!(stage.edge.connections(), 2);
}
