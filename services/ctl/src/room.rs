//! `stentorctl room`.

use clap::{ArgGroup, Args, Subcommand};
use serde::Serialize;
use stentor_ids::{Code, NodeId, RoomId};
use stentor_pace::WallTime;
use stentor_proto::{
    FieldMask, moment,
    v1::{self, RoomRequest},
};

use crate::{
    admin::Admin,
    changes::Changes,
    failure::Failure,
    settings::Settings,
    show::{self, Room},
    time::parse_moment,
};

pub(crate) const AFTER: &str = "\
A room goes from scheduled to open (doors open, not on the air) to live to ended, and never back.

Examples:
  stentorctl room create friday --title \"Friday talk\" --starts-at 2026-12-24T18:00:00Z
  stentorctl room go-live friday
  stentorctl room list -o json | jq -r '.rooms[] | select(.lifecycle == \"live\") | .room'
  stentorctl room watch friday
  stentorctl room move friday --to origin-b
  stentorctl room update friday --title \"Friday talk, part two\" --no-starts-at
  stentorctl room end friday
  stentorctl room delete friday";

const UPDATE_AFTER: &str = "\
The bit rate can be changed until the doors open, the announced start until the room is live. A live room can be made
public, and not private: who hears it without a ticket would stay.";

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
    /// Change what a room is to be, as long as it is not too late for it
    #[command(after_help = UPDATE_AFTER)]
    Update(Update),
    /// Forget a room that is scheduled or has ended
    Delete(Which),
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
    #[arg(long, value_name = "PLACES", default_value_t = 0, hide_default_value = true)]
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

/// What is left out stays as it is.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("change").required(true).multiple(true)
    .args(["title", "public", "private", "starts_at", "no_starts_at", "stage_limit", "bitrate"])))]
pub(crate) struct Update {
    /// The room
    room: RoomId,
    /// A title for people, at most 200 characters
    #[arg(long)]
    title: Option<String>,
    /// Everyone may hear it
    #[arg(long, conflicts_with = "private")]
    public: bool,
    /// Only ticket holders may hear it
    #[arg(long)]
    private: bool,
    /// When it is announced to start, for example 2026-12-24T18:00:00Z
    #[arg(long, value_name = "TIME", value_parser = parse_moment)]
    starts_at: Option<WallTime>,
    /// Announce no start any more
    #[arg(long, conflicts_with = "starts_at")]
    no_starts_at: bool,
    /// Most participants on the stage at once, 1 to 100; who is on it stays
    #[arg(long, value_name = "PLACES", value_parser = clap::value_parser!(u32).range(1..))]
    stage_limit: Option<u32>,
    /// Bit rate of its audio in bit/s, 16000 to 96000
    #[arg(long, value_name = "BPS", value_parser = clap::value_parser!(u32).range(1..))]
    bitrate: Option<u32>,
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
        let room = match self {
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
            Self::Update(update) => {
                let answer = admin.client.update_room(update.request()).await;
                admin.answer(answer)?
            }
            Self::Delete(which) => {
                let answer = admin.client.delete_room(which.request()).await;
                admin.answer(answer)?;
                let deleted = Deleted { deleted: which.room };
                return show::print(settings.output, &deleted, || format!("{} is deleted", deleted.deleted));
            }
            Self::Move(Move { room, to }) => {
                let to = to.map(|to| to.to_string()).unwrap_or_default();
                let answer = admin.client.move_room(v1::MoveRoomRequest { room: room.to_string(), to }).await;
                admin.answer(answer)?
            }
            Self::Watch(_) => return Ok(()),
        };
        show_room(settings, room)
    }
}

/// Prints a room as a call has left it.
pub(crate) fn show_room(settings: &Settings, room: v1::Room) -> Result<(), Failure> {
    let room = Room::from(room);
    show::print(settings.output, &room, || room.details(stentor_clock::wall()))
}

impl Which {
    fn request(&self) -> RoomRequest {
        RoomRequest { room: self.room.to_string() }
    }
}

impl Update {
    fn request(self) -> v1::UpdateRoomRequest {
        let visibility = match (self.public, self.private) {
            (true, _) => v1::Visibility::Public,
            (_, true) => v1::Visibility::Private,
            _ => v1::Visibility::Unspecified,
        };
        let named = [
            ("title", self.title.is_some()),
            ("visibility", visibility != v1::Visibility::Unspecified),
            ("starts_at", self.starts_at.is_some() || self.no_starts_at),
            ("stage_limit", self.stage_limit.is_some()),
            ("bitrate_bps", self.bitrate.is_some()),
        ];
        let named = named.into_iter().filter(|(_, named)| *named);
        let spec = v1::RoomSpec {
            title: self.title.unwrap_or_default(),
            visibility: visibility.into(),
            starts_at: self.starts_at.map(|at| moment(at.as_micros())),
            stage_limit: self.stage_limit.unwrap_or_default(),
            bitrate_bps: self.bitrate.unwrap_or_default(),
        };
        v1::UpdateRoomRequest {
            room: self.room.to_string(),
            spec: Some(spec),
            update_mask: Some(FieldMask { paths: named.map(|(name, _)| name.to_owned()).collect() }),
        }
    }
}

/// What is left of a room.
#[derive(Serialize)]
struct Deleted {
    deleted: RoomId,
}

impl Create {
    async fn run(self, admin: &mut Admin) -> Result<v1::Room, Failure> {
        let visibility = if self.private { v1::Visibility::Private } else { v1::Visibility::Public };
        let spec = v1::RoomSpec {
            title: self.title,
            visibility: visibility.into(),
            starts_at: self.starts_at.map(|at| moment(at.as_micros())),
            stage_limit: self.stage_limit,
            bitrate_bps: self.bitrate,
        };
        let room = self.room.to_string();
        let open = self.open || self.live;
        let answer = admin
            .client
            .create_room(v1::CreateRoomRequest { room: room.clone(), spec: Some(spec), open })
            .await;
        let created = admin.answer(answer)?;
        if !self.live {
            return Ok(created);
        }
        go_live(admin, RoomRequest { room }).await
    }
}

/// Puts a room on the air, and opens its doors first where they are closed.
async fn go_live(admin: &mut Admin, room: RoomRequest) -> Result<v1::Room, Failure> {
    let answer = admin.client.get_room(room.clone()).await;
    if admin.answer(answer)?.lifecycle() == v1::Lifecycle::Scheduled {
        let answer = admin.client.open_room(room.clone()).await;
        match admin.answer(answer) {
            // Somebody else has opened them meanwhile.
            Err(Failure::Refused(fault)) if fault.code == Code::WrongState => {}
            answer => drop(answer?),
        }
    }
    let answer = admin.client.take_room_live(room).await;
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
