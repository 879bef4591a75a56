//! `stentorctl room`.

use clap::{Args, Subcommand};
use serde::Serialize;
use stentor_ids::{Code, NodeId, RoomId};
use stentor_pace::WallTime;
use stentor_proto::v1::{self, RoomRequest, RoomStatus};

use crate::{
    admin::Admin,
    changes::Changes,
    failure::Failure,
    settings::Settings,
    show::{self, Room},
    time::{parse_moment, wall_clock},
};

pub(crate) const AFTER: &str = "\
A room goes from scheduled to open (doors open, not on the air) to live to ended, and never back.

Examples:
  stentorctl room create friday --title \"Friday talk\" --starts-at 2026-12-24T18:00:00Z
  stentorctl room go-live friday
  stentorctl room list -o json | jq -r '.rooms[] | select(.lifecycle == \"live\") | .room'
  stentorctl room watch friday
  stentorctl room move friday --to origin-b
  stentorctl room end friday";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make a room; with --live put it on the air at once
    Create(Create),
    /// List the rooms
    #[command(visible_alias = "ls")]
    List(List),
    /// Show all about a room: who carries and who mixes it, slot, stage, listeners, last take-over
    Get(Which),
    /// Print the changes of a room as they happen, until it ends; of every room if none is named
    Watch(Changes),
    /// Open the doors: participants may come in, nothing is on the air yet
    Open(Which),
    /// Go on the air; opens the doors first if they are closed
    GoLive(Which),
    /// End a room for good
    End(Which),
    /// Hand a running room to another origin
    Move(Move),
}

#[derive(Debug, Args)]
pub(crate) struct Which {
    /// The room
    room: RoomId,
}

#[derive(Debug, Args)]
pub(crate) struct Create {
    /// Its name, of a-z A-Z 0-9 . _ -
    room: RoomId,
    /// A title for people, at most 200 characters
    #[arg(long, default_value = "", hide_default_value = true)]
    title: String,
    /// Only ticket holders may hear it; else everyone may
    #[arg(long)]
    private: bool,
    /// When it is announced to start, for example 2026-12-24T18:00:00Z
    #[arg(long, value_name = "TIME", value_parser = parse_moment)]
    starts_at: Option<WallTime>,
    /// Most participants on the stage at once, 1 to 100 [default: 20]
    #[arg(long, value_name = "SEATS", default_value_t = 0, hide_default_value = true)]
    stage_limit: u32,
    /// Bit rate of its audio in bit/s, 16000 to 96000 [default: 32000]
    #[arg(long, value_name = "BPS", default_value_t = 0, hide_default_value = true)]
    bitrate: u32,
    /// Open the doors at once
    #[arg(long)]
    open: bool,
    /// Open the doors and go on the air at once
    #[arg(long)]
    live: bool,
}

#[derive(Debug, Args)]
pub(crate) struct List {
    /// At most so many
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: u32,
    /// Go on after this room
    #[arg(long, value_name = "ROOM")]
    after: Option<RoomId>,
}

#[derive(Debug, Args)]
pub(crate) struct Move {
    /// The room
    room: RoomId,
    /// The origin to take it [default: the best by placement]
    #[arg(long, value_name = "NODE")]
    to: Option<NodeId>,
}

impl Command {
    pub(crate) async fn run(self, settings: &Settings) -> Result<(), Failure> {
        if let Self::Watch(changes) = self {
            return changes.run(settings).await;
        }
        let mut admin = Admin::connect(settings).await?;
        let status = match self {
            Self::List(list) => return list.run(settings, &mut admin).await,
            Self::Create(create) => create.run(&mut admin).await?,
            Self::Get(which) => {
                let answer = admin.client.get_room(which.request()).await;
                admin.answer(answer)?
            }
            Self::Open(which) => {
                let answer = admin.client.open_room(which.request()).await;
                admin.answer(answer)?
            }
            Self::GoLive(which) => go_live(&mut admin, which.request()).await?,
            Self::End(which) => {
                let answer = admin.client.end_room(which.request()).await;
                admin.answer(answer)?
            }
            Self::Move(Move { room, to }) => {
                let to = to.map(|to| to.to_string()).unwrap_or_default();
                let answer = admin.client.move_room(v1::MoveRoomRequest { room: room.to_string(), to }).await;
                admin.answer(answer)?
            }
            Self::Watch(_) => return Ok(()),
        };
        show_status(settings, status)
    }
}

/// Prints a room as a call has left it.
pub(crate) fn show_status(settings: &Settings, status: RoomStatus) -> Result<(), Failure> {
    let room = Room::from(status);
    show::print(settings.output, &room, || room.details(wall_clock()))
}

impl Which {
    fn request(&self) -> RoomRequest {
        RoomRequest { room: self.room.to_string() }
    }
}

impl Create {
    async fn run(self, admin: &mut Admin) -> Result<RoomStatus, Failure> {
        let visibility = if self.private { v1::Visibility::Private } else { v1::Visibility::Public };
        let starts_at = self.starts_at.map_or(0, WallTime::as_millis);
        let spec = v1::RoomSpec {
            title: self.title,
            visibility: visibility.into(),
            starts_at_ms: i64::try_from(starts_at).unwrap_or(i64::MAX),
            stage_limit: self.stage_limit,
            bitrate_bps: self.bitrate,
        };
        let room = self.room.to_string();
        let open = self.open || self.live;
        let answer = admin
            .client
            .create_room(v1::CreateRoomRequest { room: room.clone(), spec: Some(spec), open })
            .await;
        let status = admin.answer(answer)?;
        if !self.live {
            return Ok(status);
        }
        go_live(admin, RoomRequest { room }).await
    }
}

/// Puts a room on the air, and opens its doors first where they are closed.
async fn go_live(admin: &mut Admin, room: RoomRequest) -> Result<RoomStatus, Failure> {
    let answer = admin.client.get_room(room.clone()).await;
    if admin.answer(answer)?.lifecycle() == v1::Lifecycle::Scheduled {
        let answer = admin.client.open_room(room.clone()).await;
        match admin.answer(answer) {
            // Somebody else has opened them meanwhile.
            Err(Failure::Refused(fault)) if fault.code == Code::WrongState => {}
            answer => drop(answer?),
        }
    }
    let answer = admin.client.go_live(room).await;
    admin.answer(answer)
}

#[derive(Serialize)]
struct Page {
    rooms: Vec<Room>,
    /// Null at the end.
    next: Option<String>,
}

impl List {
    async fn run(self, settings: &Settings, admin: &mut Admin) -> Result<(), Failure> {
        let page_token = self.after.map(|room| room.to_string()).unwrap_or_default();
        let answer =
            admin.client.list_rooms(v1::ListRoomsRequest { page_size: self.limit, page_token }).await;
        let answer = admin.answer(answer)?;
        let rooms = answer.rooms.into_iter().map(Room::from).collect();
        let page = Page { rooms, next: Some(answer.next_page_token).filter(|next| !next.is_empty()) };
        show::print(settings.output, &page, || {
            let more = page.next.as_ref().map(|next| format!("\n\nthere are more: --after {next}"));
            Room::list(&page.rooms) + &more.unwrap_or_default()
        })
    }
}
