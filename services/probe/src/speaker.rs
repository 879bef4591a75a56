//! The `Speak` call: a source in real time into a room, over one connection after another.
//!
//! The source's clock starts when the room first takes the speaker, and does not stop while a connection is being
//! replaced: what would have been said meanwhile is dropped, as a live voice is. When an edge sends the speaker elsewhere,
//! it speaks on there until the new edge has taken it in, and not a packet is dropped.
//!
//! Each connection after the first shows the resume token of the one before it, and packets are numbered over all of them.

use std::{pin::Pin, time::Duration};

use stentor_ids::{ParticipantId, Role, RoomId};
use stentor_mix::Packet;
use stentor_proto::{
    role_from_wire,
    v1::{
        Move, ParticipantEvent, SpeakPacket, SpeakRequest, SpeakResponse, SpeakWelcome,
        participant_event::What, speak_request, speak_response::Message,
    },
};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::{
    Error, Patience, Source, Target,
    call::{Call, Found, Session},
    line::Line,
    microphone::Microphone,
};

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
        let call = Call { room: config.room, monitor: config.monitor, resume_token: String::new() };
        let mut run = Run { line, call, voice, seq: 0, unsent: 0, broke: false, report };
        let stopped = shutdown.cancelled();
        tokio::pin!(stopped);
        let mut moved = None;
        loop {
            let session = match moved.take() {
                Some(session) => Ok(session),
                None => tokio::select! {
                    biased;
                    () = &mut stopped => return Ok(run.done(SpeakEnd::Stopped)),
                    session = run.connect() => session,
                },
            };
            let next = match session {
                Ok(session) => run.speak(session, &shutdown).await,
                Err(error) => Err(error),
            };
            match next {
                Ok(Next::End(end)) => {
                    run.report.send_modify(|report| report.edge = None);
                    return Ok(run.done(end));
                }
                Ok(Next::Elsewhere(found)) => moved = Some(run.arrive(*found)),
                Err(error) => {
                    run.report.send_modify(|report| report.edge = None);
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
    line: Line,
    call: Call,
    voice: Voice,
    seq: u64,
    /// Packets that the connection did not take.
    unsent: u64,
    /// Whether the next connection replaces a broken one.
    broke: bool,
    report: watch::Sender<SpeakReport>,
}

/// What comes after a session.
enum Next {
    End(SpeakEnd),
    Elsewhere(Box<Found>),
}

/// What an answer leads to.
enum Told {
    Nothing,
    End(SpeakEnd),
    Move(Move),
}

/// A search for another edge, beside the session with the one that leaves.
type Search = Pin<Box<dyn Future<Output = Option<Found>> + Send>>;

impl Run {
    fn done(self, end: SpeakEnd) -> SpeakReport {
        self.report.send_modify(|report| report.end = Some(end));
        self.report.borrow().clone()
    }

    async fn connect(&mut self) -> Result<Session, Error> {
        let (session, welcome) = self.call.open(&self.line).await?;
        let again = std::mem::take(&mut self.broke) && matches!(self.voice, Voice::Speaking(_));
        self.report.send_modify(|report| report.reconnects += u64::from(again));
        self.welcomed(&session.url, welcome);
        Ok(session)
    }

    /// Goes on with the edge that was found.
    fn arrive(&mut self, Found { line, session, welcome }: Found) -> Session {
        self.line = line;
        self.report.send_modify(|report| report.moves += 1);
        self.welcomed(&session.url, welcome);
        session
    }

    fn welcomed(&mut self, url: &str, welcome: SpeakWelcome) {
        self.line.is_up();
        self.report.send_modify(|report| {
            report.edge = Some(url.to_owned());
            report.participant = ParticipantId::new(&welcome.participant).ok();
            report.role = role_from_wire(welcome.role).ok().flatten();
            report.muted = welcome.muted;
        });
        self.call.resume_token = welcome.resume_token;
    }

    /// Speaks over one connection, until the end or until another edge has taken the speaker in.
    async fn speak(&mut self, mut session: Session, shutdown: &CancellationToken) -> Result<Next, Error> {
        let mut search: Option<Search> = None;
        loop {
            let microphone = self.voice.start();
            tokio::select! {
                biased;
                () = shutdown.cancelled() => {
                    session.say_goodbye().await;
                    return Ok(Next::End(SpeakEnd::Stopped));
                }
                found = searched(&mut search) => {
                    search = None;
                    if let Some(found) = found {
                        // What is still on its way to this edge may arrive meanwhile.
                        tokio::spawn(session.say_goodbye());
                        return Ok(Next::Elsewhere(Box::new(found)));
                    }
                }
                answer = session.answers.message() => match self.take(&session, answer) {
                    Ok(Told::Nothing) => {}
                    Ok(Told::End(end)) => {
                        tokio::spawn(session.say_goodbye());
                        return Ok(Next::End(end));
                    }
                    // Told anew, it goes on looking.
                    Ok(Told::Move(_)) if search.is_some() => {}
                    Ok(Told::Move(to)) => {
                        let (line, wait) = self.line.elsewhere(&to);
                        search = Some(Box::pin(self.call.clone().find(line, wait)));
                    }
                    Err(error) => {
                        self.line.is_lost();
                        let found = match search {
                            Some(search) => shutdown.run_until_cancelled(search).await.flatten(),
                            None => None,
                        };
                        return found.map_or(Err(error), |found| Ok(Next::Elsewhere(Box::new(found))));
                    }
                },
                packet = microphone.next() => match packet {
                    Some(packet) => self.send(&session.to_edge, &packet?),
                    None => {
                        session.say_goodbye().await;
                        return Ok(Next::End(SpeakEnd::Finished));
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

    fn take(
        &self,
        session: &Session,
        answer: Result<Option<SpeakResponse>, tonic::Status>,
    ) -> Result<Told, Error> {
        let answer = answer.map_err(|status| Error::of_status(&session.url, &status))?.ok_or_else(|| {
            let reason = "the edge closed the call without a reason".to_owned();
            Error::Broken { url: session.url.clone(), reason }
        })?;
        Ok(match answer.message {
            Some(Message::Monitor(_)) => {
                self.report.send_modify(|report| report.monitored += 1);
                Told::Nothing
            }
            Some(Message::Event(event)) if event.participant == session.participant => {
                self.happened(event).map_or(Told::Nothing, Told::End)
            }
            Some(Message::Ended(_)) => Told::End(SpeakEnd::RoomEnded),
            Some(Message::Move(to)) => Told::Move(to),
            Some(Message::Event(_) | Message::Welcome(_)) | None => Told::Nothing,
        })
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
            What::Invited(_) | What::HandLowered(_) => {}
        }
        None
    }
}

/// What a search comes to; never, if there is none.
async fn searched(search: &mut Option<Search>) -> Option<Found> {
    match search {
        Some(search) => search.await,
        None => std::future::pending().await,
    }
}
