//! What a node answers other nodes, as a test says it.

use async_trait::async_trait;
use parking_lot::Mutex;
use stentor_ids::{Code, Fault, NodeId, RoomId};
use stentor_link::control::Handler;
use stentor_proto::v1;

/// The answer to a call, which is told how many calls there were before.
pub type Answer<Q, A> = Option<Box<dyn Fn(usize, &Q) -> Result<A, Fault> + Send + Sync>>;

/// Answers to the calls that a test expects, [`says`] makes one; the others are refused.
#[derive(Default)]
pub struct Script {
    /// Who carries a room.
    pub locate: Answer<RoomId, v1::LocateResponse>,
    /// A command.
    pub command: Answer<v1::CommandRequest, v1::CommandReply>,
    /// Hands.
    pub hands: Answer<v1::HandsRequest, v1::HandsReply>,
    /// To drain, or to stop that.
    pub drain: Answer<bool, v1::DrainResponse>,
    /// To hand a room off.
    pub hand_off: Answer<RoomId, v1::TakeOverResponse>,
    /// What it was asked and had an answer to, in order.
    pub asked: Mutex<Vec<String>>,
}

/// An answer.
#[must_use]
pub fn says<Q, A>(answer: impl Fn(usize, &Q) -> Result<A, Fault> + Send + Sync + 'static) -> Answer<Q, A> {
    Some(Box::new(answer))
}

impl Script {
    /// What it was asked and had an answer to, in order.
    #[must_use]
    pub fn heard(&self) -> Vec<String> {
        self.asked.lock().clone()
    }

    /// Answers, if there is an answer to give; only then is the call noted and counted.
    fn answer<Q, A>(&self, by: &Answer<Q, A>, asked: &Q, what: String) -> Result<A, Fault> {
        let unasked = || Fault::new(Code::Internal, format!("nobody asks this of the node: {what}"));
        let answer = by.as_ref().ok_or_else(unasked)?;
        let mut all = self.asked.lock();
        let before = all.len();
        all.push(what);
        drop(all);
        answer(before, asked)
    }
}

#[async_trait]
impl Handler for Script {
    async fn locate(&self, room: RoomId) -> Result<v1::LocateResponse, Fault> {
        self.answer(&self.locate, &room, format!("locate {room}"))
    }

    async fn command(&self, _: RoomId, asked: v1::CommandRequest) -> Result<v1::CommandReply, Fault> {
        self.answer(&self.command, &asked, format!("{:?}", asked.command))
    }

    async fn hands(&self, _: RoomId, asked: v1::HandsRequest) -> Result<v1::HandsReply, Fault> {
        self.answer(&self.hands, &asked, format!("{} hands", asked.changes.len()))
    }

    async fn take_over(&self, _: RoomId, asked: v1::TakeOverRequest) -> Result<v1::TakeOverResponse, Fault> {
        self.answer(&None, &asked, "take over".into())
    }

    async fn probe(&self, room: Option<RoomId>) -> Result<v1::ProbeResponse, Fault> {
        self.answer(&None, &room, "probe".into())
    }

    async fn drain(&self, draining: bool) -> Result<v1::DrainResponse, Fault> {
        self.answer(&self.drain, &draining, format!("drain {draining}"))
    }

    async fn hand_off(&self, room: RoomId, to: Option<NodeId>) -> Result<v1::TakeOverResponse, Fault> {
        self.answer(&self.hand_off, &room, format!("hand off to {to:?}"))
    }
}
