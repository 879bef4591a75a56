//! Tickets for the people of a cluster under test.

use std::time::{Duration, SystemTime};

use anyhow::Result;
use stentor_admission::{Claims, SigningKeys};
use stentor_ids::{ParticipantId, Role, RoomId};
use stentor_pace::WallTime;

use super::Cluster;

impl Cluster {
    /// A signed ticket, good for an hour.
    ///
    /// # Errors
    /// When a name is none.
    pub fn ticket(&self, room: &str, sub: &str, role: Role) -> Result<String> {
        self.ticket_until(room, sub, role, wall_now() + Duration::from_secs(3600))
    }

    /// A ticket that was good until a minute ago.
    ///
    /// # Errors
    /// When a name is none.
    pub fn expired_ticket(&self, room: &str, sub: &str) -> Result<String> {
        self.ticket_until(room, sub, Role::Speaker, wall_now() - Duration::from_secs(60))
    }

    fn ticket_until(&self, room: &str, sub: &str, role: Role, expires: WallTime) -> Result<String> {
        let claims = Claims {
            room: RoomId::new(room)?,
            participant: ParticipantId::new(sub)?,
            name: sub.to_owned(),
            role,
            expires_at: expires,
            not_before: None,
            issued_at: None,
        };
        Ok(SigningKeys::parse(&self.ticket_keys)?.sign(&claims, None)?)
    }
}

fn wall_now() -> WallTime {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    WallTime::from_micros(since.as_micros() as u64)
}
