//! Reads a request head out of the first bytes of a connection, and tells HTTP/2 apart by its preface. Pure.

use http::{HeaderName, HeaderValue, Method, Uri, Version};

/// Longest head, in bytes: a ticket of 2 kB twice over (header and query) and what browsers send. Beyond it the request
/// is refused.
pub(crate) const MAX_HEAD_BYTES: usize = 8 * 1024;
/// Most header fields in a head; browsers send about twenty.
const MAX_FIELDS: usize = 64;
/// What every HTTP/2 connection begins with (RFC 9113, section 3.4), as far as no HTTP/1 method goes.
const HTTP2: &[u8] = b"PRI ";
/// First byte of a TLS handshake record (RFC 8446, section 5.1).
const TLS_HANDSHAKE: u8 = 0x16;

/// A request without a body.
pub(crate) type Request = http::Request<()>;

/// What the first bytes of a connection are.
#[derive(Debug)]
pub(crate) enum Head {
    /// Not enough to tell.
    Partial,
    /// The start of an HTTP/2 connection.
    Http2,
    /// A whole head.
    Request(Request),
    /// Nothing that we speak, and why.
    Bad(String),
}

/// Looks at all bytes that came so far.
pub(crate) fn read(bytes: &[u8]) -> Head {
    if bytes.starts_with(HTTP2) {
        return Head::Http2;
    }
    if bytes.first() == Some(&TLS_HANDSHAKE) {
        return Head::Bad("a TLS handshake came to a port that speaks plain HTTP; use http://".to_owned());
    }
    let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
    let mut parsed = httparse::Request::new(&mut fields);
    match parsed.parse(bytes) {
        Ok(httparse::Status::Complete(_)) => match request(&parsed) {
            Ok(request) => Head::Request(request),
            Err(error) => Head::Bad(format!("the request head is malformed: {error}")),
        },
        Ok(httparse::Status::Partial) if bytes.len() < MAX_HEAD_BYTES => Head::Partial,
        Ok(httparse::Status::Partial) => {
            Head::Bad(format!("the request head is longer than {MAX_HEAD_BYTES} bytes"))
        }
        Err(httparse::Error::TooManyHeaders) => {
            Head::Bad(format!("the request head has more than {MAX_FIELDS} fields"))
        }
        Err(error) => Head::Bad(format!("the request head is malformed: {error}")),
    }
}

fn request(parsed: &httparse::Request<'_, '_>) -> Result<Request, http::Error> {
    let mut request = Request::new(());
    *request.method_mut() = Method::from_bytes(parsed.method.unwrap_or_default().as_bytes())?;
    *request.uri_mut() = parsed.path.unwrap_or_default().parse::<Uri>()?;
    *request.version_mut() = if parsed.version == Some(0) { Version::HTTP_10 } else { Version::HTTP_11 };
    for field in parsed.headers.iter() {
        let (name, value) = (HeaderName::try_from(field.name)?, HeaderValue::try_from(field.value)?);
        request.headers_mut().append(name, value);
    }
    Ok(request)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_read_once_it_is_whole_and_not_before() {
        let whole = b"GET /v1/rooms/demo?x=1 HTTP/1.0\r\nHost: a\r\nX-A: \xffb\r\n\r\ntrailing";
        for cut in 0..whole.len() - b"\ntrailing".len() {
            assert!(matches!(read(&whole[..cut]), Head::Partial), "{cut}");
        }
        let Head::Request(request) = read(whole) else { panic!("it is whole") };
        assert_eq!((request.method(), request.uri().path()), (&Method::GET, "/v1/rooms/demo"));
        assert_eq!((request.uri().query(), request.version()), (Some("x=1"), Version::HTTP_10));
        assert_eq!(request.headers()["host"], "a");
    }

    #[test]
    fn http_2_is_told_by_its_preface_and_from_other_methods() {
        assert!(matches!(read(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), Head::Http2));
        assert!(matches!(read(b"PR"), Head::Partial));
        assert!(matches!(read(b"PROPFIND / HTTP/1.1\r\n\r\n"), Head::Request(_)));
    }

    #[test]
    fn what_is_no_request_is_refused_with_a_reason() {
        let bad = |bytes: &[u8]| match read(bytes) {
            Head::Bad(why) => why,
            other => panic!("{other:?}"),
        };
        assert!(bad(b"\x16\x03\x01\x02\x00\x01").contains("TLS"));
        assert!(bad(b"\x00\x01\x02garbage").contains("malformed"));
        assert!(bad(b"GET /\x01 HTTP/1.1\r\n\r\n").contains("malformed"));
        assert!(bad(b"GET / HTTP/3.7\r\n\r\n").contains("malformed"));
        let endless = [b"GET / HTTP/1.1\r\nX: ".as_slice(), &vec![b'a'; MAX_HEAD_BYTES]].concat();
        assert!(bad(&endless).contains("longer than 8192 bytes"));
        let many = format!("GET / HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(MAX_FIELDS + 1));
        assert!(bad(many.as_bytes()).contains("more than 64 fields"));
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            read(&bytes);
        }
    }
}
