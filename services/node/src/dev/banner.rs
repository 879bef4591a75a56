//! What `stentor dev` prints: where to listen, and commands that work as they stand.

use std::fmt;

use super::{demo, keys::EnvFile};
use crate::cli::DevArgs;

pub(super) struct Banner<'a> {
    pub(super) args: &'a DevArgs,
    pub(super) env: &'a EnvFile,
}

impl fmt::Display for Banner<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { args, env } = self;
        let (room, ctl) = (demo::ROOM, ctl());
        writeln!(
            f,
            "2 origins, 2 relays and 2 edges run in this process; {room:?} is on the air. Ctrl-C ends it.\n"
        )?;
        writeln!(f, "  hear it   http://{}/v1/rooms/{room}/live.ogg", args.edge_a)?;
        writeln!(f, "            http://{}/v1/rooms/{room}/live.ogg", args.edge_b)?;
        writeln!(f, "  metrics   http://{}/metrics\n", args.ops)?;
        writeln!(f, "  source {}", env.path().display())?;
        writeln!(f, "  {ctl} room list")?;
        writeln!(f, "  {ctl} listen --room {room} --seconds 10")?;
        writeln!(f, "  {ctl} speak --room {room} --name You FILE.ogg")?;
        writeln!(f, "  {ctl} ticket create --room {room} --role speaker --name You")
    }
}

/// `stentorctl` as the operator's shell finds it: beside this binary, where it is there.
fn ctl() -> String {
    let beside = std::env::current_exe().ok().map(|this| this.with_file_name("stentorctl"));
    match beside.filter(|path| path.is_file()) {
        Some(path) => {
            let here = std::env::current_dir().unwrap_or_default();
            path.strip_prefix(here).unwrap_or(&path).display().to_string()
        }
        None => "stentorctl".into(),
    }
}
