//! An edge that does what a test tells it, call by call: it answers, pauses, breaks off. A real edge does not break when
//! one wants it to.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    time::Duration,
};

use stentor_proto::{
    span,
    v1::{
        Ended, Frame, ListenRequest, ListenResponse, Move, SpeakRequest, SpeakResponse, SpeakWelcome,
        listen_response, listen_service_server, participant_event::What, speak_response,
        speak_service_server,
    },
};
use tokio::{net::TcpListener, sync::mpsc, task::AbortHandle};
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::{
    Request, Response, Status, Streaming, async_trait,
    transport::{Identity, Server, ServerTlsConfig},
};

/// One thing that the edge does in a call.
pub(crate) enum Step<T> {
    Send(T),
    Pause(Duration),
    Fail(Status),
    /// Answers nothing more and keeps the call open.
    Hang,
}

type Script<T> = Vec<Step<T>>;

#[derive(Clone, Default)]
struct Calls {
    listen: Arc<Mutex<VecDeque<Script<ListenResponse>>>>,
    speak: Arc<Mutex<VecDeque<Script<SpeakResponse>>>>,
    tickets: Arc<Mutex<Vec<String>>>,
    spoken: Arc<Mutex<Vec<SpeakRequest>>>,
}

/// A running edge. It ends when this is dropped.
pub(crate) struct Edge {
    pub(crate) url: String,
    calls: Calls,
    serving: AbortHandle,
}

impl Edge {
    /// Each call takes the next script; a call beyond them is refused.
    pub(crate) async fn start(
        listen: Vec<Script<ListenResponse>>,
        speak: Vec<Script<SpeakResponse>>,
    ) -> Self {
        Self::serve(Server::builder(), "http", listen, speak).await
    }

    /// The same over TLS.
    pub(crate) async fn start_tls(identity: Identity, listen: Vec<Script<ListenResponse>>) -> Self {
        let tls = ServerTlsConfig::new().identity(identity);
        Self::serve(Server::builder().tls_config(tls).unwrap(), "https", listen, vec![]).await
    }

    async fn serve(
        mut server: Server,
        scheme: &str,
        listen: Vec<Script<ListenResponse>>,
        speak: Vec<Script<SpeakResponse>>,
    ) -> Self {
        let calls = Calls {
            listen: Arc::new(Mutex::new(listen.into())),
            speak: Arc::new(Mutex::new(speak.into())),
            ..Calls::default()
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("{scheme}://{}", listener.local_addr().unwrap());
        let serving = server
            .add_service(listen_service_server::ListenServiceServer::new(calls.clone()))
            .add_service(speak_service_server::SpeakServiceServer::new(calls.clone()))
            .serve_with_incoming(TcpListenerStream::new(listener));
        let serving = tokio::spawn(async { serving.await.unwrap() }).abort_handle();
        Self { url, calls, serving }
    }

    /// The `authorization` of each call so far.
    pub(crate) fn tickets(&self) -> Vec<String> {
        self.calls.tickets.lock().unwrap().clone()
    }

    /// Everything that speakers have sent so far.
    pub(crate) fn spoken(&self) -> Vec<SpeakRequest> {
        self.calls.spoken.lock().unwrap().clone()
    }
}

impl Drop for Edge {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Calls {
    fn note<T>(&self, request: &Request<T>) {
        let ticket = request.metadata().get("authorization");
        let ticket = ticket.map(|ticket| ticket.to_str().unwrap().to_owned()).unwrap_or_default();
        self.tickets.lock().unwrap().push(ticket);
    }
}

fn play<T: Send + 'static>(script: Script<T>) -> ReceiverStream<Result<T, Status>> {
    let (send, answers) = mpsc::channel(8);
    tokio::spawn(async move {
        for step in script {
            let item = match step {
                Step::Send(message) => Ok(message),
                Step::Fail(status) => Err(status),
                Step::Pause(length) => {
                    tokio::time::sleep(length).await;
                    continue;
                }
                Step::Hang => {
                    send.closed().await;
                    return;
                }
            };
            if send.send(item).await.is_err() {
                return;
            }
        }
    });
    ReceiverStream::new(answers)
}

fn next<T>(scripts: &Mutex<VecDeque<Script<T>>>) -> Result<Script<T>, Status> {
    let script = scripts.lock().unwrap().pop_front();
    let mut script = script.ok_or_else(|| Status::failed_precondition("no script is left"))?;
    // A script that begins with a failure refuses the call itself.
    match script.first() {
        Some(Step::Fail(_)) => match script.remove(0) {
            Step::Fail(status) => Err(status),
            _ => unreachable!(),
        },
        _ => Ok(script),
    }
}

#[async_trait]
impl listen_service_server::ListenService for Calls {
    type ListenStream = ReceiverStream<Result<ListenResponse, Status>>;

    async fn listen(&self, request: Request<ListenRequest>) -> Result<Response<Self::ListenStream>, Status> {
        self.note(&request);
        Ok(Response::new(play(next(&self.listen)?)))
    }
}

#[async_trait]
impl speak_service_server::SpeakService for Calls {
    type SpeakStream = ReceiverStream<Result<SpeakResponse, Status>>;

    async fn speak(
        &self,
        request: Request<Streaming<SpeakRequest>>,
    ) -> Result<Response<Self::SpeakStream>, Status> {
        self.note(&request);
        let script = next(&self.speak)?;
        let spoken = Arc::clone(&self.spoken);
        let mut messages = request.into_inner();
        tokio::spawn(async move {
            while let Ok(Some(message)) = messages.message().await {
                spoken.lock().unwrap().push(message);
            }
        });
        Ok(Response::new(play(script)))
    }
}

/// Frames of these slots, 2 ms apart.
pub(crate) fn frames(slots: std::ops::Range<u64>) -> Script<ListenResponse> {
    let frame = |slot| {
        let opus = bytes::Bytes::from_static(stentor_mix::SILENCE);
        Frame { epoch: 1, lineage: 1, slot, opus, captured_us: 0 }
    };
    slots
        .flat_map(|slot| {
            [
                Step::Send(heard(listen_response::Message::Frame(frame(slot)))),
                Step::Pause(Duration::from_millis(2)),
            ]
        })
        .collect()
}

pub(crate) fn ended() -> Script<ListenResponse> {
    vec![Step::Send(heard(listen_response::Message::Ended(Ended {})))]
}

pub(crate) fn go_to(url: &str) -> Script<ListenResponse> {
    let to = Move { url: url.to_owned(), deadline: Some(span(Duration::from_millis(400))) };
    vec![Step::Send(heard(listen_response::Message::Move(to)))]
}

pub(crate) fn heard(message: listen_response::Message) -> ListenResponse {
    ListenResponse { message: Some(message) }
}

pub(crate) fn told(message: speak_response::Message) -> Step<SpeakResponse> {
    Step::Send(SpeakResponse { message: Some(message) })
}

pub(crate) fn welcome(resume_token: &str) -> Step<SpeakResponse> {
    told(speak_response::Message::Welcome(SpeakWelcome {
        participant: "ann".into(),
        role: stentor_proto::v1::Role::Speaker.into(),
        muted: false,
        resume_token: resume_token.into(),
    }))
}

pub(crate) fn happened(participant: &str, what: What) -> Step<SpeakResponse> {
    let event = stentor_proto::v1::ParticipantEvent {
        participant: participant.into(),
        what: Some(what),
        ..stentor_proto::v1::ParticipantEvent::default()
    };
    told(speak_response::Message::Event(event))
}
