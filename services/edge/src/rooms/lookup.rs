//! The state of rooms that are not played here: asked for once a second at most, however many want to know.

use std::{collections::HashMap, sync::Arc, time::Duration};

use parking_lot::Mutex;
use stentor_ids::{Code, Fault, RoomId};
use stentor_link::Locator;
use stentor_pace::Time;
use stentor_proto::v1;
use tokio::sync::OnceCell;

use crate::clock;

/// How old an answer may be. A room that goes live is heard of within this.
const FRESH: Duration = Duration::from_secs(1);
/// Rooms asked about within [`FRESH`]. Beyond it an asker is told to come back: that many at once is someone trying names.
const MAX_ASKED: usize = 4096;

type Found = Result<Arc<v1::RoomStatus>, Fault>;
/// When a room was asked for, and the answer once it came.
type Asked = (Time, Arc<OnceCell<Found>>);

pub(super) struct Lookup {
    locator: Locator,
    asked: Mutex<HashMap<RoomId, Asked>>,
}

impl Lookup {
    pub(super) fn new(locator: Locator) -> Self {
        Self { locator, asked: Mutex::default() }
    }

    /// The room as it is, or was a second ago.
    ///
    /// # Errors
    /// `UnknownRoom`; `NodeUnavailable` if nobody who would know answers; `Overloaded`.
    pub(super) async fn status(&self, room: &RoomId) -> Found {
        let cell = self.cell(room, clock::now())?;
        let ask = || async {
            let located = self.locator.status(room).await?;
            let status = located.room.map(Arc::new);
            status.ok_or_else(|| Fault::new(Code::Internal, format!("{room} was found without a state")))
        };
        cell.get_or_init(ask).await.clone()
    }

    fn cell(&self, room: &RoomId, now: Time) -> Result<Arc<OnceCell<Found>>, Fault> {
        let mut asked = self.asked.lock();
        if let Some((since, cell)) = asked.get(room)
            && now.since(*since) < FRESH
        {
            return Ok(cell.clone());
        }
        if asked.len() >= MAX_ASKED {
            asked.retain(|_, (since, _)| now.since(*since) < FRESH);
            if asked.len() >= MAX_ASKED {
                let detail = format!("{MAX_ASKED} rooms are being asked for at this edge");
                return Err(Fault::new(Code::Overloaded, detail).retry_after(FRESH));
            }
        }
        let cell = Arc::default();
        asked.insert(room.clone(), (now, Arc::clone(&cell)));
        Ok(cell)
    }
}
