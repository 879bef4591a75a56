//! The main job in the most common player: a page's `<audio>` element in a real browser.

use std::time::Duration;

use stentor_tests::{
    browser::Browser,
    cluster::{Cluster, Shape},
};

#[tokio::test(flavor = "multi_thread")]
async fn an_audio_element_of_any_page_plays_the_room_as_it_is_spoken() {
    let cluster = Cluster::start(Shape::default()).await.unwrap();
    cluster.live_room("talk").await.unwrap();
    let _voices = cluster.speak_demo("talk").await.unwrap();

    // Chromium hands a stream on in blocks of 32 KiB. Without padding these are 8 s of speech each.
    let live = format!("http://127.0.0.1:{}/v1/rooms/talk/live.ogg?pad=512", cluster.edge_port(1));
    let mut browser = Browser::play(&live).await.unwrap();
    let within = Duration::from_secs(60);
    let begun = browser.until("playing to begin", within, |heard| !heard.position.is_zero()).await.unwrap();
    let goal = begun.position + Duration::from_secs(8);
    let heard = browser.until("8 s more", within, |heard| heard.position >= goal).await.unwrap();

    // The voices leave pauses, and the browser of a busy machine looks less often than it should.
    let (moments, audible) = (heard.moments - begun.moments, heard.audible - begun.audible);
    assert!(moments >= 20, "only {moments} moments were looked at: {heard:?}");
    assert!(audible * 3 > moments, "{audible} of {moments} moments were audible: {heard:?}");
}
