//! The `Speak` call: a source in real time into a room, over one connection after another.
//!
//! The source's clock starts when the room first takes the speaker, and does not stop while a connection is being
//! replaced: what would have been said meanwhile is dropped, as a live voice is.

use std::time::Duration;

use stentor_ids::{ParticipantId, Role, RoomId};
use stentor_mix::Packet;
use stentor_proto::{
    role_from_wire,
    v1::{
        ParticipantEvent, SpeakHello, SpeakPacket, SpeakRequest, SpeakResponse, SpeakWelcome,
        participant_event::What, speak_request, speak_response::Message,
        speak_service_client::SpeakServiceClient,
    },
};
use tokio::{
    sync::{mpsc, watch},
    time::timeout,
};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::Streaming;

use crate::{
    Error, Patience, Source, Target,
    line::{ANSWER, Connection, Line},
    microphone::Microphone,
};

/// Packets handed to the connection and not sent yet; beyond it the newest is dropped and counted.
const OUTGOING: usize = 16;
/// How long the edge may take to answer that it has got everything.
const GOODBYE: Duration = Duration::from_secs(2);

/// What to speak into.
#[derive(Debug, Clone)]
pub struct SpeakConfig {
    /// Where, and as whom: the ticket says who speaks.
    pub target: Target,
    /// The room.
    pub room: RoomId,
    /// Ask for what the others on the stage say. Its packets are counted.
    pub monitor: bool,
    /// How long to try.
    pub patience: Patience,
}

/// Why a speaker is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SpeakEnd {
    /// The source is at its end.
    Finished,
    /// The caller stopped it.
    Stopped,
    /// The room has ended.
    RoomEnded,
    /// Taken off the stage, with the reason.
    Removed(String),
    /// Banned from the room, with the reason.
    Banned(String),
}

/// How a speaker is doing, or has done.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SpeakReport {
    /// Why it is done; none while it is not.
    pub end: Option<SpeakEnd>,
    /// The edge that takes its packets; none while there is no connection.
    pub edge: Option<String>,
    /// Who the ticket says it is.
    pub participant: Option<ParticipantId>,
    /// Its role in the room.
    pub role: Option<Role>,
    /// Whether it is muted now.
    pub muted: bool,
    /// Packets sent.
    pub sent: u64,
    /// How long they last.
    pub spoken: Duration,
    /// Packets that were due while nobody could take them.
    pub dropped: u64,
    /// Packets of the others on the stage.
    pub monitored: u64,
    /// Connections after the first that replaced a broken one.
    pub reconnects: u64,
    /// Times an edge sent it elsewhere.
    pub moves: u64,
}

/// A speaker that has not started yet.
pub struct Speaker {
    config: SpeakConfig,
    source: Source,
    report: watch::Sender<SpeakReport>,
}

/// Looks at a speaker from outside. Cheap to clone.
#[derive(Debug, Clone)]
pub struct SpeakHandle(watch::Receiver<SpeakReport>);

impl SpeakHandle {
    /// How it is doing now.
    #[must_use]
    pub fn report(&self) -> SpeakReport {
        self.0.borrow().clone()
    }

    /// Waits until the report is as asked. None if the speaker is done without that.
    pub async fn wait_for(&mut self, holds: impl FnMut(&SpeakReport) -> bool + Send) -> Option<SpeakReport> {
        let mut holds = holds;
        self.0.wait_for(|report| holds(report)).await.ok().map(|report| report.clone())
    }
}

impl Speaker {
    /// A speaker that plays `source` once it runs.
    #[must_use]
    pub fn new(config: SpeakConfig, source: Source) -> Self {
        Self { config, source, report: watch::Sender::default() }
    }

    /// A handle that stays of use while the speaker runs.
    #[must_use]
    pub fn handle(&self) -> SpeakHandle {
        SpeakHandle(self.report.subscribe())
    }

