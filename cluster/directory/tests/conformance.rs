//! What every directory must do, run against each: the embedded one, by a paused clock, and a real etcd.

#![allow(unreachable_pub, clippy::unwrap_used, reason = "these are tests and what they share")]

mod conformance {
    pub mod membership;
    pub mod mirrors;
    pub mod ownership;
    pub mod rooms;
    pub mod watching;
}
mod support;

use stentor_directory::Directory;
use stentor_programs::Etcd;

/// A directory to be tested.
pub trait Backend {
    /// A handle as another process of the cluster would have it.
    fn directory(&self) -> impl Future<Output = Directory> + Send;
}

struct Embedded(Directory);

impl Backend for Embedded {
    async fn directory(&self) -> Directory {
        self.0.clone()
    }
}

struct OnEtcd(Etcd);

impl Backend for OnEtcd {
    async fn directory(&self) -> Directory {
        Directory::etcd(support::config(self.0.endpoint())).await.unwrap()
    }
}

macro_rules! conformance {
    ($($area:ident: $($name:ident)*;)*) => {
        mod embedded {
            $($(
                #[tokio::test(start_paused = true)]
                async fn $name() {
                    crate::conformance::$area::$name(&crate::Embedded(crate::Directory::embedded())).await;
                }
            )*)*
        }

        mod etcd {
            $($(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    crate::conformance::$area::$name(&crate::OnEtcd(crate::Etcd::start().unwrap())).await;
                }
            )*)*
        }
    };
}

conformance! {
    membership:
        a_registered_node_is_seen_and_a_closed_one_is_gone
        a_node_that_is_closed_goes_although_its_session_is_held_elsewhere
        a_node_stays_past_its_ttl_and_goes_after_its_process_does
        a_second_node_with_the_same_id_is_refused_by_name
        a_restarted_node_waits_for_the_lease_of_its_former_process
        an_update_changes_the_record_and_keeps_the_lease
        what_a_node_does_is_counted_as_its_own;
    rooms:
        a_room_is_created_once_and_read_back_until_it_is_deleted
        a_room_that_nobody_owns_is_written_only_at_the_revision_that_was_read
        nobody_but_the_owner_writes_an_owned_room
        a_room_is_put_back_at_its_epoch_unless_it_is_there
        bans_are_written_with_the_record_and_go_with_the_room
        hundreds_of_rooms_are_listed_and_the_longest_record_is_kept;
    ownership:
        of_racing_claimants_exactly_one_wins_and_epochs_strictly_rise
        a_claim_rises_above_every_epoch_that_was_seen
        a_pre_empted_owner_cannot_commit
        a_claim_that_means_to_pre_empt_another_owner_than_there_is_loses
        an_owner_whose_lease_has_ended_cannot_commit
        an_owner_reasserts_at_its_own_epoch_until_another_has_claimed
        commits_take_effect_in_the_order_in_which_they_were_asked_for;
    mirrors:
        a_room_has_one_mirror_which_is_seen_until_it_gives_the_office_up
        of_racing_mirrors_exactly_one_wins_and_a_former_one_gives_up_nothing
        a_mirror_fences_nobody_and_does_not_outlive_its_lease
        a_mirror_that_takes_the_room_over_is_its_mirror_no_longer
        no_node_is_owner_and_mirror_of_one_room
        a_room_that_is_released_keeps_its_mirror_and_one_that_is_deleted_does_not
        a_bid_is_seen_until_it_is_withdrawn_and_goes_with_its_lease;
    watching:
        the_view_follows_a_room_through_its_life
        revisions_of_the_view_only_rise_and_it_ends_like_a_listing
        a_view_that_begins_late_is_the_same_as_one_that_began_early
        an_edge_is_given_nothing_of_rooms_and_other_roles_are
        a_reader_is_told_which_keys_changed_and_no_others;
}
