//! Where people connect: `live.ogg` over HTTP for anything that plays audio, gRPC for native clients, on one public port.
//!
//! Room audio comes from the links, is played out once a room behind the seam buffer, and fanned out by shards that own
//! their listeners' sockets. Speakers' packets go the other way. An edge knows no directory, holds no record and decides
//! nothing about a room: it checks tickets by their signature and enforces what the owner says.
//!
//! | module | what it is |
//! |---|---|
//! | `port` | the public port: accepts, tells protocols apart, TLS |
//! | `http` | request heads, routes, answers |
//! | `grpc` | the services for native clients |
//! | `rooms` | who is let in; one playout task a room |
//! | `fanout` | the shards |
//! | `ogg` | Ogg/Opus pages |
//! | `auth` | tickets |
//! | `farewell` | where people go when the edge leaves |

mod auth;
mod config;
mod count;
mod edge;
mod fanout;
mod farewell;
mod grpc;
mod http;
mod ogg;
mod port;
mod rooms;

pub use auth::Keys;
pub use config::{Config, Tls};
pub use edge::{Edge, EdgeHandle, Error, Ways};
