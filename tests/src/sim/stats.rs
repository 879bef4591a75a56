//! A world in figures, and many of them together.

use std::{collections::BTreeMap, fmt, time::Duration};

use super::plan::Plan;

/// What happened in one world, or in several.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stats {
    worlds: u64,
    nodes: usize,
    most_nodes: usize,
    rooms: usize,
    most_rooms: usize,
    faults: BTreeMap<&'static str, u64>,
    /// Rooms that a mirror took over because it no longer heard the owner, and the longest that took, in milliseconds.
    take_overs: u64,
    longest_take_over_ms: u64,
    claims: u64,
    /// Times that an origin began to mix, and of these without a history to replay.
    led: u64,
    led_cold: u64,
    played: u64,
    missed: u64,
    longest_wait_ms: u64,
    pub(super) moved: usize,
    pub(super) drains_given_up: u64,
}

impl Stats {
    pub(super) fn of(plan: &Plan) -> Self {
        let (nodes, rooms) = (plan.nodes.len(), plan.rooms);
        Self { worlds: 1, nodes, most_nodes: nodes, rooms, most_rooms: rooms, ..Self::default() }
    }

    pub(super) fn struck(&mut self, name: &'static str) {
        *self.faults.entry(name).or_default() += 1;
    }

    pub(super) fn took_over(&mut self, since: Option<Duration>) {
        self.claims += 1;
        if let Some(since) = since {
            self.take_overs += 1;
            let millis = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
            self.longest_take_over_ms = self.longest_take_over_ms.max(millis);
        }
    }

    pub(super) fn led(&mut self, ready: bool) {
        self.led += 1;
        self.led_cold += u64::from(!ready);
    }

    pub(super) fn played(&mut self, wait_ms: Option<u64>) {
        self.played += 1;
        self.longest_wait_ms = self.longest_wait_ms.max(wait_ms.unwrap_or_default());
    }

    pub(super) fn missed(&mut self, count: u64) {
        self.missed = self.missed.saturating_add(count);
    }

    /// Adds another world's figures.
    pub fn add(&mut self, other: &Self) {
        self.worlds += other.worlds;
        self.nodes += other.nodes;
        self.rooms += other.rooms;
        self.most_nodes = self.most_nodes.max(other.most_nodes);
        self.most_rooms = self.most_rooms.max(other.most_rooms);
        for (name, count) in &other.faults {
            *self.faults.entry(name).or_default() += count;
        }
        self.take_overs += other.take_overs;
        self.longest_take_over_ms = self.longest_take_over_ms.max(other.longest_take_over_ms);
        self.claims += other.claims;
        self.led += other.led;
        self.led_cold += other.led_cold;
        self.played += other.played;
        self.missed = self.missed.saturating_add(other.missed);
        self.longest_wait_ms = self.longest_wait_ms.max(other.longest_wait_ms);
        self.moved = self.moved.max(other.moved);
        self.drains_given_up += other.drains_given_up;
    }
}

impl fmt::Display for Stats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "worlds            {}", self.worlds)?;
        writeln!(f, "nodes             {} in all, at most {} in one", self.nodes, self.most_nodes)?;
        writeln!(f, "rooms             {} in all, at most {} in one", self.rooms, self.most_rooms)?;
        writeln!(f, "slots played      {}, missed {}", self.played, self.missed)?;
        writeln!(f, "longest wait      {} ms between two slots of a listener", self.longest_wait_ms)?;
        writeln!(f, "origins led       {} times, {} of them cold", self.led, self.led_cold)?;
        writeln!(f, "owners            {} came, {} by a detector", self.claims, self.take_overs)?;
        writeln!(f, "longest take-over {} ms from the first sign", self.longest_take_over_ms)?;
        writeln!(f, "rooms moved       at most {} by a directory that was away", self.moved)?;
        writeln!(f, "drains given up   {}", self.drains_given_up)?;
        for (name, count) in &self.faults {
            writeln!(f, "  {count:6} × {name}")?;
        }
        Ok(())
    }
}
