//! The operators' port as operators meet it: a real server on a free port over an embedded directory, with real origins
//! behind real links, and owners that say what a test tells them to where it is about races.

#![allow(unreachable_pub, clippy::unwrap_used, reason = "these are tests and what they share")]

mod auth;
mod changing;
mod happenings;
mod nodes;
mod operators;
mod owned;
mod races;
mod support;
mod unowned;
mod watching;
