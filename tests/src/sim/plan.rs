//! What a seed stands for: how large the world is, who is in it, and what goes wrong when.

use rand::{RngExt, SeedableRng, rngs::SmallRng};

use super::fault::{Back, Fault, How, Who};

/// When the world begins, in milliseconds: nothing is before it.
pub(super) const START: u64 = 100_000;
/// From the beginning until rooms are owned, mirrored and heard.
const WARM_UP_MS: u64 = 4_000;
/// From when a single fault is over until the next: a lease, a claim, a mirror that is ready again.
const CALM_MS: u64 = 9_000;
/// From when everything is over until everything is to be as it should: a lease, the patience with a living owner, a claim.
const QUIET_MS: u64 = 17_000;

/// How late a view may be, in milliseconds, so that a room is moved all the same: an heir waits a second for its view to show
/// the owner that asks it.
const MOST_LATE_MS: u64 = 700;

const ZONES: [&str; 3] = ["north", "south", "east"];

/// What a node is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Roles {
    pub(super) origin: bool,
    pub(super) relay: bool,
    pub(super) edge: bool,
}

/// A world before it begins.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) seed: u64,
    pub(super) nodes: Vec<(Roles, &'static str)>,
    pub(super) rooms: usize,
    /// The first so many rooms have their audio simulated, slot by slot.
    pub(super) watched: usize,
    /// Whether the cluster has stood for long, or starts.
    pub(super) stood: bool,
    /// Whether faults come one at a time.
    pub(super) single: bool,
    pub(super) warm_up_ms: u64,
    /// By when they strike.
    pub(super) faults: Vec<(u64, Fault)>,
    /// When the last fault is over, and when the world ends.
    pub(super) healed_ms: u64,
    pub(super) end_ms: u64,
}

impl Plan {
    /// The world of a seed.
    pub(super) fn of(seed: u64) -> Self {
        let mut random = SmallRng::seed_from_u64(seed ^ 0x57E7_0125_1A0D_0001);
        let large = seed % 50 == 49;
        let (origins, relays, edges) = if large {
            (random.random_range(12..40), random.random_range(10..60), random.random_range(40..200))
        } else {
            (random.random_range(2..7), random.random_range(0..6), random.random_range(2..6))
        };
        let rooms = if large { random.random_range(300..2_500) } else { random.random_range(4..40) };
        let zones = random.random_range(1..=3);
        let role = |n: usize| Roles {
            origin: n < origins,
            relay: (origins..origins + relays).contains(&n),
            edge: n >= origins + relays,
        };
        let nodes: Vec<_> = (0..origins + relays + edges)
            .map(|n| (role(n), if zones == 1 { "" } else { ZONES[n % zones] }))
            .collect();
        let watched = random.random_range(1..=2).min(rooms);
        let single = random.random_bool(0.6);
        let mut plan = Self {
            seed,
            nodes,
            rooms,
            watched,
            stood: large || random.random_bool(0.5),
            single,
            warm_up_ms: WARM_UP_MS,
            faults: Vec::new(),
            healed_ms: WARM_UP_MS,
            end_ms: 0,
        };
        plan.draw_faults(&mut random);
        plan.draw_acts(origins);
        plan.draw_cuts();
        plan.draw_lag(origins);
        plan.draw_split();
        plan.draw_drained();
        plan.end_ms = plan.healed_ms + QUIET_MS;
        plan
    }

    /// Whether its nodes are of two builds.
    pub(super) fn mixes_builds(&self) -> bool {
        self.faults.iter().any(|(_, fault)| matches!(fault, Fault::Newer { .. }))
    }

    fn draw_faults(&mut self, random: &mut SmallRng) {
        let count = random.random_range(1..=3);
        let mut at = WARM_UP_MS;
        for _ in 0..count {
            at += random.random_range(0..100);
            let fault = self.draw_fault(random);
            self.faults.push((at, fault));
            let over = at + fault.lasts_ms();
            self.healed_ms = self.healed_ms.max(over);
            at = if self.single { over + CALM_MS } else { at + random.random_range(0..2_500) };
        }
    }

