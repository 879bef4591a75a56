//! The way of what people ask to the owner of a room, wherever that is by now.

use std::time::Duration;

use stentor_ids::{Code, Fault, RoomId};
use stentor_link::{Locator, control};
use stentor_proto::v1;

/// How often something is brought to the owner, and how long between: a new owner is found within seconds.
const TRIES: u32 = 4;
const BETWEEN: Duration = Duration::from_millis(500);

/// Brings things to owners. Clones share the connections.
#[derive(Clone)]
pub(super) struct Owners {
    locator: Locator,
    client: control::Client,
}

impl Owners {
    pub(super) const fn new(locator: Locator, client: control::Client) -> Self {
        Self { locator, client }
    }

    /// The room as it is, without a message to the owner.
    pub(super) async fn status(&self, room: &RoomId) -> Result<v1::RoomStatus, Fault> {
        Ok(self.locator.status(room).await?.room.unwrap_or_default())
    }

    pub(super) async fn command(
        &self,
        room: &RoomId,
        request: v1::CommandRequest,
    ) -> Result<v1::CommandReply, Fault> {
        let call = |owner: String| {
            let (client, request) = (&self.client, request.clone());
            async move { client.command(&owner, request).await }
        };
        self.bring(room, call).await
    }

    pub(super) async fn hands(
        &self,
        room: &RoomId,
        request: v1::HandsRequest,
    ) -> Result<v1::HandsReply, Fault> {
        let call = |owner: String| {
            let (client, request) = (&self.client, request.clone());
            async move { client.hands(&owner, request).await }
        };
        self.bring(room, call).await
    }

    /// Only a refusal that says "not applied" is tried again.
    async fn bring<T, F: Future<Output = Result<T, Fault>>>(
        &self,
        room: &RoomId,
        call: impl Fn(String) -> F,
    ) -> Result<T, Fault> {
        let mut tries = 0;
        loop {
            tries += 1;
            let answer = match self.owner(room).await {
                Ok(owner) => call(owner).await,
                Err(fault) => Err(fault),
            };
            match answer {
                Err(fault) if tries < TRIES && matches!(fault.code, Code::NoOwner | Code::NotOwner) => {
                    tokio::time::sleep(BETWEEN).await;
                }
                answer => return answer,
            }
        }
    }

    async fn owner(&self, room: &RoomId) -> Result<String, Fault> {
        let found = self.locator.status(room).await?;
        if !found.owner_addr.is_empty() {
            return Ok(found.owner_addr);
        }
        Err(match found.room.map(|status| status.lifecycle()) {
            Some(v1::Lifecycle::Ended) => Fault::new(Code::RoomEnded, format!("room {room} has ended")),
            Some(v1::Lifecycle::Scheduled) => {
                let detail = format!("room {room} is scheduled and its doors are closed");
                Fault::new(Code::NotLiveYet, detail).retry_after(Duration::from_secs(10))
            }
            _ => {
                let detail = format!("the owner of room {room} is being replaced");
                Fault::new(Code::NoOwner, detail).retry_after(Duration::from_secs(2))
            }
        })
    }
}
