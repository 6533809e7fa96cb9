//! As much of HTTP/1.1 as a client of S3 speaks.

use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

#[derive(Debug, Default)]
pub struct Request {
    pub method: String,
    /// Decoded, without the first slash.
    pub path: String,
    /// Decoded.
    pub query: Vec<(String, String)>,
    /// Names in small letters.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

#[derive(Debug, Default)]
pub struct Response {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub body: Vec<u8>,
}

impl Request {
    /// The next one of a connection; `None` at its end.
    pub fn read(stream: &mut BufReader<TcpStream>) -> io::Result<Option<Self>> {
        let Some(first) = line(stream)? else { return Ok(None) };
        let mut words = first.split(' ');
        let (method, target) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let pairs = query.split('&').filter(|pair| !pair.is_empty());
        let query = pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        let mut request = Self {
            method: method.into(),
            path: decode(path.trim_start_matches('/')),
            query: query.map(|(name, value)| (decode(name), decode(value))).collect(),
            ..Self::default()
        };
        while let Some(header) = line(stream)?.filter(|line| !line.is_empty()) {
            let (name, value) = header.split_once(':').ok_or(ErrorKind::InvalidData)?;
            let header = (name.to_ascii_lowercase(), value.trim().into());
            request.headers.push(as_of_s3(header));
        }
        if request.header("expect").is_some() {
            stream.get_mut().write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        if request.header("transfer-encoding").is_some_and(|it| it.contains("chunked")) {
            request.body = chunks(stream)?;
        } else if let Some(length) = request.header("content-length") {
            let length: usize = length.parse().map_err(|_| ErrorKind::InvalidData)?;
            request.body = vec![0; length];
            stream.read_exact(&mut request.body)?;
        }
        // Chunks of their own, with signatures, and checksums after them.
        if request.header("content-encoding").is_some_and(|it| it.contains("aws-chunked")) {
            request.body = chunks(&mut request.body.as_slice())?;
        }
        Ok(Some(request))
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(it, _)| it == name).map(|(_, value)| value.as_str())
    }

    pub fn query(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(it, _)| it == name).map(|(_, value)| value.as_str())
    }

    /// The bytes that are asked for of `size`. `Err`: none of them are there.
    pub fn range(&self, size: usize) -> Result<Option<(usize, usize)>, ()> {
        let range = self.header("range").and_then(|range| range.strip_prefix("bytes="));
        let Some((from, to)) = range.and_then(|range| range.split_once('-')) else {
            return Ok(None);
        };
        let (from, end) = match (from.parse::<usize>(), to.parse::<usize>()) {
            (Ok(from), Ok(to)) => (from, to.saturating_add(1).min(size)),
            (Ok(from), Err(_)) => (from, size),
            (Err(_), Ok(last)) => (size.saturating_sub(last), size),
            _ => return Err(()),
        };
        if from < end { Ok(Some((from, end))) } else { Err(()) }
    }
}

impl Response {
    pub fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self { status, headers: Vec::new(), body: body.into() }
    }

    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// Sends it, with no more than so many bytes a second. Of a `HEAD`, there is no body.
    pub fn write(&self, stream: &mut TcpStream, head: bool, rate: Option<u64>) -> io::Result<()> {
        let mut text = format!("HTTP/1.1 {} -\r\n", self.status);
        for (name, value) in &self.headers {
            text += &format!("{name}: {value}\r\n");
        }
        if !self.headers.iter().any(|(name, _)| *name == "Content-Length") && self.status != 204 {
            text += &format!("Content-Length: {}\r\n", self.body.len());
        }
        stream.write_all((text + "\r\n").as_bytes())?;
        if head {
            return Ok(());
        }
        for piece in self.body.chunks(64 << 10) {
            if let Some(rate) = rate {
                std::thread::sleep(Duration::from_secs_f64(piece.len() as f64 / rate as f64));
            }
            stream.write_all(piece)?;
        }
        Ok(())
    }
}

/// A header of Google's, as S3 has it: an object of generation 0 is one that is not there.
fn as_of_s3((name, value): (String, String)) -> (String, String) {
    match (name.as_str(), value.as_str()) {
        ("x-goog-if-generation-match", "0") => ("if-none-match".into(), "*".into()),
        ("x-goog-copy-source", _) => ("x-amz-copy-source".into(), value),
        _ => (name, value),
    }
}

fn line(stream: &mut impl BufRead) -> io::Result<Option<String>> {
    let mut line = String::new();
    match stream.read_line(&mut line)? {
        0 => Ok(None),
        _ => Ok(Some(line.trim_end().into())),
    }
}

fn chunks(stream: &mut impl BufRead) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    while let Some(head) = line(stream)? {
        let length = head.split(';').next().unwrap_or("");
        let length = usize::from_str_radix(length, 16).map_err(|_| ErrorKind::InvalidData)?;
        if length == 0 {
            // What may follow the last.
            while line(stream)?.is_some_and(|line| !line.is_empty()) {}
            break;
        }
        let start = body.len();
        body.resize(start + length, 0);
        stream.read_exact(&mut body[start..])?;
        line(stream)?;
    }
    Ok(body)
}

pub fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let hex = (bytes[at] == b'%').then(|| text.get(at + 1..at + 3)).flatten();
        match hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                out.push(byte);
                at += 3;
            }
            None => {
                out.push(if bytes[at] == b'+' { b' ' } else { bytes[at] });
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// A moment as HTTP writes it, and as XML does.
pub fn dates(moment: SystemTime) -> (String, String) {
    let seconds = moment.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
    // Howard Hinnant's civil_from_days: years begin in March.
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let weekday = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"][days as usize % 7];
    let names = "JanFebMarAprMayJunJulAugSepOctNovDec";
    let name = &names[3 * (month as usize - 1)..3 * month as usize];
    (
        format!("{weekday}, {day:02} {name} {year} {hour:02}:{minute:02}:{second:02} GMT"),
        format!("{year}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.000Z"),
    )
}
