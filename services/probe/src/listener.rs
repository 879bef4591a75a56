//! The `Listen` call: a room's audio into a record and a sink, over one connection after another.
//!
//! When an edge sends the listener elsewhere, the old stream is heard until the new one has what follows, so that a move
//! misses nothing that both edges had, and slots tell what of it has been heard.

use std::{collections::VecDeque, time::Duration};

use stentor_ids::{Epoch, Lineage, RoomId, Slot};
use stentor_pace::{Time, WallTime};
use stentor_proto::v1::{
    Frame, ListenRequest, ListenResponse, Move, listen_response::Message,
    listen_service_client::ListenServiceClient,
};
use tokio::{
    sync::watch,
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use tonic::Streaming;

use crate::{
    Error, Patience, Recorder, Report, Sink, Target, Verdict,
    line::{ANSWER, Connection, Line},
    record::Heard,
};

/// Longest that an old edge is listened to after the new one has begun: both play a room within a second of each other.
const OVERLAP: Duration = Duration::from_secs(5);
/// Messages of a new stream that are kept until its first frame comes. Before it there are only the room and gaps.
const AHEAD: usize = 16;

/// What to listen to.
#[derive(Debug, Clone)]
pub struct ListenConfig {
    /// Where, and as whom; a public room may be heard without a ticket.
    pub target: Target,
    /// The room.
    pub room: RoomId,
    /// Without the edge's seam buffer: each slot as soon as the edge has it.
    pub unbuffered: bool,
    /// Whether to come back when the connection breaks.
    pub reconnect: bool,
    /// How long to try.
    pub patience: Patience,
}

/// Why a listener is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListenEnd {
    /// The room has ended.
    RoomEnded,
    /// The caller stopped it.
    Stopped,
}

/// A listener that has not started yet.
pub struct Listener<S> {
    config: ListenConfig,
    sink: S,
    record: watch::Sender<Recorder>,
}

/// Looks at a listener from outside. Cheap to clone.
#[derive(Debug, Clone)]
pub struct ListenHandle(watch::Receiver<Recorder>);

impl ListenHandle {
    /// The report as of now.
    #[must_use]
    pub fn report(&self) -> Report {
        self.0.borrow().report()
    }

    /// Looks at the record. The listener waits meanwhile: be brief.
    pub fn look<T>(&self, at: impl FnOnce(&Recorder) -> T) -> T {
        at(&self.0.borrow())
    }

    /// Waits until the record is as asked, and says whether it is: not if the listener is done without that.
    pub async fn wait_for(&mut self, holds: impl FnMut(&Recorder) -> bool + Send) -> bool {
        self.0.wait_for(holds).await.is_ok()
    }
}

impl<S: Sink> Listener<S> {
    /// A listener that gives what it hears to `sink` (`()` for nowhere) once it runs.
    #[must_use]
    pub fn new(config: ListenConfig, sink: S) -> Self {
        Self { config, sink, record: watch::Sender::default() }
    }

    /// Keeps so many frames one by one instead of two hours of them; 56 bytes each.
    #[must_use]
    pub fn keeping(self, frames: usize) -> Self {
        Self { record: watch::Sender::new(Recorder::keeping(frames)), ..self }
    }

    /// A handle that stays of use after the listener is done.
    #[must_use]
    pub fn handle(&self) -> ListenHandle {
        ListenHandle(self.record.subscribe())
    }

    /// Listens until the room ends or `shutdown` is cancelled; then the sink is finished and given back.
    ///
    /// # Errors
    /// A refusal that waiting does not mend, no connection for as long as patience goes, or a sink that fails. What was
    /// heard until then is finished in the sink, and in the [`ListenHandle`].
    pub async fn run(self, shutdown: CancellationToken) -> Result<(ListenEnd, S), Error> {
        let Self { config, sink, record } = self;
        let mut line = Line::new(config.target.clone(), config.patience);
        let mut ears = Ears { sink, record, start: Instant::now() };
        let end = tokio::select! {
            biased;
            () = shutdown.cancelled() => Ok(ListenEnd::Stopped),
            end = listen(&config, &mut line, &mut ears) => end,
        };
        let finished = ears.sink.finish();
        let end = end?;
        finished?;
        Ok((end, ears.sink))
    }
}