    /// What came to the simulation later is drawn apart and comes last, or in between: a seed is up to there what it was.
    fn draw_acts(&mut self, origins: usize) {
        let mut random = SmallRng::seed_from_u64(self.seed ^ 0xAC75_0125_1A0D_0002);
        if random.random_bool(0.5) {
            return;
        }
        let (first, last) = (WARM_UP_MS, self.healed_ms);
        let at = if self.single { last + CALM_MS } else { random.random_range(first..=last) };
        let faults = self.draw_act(&mut random, origins);
        let (mut healed, mut after) = (self.healed_ms, at);
        for (wait, fault) in faults {
            after += wait;
            healed = healed.max(after + fault.lasts_ms());
            self.faults.push((after, fault));
        }
        self.healed_ms = healed;
    }

    /// The two origins of a watched room are cut from each other, long enough for moderators to say something. Drawn apart
    /// as well.
    fn draw_cuts(&mut self) {
        let mut random = SmallRng::seed_from_u64(self.seed ^ 0xC070_0125_1A0D_0003);
        if random.random_bool(0.7) {
            return;
        }
        let (room, ms) = (random.random_range(0..self.watched), random.random_range(500..10_000));
        let (first, last) = (WARM_UP_MS, self.healed_ms);
        let at = if self.single { last + CALM_MS } else { random.random_range(first..=last) };
        let cut = Fault::CutOrigins { room, ms };
        self.healed_ms = self.healed_ms.max(at + cut.lasts_ms());
        self.faults.push((at, cut));
    }

    /// Zones that are cut from each other, drawn apart as well.
    fn draw_split(&mut self) {
        let mut random = SmallRng::seed_from_u64(self.seed ^ 0x5911_0125_1A0D_0004);
        if random.random_bool(0.8) {
            return;
        }
        let (first, last) = (WARM_UP_MS, self.healed_ms);
        let at = if self.single { last + CALM_MS } else { random.random_range(first..=last) };
        let split = Fault::SplitZones { ms: random.random_range(500..12_000) };
        self.healed_ms = self.healed_ms.max(at + split.lasts_ms());
        self.faults.push((at, split));
    }

    /// Two origins that do not hear each other, edges that go over to the higher lineage, and the one that leads it gone.
    fn draw_drained(&mut self) {
        let mut random = SmallRng::seed_from_u64(self.seed ^ 0xD0A1_0125_1A0D_0004);
        if self.single || random.random_bool(0.8) {
            return;
        }
        let room = random.random_range(0..self.watched);
        // When all is well, or while other things go wrong.
        let calm = random.random_bool(0.6);
        let at =
            if calm { self.healed_ms + CALM_MS } else { random.random_range(WARM_UP_MS..=self.healed_ms) };
        let ms = random.random_range(8_000..20_000);
        let (owner, mirror) = (Who::Owner(room), Who::Mirror(room));
        let late = Fault::Pause { who: owner, ms: random.random_range(80..400) };
        let who = if random.random_bool(0.8) { mirror } else { owner };
        let gone = match random.random_range(0..3) {
            0 => Fault::Drain { who, ms: 2_000 },
            kill => Fault::Kill { who, told: kill == 1, ms },
        };
        let wait = random.random_range(500..3_000);
        for (after, fault) in [(0, Fault::CutOrigins { room, ms }), (500, late), (500 + wait, gone)] {
            self.healed_ms = self.healed_ms.max(at + after + fault.lasts_ms());
            self.faults.push((at + after, fault));
        }
    }

    /// One act, or a few in a row, each so long after the one before.
    fn draw_act(&self, random: &mut SmallRng, origins: usize) -> Vec<(u64, Fault)> {
        let watched = random.random_bool(0.7);
        let room = random.random_range(0..if watched { self.watched } else { self.rooms });
        let to = random.random_range(0..origins);
        let (ms, wait) = (random.random_range(200..6_000), random.random_range(0..4_000));
        let (moves, aside) = (Fault::Move { room, to }, Fault::Aside { room });
        let kill = |who| Fault::Kill { who, told: wait % 2 == 0, ms: 2_000 + ms };
        let how = [How::Panics, How::Never, How::Twice, How::Late][random.random_range(0..4)];
        let odd = Fault::Odd { how, ms };
        let who = if random.random_bool(0.6) { Who::Owner(room) } else { Who::Mirror(room) };
        match random.random_range(0..10) {
            0..=1 => vec![(0, moves)],
            2 => vec![(0, aside)],
            3..=4 => vec![(0, Fault::Restart { who, room })],
            5 if watched => vec![(0, Fault::End { room })],
            5 => vec![(0, Fault::Newer { room })],
            6 => vec![(0, odd), (10, if wait % 2 == 0 { moves } else { aside })],
            // From here on two things go wrong at a time.
            _ if self.single => vec![(0, Fault::Barred { who, ms })],
            7 => vec![(0, odd), (10, kill(who))],
            // The heir vanishes in whichever phase it is.
            8 => vec![(0, moves), (wait, kill(Who::Node(to)))],
            _ => vec![(0, Fault::LoseClaim { room, ms: 8_000 }), (10, kill(Who::Owner(room)))],
        }
    }