    /// Speaks until the source is at its end, the room throws it out or `shutdown` is cancelled.
    ///
    /// # Errors
    /// A refusal that waiting does not mend, no connection for as long as patience goes, or a source that breaks.
    pub async fn run(self, shutdown: CancellationToken) -> Result<SpeakReport, Error> {
        let Self { config, source, report } = self;
        let line = Line::new(config.target, config.patience);
        let voice = Voice::Waiting(Box::new(source));
        let (room, monitor, resume_token) = (config.room, config.monitor, String::new());
        let mut run =
            Run { room, monitor, line, voice, seq: 0, unsent: 0, resume_token, broke: false, report };
        let stopped = shutdown.cancelled();
        tokio::pin!(stopped);
        loop {
            let session = tokio::select! {
                biased;
                () = &mut stopped => return Ok(run.done(SpeakEnd::Stopped)),
                session = run.connect() => session,
            };
            let end = match session {
                Ok(session) => run.speak(session, &shutdown).await,
                Err(error) => Err(error),
            };
            run.report.send_modify(|report| report.edge = None);
            match end {
                Ok(Some(end)) => return Ok(run.done(end)),
                Ok(None) => run.report.send_modify(|report| report.moves += 1),
                Err(error) => {
                    tokio::select! {
                        biased;
                        () = &mut stopped => return Ok(run.done(SpeakEnd::Stopped)),
                        waited = run.line.wait(error) => waited?,
                    }
                    run.broke = true;
                    run.voice.flush();
                }
            }
        }
    }
}

enum Voice {
    /// The room has not taken the speaker yet.
    Waiting(Box<Source>),
    Speaking(Microphone),
    /// Between the two, for the length of a function.
    Starting,
}

impl Voice {
    fn start(&mut self) -> &mut Microphone {
        *self = match std::mem::replace(self, Self::Starting) {
            Self::Waiting(source) => Self::Speaking(Microphone::start(*source)),
            other => other,
        };
        match self {
            Self::Speaking(microphone) => microphone,
            Self::Waiting(_) | Self::Starting => unreachable!("the line above made it speak"),
        }
    }

    fn dropped(&self) -> u64 {
        if let Self::Speaking(microphone) = self { microphone.dropped() } else { 0 }
    }

    fn flush(&mut self) {
        if let Self::Speaking(microphone) = self {
            microphone.flush();
        }
    }
}

struct Run {
    room: RoomId,
    monitor: bool,
    line: Line,
    voice: Voice,
    seq: u64,
    /// Packets that the connection did not take.
    unsent: u64,
    resume_token: String,
    /// Whether the next connection replaces a broken one.
    broke: bool,
    report: watch::Sender<SpeakReport>,
}

struct Session {
    url: String,
    to_edge: mpsc::Sender<SpeakRequest>,
    answers: Streaming<SpeakResponse>,
    participant: String,
}

impl Run {
    fn done(self, end: SpeakEnd) -> SpeakReport {
        self.report.send_modify(|report| report.end = Some(end));
        self.report.borrow().clone()
    }

    async fn connect(&mut self) -> Result<Session, Error> {
        let Connection { url, channel } = self.line.dial().await?;
        let (to_edge, outgoing) = mpsc::channel(OUTGOING);
        let hello = SpeakHello {
            room: self.room.to_string(),
            monitor: self.monitor,
            resume_token: self.resume_token.clone(),
        };
        // The channel is empty, and its other end is at hand.
        let _ = to_edge.try_send(SpeakRequest { message: Some(speak_request::Message::Hello(hello)) });
        let request = self.line.request(ReceiverStream::new(outgoing))?;
        let mut client = SpeakServiceClient::new(channel);
        let welcome = timeout(ANSWER, async {
            let mut answers = client.speak(request).await?.into_inner();
            let first = answers.message().await?;
            Ok::<_, tonic::Status>((answers, first))
        });
        let broken = |reason: &str| Error::Broken { url: url.clone(), reason: reason.to_owned() };
        let (answers, first) = match welcome.await {
            Ok(answer) => answer.map_err(|status| Error::of_status(&url, &status))?,
            Err(_) => return Err(broken(&format!("no welcome within {ANSWER:?}"))),
        };
        let Some(Message::Welcome(welcome)) = first.and_then(|answer| answer.message) else {
            return Err(broken("the edge answered without a welcome"));
        };
        self.welcomed(&url, &welcome);
        Ok(Session { url, to_edge, answers, participant: welcome.participant })
    }