async fn listen<S: Sink>(
    config: &ListenConfig,
    line: &mut Line,
    ears: &mut Ears<S>,
) -> Result<ListenEnd, Error> {
    let mut broke = false;
    loop {
        let error = match open(config, line).await {
            Ok(stream) => {
                line.is_up();
                if std::mem::take(&mut broke) {
                    ears.record.send_modify(Recorder::reconnected);
                }
                match follow(config, line, ears, stream).await {
                    Ok(()) => return Ok(ListenEnd::RoomEnded),
                    Err(error) => {
                        line.is_lost();
                        broke = true;
                        error
                    }
                }
            }
            Err(error) => error,
        };
        if broke && !config.reconnect {
            return Err(error);
        }
        line.wait(error).await?;
    }
}

/// Hears a stream, and those it leads to, until the room ends.
async fn follow<S: Sink>(
    config: &ListenConfig,
    line: &mut Line,
    ears: &mut Ears<S>,
    mut stream: Stream,
) -> Result<(), Error> {
    while let Next::Elsewhere(to) = ears.hear(&mut stream).await? {
        let found = {
            let finding = find(config, line, &to);
            tokio::pin!(finding);
            ears.hear_during(&mut stream, finding).await?
        };
        // Where nobody takes the listener in, the old stream is heard to its end.
        let Some(Found { line: way, stream: mut next, first }) = found else { continue };
        *line = way;
        line.is_up();
        ears.record.send_modify(Recorder::moved);
        // What the old stream does not have by then, nobody has.
        let _ = timeout(OVERLAP, ears.hear_up_to(&mut stream, first)).await;
        next.from = ears.record.borrow().next_slot();
        stream = next;
    }
    Ok(())
}

/// Another edge that plays the room.
struct Found {
    line: Line,
    stream: Stream,
    /// Its first slot.
    first: Slot,
}

/// Looks for the edge that a leaving one names, or any other, until the deadline.
async fn find(config: &ListenConfig, line: &Line, to: &Move) -> Option<Found> {
    let (mut line, wait) = line.elsewhere(to);
    sleep(wait).await;
    loop {
        match open_to_first_frame(config, &line).await {
            Ok((stream, first)) => return Some(Found { line, stream, first }),
            Err(error) => line.wait(error).await.ok()?,
        }
    }
}

async fn open(config: &ListenConfig, line: &Line) -> Result<Stream, Error> {
    let Connection { url, channel } = line.dial().await?;
    let request = ListenRequest { room: config.room.to_string(), unbuffered: config.unbuffered };
    let request = line.request(request)?;
    let mut client = ListenServiceClient::new(channel);
    match timeout(ANSWER, client.listen(request)).await {
        Ok(Ok(answer)) => {
            Ok(Stream { url, messages: answer.into_inner(), ahead: VecDeque::new(), from: None })
        }
        Ok(Err(status)) => Err(Error::of_status(&url, &status)),
        Err(_) => Err(Error::Broken { url, reason: format!("no answer within {ANSWER:?}") }),
    }
}

/// A stream and its first slot. What came until then is heard with the stream.
async fn open_to_first_frame(config: &ListenConfig, line: &Line) -> Result<(Stream, Slot), Error> {
    let mut stream = open(config, line).await?;
    let mut ahead = VecDeque::new();
    let none = |url: &str| Error::Broken { url: url.to_owned(), reason: "no frame came".to_owned() };
    while ahead.len() < AHEAD {
        let next = timeout(ANSWER, stream.next()).await.map_err(|_| none(&stream.url))?;
        let Some(message) = next? else { break };
        let first = match &message.message {
            Some(Message::Frame(frame)) => Some(Slot(frame.slot)),
            _ => None,
        };
        ahead.push_back(message);
        if let Some(first) = first {
            return Ok((Stream { ahead, ..stream }, first));
        }
    }
    Err(none(&stream.url))
}

