//! The operator's gRPC surface: `AdminService`, with health and reflection beside it, on one port.
//!
//! Any admin node answers any call. What a room without an owner is told goes into its record, by the room's own rules;
//! what concerns a running room goes to its owner. The crate runs no room and keeps nothing: what it knows of the cluster
//! is the directory's view, which remembers what the directory forgets.
//!
//! Every call of `AdminService` carries an admin token as `authorization: Bearer …`; health and reflection need none. Whose
//! token it is stands in the call's span, and for what changes something in the log and among the happenings.
//!
//! | module       | knows                                                                  |
//! |--------------|------------------------------------------------------------------------|
//! | `serve`      | the port, TLS, limits                                                  |
//! | `auth`       | whose token it is; how fast wrong ones are answered                     |
//! | `calls`      | which request leads to what                                            |
//! | `parse`      | requests as they come, refused by field or turned into domain values   |
//! | `act`        | what an operator does to a room, in the room's and in the wire's words |
//! | `rooms`      | who is to be told: the record or the owner                             |
//! | `search`     | how long to look for whoever that is                                   |
//! | `nodes`      | the members of the cluster, drain                                      |
//! | `lost`       | what the directory forgot, to be put back                              |
//! | `watch`      | rooms as they change                                                   |
//! | `happenings` | what all nodes tell of themselves, as one stream                       |
//! | `places`     | how many may watch, and until when                                     |

mod act;
mod auth;
mod calls;
mod happenings;
mod lost;
mod nodes;
mod parse;
mod places;
mod rooms;
mod search;
mod serve;
mod watch;

use std::sync::Arc;

use stentor_directory::{Directory, Revision, View, ViewHandle};
use stentor_ids::{Code, Fault};
use stentor_link::{Journal, Topology, control};

pub use serve::{Admin, Config, Error, Protection, Tls};

/// The ways into the cluster that an admin node has.
#[derive(Clone)]
pub struct Cluster {
    /// Where records of rooms without an owner are written, and whose view says what there is.
    pub directory: Directory,
    /// The same as links see it: who owns which room, and where.
    pub topology: Arc<dyn Topology>,
    /// Calls to other nodes.
    pub control: control::Client,
    /// Where it is told what operators change.
    pub journal: Journal,
}

impl Cluster {
    fn view(&self) -> ViewHandle {
        self.directory.view()
    }

    /// What the directory held when it was last heard.
    ///
    /// # Errors
    /// It was never heard: an empty list would be a lie.
    fn listed(&self) -> Result<Arc<View>, Fault> {
        let view = self.view().snapshot();
        if view.revision == Revision::default() && !view.current {
            let detail = "this node has not heard from the directory yet; try again";
            let wait = std::time::Duration::from_secs(1);
            return Err(Fault::new(Code::DirectoryUnavailable, detail).retry_after(wait));
        }
        Ok(view)
    }
}
