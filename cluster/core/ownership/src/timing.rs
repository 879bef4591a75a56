//! Every time of a take-over of control, once, with its reason. What the audio waits for is the audio's
//! (`stentor-relay`); how long one call of the directory or of a node may take is its driver's, and shorter than [`ERRAND`].
//!
//! | what | when | times |
//! |---|---|---|
//! | an owner is doubted | its stream broke, or brings nothing | [`RECONNECT`], [`SILENT`] |
//! | others are asked | before a claim | [`ASK`], [`ANSWER`], [`ASK_APART`], [`HEARD`] |
//! | it lives | it is left alone | [`REST`], [`ASK_AGAIN`], [`PATIENCE`] |
//! | it is to be mirrored | it is asked | [`REACH_AGAIN`] |
//! | its key stands, and it may live | it is contested | [`CONTEST`], [`REPORTED`], [`PREEMPT`] to [`PREEMPT_CAP`], [`PREEMPTED`] |
//! | a claim came to nothing | it is made again | [`REFUSED`] to [`REFUSED_CAP`], [`CLAIM_AGAIN`] |
//! | a claim takes effect | so many slots ahead | [`CLAIM_AHEAD`], [`COLD_AHEAD`], [`TRANSFER_AHEAD`] |
//! | a transfer is prepared | the heir becomes ready | [`PREPARE_WITHIN`], [`LOOK_AGAIN`] |
//! | a node leaves | its rooms are offered | [`OFFERED_AT_ONCE`], [`OFFERED`], [`OFFER_AGAIN`] |
//! | an old owner goes | up to the claim's first slot | [`LONGEST_RETIREMENT`], [`REDIRECT_AHEAD`] |
//! | a key is gone | it is put back | [`PUT_BACK_AGAIN`] |

use std::time::Duration;

/// How long the owner's stream may bring nothing. Its state comes twice a second.
pub const SILENT: Duration = Duration::from_secs(1);
/// How long after its stream broke an owner is asked about: a stream that only lost its connection is back by then.
pub const RECONNECT: Duration = Duration::from_millis(100);
/// How long whoever is asked about an owner has to answer. A process that is gone answers at once, by its closed port.
pub const ASK: Duration = Duration::from_millis(300);
/// How long the answers of all who are asked are waited for. Whoever asks gives each of them [`ASK`].
pub const ANSWER: Duration = Duration::from_secs(1);
/// Least time between two questions, whatever the stream does.
pub const ASK_APART: Duration = Duration::from_millis(500);
/// How recently a relay must have heard the owner for it to be alive: longer than any jitter of a link, as frames come every
/// 20 ms, and short, as the whole of a take-over has three seconds.
pub const HEARD: Duration = Duration::from_millis(500);
/// Relays that are asked whether they hear the owner: more than one may fail at the same time as the owner.
pub const RELAYS_ASKED: usize = 3;
/// How long an owner that was found alive is left alone by its mirror before it is asked about again.
pub const REST: Duration = Duration::from_secs(1);
/// The same by a node that would claim a room that has no owner key.
pub const ASK_AGAIN: Duration = Duration::from_secs(1);
/// How soon an owner that a node means to mirror is asked again if it does not answer that it runs the room. One that has just
/// claimed it begins to within that.
pub const REACH_AGAIN: Duration = Duration::from_millis(200);
/// How long a living owner whose key is gone is left to put it back. Then the room is claimed all the same, so that it can
/// be moderated again.
pub const PATIENCE: Duration = Duration::from_secs(10);
/// How long a mirror that means to claim from an owner whose key stands waits for that one's bid, from when its own is in the
/// directory: a write of the owner's, and two views.
pub const CONTEST: Duration = Duration::from_secs(1);
/// How old the report of a child may be that counts as reached: children report every second.
pub const REPORTED: Duration = Duration::from_millis(1_500);
/// A node's pauses after it claimed a room from an owner whose key stood, or was outbid for it by one that it has not heard since, double
/// from here on,
pub const PREEMPT: Duration = Duration::from_secs(1);
/// up to this long: a cut that lasts asks for no more, and a room whose owner comes to reach less waits no longer.
pub const PREEMPT_CAP: Duration = Duration::from_secs(60);
/// How long after the last such claim they are forgotten: twice the longest pause, so that one who keeps to it is remembered.
pub const PREEMPTED: Duration = Duration::from_secs(120);
/// How much later than due this node wakes up when it is only busy. Beyond that it was itself paused, and has not heard
/// what it did not listen to.
pub const PAUSE: Duration = Duration::from_millis(200);
/// A mirror's pauses after claims that came to nothing double from here on,
pub const REFUSED: Duration = Duration::from_millis(500);
/// up to this long.
pub const REFUSED_CAP: Duration = Duration::from_secs(5);
/// How soon a room that nobody runs is claimed again when the directory did not answer.
pub const CLAIM_AGAIN: Duration = Duration::from_millis(500);

/// Slots by which the first slot of a mirror's claim lies ahead: a second. Relays may see the claim in the directory before
/// this node has its answer, and refuse from that slot on what still comes under the old epoch; until then the mirror goes on
/// under that, so the wait costs nothing.
pub const CLAIM_AHEAD: u64 = 50;
/// The same of a room that nobody runs, where each slot is one that is not heard: 100 ms for the claim itself and for clocks
/// of two nodes that differ.
pub const COLD_AHEAD: u64 = 5;
/// How far ahead a transfer takes effect, in slots: a second, in which the heir claims the room in the directory, also where
/// that is slow for a moment. Nothing is heard of the wait.
pub const TRANSFER_AHEAD: u64 = 50;
/// How long an heir may take until it can go on without a replay that lacks something. Then it is asked all the same.
pub const PREPARE_WITHIN: Duration = Duration::from_millis(2500);
/// How often it is looked whether it can.
pub const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// Rooms that a node which leaves offers at once: enough that the second each one takes to move does not add up, few enough that
/// the nodes that take them are not asked for everything in one moment.
pub const OFFERED_AT_ONCE: usize = 8;
/// How long a room that is refused at once is offered again: a node that has just joined or a directory that was away for a
/// moment may take it then. What is refused for longer is told instead of waited for.
pub const OFFERED: Duration = Duration::from_secs(1);
/// How long between two offers of a room, and until a mirror that is still there is told again to step aside.
pub const OFFER_AGAIN: Duration = Duration::from_millis(200);
/// Furthest ahead that an old owner goes on to a claim's first slot, in slots. One further away is of a clock gone wrong, and
/// waiting for it would leave the room with two owners.
pub const LONGEST_RETIREMENT: u64 = 250;
/// How long before the claim's first slot the edges bring their speakers to the new owner: what is under way to the old
/// one and held back there fills the slots up to it.
pub const REDIRECT_AHEAD: Duration = Duration::from_millis(60);
/// Slots after which a mirror that leads gives the audio back before it leaves.
pub const ASIDE_AHEAD: u64 = 5;
/// How soon a key that is gone is put back again when that failed.
pub const PUT_BACK_AGAIN: Duration = Duration::from_secs(1);
/// How long the end of an errand is waited for: longer than any call of a directory or a node takes that ends at all. One
/// that has not ended by then counts as one that failed, and what it says later is not heard.
pub const ERRAND: Duration = Duration::from_secs(15);
