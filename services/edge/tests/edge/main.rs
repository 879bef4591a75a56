//! An edge as people meet it: real sockets, real links to an origin whose rooms the test keeps. One theme a file.

#![allow(clippy::unwrap_used, unreachable_pub)]

mod client;
mod origin;
mod stage;

mod answers;
mod bad_input;
mod bans;
mod commands;
mod draining;
mod events;
mod guessed_names;
mod listening;
mod resuming;
mod speaking;
mod streams;
mod tls;
