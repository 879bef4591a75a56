//! Answers and their bytes. Pure.

use std::{io::Write, time::Duration};

use bytes::Bytes;
use http::{
    HeaderValue, Response, StatusCode,
    header::{
        ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, CACHE_CONTROL, CONNECTION,
        CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER, TRANSFER_ENCODING,
    },
};
use serde_json::json;
use stentor_ids::Fault;

/// An answer with its whole body.
pub(crate) type Answer = Response<Bytes>;

/// An answer that any page of any site may read.
pub(crate) fn answer(status: StatusCode, media_type: &'static str, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(body.into());
    *answer.status_mut() = status;
    for (name, value) in [
        (CONTENT_TYPE, media_type),
        (CACHE_CONTROL, "no-store"),
        (ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
        (ACCESS_CONTROL_EXPOSE_HEADERS, "retry-after"),
    ] {
        answer.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    answer
}

/// A refusal as a problem (RFC 9457). Its `retry_after` is in whole seconds, as the header is.
pub(crate) fn problem(fault: &Fault) -> Answer {
    let status = StatusCode::from_u16(fault.code.http()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let retry_after = fault.retry_after.map(whole_seconds);
    let mut body = json!({
        "title": status.canonical_reason().unwrap_or("Error"),
        "status": status.as_u16(),
        "code": fault.code.as_str(),
        "detail": fault.detail,
    });
    if let Some(seconds) = retry_after {
        body["retry_after"] = seconds.into();
    }
    let mut answer = answer(status, "application/problem+json", body.to_string());
    if let Some(seconds) = retry_after {
        answer.headers_mut().insert(RETRY_AFTER, seconds.into());
    }
    answer
}

/// Rounded up, so that who waits as long as told is not told the same again; at least one.
fn whole_seconds(wait: Duration) -> u64 {
    (wait.as_secs() + u64::from(wait.subsec_nanos() > 0)).max(1)
}

/// The bytes of an answer after which the connection ends; `body` says whether the method asks for one.
pub(crate) fn encode(answer: &Answer, body: bool) -> Bytes {
    let mut out = head(answer);
    // A stream's length is not known, nor is one told for an answer that never has a body.
    let endless = answer.headers().contains_key(TRANSFER_ENCODING) || (!body && answer.body().is_empty());
    if !endless && answer.status() != StatusCode::NO_CONTENT {
        put(&mut out, CONTENT_LENGTH.as_str(), answer.body().len().to_string().as_bytes());
    }
    out.extend_from_slice(b"\r\n");
    if body {
        out.extend_from_slice(answer.body());
    }
    out.into()
}

/// The bytes of the head of an answer whose body goes on until its framing or the connection ends.
pub(crate) fn encode_endless(answer: &Answer) -> Bytes {
    let mut out = head(answer);
    out.extend_from_slice(b"\r\n");
    out.into()
}

fn head(answer: &Answer) -> Vec<u8> {
    let mut out = Vec::with_capacity(512);
    let status = answer.status();
    let reason = status.canonical_reason().unwrap_or_default();
    // Writing to a vector does not fail.
    drop(write!(out, "HTTP/1.1 {} {reason}\r\n", status.as_u16()));
    for (name, value) in answer.headers() {
        put(&mut out, name.as_str(), value.as_bytes());
    }
    put(&mut out, CONNECTION.as_str(), b"close");
    out
}

fn put(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    for part in [name.as_bytes(), b": ", value, b"\r\n"] {
        out.extend_from_slice(part);
    }
}

#[cfg(test)]
mod tests {
    use stentor_ids::Code;

    use super::*;

    #[test]
    fn a_fault_is_told_as_a_problem_with_its_wait_rounded_up() {
        let fault =
            Fault::new(Code::NotLiveYet, "room x starts soon").retry_after(Duration::from_millis(4_001));
        let told = encode(&problem(&fault), true);
        let told = std::str::from_utf8(&told).unwrap();
        let (head, body) = told.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 425 Too Early\r\n"), "{head}");
        assert!(
            head.contains("\r\nretry-after: 5\r\n") && head.contains("application/problem+json"),
            "{head}"
        );
        assert!(head.ends_with(&format!("\r\ncontent-length: {}", body.len())), "{head}");
        let body: serde_json::Value = serde_json::from_str(body).unwrap();
        assert_eq!(
            body,
            json!({
                "title": "Too Early", "status": 425, "code": "not_live_yet",
                "detail": "room x starts soon", "retry_after": 5,
            })
        );
    }

    #[test]
    fn head_is_answered_without_the_body_it_tells_of() {
        let told = encode(&answer(StatusCode::OK, "text/plain", "ok\n"), false);
        let told = std::str::from_utf8(&told).unwrap();
        assert!(told.contains("content-length: 3\r\n") && told.ends_with("\r\n\r\n"), "{told}");
    }

    #[test]
    fn every_code_has_a_reason_phrase() {
        for code in Code::ALL {
            let told = encode(&problem(&Fault::new(*code, "")), true);
            let line = told.split(|byte| *byte == b'\r').next().unwrap();
            assert!(line.len() > b"HTTP/1.1 400 ".len(), "{code}");
        }
    }
}