struct Stream {
    url: String,
    messages: Streaming<ListenResponse>,
    /// Messages that were read and not heard yet.
    ahead: VecDeque<ListenResponse>,
    /// Slots below were heard over the stream before this one.
    from: Option<Slot>,
}

/// What comes after a stream.
enum Next {
    End,
    Elsewhere(Move),
}

impl Stream {
    async fn next(&mut self) -> Result<Option<ListenResponse>, Error> {
        match self.ahead.pop_front() {
            Some(message) => Ok(Some(message)),
            None => self.messages.message().await.map_err(|status| Error::of_status(&self.url, &status)),
        }
    }
}

struct Ears<S> {
    sink: S,
    record: watch::Sender<Recorder>,
    start: Instant,
}

impl<S: Sink> Ears<S> {
    /// Hears a stream until it ends or leads elsewhere.
    async fn hear(&mut self, stream: &mut Stream) -> Result<Next, Error> {
        while let Some(message) = stream.next().await? {
            if let Some(next) = self.take(message, stream.from)? {
                return Ok(next);
            }
        }
        Ok(Next::End)
    }

    /// Hears a stream while something else is being looked for. A room that ends meanwhile is left to be found ended; a
    /// stream that breaks is an error only if nothing is found.
    async fn hear_during<T>(
        &mut self,
        stream: &mut Stream,
        mut other: impl Future<Output = Option<T>> + Unpin,
    ) -> Result<Option<T>, Error> {
        loop {
            tokio::select! {
                biased;
                done = &mut other => return Ok(done),
                message = stream.next() => match message {
                    Ok(Some(message)) => {
                        if let Some(Next::End) = self.take(message, stream.from)? {
                            return Ok(None);
                        }
                    }
                    Ok(None) => return Ok(None),
                    Err(error) => return other.await.map_or(Err(error), |found| Ok(Some(found))),
                },
            }
        }
    }

    /// Hears a stream until `slot` is what comes next, or the stream breaks.
    async fn hear_up_to(&mut self, stream: &mut Stream, slot: Slot) -> Result<(), Error> {
        while self.record.borrow().next_slot().is_some_and(|next| next < slot) {
            let Some(message) = stream.next().await? else { return Ok(()) };
            self.take(message, stream.from)?;
        }
        Ok(())
    }

    fn take(&mut self, message: ListenResponse, from: Option<Slot>) -> Result<Option<Next>, Error> {
        match message.message {
            Some(Message::Frame(frame)) if from.is_some_and(|from| Slot(frame.slot) < from) => {}
            Some(Message::Frame(frame)) => self.take_frame(&frame)?,
            Some(Message::Gap(gap)) => {
                self.record.send_modify(|record| record.gap(Slot(gap.slot), gap.count, gap.skipped));
            }
            Some(Message::Ended(_)) => return Ok(Some(Next::End)),
            Some(Message::Move(to)) => return Ok(Some(Next::Elsewhere(to))),
            Some(Message::Room(_) | Message::Event(_)) | None => {}
        }
        Ok(None)
    }

    fn take_frame(&mut self, frame: &Frame) -> Result<(), Error> {
        let heard = Heard {
            slot: Slot(frame.slot),
            epoch: Epoch(frame.epoch),
            lineage: Lineage(frame.lineage),
            arrived: Time::default() + self.start.elapsed(),
            at: stentor_clock::wall(),
            captured: (frame.captured_us > 0).then(|| WallTime::from_micros(frame.captured_us)),
        };
        let mut verdict = Verdict::Repeated;
        self.record.send_modify(|record| verdict = record.frame(heard));
        if verdict == Verdict::New {
            self.sink.frame(heard.slot, &frame.opus)?;
        }
        Ok(())
    }
}
