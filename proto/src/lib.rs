//! The wire of Stentor: generated `stentor.v1` code, and the conversions between wire and domain values that every
//! driver and service uses at its door. Beyond this crate and its users' doors no wire type is passed on.

mod convert;
mod fault;
mod moment;
pub mod told;

pub use convert::{BadField, gain_from_wire, required, role_from_wire, role_held, role_to_wire};
pub use fault::{fault_of, status_of};
pub use moment::{length_of, micros_of, moment, rfc3339, signed_micros_of, signed_span, span};
pub use prost_types::{FieldMask, Timestamp};

/// Generated from `proto/stentor/v1/*.proto`.
#[allow(missing_docs, clippy::large_enum_variant, clippy::too_many_lines, unreachable_pub)]
pub mod v1 {
    tonic::include_proto!("stentor.v1");

    /// The encoded descriptor of the package, for gRPC reflection.
    pub const DESCRIPTOR: &[u8] = tonic::include_file_descriptor_set!("stentor.v1");
}
