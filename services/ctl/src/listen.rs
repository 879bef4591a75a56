//! `stentorctl listen`.

use std::{
    fs::File,
    io::{self, BufWriter},
    path::{Path, PathBuf},
    time::Duration,
};

use clap::Args;
use serde::Serialize;
use stentor_ids::{Role, RoomId};
use stentor_probe::{ListenConfig, ListenEnd, Listener, OggSink, Patience, Report, Sink};
use tokio_util::sync::CancellationToken;

use crate::{
    aside::say_aside,
    failure::Failure,
    options::Output,
    settings::Settings,
    show::{self, fields},
    speak::{ENTRY, stop_on_ctrl_c},
    ticket::{self, Keys},
    time::{length, parse_seconds},
};

/// Gaps that a table shows; JSON has them all.
const GAPS_SHOWN: usize = 10;

const AFTER: &str = "\
A public room needs no ticket. Without --ticket one is made with the ticket keys, if they are at hand. Ctrl-C ends it
and prints the report: slots (20 ms of audio each) got, missed and repeated, and the time from mouth to ear as far as the
clocks of this machine and of the speaker's edge agree.

Examples:
  stentorctl listen --room friday --seconds 60 --strict
  stentorctl listen --room friday -O friday.ogg
  stentorctl listen --room friday -O - | ffplay -nodisp -";

/// Listens until the room ends.
#[derive(Debug, Args)]
#[command(after_help = AFTER)]
pub(crate) struct Listen {
    /// The room
    #[arg(long)]
    room: RoomId,
    /// Stop after so many seconds of listening
    #[arg(long, value_parser = parse_seconds)]
    seconds: Option<Duration>,
    /// Write what is heard as Ogg/Opus to a file, or to standard output (-); missing slots become silence
    #[arg(short = 'O', long, value_name = "FILE")]
    ogg: Option<PathBuf>,
    /// Take each slot as soon as the edge has it, without the buffer that hides jitter
    #[arg(long)]
    unbuffered: bool,
    /// Exit with 4 if a slot was missing
    #[arg(long)]
    strict: bool,
    /// Stop when the connection breaks
    #[arg(long)]
    no_reconnect: bool,
    /// A ticket for the room
    #[arg(long)]
    ticket: Option<String>,
    /// Wait for an edge that is not there yet, or a room that is not on the air yet
    #[arg(long, value_name = "SECONDS", value_parser = parse_seconds)]
    wait: Option<Duration>,
    #[command(flatten)]
    keys: Keys,
}

/// What was heard.
#[derive(Debug, Serialize)]
struct Heard {
    /// `room_ended` or `stopped`.
    end: &'static str,
    got: u64,
    missed: u64,
    skipped: u64,
    repeated: u64,
    out_of_order: u64,
    first_slot: Option<u64>,
    last_slot: Option<u64>,
    /// First slot and number of slots of each gap.
    gaps: Vec<(u64, u64)>,
    epochs: Vec<u64>,
    lineages: Vec<u64>,
    longest_interval_ms: f64,
    /// From mouth to ear; null if nobody spoke.
    latency_ms: Option<LatencyMs>,
    reconnects: u64,
    moves: u64,
}

#[derive(Debug, Serialize)]
struct LatencyMs {
    p50: f64,
    p90: f64,
    p99: f64,
    max: f64,
}

impl Listen {
    pub(crate) async fn run(self, settings: &Settings) -> Result<(), Failure> {
        let name = format!("stentorctl-{}", std::process::id());
        let made = ticket::given_or_made(
            settings,
            self.ticket.clone(),
            &self.keys,
            &self.room,
            &name,
            Role::Listener,
        );
        let target = settings.target(made?)?;
        if self.wait.is_none() {
            target.reach().await?;
        }
        let sink = self.ogg.as_deref().map_or(Ok(Box::new(()) as Box<dyn Sink>), open)?;
        let config = ListenConfig {
            target,
            room: self.room,
            unbuffered: self.unbuffered,
            reconnect: !self.no_reconnect,
            patience: Patience { first: self.wait.unwrap_or(ENTRY), ..Patience::default() },
        };
        let listener = Listener::new(config, sink);
        let mut handle = listener.handle();
        let shutdown = CancellationToken::new();
        let stopping = tokio::spawn(stop_on_ctrl_c(shutdown.clone()));
        let timing = tokio::spawn({
            let (shutdown, seconds, mut handle) = (shutdown.clone(), self.seconds, handle.clone());
            async move {
                if let (true, Some(seconds)) = (handle.wait_for(|record| record.got() > 0).await, seconds) {
                    tokio::time::sleep(seconds).await;
                    shutdown.cancel();
                }
            }
        });
        let outcome = listener.run(shutdown).await;
        stopping.abort();
        timing.abort();
        let heard = Heard::new(outcome.as_ref().ok().map(|(end, _)| *end), &handle.report());
        let nothing = !handle.wait_for(|record| record.got() > 0).await;
        // What was heard before a failure is told as well.
        match outcome {
            Err(error) if nothing => return Err(error.into()),
            Err(error) => {
                heard.print(settings.output, self.ogg.as_deref())?;
                return Err(error.into());
            }
            Ok(_) => heard.print(settings.output, self.ogg.as_deref())?,
        }
        match heard.missed {
            0 if self.strict && nothing => Err(Failure::Missing(0)),
            missed if self.strict && missed > 0 => Err(Failure::Missing(missed)),
            _ => Ok(()),
        }
    }
}

