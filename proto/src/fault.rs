//! A [`Fault`] as a gRPC status and back. The code travels in `stentor-code`, the time to wait in `retry-after-ms`; a
//! status without them (from a proxy, from tonic itself) is read by its gRPC code alone.

use std::time::Duration;

use stentor_ids::{Code, Fault};
use tonic::{Status, metadata::MetadataMap};

const CODE: &str = "stentor-code";
const RETRY_AFTER: &str = "retry-after-ms";

/// The status that carries a fault.
#[must_use]
pub fn status_of(fault: &Fault) -> Status {
    let mut metadata = MetadataMap::new();
    if let Ok(code) = fault.code.as_str().parse() {
        metadata.insert(CODE, code);
    }
    if let Some(wait) = fault.retry_after {
        metadata.insert(RETRY_AFTER, u64::try_from(wait.as_millis()).unwrap_or(u64::MAX).into());
    }
    Status::with_metadata(tonic::Code::from_i32(fault.code.grpc()), fault.detail.clone(), metadata)
}

/// The fault that a status carries, as well as it can be told.
#[must_use]
pub fn fault_of(status: &Status) -> Fault {
    let text = |key| status.metadata().get(key).and_then(|value| value.to_str().ok());
    let code = text(CODE).and_then(|code| code.parse().ok()).unwrap_or(match status.code() {
        tonic::Code::InvalidArgument | tonic::Code::OutOfRange => Code::InvalidArgument,
        tonic::Code::Unauthenticated => Code::Unauthenticated,
        tonic::Code::PermissionDenied => Code::RoleForbids,
        tonic::Code::ResourceExhausted => Code::Overloaded,
        tonic::Code::Unimplemented => Code::UnknownPath,
        tonic::Code::Unavailable | tonic::Code::DeadlineExceeded | tonic::Code::Cancelled => {
            Code::NodeUnavailable
        }
        // A connection that broke has its cause with it, under whatever code; a refusal by the peer has none.
        _ if std::error::Error::source(status).is_some() => Code::NodeUnavailable,
        _ => Code::Internal,
    });
    let retry_after = text(RETRY_AFTER).and_then(|ms| ms.parse().ok()).map(Duration::from_millis);
    Fault { code, detail: status.message().to_owned().into(), retry_after }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_survives_the_wire() {
        for code in Code::ALL {
            let fault = Fault::new(*code, "room \"x\" is full").retry_after(Duration::from_millis(1500));
            let status = status_of(&fault);
            assert_eq!(status.code() as i32, code.grpc());
            assert_eq!(fault_of(&status), fault);
        }
    }

    #[test]
    fn a_status_that_is_not_ours_is_read_by_its_grpc_code() {
        assert_eq!(fault_of(&Status::unavailable("connection refused")).code, Code::NodeUnavailable);
        assert_eq!(fault_of(&Status::data_loss("?")).code, Code::Internal);
    }
}
