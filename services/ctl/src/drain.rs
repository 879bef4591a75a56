//! `stentorctl node drain`: begins a drain, and follows it where that is asked for.
//!
//! What the node tells of its drain is passed on as it comes. A node gives a drain up after a while, and what it tells may
//! be lost on the way, so it is asked again now and then; that does no harm.

use std::time::Duration;

use clap::Args;
use serde::Serialize;
use stentor_ids::{Code, NodeId};
use stentor_proto::v1::{self, NodeRequest, WatchRequest};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep, sleep_until},
};

use crate::{
    admin::{Admin, Client},
    aside::say_aside,
    failure::Failure,
    settings::Settings,
    show::{self, Happening, Node, What},
    time::{length, local_time, parse_seconds},
};

/// How often a node that drains is asked to go on: about as long as it tries by itself.
const ASK_AGAIN: Duration = Duration::from_secs(20);

#[derive(Debug, Args)]
pub(crate) struct Drain {
    /// The node, as `node list` shows it
    node: NodeId,
    /// Stay until it is drained, for so long at most, and tell what it waits for; exit with 5 if it is not drained by then
    #[arg(long, value_name = "SECONDS", value_parser = parse_seconds)]
    wait: Option<Duration>,
}

/// A node that drains.
#[derive(Serialize)]
struct Draining {
    #[serde(flatten)]
    node: Node,
    /// In words; empty when it is drained.
    waits_for: Vec<String>,
}

/// How a drain goes on.
#[derive(Debug, PartialEq)]
enum News {
    WaitsFor(Vec<String>),
    /// The node has left the cluster.
    Left,
    /// Somebody has given it work again.
    Back,
}

impl Drain {
    pub(crate) async fn run(self, settings: &Settings) -> Result<(), Failure> {
        let mut admin = Admin::connect(settings).await?;
        if let Some(wait) = self.wait {
            self.follow(&mut admin, wait).await?;
        }
        match self.ask(&mut admin).await {
            Ok(drain) => show::print(settings.output, &drain, || drain.told()),
            Err(Failure::Refused(fault)) if self.wait.is_some() && fault.code == Code::UnknownNode => {
                say_aside(&format!("{} has left the cluster", self.node));
                Ok(())
            }
            Err(failure) => Err(failure),
        }
    }

    fn request(&self) -> NodeRequest {
        NodeRequest { node: self.node.to_string() }
    }

    async fn ask(&self, admin: &mut Admin) -> Result<Draining, Failure> {
        let answer = admin.client.drain_node(self.request()).await;
        admin.answer(answer).map(Draining::from)
    }

    /// Waits until the node is drained, or has left.
    async fn follow(&self, admin: &mut Admin, wait: Duration) -> Result<(), Failure> {
        let deadline = Instant::now() + wait;
        let answer = admin.client.watch_happenings(WatchRequest::default()).await;
        let mut happenings = admin.answer(answer)?;
        let (asked, mut answers) = mpsc::channel(1);
        tokio::spawn(keep_asking(admin.client.clone(), self.request(), asked));
        let (mut told, mut begun) = (None, false);
        loop {
            let news = tokio::select! {
                biased;
                happening = happenings.message() => match happening.map_err(|status| admin.failure(&status))? {
                    Some(happening) => self.heard(happening.into()),
                    None => return Err(Failure::Other("the admin node has ended the watch".to_owned())),
                },
                Some(answer) = answers.recv() => match admin.answer(answer) {
                    Err(failure) if !begun => return Err(failure),
                    answer => {
                        begun = true;
                        answered(answer)
                    }
                },
                () = sleep_until(deadline) => return Err(self.unfinished(wait, told)),
            };
            match news {
                Some(News::WaitsFor(waits_for)) if waits_for.is_empty() => return Ok(()),
                Some(News::WaitsFor(waits_for)) => {
                    if told.as_ref() != Some(&waits_for) {
                        self.tell(&waits_for);
                    }
                    told = Some(waits_for);
                }
                Some(News::Left) => return Ok(()),
                Some(News::Back) => {
                    let detail = format!("somebody has given {} work again; drain it again", self.node);
                    return Err(Failure::Other(detail));
                }
                None => {}
            }
        }
    }

    /// What a happening says about the drain.
    fn heard(&self, happening: Happening) -> Option<News> {
        if happening.node != self.node.as_str() {
            return None;
        }
        match happening.what {
            What::Drain { draining: true, waits_for } => Some(News::WaitsFor(waits_for)),
            What::Drain { .. } => Some(News::Back),
            What::Membership { there: false } => Some(News::Left),
            _ => None,
        }
    }

    fn tell(&self, waits_for: &[String]) {
        let now = local_time(stentor_clock::wall().as_millis());
        say_aside(&format!("{now}  {} waits for {}", self.node, waits_for.join(", ")));
    }

    fn unfinished(&self, wait: Duration, told: Option<Vec<String>>) -> Failure {
        let waits_for = told.map_or_else(|| "an answer".to_owned(), |told| told.join(", "));
        let (node, wait) = (&self.node, length(wait));
        Failure::Unfinished(format!("{node} is not drained after {wait}: it waits for {waits_for}"))
    }
}

/// Asks a node to drain, again and again, until nobody wants to know.
async fn keep_asking(mut client: Client, request: NodeRequest, answers: mpsc::Sender<Answer>) {
    while answers.send(client.drain_node(request.clone()).await).await.is_ok() {
        sleep(ASK_AGAIN).await;
    }
}

type Answer = Result<tonic::Response<v1::Node>, tonic::Status>;

/// What a later answer says about the drain. One that does not come says nothing: the node is busy, or about to go.
fn answered(answer: Result<v1::Node, Failure>) -> Option<News> {
    match answer {
        Ok(node) => Some(News::WaitsFor(node.waits_for)),
        Err(Failure::Refused(fault)) if fault.code == Code::UnknownNode => Some(News::Left),
        Err(_) => None,
    }
}

impl From<v1::Node> for Draining {
    fn from(mut node: v1::Node) -> Self {
        let waits_for = std::mem::take(&mut node.waits_for);
        Self { node: node.into(), waits_for }
    }
}

impl Draining {
    fn told(&self) -> String {
        let node = Node::list(std::slice::from_ref(&self.node));
        if self.waits_for.is_empty() {
            return format!("{node}\n\nit is drained");
        }
        let waits_for: String =
            self.waits_for.iter().map(|what| format!("\n  {}", show::plain(what))).collect();
        format!(
            "{node}\n\nit waits for{waits_for}\nfollow it: stentorctl node drain {} --wait 60",
            self.node.id()
        )
    }
}
