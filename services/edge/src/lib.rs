//! Where people connect.
#![allow(dead_code, unused_imports, unreachable_pub)]
mod clock;
mod count;
mod fanout;
mod ogg;
