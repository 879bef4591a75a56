//! `stentorctl watch`: what happens in the cluster.

use clap::Args;
use stentor_ids::RoomId;
use stentor_proto::v1::WatchRequest;

use crate::{
    admin::Admin,
    failure::Failure,
    settings::Settings,
    show::{self, Happening},
};

pub(crate) const AFTER: &str = "\
Prints one line each: the local time by the clock of the node where it happened, the node, the room, and what happened;
with -o json one object each, whose `what` says which fields it has. What a room is like, and who is on its stage, is
shown by `stentorctl room watch`.

Examples:
  stentorctl watch
  stentorctl watch --room friday
  stentorctl -o json watch | jq 'select(.what == \"take_over\")'";

/// Until Ctrl-C.
#[derive(Debug, Args)]
pub(crate) struct Watch {
    /// Only what concerns this room
    #[arg(long)]
    room: Option<RoomId>,
}

impl Watch {
    pub(crate) async fn run(self, settings: &Settings) -> Result<(), Failure> {
        tokio::select! {
            end = self.follow(settings) => end,
            _ = tokio::signal::ctrl_c() => Ok(()),
        }
    }

    async fn follow(&self, settings: &Settings) -> Result<(), Failure> {
        let mut admin = Admin::connect(settings).await?;
        let room = self.room.as_ref().map(ToString::to_string).unwrap_or_default();
        let answer = admin.client.watch_happenings(WatchRequest { room }).await;
        let mut happenings = admin.answer(answer)?;
        while let Some(told) = happenings.message().await.map_err(|status| admin.failure(&status))? {
            let happening = Happening::from(told);
            show::print(settings.output, &happening, || happening.line())?;
        }
        Ok(())
    }
}