fn open(path: &Path) -> Result<Box<dyn Sink>, Failure> {
    let failed = |error: io::Error| Failure::Other(format!("{}: {error}", path.display()));
    Ok(if path.as_os_str() == "-" {
        Box::new(OggSink::new(io::stdout()).map_err(failed)?)
    } else {
        Box::new(OggSink::new(BufWriter::new(File::create(path).map_err(failed)?)).map_err(failed)?)
    })
}

fn ms(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e3
}

impl Heard {
    fn new(end: Option<ListenEnd>, report: &Report) -> Self {
        Self {
            end: match end {
                Some(ListenEnd::RoomEnded) => "room_ended",
                Some(ListenEnd::Stopped) => "stopped",
                None => "failed",
            },
            got: report.got,
            missed: report.missed,
            skipped: report.skipped,
            repeated: report.repeated,
            out_of_order: report.out_of_order,
            first_slot: report.first_slot.map(|slot| slot.0),
            last_slot: report.last_slot.map(|slot| slot.0),
            gaps: report.gaps.iter().map(|gap| (gap.slot.0, gap.count)).collect(),
            epochs: report.epochs.iter().map(|epoch| epoch.0).collect(),
            lineages: report.lineages.iter().map(|lineage| lineage.0).collect(),
            longest_interval_ms: ms(report.longest_interval),
            latency_ms: report.latency.map(|latency| LatencyMs {
                p50: ms(latency.p50),
                p90: ms(latency.p90),
                p99: ms(latency.p99),
                max: ms(latency.max),
            }),
            reconnects: report.reconnects,
            moves: report.moves,
        }
    }

    /// To standard output, unless the audio goes there.
    fn print(&self, output: Output, ogg: Option<&Path>) -> Result<(), Failure> {
        if ogg.is_some_and(|path| path.as_os_str() == "-") {
            say_aside(&self.details());
            return Ok(());
        }
        show::print(output, self, || self.details())
    }

    fn details(&self) -> String {
        let some = |count: u64| if count == 0 { String::new() } else { count.to_string() };
        let list = |numbers: &[u64]| numbers.iter().map(u64::to_string).collect::<Vec<_>>().join(", ");
        let latency = self.latency_ms.as_ref().map_or("nobody spoke".to_owned(), |latency| {
            let LatencyMs { p50, p90, p99, max } = latency;
            format!("p50 {p50:.1}  p90 {p90:.1}  p99 {p99:.1}  max {max:.1} ms")
        });
        let slots = match (self.first_slot, self.last_slot) {
            (Some(first), Some(last)) => format!("{first} to {last}"),
            _ => "none".to_owned(),
        };
        let gap = |(slot, count): &(u64, u64)| format!("{count} at {slot}");
        let mut gaps: Vec<_> = self.gaps.iter().take(GAPS_SHOWN).map(gap).collect();
        if self.gaps.len() > GAPS_SHOWN {
            gaps.push(format!("and {} more", self.gaps.len() - GAPS_SHOWN));
        }
        let heard = Duration::from_millis(self.got.saturating_mul(20));
        fields([
            ("end", self.end.replace('_', " ")),
            ("slots", slots),
            ("got", format!("{} ({})", self.got, length(heard))),
            ("missed", self.missed.to_string()),
            ("of them skipped", some(self.skipped)),
            ("repeated", self.repeated.to_string()),
            ("out of order", some(self.out_of_order)),
            ("gaps", gaps.join(", ")),
            ("latency", latency),
            ("longest interval", format!("{:.1} ms", self.longest_interval_ms)),
            ("epochs", list(&self.epochs)),
            ("lineages", list(&self.lineages)),
            ("reconnects", some(self.reconnects)),
            ("moves", some(self.moves)),
        ])
    }
}
