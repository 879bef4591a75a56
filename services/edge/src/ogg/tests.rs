//! What other people's tools say of our streams: `ffmpeg` decodes them without a word, `opusinfo` finds nothing wrong.

use std::path::Path;

use bytes::Bytes;
use stentor_ids::Slot;
use stentor_mix::{Encoder, EncoderConfig};
use stentor_programs::Program;

use super::*;

/// `count` slots of a tone that swells and fades.
fn tone(count: usize) -> Vec<Bytes> {
    let mut encoder = Encoder::new(EncoderConfig::default()).unwrap();
    let sample = |n: usize| {
        let time = n as f32 / 48_000.0;
        (time * 440.0 * std::f32::consts::TAU).sin() * 0.3 * (time * 3.0).sin().abs()
    };
    (0..count)
        .map(|slot| (slot * 960..(slot + 1) * 960).map(sample).collect::<Vec<_>>())
        .map(|pcm| encoder.encode(&pcm).unwrap())
        .collect()
}

/// What a listener gets that joins at the first of these pages.
fn heard(pages: &[Page]) -> Vec<u8> {
    let (head, last) = (header_pages(7), last_page(7));
    let mut stream = Vec::new();
    for (page, sequence) in head.iter().chain(pages).chain([&last]).zip(0..) {
        page.write(sequence, &mut stream);
    }
    stream
}

fn pages_of(page_ms: u32, feed: impl FnOnce(&mut Pager, &mut dyn FnMut(Page))) -> Vec<Page> {
    let mut pages = Vec::new();
    let mut pager = Pager::new(7, Cut { page: PageTime::from_millis(page_ms).unwrap(), ..Cut::default() });
    feed(&mut pager, &mut |page| pages.push(page));
    pager.flush(&mut |page| pages.push(page));
    pages
}

/// Runs both tools over a stream and gives its length in seconds as decoded.
fn judged(stream: &[u8]) -> f64 {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("live.ogg");
    std::fs::write(&file, stream).unwrap();
    let told = Program::Opusinfo.command().unwrap().arg(&file).output().unwrap();
    let told = String::from_utf8_lossy(&[told.stdout, told.stderr].concat()).into_owned();
    assert!(!told.contains("WARNING") && !told.contains("ERROR"), "{told}");
    assert!(told.contains("Logical stream 1 ended"), "{told}");
    decoded(&file).len() as f64 / 48_000.0
}

fn decoded(file: &Path) -> Vec<f32> {
    let output = Program::Ffmpeg
        .command()
        .unwrap()
        .args(["-nostdin", "-v", "error", "-i"])
        .arg(file)
        .args(["-f", "f32le", "-ac", "1", "-ar", "48000", "-"])
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    output.stdout.chunks_exact(4).map(|four| f32::from_le_bytes(four.try_into().unwrap())).collect()
}

#[test]
fn a_listener_who_joins_in_the_middle_gets_a_stream_without_a_fault() {
    let packets = tone(250);
    for page_ms in [20, 100, 1000] {
        let pages = pages_of(page_ms, |pager, mut out| {
            packets.iter().zip(1_000_003..).for_each(|(opus, slot)| pager.frame(Slot(slot), opus, &mut out));
        });
        for skip in [0, 1, pages.len() / 2] {
            let slots: f64 = pages[skip..].iter().map(|page| packets_in(page) as f64).sum();
            let length = judged(&heard(&pages[skip..]));
            assert!((length - (slots * 0.02 - 0.08)).abs() < 0.001, "{page_ms} ms, {skip}: {length} s");
        }
    }
}

fn bytes(page: &Page) -> Vec<u8> {
    let mut bytes = Vec::new();
    page.write(0, &mut bytes);
    bytes
}

/// The position at the end of a page, in samples.
fn granule(page: &Page) -> u64 {
    u64::from_le_bytes(bytes(page)[6..14].try_into().unwrap())
}

/// Packets in a page, each of which has a short lacing here.
fn packets_in(page: &Page) -> usize {
    assert_eq!(bytes(page)[26], page.packets());
    page.packets().into()
}

#[test]
fn pages_are_aligned_to_their_length_and_granules_to_the_room() {
    let pages = pages_of(100, |pager, mut out| {
        (3..20).for_each(|slot| pager.frame(Slot(slot), &[0xf8, 0xff, 0xfe], &mut out));
    });
    let granules: Vec<_> = pages.iter().map(|page| granule(page) / 960).collect();
    assert_eq!(granules, [5, 10, 15, 20]);
}

#[test]
fn a_short_gap_is_filled_and_time_stays_true() {
    let packets = tone(200);
    let pages = pages_of(100, |pager, mut out| {
        for (slot, opus) in packets.iter().enumerate().filter(|(slot, _)| !(50..70).contains(slot)) {
            pager.frame(Slot(slot as u64), opus, &mut out);
            if slot == 49 {
                pager.gap(Slot(50), 12, &mut out);
            }
        }
    });
    assert_eq!(pages.iter().map(packets_in).sum::<usize>(), 200);
    assert!((judged(&heard(&pages)) - 3.92).abs() < 0.001);
}

#[test]
fn a_long_gap_is_a_jump_of_the_granule_position() {
    let packets = tone(100);
    let pages = pages_of(100, |pager, mut out| {
        (0..53).for_each(|slot| pager.frame(Slot(slot), &packets[slot as usize], &mut out));
        pager.gap(Slot(53), 1_000_000_000, &mut out);
        (53..100).for_each(|slot| pager.frame(Slot(slot + 1_000_000_000), &packets[slot as usize], &mut out));
    });
    let granules: Vec<_> = pages.iter().map(|page| granule(page) / 960).skip(9).take(3).collect();
    assert_eq!(granules, [50, 53, 1_000_000_055]);
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("jump.ogg"), heard(&pages)).unwrap();
    assert!(decoded(&folder.path().join("jump.ogg")).len() >= 100 * 960 - 3840, "sound is missing");
    assert_eq!(pages.iter().map(packets_in).sum::<usize>(), 100);
}

#[test]
fn a_slot_that_was_passed_is_left_out() {
    let pages = pages_of(20, |pager, mut out| {
        for slot in [5, 6, 6, 4, 7] {
            pager.frame(Slot(slot), &[0xf8, 0xff, 0xfe], &mut out);
        }
        pager.gap(Slot(5), 2, &mut out);
    });
    assert_eq!(pages.iter().map(|page| granule(page) / 960).collect::<Vec<_>>(), [6, 7, 8]);
}

#[test]
fn packets_too_large_for_one_page_make_it_shorter() {
    let pages = pages_of(1000, |pager, mut out| {
        (0..50).for_each(|slot| pager.frame(Slot(slot), &[0xf8; 1500], &mut out));
    });
    assert_eq!(pages.iter().map(|page| granule(page) / 960).collect::<Vec<_>>(), [42, 50]);
}
