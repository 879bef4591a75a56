//! A room at one node: what it does about what it is told, told as stories.

mod contesting;
mod mirroring;
mod owning;
mod story;
mod transferring;