    fn welcomed(&mut self, url: &str, welcome: &SpeakWelcome) {
        self.line.is_up();
        let again = std::mem::take(&mut self.broke) && matches!(self.voice, Voice::Speaking(_));
        self.resume_token.clone_from(&welcome.resume_token);
        self.report.send_modify(|report| {
            report.reconnects += u64::from(again);
            report.edge = Some(url.to_owned());
            report.participant = ParticipantId::new(&welcome.participant).ok();
            report.role = role_from_wire(welcome.role).ok().flatten();
            report.muted = welcome.muted;
        });
    }

    /// Speaks over one connection. Gives the end; none if the edge sends the speaker elsewhere.
    async fn speak(
        &mut self,
        mut session: Session,
        shutdown: &CancellationToken,
    ) -> Result<Option<SpeakEnd>, Error> {
        loop {
            let microphone = self.voice.start();
            tokio::select! {
                biased;
                () = shutdown.cancelled() => {
                    session.say_goodbye().await;
                    return Ok(Some(SpeakEnd::Stopped));
                }
                answer = session.answers.message() => match answer {
                    Ok(Some(answer)) => {
                        if let Some(next) = self.take(&session, answer) {
                            // What is still on its way to this edge may arrive while the next one is sought.
                            tokio::spawn(session.say_goodbye());
                            return Ok(next);
                        }
                    }
                    Ok(None) => {
                        self.line.is_lost();
                        let reason = "the edge closed the call without a reason".to_owned();
                        return Err(Error::Broken { url: session.url, reason });
                    }
                    Err(status) => {
                        self.line.is_lost();
                        return Err(Error::of_status(&session.url, &status));
                    }
                },
                packet = microphone.next() => match packet {
                    Some(packet) => self.send(&session.to_edge, &packet?),
                    None => {
                        session.say_goodbye().await;
                        return Ok(Some(SpeakEnd::Finished));
                    }
                },
            }
        }
    }

    fn send(&mut self, to_edge: &mpsc::Sender<SpeakRequest>, packet: &Packet) {
        let message = SpeakPacket { seq: self.seq, opus: packet.bytes().clone() };
        self.seq += 1;
        let sent = to_edge.try_send(SpeakRequest { message: Some(speak_request::Message::Packet(message)) });
        self.unsent += u64::from(sent.is_err());
        let dropped = self.unsent + self.voice.dropped();
        self.report.send_modify(|report| {
            report.dropped = dropped;
            if sent.is_ok() {
                report.sent += 1;
                report.spoken += packet.duration();
            }
        });
    }

    /// What an answer leads to: nothing, the end, or (`Some(None)`) another edge.
    fn take(&mut self, session: &Session, answer: SpeakResponse) -> Option<Option<SpeakEnd>> {
        match answer.message? {
            Message::Monitor(_) => self.report.send_modify(|report| report.monitored += 1),
            Message::Event(event) if event.participant == session.participant => {
                return self.happened(event).map(Some);
            }
            Message::Ended(_) => return Some(Some(SpeakEnd::RoomEnded)),
            Message::Move(to) => {
                self.line.move_to(&to.url);
                return Some(None);
            }
            Message::Event(_) | Message::Welcome(_) => {}
        }
        None
    }

    fn happened(&self, event: ParticipantEvent) -> Option<SpeakEnd> {
        match event.what? {
            What::Muted(muted) => self.report.send_modify(|report| report.muted = muted),
            What::Role(role) => {
                let role = role_from_wire(role).ok().flatten();
                self.report.send_modify(|report| report.role = role);
            }
            What::Removed(reason) => return Some(SpeakEnd::Removed(reason)),
            What::Banned(reason) => return Some(SpeakEnd::Banned(reason)),
            What::Invited(_) => {}
        }
        None
    }
}

impl Session {
    /// Lets what was handed over reach the edge: it answers the end of our side with the end of its own.
    async fn say_goodbye(self) {
        let Self { to_edge, mut answers, .. } = self;
        drop(to_edge);
        let _ = timeout(GOODBYE, async { while let Ok(Some(_)) = answers.message().await {} }).await;
    }
}
