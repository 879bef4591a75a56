//! A client that says exactly what it is told, and reads what comes.

use std::net::SocketAddr;

use stentor_kit::SOON;
use stentor_programs::Program;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

/// An answer, read until the connection ended.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// The code of a problem.
    pub fn code(&self) -> String {
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{}", self.head);
        let problem = self.json();
        assert_eq!(problem["status"], self.status);
        problem["code"].as_str().unwrap().to_owned()
    }
}

/// Says `bytes` and reads the answer.
pub async fn say(addr: SocketAddr, bytes: &[u8]) -> Answer {
    let mut socket = TcpStream::connect(addr).await.unwrap();
    socket.write_all(bytes).await.unwrap();
    answer(&mut socket).await
}

/// Reads an answer to its end.
pub async fn answer(socket: &mut (impl AsyncRead + Unpin)) -> Answer {
    let mut all = Vec::new();
    timeout(SOON, socket.read_to_end(&mut all)).await.expect("the connection ends").unwrap();
    parse(&all)
}

fn parse(all: &[u8]) -> Answer {
    let end = all.windows(4).position(|four| four == b"\r\n\r\n").expect("a whole head");
    let head = String::from_utf8(all[..end].to_vec()).unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer { status, head, body: all[end + 4..].to_vec() }
}

pub async fn request(addr: SocketAddr, method: &str, path: &str, fields: &str) -> Answer {
    say(addr, format!("{method} {path} HTTP/1.1\r\nHost: {addr}\r\n{fields}\r\n").as_bytes()).await
}

pub async fn get(addr: SocketAddr, path: &str) -> Answer {
    request(addr, "GET", path, "").await
}

/// A listener's connection.
pub struct Stream<S> {
    pub socket: S,
    pub read: Vec<u8>,
}

/// Begins to listen; the answer's first part has come.
pub async fn listen(addr: SocketAddr, path: &str) -> Stream<TcpStream> {
    let mut socket = TcpStream::connect(addr).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: {addr}\r\n\r\n");
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut stream = Stream { socket, read: Vec::new() };
    stream.more().await;
    assert!(stream.read.starts_with(b"HTTP/1.1 200 OK\r\n"), "{}", String::from_utf8_lossy(&stream.read));
    stream
}

impl<S: AsyncRead + Unpin> Stream<S> {
    pub async fn more(&mut self) {
        let read =
            timeout(SOON, self.socket.read_buf(&mut self.read)).await.expect("something comes").unwrap();
        assert!(read > 0, "the connection ended");
    }

    /// Reads until this many pages have come whole.
    pub async fn pages(&mut self, count: usize) -> Vec<Page> {
        loop {
            let (body, _) = unchunk(&self.read[head_end(&self.read)..]);
            let pages = pages(&body);
            if pages.len() >= count {
                return pages;
            }
            self.more().await;
        }
    }

    /// The body, read until the connection ended; it must have come to its end.
    pub async fn rest(mut self) -> Vec<u8> {
        let rest = self.socket.read_to_end(&mut self.read);
        timeout(SOON, rest).await.expect("the connection ends").unwrap();
        let (body, whole) = unchunk(&self.read[head_end(&self.read)..]);
        assert!(whole, "the body was cut off");
        body
    }
}

fn head_end(answer: &[u8]) -> usize {
    answer.windows(4).position(|four| four == b"\r\n\r\n").map_or(answer.len(), |end| end + 4)
}

/// Takes chunked framing off, as far as whole chunks go, and says whether the last one came.
pub fn unchunk(mut bytes: &[u8]) -> (Vec<u8>, bool) {
    let mut body = Vec::new();
    while let Some(line) = bytes.windows(2).position(|two| two == b"\r\n") {
        let size = usize::from_str_radix(std::str::from_utf8(&bytes[..line]).unwrap(), 16).unwrap();
        let (start, end) = (line + 2, line + 2 + size);
        if bytes.len() < end + 2 {
            break;
        }
        if size == 0 {
            return (body, true);
        }
        body.extend_from_slice(&bytes[start..end]);
        bytes = &bytes[end + 2..];
    }
    (body, false)
}

/// What stands in an Ogg page's head.
#[derive(Debug, Clone, PartialEq)]
pub struct Page {
    pub flags: u8,
    /// Position in slots.
    pub slot: u64,
    pub sequence: u32,
    pub packets: usize,
}

pub fn pages(mut body: &[u8]) -> Vec<Page> {
    let mut pages = Vec::new();
    while body.len() >= 27 {
        assert!(body.starts_with(b"OggS\0"), "no page where one should begin");
        let table = &body[27..27 + usize::from(body[26])];
        let length: usize = table.iter().map(|lacing| usize::from(*lacing)).sum();
        pages.push(Page {
            flags: body[5],
            slot: u64::from_le_bytes(body[6..14].try_into().unwrap()) / 960,
            sequence: u32::from_le_bytes(body[18..22].try_into().unwrap()),
            packets: table.iter().filter(|lacing| **lacing < 255).count(),
        });
        body = &body[27 + table.len() + length..];
    }
    pages
}

/// Seconds of sound that `ffmpeg` finds in a stream without a complaint; `opusinfo` has none either.
pub fn judged(stream: &[u8]) -> f64 {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("live.ogg");
    std::fs::write(&file, stream).unwrap();
    let told = Program::Opusinfo.command().unwrap().arg(&file).output().unwrap();
    let told = String::from_utf8_lossy(&[told.stdout, told.stderr].concat()).into_owned();
    assert!(!told.contains("WARNING") && told.contains("Logical stream 1 ended"), "{told}");
    let decode = ["-f", "s16le", "-ac", "1", "-ar", "48000", "-"];
    let output = Program::Ffmpeg
        .command()
        .unwrap()
        .args(["-nostdin", "-v", "error", "-i"])
        .arg(&file)
        .args(decode)
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    output.stdout.len() as f64 / 2.0 / 48_000.0
}
