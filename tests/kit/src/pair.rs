//! A room on the air, its owner and its mirror, each reached over a wire that can be cut.

use std::net::Ipv4Addr;

use stentor_ids::RoomId;
use stentor_room::Spec;

use crate::{cluster::Cluster, node::Node, waiting::until, wire::Wire};

/// Where the relays of a [`Pair`] call from.
pub const RELAYS: [Ipv4Addr; 2] = [Ipv4Addr::new(127, 0, 0, 23), Ipv4Addr::new(127, 0, 0, 24)];

/// Where its owner and its mirror do.
const OWNER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 21);
const MIRROR: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 22);

/// The room's two origins, in a cluster of their own.
pub struct Pair {
    /// What else is there.
    pub cluster: Cluster,
    /// It is called `talk`.
    pub room: RoomId,
    /// `origin-1`, at epoch 1.
    pub owner: Node,
    /// `origin-2`.
    pub mirror: Node,
    /// What leads to the owner.
    pub to_owner: Wire,
    /// What leads to the mirror.
    pub to_mirror: Wire,
}

impl Pair {
    /// A room that is to be like this, on the air and mirrored.
    ///
    /// # Panics
    /// It is not soon.
    pub async fn of(spec: Spec) -> Self {
        let (cluster, to_owner, to_mirror) = (Cluster::new(), Wire::new().await, Wire::new().await);
        let owner = cluster.origin_over("origin-1", OWNER, &to_owner).await;
        let room = cluster.create_as("talk", spec, true).await;
        assert_eq!(cluster.owner_from(&room, 1).await.node, owner.id);
        let mirror = cluster.origin_over("origin-2", MIRROR, &to_mirror).await;
        until("it is mirrored", || mirror.host().mirrors(&room)).await;
        Self { cluster, room, owner, mirror, to_owner, to_mirror }
    }

    /// Two relays, at [`RELAYS`].
    ///
    /// # Panics
    /// They cannot be started.
    pub async fn relays(&self) -> [Node; 2] {
        let [one, other] = RELAYS;
        [self.cluster.relay_at("relay-1", one).await, self.cluster.relay_at("relay-2", other).await]
    }

    /// The mirror does not reach the owner.
    pub fn cut_mirror_off(&self) {
        self.to_owner.cut(MIRROR);
    }

    /// The two do not reach each other.
    pub fn cut_apart(&self) {
        self.cut_mirror_off();
        self.to_mirror.cut(OWNER);
    }
}
