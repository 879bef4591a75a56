//! `stentorctl speak`.

use std::{path::PathBuf, time::Duration};

use clap::Args;
use serde::Serialize;
use stentor_ids::{Role, RoomId};
use stentor_probe::{Patience, Source, SpeakConfig, SpeakEnd, SpeakHandle, SpeakReport, Speaker};
use tokio_util::sync::CancellationToken;

use crate::{
    aside::say_aside,
    failure::Failure,
    settings::Settings,
    show::{self, fields},
    ticket::{self, Keys},
    time::{length, parse_seconds},
};

/// How long the room may take to let one in: its owner may be about to be replaced.
pub(crate) const ENTRY: Duration = Duration::from_secs(5);

/// How long leaving the stage may take.
const GOODBYE: Duration = Duration::from_secs(2);

const AFTER: &str = "\
Ogg/Opus is passed through as it is (packets of 10, 20, 40 or 60 ms), WAV is encoded. Without --ticket one is made with
the ticket keys, if they are at hand. A connection that breaks is replaced; Ctrl-C ends it and prints the report.

Examples:
  stentorctl speak --room friday --name Ann talk.ogg
  stentorctl speak --room friday --name Ann --loop talk.wav
  ffmpeg -f alsa -i default -c:a libopus -f ogg - | stentorctl speak --room friday --name Ann -";

/// Speaks until the end of the file.
#[derive(Debug, Args)]
#[command(after_help = AFTER)]
pub(crate) struct Speak {
    /// The room
    #[arg(long)]
    room: RoomId,
    /// The name to show; needed unless a ticket says it
    #[arg(long, required_unless_present = "ticket")]
    name: Option<String>,
    /// An Ogg/Opus or WAV file, or - for standard input
    file: PathBuf,
    /// Start over at the end of the file
    #[arg(long = "loop")]
    repeat: bool,
    /// A ticket with a speaking role
    #[arg(long)]
    ticket: Option<String>,
    /// Wait for an edge that is not there yet, or a room that does not let one in yet
    #[arg(long, value_name = "SECONDS", value_parser = parse_seconds)]
    wait: Option<Duration>,
    #[command(flatten)]
    keys: Keys,
}

/// What was spoken.
#[derive(Serialize)]
struct Spoken {
    /// `finished`, `stopped`, `room_ended`, `removed` or `banned`.
    end: &'static str,
    reason: Option<String>,
    participant: String,
    role: String,
    muted: bool,
    packets: u64,
    dropped: u64,
    seconds: f64,
    reconnects: u64,
    moves: u64,
}

impl Speak {
    pub(crate) async fn run(self, settings: &Settings) -> Result<(), Failure> {
        let name = self.name.as_deref().unwrap_or_default();
        let ticket =
            ticket::given_or_made(settings, self.ticket, &self.keys, &self.room, name, Role::Speaker)?;
        let target = settings.target(ticket)?;
        // Reading the head of a pipe blocks.
        let (file, repeat) = (self.file, self.repeat);
        let opening = tokio::task::spawn_blocking(move || open(file, repeat)).await;
        let source = opening.map_err(|error| Failure::Other(error.to_string()))??;
        if self.wait.is_none() {
            target.reach().await?;
        }
        let patience = Patience { first: self.wait.unwrap_or(ENTRY), ..Patience::default() };
        let (leaving, room) = (target.clone(), self.room.clone());
        let speaker = Speaker::new(SpeakConfig { target, room: self.room, monitor: false, patience }, source);
        let shutdown = CancellationToken::new();
        let telling = tokio::spawn(tell(speaker.handle()));
        let stopping = tokio::spawn(stop_on_ctrl_c(shutdown.clone()));
        let outcome = speaker.run(shutdown).await;
        stopping.abort();
        telling.abort();
        let report = outcome?;
        if matches!(report.end, Some(SpeakEnd::Finished | SpeakEnd::Stopped)) && report.participant.is_some()
        {
            // The place on the stage would be kept for a return; that it is not given up is no failure of what was
            // spoken.
            let _ = tokio::time::timeout(GOODBYE, leaving.leave(&room)).await;
        }
        let spoken = Spoken::from(report);
        show::print(settings.output, &spoken, || spoken.details())?;
        match spoken.end {
            "removed" | "banned" => Err(Failure::Other(format!(
                "{} from the room: {}",
                spoken.end,
                spoken.reason.as_deref().filter(|reason| !reason.is_empty()).unwrap_or("no reason was given")
            ))),
            _ => Ok(()),
        }
    }
}

fn open(file: PathBuf, repeat: bool) -> Result<Source, Failure> {
    let source = if file.as_os_str() == "-" {
        Source::reader("standard input", std::io::stdin())
    } else {
        Source::file(file)
    };
    let failed = |error: stentor_probe::SourceError| Failure::Other(error.to_string());
    let source = source.map_err(failed)?;
    if repeat { source.repeated().map_err(failed) } else { Ok(source) }
}

/// Cancels at the first Ctrl-C.
pub(crate) async fn stop_on_ctrl_c(shutdown: CancellationToken) {
    if tokio::signal::ctrl_c().await.is_ok() {
        shutdown.cancel();
    }
}

/// Tells on standard error what a person would want to know at once.
async fn tell(mut handle: SpeakHandle) {
    let mut told = (None, false);
    loop {
        let seen = told.clone();
        let Some(report) = handle.wait_for(|report| (report.edge.clone(), report.muted) != seen).await else {
            return;
        };
        match (&told.0, &report.edge) {
            (None, Some(edge)) => {
                let who = report.participant.as_ref().map(ToString::to_string).unwrap_or_default();
                let role = report.role.map_or("guest", Role::as_str);
                say_aside(&format!("speaking through {edge} as {who} ({role})"));
            }
            (Some(edge), None) if report.end.is_none() => say_aside(&format!("lost {edge}")),
            _ => {}
        }
        if told.1 != report.muted {
            say_aside(if report.muted { "muted" } else { "unmuted" });
        }
        told = (report.edge, report.muted);
    }
}

impl From<SpeakReport> for Spoken {
    fn from(report: SpeakReport) -> Self {
        let (end, reason) = match report.end {
            Some(SpeakEnd::Finished) => ("finished", None),
            Some(SpeakEnd::RoomEnded) => ("room_ended", None),
            Some(SpeakEnd::Removed(reason)) => ("removed", Some(reason)),
            Some(SpeakEnd::Banned(reason)) => ("banned", Some(reason)),
            Some(SpeakEnd::Stopped) | None => ("stopped", None),
        };
        Self {
            end,
            reason,
            participant: report.participant.map(|id| id.to_string()).unwrap_or_default(),
            role: report.role.map(|role| role.to_string()).unwrap_or_default(),
            muted: report.muted,
            packets: report.sent,
            dropped: report.dropped,
            seconds: report.spoken.as_secs_f64(),
            reconnects: report.reconnects,
            moves: report.moves,
        }
    }
}

impl Spoken {
    fn details(&self) -> String {
        let some = |count: u64| if count == 0 { String::new() } else { count.to_string() };
        fields([
            ("end", self.end.replace('_', " ")),
            (
                "spoken",
                format!("{} in {} packets", length(Duration::from_secs_f64(self.seconds)), self.packets),
            ),
            ("dropped", format!("{} packets", self.dropped)),
            ("reconnects", some(self.reconnects)),
            ("moves", some(self.moves)),
        ])
    }
}
