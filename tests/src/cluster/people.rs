//! The cluster as people meet it: who speaks into a room, and who listens.

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result};
use stentor_ids::Role;

use super::Cluster;
use crate::{
    listening::Listening,
    process::{Process, binary, eventually},
    speech::Audio,
};

impl Cluster {
    /// One of the demo voices speaks in a loop through an edge, as a process of its own.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn speak(&self, room: &str, name: &str, role: Role, edge: usize) -> Result<Process> {
        let ticket = self.ticket(room, name, role)?;
        let file = demo_voice(edge);
        let args =
            ["speak", "--room", room, "--name", name, "--ticket", &ticket, "--loop", &file.to_string_lossy()]
                .map(str::to_owned);
        self.as_ctl(&format!("speak-{name}"), args, edge)
    }

    /// Someone who writes what is heard at an edge into an Ogg/Opus file, as a process of its own; SIGINT ends it in order.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn listen_to_file(&self, edge: usize, room: &str, file: &Path) -> Result<Process> {
        let args = ["listen", "--room", room, "-O", &file.to_string_lossy()].map(str::to_owned);
        self.as_ctl("listen", args, edge)
    }

    fn as_ctl(&self, name: &str, args: impl IntoIterator<Item = String>, edge: usize) -> Result<Process> {
        let mut ctl = Command::new(binary("stentorctl")?);
        Process::start(name, ctl.args(args).envs(self.ctl_env(edge)), self.folder.path())
    }

    /// Both demo voices speak, one through each of the first two edges; waits until the room has both.
    ///
    /// # Errors
    /// When they are not connected within 20 s.
    pub async fn speak_demo(&self, room: &str) -> Result<[Process; 2]> {
        let voices = [self.speak(room, "ann", Role::Speaker, 0)?, self.speak(room, "ben", Role::Speaker, 1)?];
        let connected = self.connected(room, 2, Duration::from_secs(20)).await;
        connected.with_context(|| voices.iter().map(Process::log_tail).collect::<String>())?;
        Ok(voices)
    }

    /// Waits until so many participants on the stage are connected.
    ///
    /// # Errors
    /// When they are not within that time.
    pub async fn connected(&self, room: &str, count: usize, within: Duration) -> Result<()> {
        eventually(&format!("{count} connected on the stage of {room}"), within, || async {
            let answer = self.ctl_json(&["participant", "list", room]).await.ok()?;
            let stage = answer["stage"].as_array()?.clone();
            (stage.iter().filter(|one| one["connected"] == true).count() == count).then_some(())
        })
        .await
    }

    /// A listener by gRPC at an edge, from now on.
    ///
    /// # Errors
    /// When it cannot be set up.
    pub fn listen(&self, edge: usize, room: &str) -> Result<Listening> {
        Listening::start(&format!("http://127.0.0.1:{}", self.edge_port(edge)), room)
    }
}

/// The demo voices, decoded.
///
/// # Errors
/// When they are not there.
pub fn demo_voices() -> Result<[Audio; 2]> {
    Ok([Audio::read_ogg(&demo_voice(0))?, Audio::read_ogg(&demo_voice(1))?])
}

/// The file of the voice that speaks through an edge.
#[must_use]
pub fn demo_voice(edge: usize) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../services/node/demo");
    folder.join(if edge == 0 { "voice-a.ogg" } else { "voice-b.ogg" })
}