    /// A node whose view is late, in the midst of faults, or while a room is moved that nothing else disturbs.
    fn draw_lag(&mut self, origins: usize) {
        let mut random = SmallRng::seed_from_u64(self.seed ^ 0x1A65_0125_1A0D_0003);
        if random.random_bool(0.75) {
            return;
        }
        let (room, to) = (random.random_range(0..self.rooms), random.random_range(0..origins));
        let who = [Who::Owner(room), Who::Mirror(room), Who::Node(to)][random.random_range(0..3)];
        let (first, last) = (WARM_UP_MS, self.healed_ms);
        if !self.single && random.random_bool(0.5) {
            let (at, ms) = (random.random_range(first..=last), random.random_range(200..6_000));
            let late = Fault::Lag { who, ms, by_ms: random.random_range(50..1_500) };
            self.faults.push((at, late));
            self.healed_ms = last.max(at + late.lasts_ms());
            return;
        }
        let at = last + CALM_MS;
        let late = Fault::Lag { who, ms: 5_000, by_ms: random.random_range(50..MOST_LATE_MS) };
        let moves = Fault::Move { room, to };
        self.faults.extend([(at, late), (at + 10, moves)]);
        self.healed_ms = at + moves.lasts_ms();
    }

    fn draw_fault(&self, random: &mut SmallRng) -> Fault {
        let room = random.random_range(0..self.watched);
        let other = random.random_range(0..self.nodes.len());
        let ms = if random.random_bool(0.5) {
            random.random_range(10..400)
        } else {
            random.random_range(400..8_000)
        };
        let member = |random: &mut SmallRng| match random.random_range(0..4) {
            0 => Who::Mirror(room),
            1 => Who::Relay(room, random.random_range(0..2)),
            _ => Who::Owner(room),
        };
        // Listeners of a node that fails itself are not spared, so edges are struck only where that is not asked for.
        let who = match random.random_range(0..4) {
            0 if !self.single => Who::Node(other),
            _ => member(random),
        };
        let pairs = [
            (Who::Owner(room), Who::Mirror(room)),
            (Who::Mirror(room), Who::Owner(room)),
            (Who::Owner(room), Who::Relay(room, 0)),
            (Who::Mirror(room), Who::Relay(room, 1)),
            (Who::Relay(room, 0), Who::Node(self.nodes.len() - 1)),
            (Who::Relay(room, 1), Who::Node(self.nodes.len() - 1)),
        ];
        let (from, to) = pairs[random.random_range(0..pairs.len())];
        let back = [
            Back::Same,
            Back::Same,
            Back::NoLeases,
            Back::Empty,
            Back::Older(random.random_range(500..6_000)),
        ];
        match random.random_range(0..20) {
            0..=4 => Fault::Kill { who, told: random.random_bool(0.5), ms: 2_000 + ms },
            5..=8 => Fault::Pause { who, ms },
            9..=10 => Fault::Isolate { who, ms },
            11..=12 => Fault::OneWay { from, to, ms },
            13 => Fault::Cut { from, to, ms },
            14 => Fault::Slow { from, to, ms, by_ms: random.random_range(5..60) },
            15 => Fault::NoDirectory { who, ms },
            16..=17 => Fault::Drain { who: Who::Owner(room), ms: 2_000 },
            _ => Fault::Outage { ms: 500 + ms, back: back[random.random_range(0..back.len())] },
        }
    }
}
