//! Rooms of a cluster under test: put on the air, and whose they are.

use std::time::Duration;

use anyhow::Result;

use super::{Cluster, READY};
use crate::{http, process::eventually};

impl Cluster {
    /// Creates a public room and puts it on the air, and waits until every edge knows.
    ///
    /// # Errors
    /// When the operator's calls fail.
    pub async fn live_room(&self, room: &str) -> Result<()> {
        self.ctl(&["room", "create", room]).await?;
        self.ctl(&["room", "open", room]).await?;
        self.ctl(&["room", "go-live", room]).await?;
        // Views of the nodes that edges ask differ for a moment.
        for port in self.edges().map(|edge| edge.edge) {
            eventually(&format!("{room} to be live at {port}"), READY, || async move {
                let told = http::get(port, &format!("/v1/rooms/{room}")).await.ok()?;
                (told.status == 200 && told.body_text().contains("\"live\"")).then_some(())
            })
            .await?;
        }
        Ok(())
    }

    /// The node that owns a room.
    ///
    /// # Errors
    /// When nobody does within that time.
    pub async fn owner(&self, room: &str, within: Duration) -> Result<String> {
        self.owner_other_than(room, "", within).await
    }

    /// The node that owns a room, once it is another than this.
    ///
    /// # Errors
    /// When there is none within that time.
    pub async fn owner_other_than(&self, room: &str, not: &str, within: Duration) -> Result<String> {
        eventually(&format!("an owner of {room} other than {not:?}"), within, || async {
            let answer = self.ctl_json(&["room", "get", room]).await.ok()?;
            let owner = answer["owner"].as_str()?.to_owned();
            (!owner.is_empty() && owner != not).then_some(owner)
        })
        .await
    }
}
