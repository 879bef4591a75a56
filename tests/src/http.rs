//! The least HTTP/1.1 client that can test a server: it sends what it is told to, right or wrong, and keeps all that
//! comes back.

use std::time::Duration;

use anyhow::{Context, Result};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

/// How long an answer that ends by itself may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// An answer, read to the end of the connection.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Status code.
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// With chunked framing taken off.
    pub body: Vec<u8>,
}

impl Answer {
    /// A header's value.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The body as text.
    #[must_use]
    pub fn body_text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    ///
    /// # Errors
    /// When it is not.
    pub fn json(&self) -> Result<serde_json::Value> {
        serde_json::from_slice(&self.body).with_context(|| format!("not JSON: {}", self.body_text()))
    }

    fn parse(bytes: &[u8]) -> Result<Self> {
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").context("no end of the head")?;
        let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
        let mut lines = head.split("\r\n");
        let status =
            lines.next().and_then(|line| line.split(' ').nth(1)).context("no status line")?.parse()?;
        let headers: Vec<(String, String)> = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_lowercase(), value.trim().to_owned()))
            .collect();
        let chunked = headers.iter().any(|(name, value)| name == "transfer-encoding" && value == "chunked");
        let body = &bytes[end + 4..];
        let body = if chunked { unchunk(body) } else { body.to_vec() };
        Ok(Self { status, headers, body })
    }
}

/// Takes chunked framing off, as far as the bytes go.
#[must_use]
pub fn unchunk(mut bytes: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    while let Some(line) = bytes.windows(2).position(|two| two == b"\r\n") {
        let size =
            std::str::from_utf8(&bytes[..line]).ok().and_then(|hex| usize::from_str_radix(hex, 16).ok());
        let Some(size) = size.filter(|size| *size > 0) else { break };
        let start = line + 2;
        body.extend_from_slice(&bytes[start.min(bytes.len())..(start + size).min(bytes.len())]);
        if start + size + 2 > bytes.len() {
            break;
        }
        bytes = &bytes[start + size + 2..];
    }
    body
}

/// GET on loopback.
///
/// # Errors
/// When there is no answer within 10 s.
pub async fn get(port: u16, path: &str) -> Result<Answer> {
    request(port, &format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")).await
}

/// Sends these very bytes and reads until the server closes.
///
/// # Errors
/// When there is no answer within 10 s.
pub async fn request(port: u16, bytes: &str) -> Result<Answer> {
    let answer = timeout(PATIENCE, async {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
        stream.write_all(bytes.as_bytes()).await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        anyhow::Ok(answer)
    });
    Answer::parse(&answer.await.context("no answer within 10 s")??)
}

/// An endless body, read for `length`; gives the answer's head and what came of the body.
///
/// # Errors
/// When the connection fails or no head comes.
pub async fn stream(port: u16, path: &str, length: Duration) -> Result<Answer> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes()).await?;
    let mut answer = Vec::new();
    let _ = timeout(length, async {
        let mut part = vec![0; 16 * 1024];
        while let Ok(read) = stream.read(&mut part).await
            && read > 0
        {
            answer.extend_from_slice(&part[..read]);
        }
    })
    .await;
    Answer::parse(&answer)
}
