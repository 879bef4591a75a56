//! One `Speak` call: asked for, taken, said goodbye to. What is said over it is the speaker's business.

use std::time::Duration;

use stentor_ids::{Code, RoomId};
use stentor_proto::v1::{
    SpeakHello, SpeakRequest, SpeakResponse, SpeakWelcome, speak_request, speak_response::Message,
    speak_service_client::SpeakServiceClient,
};
use tokio::{
    sync::mpsc,
    time::{sleep, timeout},
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;

use crate::{
    Error,
    line::{ANSWER, Connection, Line},
};

/// Packets handed to the connection and not sent yet; beyond it the newest is dropped and counted.
const OUTGOING: usize = 16;
/// How long the edge may take to answer that it has got everything.
const GOODBYE: Duration = Duration::from_secs(2);

/// What is asked of an edge.
#[derive(Clone)]
pub(crate) struct Call {
    pub(crate) room: RoomId,
    pub(crate) monitor: bool,
    pub(crate) resume_token: String,
}

/// A call that the edge has taken.
pub(crate) struct Session {
    pub(crate) url: String,
    pub(crate) to_edge: mpsc::Sender<SpeakRequest>,
    pub(crate) answers: Streaming<SpeakResponse>,
    pub(crate) participant: String,
}

/// Another edge that has taken the speaker in.
pub(crate) struct Found {
    pub(crate) line: Line,
    pub(crate) session: Session,
    pub(crate) welcome: SpeakWelcome,
}

impl Call {
    /// Brings the speaker in at the edge that is next. A resume token that the edge has no use for is done without.
    pub(crate) async fn open(&self, line: &Line) -> Result<(Session, SpeakWelcome), Error> {
        match self.open_with(line, &self.resume_token).await {
            Err(Error::Refused(fault))
                if fault.code == Code::InvalidTicket && !self.resume_token.is_empty() =>
            {
                self.open_with(line, "").await
            }
            opened => opened,
        }
    }

    async fn open_with(&self, line: &Line, resume_token: &str) -> Result<(Session, SpeakWelcome), Error> {
        let Connection { url, channel } = line.dial().await?;
        let (to_edge, outgoing) = mpsc::channel(OUTGOING);
        let hello = SpeakHello {
            room: self.room.to_string(),
            monitor: self.monitor,
            resume_token: resume_token.to_owned(),
        };
        // The channel is empty, and its other end is at hand.
        let _ = to_edge.try_send(SpeakRequest { message: Some(speak_request::Message::Hello(hello)) });
        let request = line.request(ReceiverStream::new(outgoing))?;
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
        Ok((Session { url, to_edge, answers, participant: welcome.participant.clone() }, welcome))
    }

    /// Looks for the edge that a leaving one names, or any other, until the deadline.
    pub(crate) async fn find(self, mut line: Line, wait: Duration) -> Option<Found> {
        sleep(wait).await;
        loop {
            match self.open(&line).await {
                Ok((session, welcome)) => return Some(Found { line, session, welcome }),
                Err(error) => line.wait(error).await.ok()?,
            }
        }
    }
}

impl Session {
    /// Lets what was handed over reach the edge: it answers the end of our side with the end of its own.
    pub(crate) async fn say_goodbye(self) {
        let Self { to_edge, mut answers, .. } = self;
        drop(to_edge);
        let _ = timeout(GOODBYE, async { while let Ok(Some(_)) = answers.message().await {} }).await;
    }
}
