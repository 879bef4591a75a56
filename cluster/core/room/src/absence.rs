//! Participants on the stage who have no connection, and when they are taken off it. Without it those who close the
//! page would fill the stage for good. Pure: it is told who is absent and what time it is.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use stentor_ids::ParticipantId;
use stentor_pace::Time;

/// How long a place on the stage is kept for someone without a connection: time to change the network, or the train.
/// Who comes back later goes on the stage as at first, with the role that moderators gave.
const KEPT: Duration = Duration::from_secs(5 * 60);

/// Since when who has been absent. Holds no more than were last absent, so no more than are on the stage.
#[derive(Debug, Default)]
pub struct Absence(BTreeMap<ParticipantId, Time>);

impl Absence {
    /// Those of the absent who are to leave the stage now: five minutes in a row without a connection. `absent` are all
    /// on the stage who have none at `now`; who is not among them begins anew. Call it every second or so.
    pub fn over(&mut self, now: Time, absent: &BTreeSet<ParticipantId>) -> Vec<ParticipantId> {
        self.0.retain(|who, _| absent.contains(who));
        for who in absent {
            self.0.entry(who.clone()).or_insert(now);
        }
        self.0.iter().filter(|(_, since)| now.since(**since) >= KEPT).map(|(who, _)| who.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_participant_leaves_the_stage_after_five_minutes_without_a_connection_in_a_row() {
        let names = |names: &[&str]| names.iter().map(|name| ParticipantId::new(name).unwrap()).collect();
        let mut absence = Absence::default();
        let mut over = |second: u64, absent: &[&str]| {
            let over = absence.over(Time::from_millis(second * 1_000), &names(absent));
            over.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(over(0, &["ann", "bob"]), "");
        assert_eq!(over(200, &["ann"]), "", "bob is back");
        assert_eq!(over(299, &["ann", "bob"]), "");
        assert_eq!(over(300, &["ann", "bob"]), "ann");
        assert_eq!(over(598, &["bob"]), "");
        assert_eq!(over(599, &["bob"]), "bob");
    }
}
