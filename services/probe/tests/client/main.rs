//! The probe against an edge that a test has in its hand.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod fake;
mod listening;
mod speaking;
