//! The demo event: a public room on the air, and two voices that talk in it, one through each edge. It goes the way
//! that everybody goes: the operator's gRPC surface, tickets, the edges' gRPC.

use std::{net::SocketAddr, time::Duration};

use anyhow::{Context, Result, bail};
use stentor_admission::{Claims, SigningKeys};
use stentor_ids::{ParticipantId, Role, RoomId};
use stentor_probe::{Patience, Source, SpeakConfig, SpeakHandle, Speaker, Target};
use stentor_proto::v1::{
    CreateRoomRequest, Lifecycle, Room, RoomRequest, RoomSpec, Visibility,
    admin_service_client::AdminServiceClient,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tonic::{Code, Request, metadata::MetadataValue, transport::Channel};

/// The demo's room.
pub(super) const ROOM: &str = "demo";
const TITLE: &str = "A conversation";
/// Who speaks: participant, name, Ogg/Opus. Both voices last equally long, so that they stay together when repeated.
const VOICES: [(&str, &str, &[u8]); 2] = [
    ("ann", "Ann", include_bytes!("../../demo/voice-a.ogg")),
    ("ben", "Ben", include_bytes!("../../demo/voice-b.ogg")),
];
/// How long the demo's tickets are good for: longer than anybody keeps a development cluster.
const TICKET_LIFE: Duration = Duration::from_secs(90 * 24 * 3600);
/// Longest wait for the room's first owner.
const OWNER_WAIT: Duration = Duration::from_secs(15);
/// Longest wait until both voices are connected.
const VOICES_WAIT: Duration = Duration::from_secs(15);

/// Calls the admin surface with the token.
pub(super) struct Operator {
    client: AdminServiceClient<Channel>,
    bearer: MetadataValue<tonic::metadata::Ascii>,
}

impl Operator {
    pub(super) async fn connect(admin: SocketAddr, token: &str) -> Result<Self> {
        let client = AdminServiceClient::connect(format!("http://{admin}"))
            .await
            .with_context(|| format!("connecting to the admin at {admin}"))?;
        Ok(Self { client, bearer: format!("Bearer {token}").parse()? })
    }

    fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        request.metadata_mut().insert("authorization", self.bearer.clone());
        request
    }

    fn room(&self) -> Request<RoomRequest> {
        self.request(RoomRequest { room: ROOM.into() })
    }

    /// Puts the demo on the air; a demo that a data folder has kept goes on.
    pub(super) async fn put_on_air(&mut self) -> Result<()> {
        let spec =
            RoomSpec { title: TITLE.into(), visibility: Visibility::Public.into(), ..RoomSpec::default() };
        let create = CreateRoomRequest { room: ROOM.into(), spec: Some(spec), open: true };
        let status = match self.client.create_room(self.request(create)).await {
            Ok(created) => created.into_inner(),
            Err(status) if status.code() == Code::AlreadyExists => self.get().await?,
            Err(status) => bail!("creating the demo: {}", status.message()),
        };
        if status.lifecycle() == Lifecycle::Ended {
            bail!("room {ROOM} in the data folder has ended; take another folder with --data");
        }
        if status.lifecycle() == Lifecycle::Scheduled {
            let open = self.client.open_room(self.room()).await;
            open.map_err(|status| anyhow::anyhow!("opening the demo: {}", status.message()))?;
        }
        let deadline = tokio::time::Instant::now() + OWNER_WAIT;
        loop {
            match self.client.take_room_live(self.room()).await {
                Ok(_) => return Ok(()),
                // It was on the air before, and goes on.
                Err(status) if status.code() == Code::FailedPrecondition && self.is_live().await? => {
                    return Ok(());
                }
                Err(status) if tokio::time::Instant::now() > deadline => {
                    bail!("putting the demo on the air: {}", status.message())
                }
                Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
    }

    async fn get(&mut self) -> Result<Room> {
        let answer = self.client.get_room(self.room()).await;
        Ok(answer.map_err(|status| anyhow::anyhow!("reading the demo: {}", status.message()))?.into_inner())
    }

    async fn is_live(&mut self) -> Result<bool> {
        Ok(self.get().await?.lifecycle() == Lifecycle::Live)
    }
}

/// Starts the voices, the first through the first edge, and waits until both are heard there.
pub(super) async fn speak(
    edges: [SocketAddr; 2],
    keys: &SigningKeys,
    tasks: &TaskTracker,
    shutdown: &CancellationToken,
) -> Result<()> {
    let mut voices = Vec::new();
    for ((id, name, ogg), edge) in VOICES.into_iter().zip(edges) {
        let others = edges.into_iter().filter(|other| *other != edge);
        let edges = std::iter::once(edge).chain(others).map(|edge| format!("http://{edge}")).collect();
        let config = SpeakConfig {
            target: Target { edges, ticket: Some(ticket(keys, id, name)?), ca_pem: None },
            room: RoomId::new(ROOM)?,
            monitor: false,
            patience: Patience { first: TICKET_LIFE, later: TICKET_LIFE },
        };
        let source = Source::bundled(name, ogg)?.repeated()?;
        let speaker = Speaker::new(config, source);
        voices.push(speaker.handle());
        let shutdown = shutdown.clone();
        tasks.spawn(async move {
            match speaker.run(shutdown).await {
                Ok(report) => tracing::info!(name, end = ?report.end, "a demo voice is done"),
                Err(error) => tracing::warn!(name, %error, "a demo voice is done"),
            }
        });
    }
    tokio::time::timeout(VOICES_WAIT, connected(voices))
        .await
        .unwrap_or_else(|_| bail!("the demo's voices are not connected within {VOICES_WAIT:?}"))
}

async fn connected(voices: Vec<SpeakHandle>) -> Result<()> {
    for mut voice in voices {
        voice.wait_for(|report| report.edge.is_some()).await.context("a demo voice was refused")?;
    }
    Ok(())
}

fn ticket(keys: &SigningKeys, id: &str, name: &str) -> Result<String> {
    let now = stentor_clock::wall();
    let claims = Claims {
        room: RoomId::new(ROOM)?,
        participant: ParticipantId::new(id)?,
        name: name.into(),
        role: Role::Speaker,
        expires_at: now + TICKET_LIFE,
        not_before: None,
        issued_at: Some(now),
    };
    Ok(keys.sign(&claims, None)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bundled_voices_are_speakable_and_go_on_without_an_end() {
        for (_, name, ogg) in VOICES {
            let count = |source: &mut Source, most| {
                (0..most).take_while(|_| source.next_packet().unwrap().is_some()).count()
            };
            let once = count(&mut Source::bundled(name, ogg).unwrap(), usize::MAX);
            let mut endless = Source::bundled(name, ogg).unwrap().repeated().unwrap();
            assert_eq!(count(&mut endless, 2 * once + 1), 2 * once + 1);
        }
    }
}
