//! One connection to one origin, from its hello to its welcome.

use std::time::Duration;

use stentor_ids::{Code, Epoch, Fault, RoomId};
use stentor_proto::{
    fault_of,
    v1::{self, uplink_response::Message as Down, uplink_service_client::UplinkServiceClient},
};
use stentor_telemetry::propagation;
use tonic::{Request, Status, Streaming};

use super::{lane::Outbound, shared::Inner};
use crate::MAX_MESSAGE;

/// How long an origin may take to welcome an uplink: it answers from memory.
const WELCOME_WITHIN: Duration = Duration::from_secs(1);

/// A connection that an origin has welcomed.
pub(super) struct Connection {
    pub(super) inbound: Streaming<v1::UplinkResponse>,
    pub(super) link_addr: String,
    /// The epoch that the origin works under.
    pub(super) epoch: Epoch,
    /// The room as it knows it.
    pub(super) room: v1::RoomStatus,
}

impl Connection {
    /// Opens one for what `outbound` has to say.
    pub(super) async fn open(
        uplinks: &Inner,
        room: &RoomId,
        link_addr: String,
        outbound: Outbound,
    ) -> Result<Self, Fault> {
        let channel = uplinks.pool.channel(&link_addr)?;
        let mut client = UplinkServiceClient::new(channel).max_decoding_message_size(MAX_MESSAGE);
        let mut request = Request::new(outbound);
        propagation::inject(request.metadata_mut());
        let welcomed = async {
            let mut inbound = client.uplink(request).await?.into_inner();
            // What happens while we are taken in may be told before the welcome.
            let mut mirror = None;
            loop {
                match inbound.message().await?.map(|response| response.message) {
                    Some(Some(Down::Mirror(named))) => mirror = Some(named.node),
                    Some(Some(Down::Welcome(welcome))) => {
                        let mut room = welcome.room.unwrap_or_default();
                        room.mirror = mirror.unwrap_or(room.mirror);
                        return Ok((inbound, Epoch(welcome.epoch), room));
                    }
                    Some(_) => {}
                    None => {
                        return Err(Status::unavailable("the origin ended the uplink before its welcome"));
                    }
                }
            }
        };
        let (inbound, epoch, room) = match tokio::time::timeout(WELCOME_WITHIN, welcomed).await {
            Ok(welcomed) => welcomed.map_err(|status| fault_of(&status))?,
            Err(_) => {
                uplinks.pool.distrust(&link_addr);
                let detail = format!("the origin of {room} at {link_addr} did not answer in time");
                return Err(Fault::new(Code::NodeUnavailable, detail));
            }
        };
        Ok(Self { inbound, link_addr, epoch, room })
    }

    /// What the origin says next; an error is the end of the connection. May be dropped and called again without losing
    /// anything.
    pub(super) async fn said(&mut self) -> Result<Down, Fault> {
        loop {
            match self.inbound.message().await {
                Ok(Some(v1::UplinkResponse { message: Some(message) })) => return Ok(message),
                // A message of a newer build.
                Ok(Some(_)) => {}
                Ok(None) => {
                    let detail = format!("the origin at {} ended the uplink", self.link_addr);
                    return Err(Fault::new(Code::NodeUnavailable, detail));
                }
                Err(status) => return Err(fault_of(&status)),
            }
        }
    }
}
