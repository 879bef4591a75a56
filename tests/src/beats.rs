//! Mouth to ear, measured on the sound itself: a speaker that beeps at known moments, and an ear that hears the beeps
//! in what it decodes.
//!
//! A beep's mouth time is when its first sample would have left a microphone: one packet before the packet is sent. Its
//! ear time is when the first loud sample could be played: the arrival of its packet plus its place within the packet.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use bytes::Bytes;
use stentor_mix::{Decoder, Encoder, EncoderConfig, Packet};
use stentor_proto::v1::{
    SpeakHello, SpeakPacket, SpeakRequest, speak_request::Message, speak_service_client::SpeakServiceClient,
};
use tokio::sync::mpsc;
use tonic::{Request, transport::Channel};

/// Samples of a 20 ms packet at 48 kHz.
const PACKET: usize = 960;
/// Beeps are this far apart, in packets: much more than any latency that is to be told.
const EVERY: usize = 25;
/// Half a packet of tone.
const BEEP: usize = 480;
/// Louder than this is a beep; the room's comfort silence and codec echoes are far below.
const LOUD: f32 = 0.1;
/// An ear that has been quiet for this long hears the next loud sample as a new beep.
const QUIET: usize = 48 * 150;

/// Beeps into a room in real time for `seconds`; gives the mouth time of each beep.
///
/// # Errors
/// When the edge refuses the speaker.
pub async fn beep(edge: Channel, room: &str, ticket: &str, seconds: usize) -> Result<Vec<Instant>> {
    let (to_edge, outgoing) = mpsc::channel(8);
    let hello = SpeakHello { room: room.to_owned(), monitor: false, resume_token: String::new() };
    to_edge.send(SpeakRequest { message: Some(Message::Hello(hello)) }).await?;
    let mut request = Request::new(tokio_stream::wrappers::ReceiverStream::new(outgoing));
    request.metadata_mut().insert("authorization", format!("Bearer {ticket}").parse()?);
    let mut answers = SpeakServiceClient::new(edge).speak(request).await?.into_inner();
    answers.message().await?.context("the edge hung up before its welcome")?;
    let drain = tokio::spawn(async move { while let Ok(Some(_)) = answers.message().await {} });

    let mut encoder = Encoder::new(EncoderConfig::default())?;
    let tone: Vec<f32> = (0..BEEP).map(|i| 0.5 * (i as f32 * 0.13).sin()).collect();
    let mut ticks = tokio::time::interval(Duration::from_millis(20));
    let mut mouths = Vec::new();
    for seq in 0..seconds * 50 {
        let mut pcm = vec![0.0; PACKET];
        let beeps = seq % EVERY == EVERY - 1;
        if beeps {
            pcm[..BEEP].copy_from_slice(&tone);
        }
        let opus = encoder.encode(&pcm)?;
        let at = ticks.tick().await;
        if beeps {
            mouths.push(at.into_std() - Duration::from_millis(20));
        }
        let packet = SpeakPacket { seq: seq as u64, opus };
        to_edge.send(SpeakRequest { message: Some(Message::Packet(packet)) }).await?;
    }
    drain.abort();
    Ok(mouths)
}

/// Hears beeps in a room's packets.
pub struct Ear {
    decoder: Decoder,
    pcm: Vec<f32>,
    quiet: usize,
    /// When each beep could first be heard.
    pub heard: Vec<Instant>,
}

impl Ear {
    /// An ear that has heard nothing.
    ///
    /// # Errors
    /// When libopus has no memory.
    pub fn new() -> Result<Self> {
        Ok(Self { decoder: Decoder::new()?, pcm: Vec::new(), quiet: QUIET, heard: Vec::new() })
    }

    /// Takes a packet that arrived at `at`; `ahead` is what was in front of it in the same arrival.
    ///
    /// # Errors
    /// When it is not Opus.
    pub fn take(&mut self, opus: Bytes, at: Instant, ahead: Duration) -> Result<()> {
        self.pcm.clear();
        self.decoder.decode(&Packet::parse(opus)?, &mut self.pcm)?;
        for (i, sample) in self.pcm.iter().enumerate() {
            if sample.abs() < LOUD {
                self.quiet += 1;
                continue;
            }
            if self.quiet >= QUIET {
                self.heard.push(at + ahead + Duration::from_nanos(i as u64 * 1_000_000_000 / 48_000));
            }
            self.quiet = 0;
        }
        Ok(())
    }
}

/// The latency of each beep that was heard within half a second of being spoken, sorted.
#[must_use]
pub fn latencies(mouths: &[Instant], heard: &[Instant]) -> Vec<Duration> {
    let mut all: Vec<Duration> = mouths
        .iter()
        .filter_map(|mouth| {
            let ear = heard.iter().find(|ear| *ear > mouth)?;
            Some(ear.duration_since(*mouth)).filter(|latency| *latency < Duration::from_millis(500))
        })
        .collect();
    all.sort();
    all
}

/// The value below which `percent` of a sorted list lies.
#[must_use]
pub fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    sorted
        .get((sorted.len() * percent / 100).min(sorted.len().saturating_sub(1)))
        .copied()
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ear_hears_each_beep_once_and_when() {
        let mut encoder = Encoder::new(EncoderConfig::default()).unwrap();
        let mut ear = Ear::new().unwrap();
        let start = Instant::now();
        for packet in 0..60u32 {
            let mut pcm = vec![0.0; PACKET];
            if packet % 25 == 24 {
                pcm[..BEEP].iter_mut().enumerate().for_each(|(i, x)| *x = 0.5 * (i as f32 * 0.13).sin());
            }
            let at = start + packet * Duration::from_millis(20);
            ear.take(encoder.encode(&pcm).unwrap(), at, Duration::ZERO).unwrap();
        }
        let late: Vec<_> = ear.heard.iter().map(|at| at.duration_since(start).as_millis()).collect();
        assert_eq!(late.len(), 2, "{late:?}");
        assert!((480..500).contains(&late[0]) && (980..1000).contains(&late[1]), "{late:?}");
    }

    #[test]
    fn percentiles_of_few_and_of_none() {
        let list: Vec<Duration> = (1..=100).map(Duration::from_millis).collect();
        assert_eq!(percentile(&list, 50), Duration::from_millis(51));
        assert_eq!(percentile(&list, 99), Duration::from_millis(100));
        assert_eq!(percentile(&[], 99), Duration::ZERO);
    }
}
