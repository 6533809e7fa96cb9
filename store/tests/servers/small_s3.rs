//! A small S3 server in this process, which can be told to behave badly.

use std::collections::BTreeMap;
use std::io::BufReader;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use super::http::{Request, Response, dates};
use super::objects::{Objects, error};

/// What becomes of `If-None-Match: *`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Conditional {
    /// Of many that create an object, one does.
    #[default]
    Honoured,
    /// All do, one after another, as with Garage and s3rver.
    Ignored,
    /// Of those that come at once all do, as with s3s-fs: it looks, waits so long, and then puts.
    CheckedFirst(Duration),
}

/// Which requests of those that a fault is for, from 0, counted since the fault was set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    Nth(usize),
    Every(usize),
    From(usize),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It is answered 503.
    SlowDown,
    /// The connection ends before anything is done.
    DropBefore,
    /// The connection ends when all is done: the client cannot know.
    DropAfter,
    /// The answer is cut in the middle of its body.
    CutShort,
    /// It waits until the server is told to behave otherwise, and then the connection ends before anything is done.
    Held,
}

#[derive(Debug, Clone, Default)]
pub struct Knobs {
    pub conditional: Conditional,
    /// Each with what has to be in `METHOD bucket/key?query` of a request that it is for.
    pub faults: Vec<(When, Fault, String)>,
    /// Before each answer.
    pub delay: Duration,
    pub bytes_per_second: Option<u64>,
    /// Whether it asks nobody who they are.
    pub open_to_all: bool,
    /// Seconds by which its clock is ahead of ours.
    pub clock: i64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Logged {
    pub method: String,
    /// Bucket and key.
    pub key: String,
    /// Names and values.
    pub query: String,
    /// The range that was asked for.
    pub range: Option<String>,
    /// Whether it was to create an object only.
    pub create: bool,
    /// 0: the connection ended without an answer.
    pub status: u16,
}

/// It ends when it is dropped.
pub struct SmallS3 {
    address: SocketAddr,
    world: Arc<World>,
}

#[derive(Default)]
struct World {
    objects: Objects,
    knobs: Mutex<Knobs>,
    /// How often each fault was asked about.
    asked: Mutex<Vec<usize>>,
    /// Requests that wait.
    held: AtomicUsize,
    log: Mutex<Vec<Logged>>,
    connections: Mutex<Vec<TcpStream>>,
    ended: AtomicBool,
}

impl SmallS3 {
    pub fn start(knobs: Knobs) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = Self { address, world: Arc::default() };
        server.set(knobs);
        let world = server.world.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if world.ended.load(Ordering::Relaxed) {
                    return;
                }
                let Ok(stream) = stream else { continue };
                world.connections.lock().unwrap().extend(stream.try_clone());
                let world = world.clone();
                std::thread::spawn(move || {
                    // A client that goes away is no matter.
                    let _ = stream.set_nodelay(true);
                    let _ = world.serve(&stream);
                    let _ = stream.shutdown(Shutdown::Both);
                });
            }
        });
        server
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What a process that is to use it has to find in its environment.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        vec![
            ("AWS_ENDPOINT_URL", self.url()),
            ("AWS_ALLOW_HTTP", "true".into()),
            ("AWS_ACCESS_KEY_ID", "somebody".into()),
            ("AWS_SECRET_ACCESS_KEY", "a-secret-of-somebody".into()),
            ("AWS_REGION", "us-east-1".into()),
        ]
    }

    /// The same for who is to take it for Google's. It has to be open to all: tokens come from Google alone.
    pub fn google_environment(&self) -> Vec<(&'static str, String)> {
        let key =
            r#"{"private_key":"","private_key_id":"","client_email":"","disable_oauth":true}"#;
        vec![("GOOGLE_BASE_URL", self.url()), ("GOOGLE_SERVICE_ACCOUNT_KEY", key.into())]
    }

    /// From now on it behaves so; faults count from here.
    pub fn set(&self, knobs: Knobs) {
        let mut asked = self.world.asked.lock().unwrap();
        *asked = vec![0; knobs.faults.len()];
        *self.world.knobs.lock().unwrap() = knobs;
    }

    /// All requests so far, in the order in which they were answered.
    pub fn log(&self) -> Vec<Logged> {
        self.world.log.lock().unwrap().clone()
    }

    /// All requests since this was last asked.
    pub fn take_log(&self) -> Vec<Logged> {
        std::mem::take(&mut *self.world.log.lock().unwrap())
    }

    /// Whether a request waits now ([`Fault::Held`]).
    pub fn holds_one(&self) -> bool {
        self.world.held.load(Ordering::Relaxed) > 0
    }

    /// What lies in a bucket.
    pub fn objects(&self, bucket: &str) -> BTreeMap<String, Vec<u8>> {
        self.world.objects.all(bucket)
    }

    /// Puts an object there, or takes it away, behind the back of the clients.
    pub fn put_behind(&self, bucket: &str, key: &str, bytes: Option<Vec<u8>>) {
        self.world.objects.set(bucket, key, bytes);
    }

    /// Uploads that were begun, and neither completed nor aborted.
    pub fn uploads(&self) -> usize {
        self.world.objects.uploads()
    }
}

impl Drop for SmallS3 {
    fn drop(&mut self) {
        self.world.ended.store(true, Ordering::Relaxed);
        for stream in self.world.connections.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
        // So that it wakes up and ends.
        let _ = TcpStream::connect(self.address);
    }
}

impl World {
    fn serve(&self, stream: &TcpStream) -> std::io::Result<()> {
        let mut reader = BufReader::new(stream.try_clone()?);
        let mut writer = stream.try_clone()?;
        while let Some(request) = Request::read(&mut reader)? {
            let knobs = self.knobs.lock().unwrap().clone();
            std::thread::sleep(knobs.delay);
            let fault = self.fault(&knobs, &request);
            if fault == Some(Fault::Held) {
                self.hold();
            }
            if matches!(fault, Some(Fault::DropBefore | Fault::Held)) {
                self.note(&request, 0);
                return Ok(());
            }
            let offset = Duration::from_secs(knobs.clock.unsigned_abs());
            let now = SystemTime::now();
            let now = if knobs.clock < 0 { now - offset } else { now + offset };
            let answer = match fault {
                Some(Fault::SlowDown) => error(503, "SlowDown"),
                _ if knobs.open_to_all => self.objects.answer(&request, knobs.conditional, now),
                _ => refused(&request)
                    .unwrap_or_else(|| self.objects.answer(&request, knobs.conditional, now)),
            };
            if fault == Some(Fault::DropAfter) {
                self.note(&request, 0);
                return Ok(());
            }
            self.note(&request, answer.status);
            let mut answer = answer.with("Date", dates(now).0).with("x-amz-request-id", "0");
            if fault == Some(Fault::CutShort) {
                answer = answer.with_length();
                answer.body.truncate(answer.body.len() / 2);
            }
            answer.write(&mut writer, request.method == "HEAD", knobs.bytes_per_second)?;
            if fault == Some(Fault::CutShort) {
                return Ok(());
            }
        }
        Ok(())
    }

    fn hold(&self) {
        self.held.fetch_add(1, Ordering::Relaxed);
        let holds = |knobs: &Knobs| knobs.faults.iter().any(|it| it.1 == Fault::Held);
        while !self.ended.load(Ordering::Relaxed) && holds(&self.knobs.lock().unwrap()) {
            std::thread::sleep(Duration::from_millis(5));
        }
        self.held.fetch_sub(1, Ordering::Relaxed);
    }

    fn fault(&self, knobs: &Knobs, request: &Request) -> Option<Fault> {
        let text = format!("{} {}?{}", request.method, request.path, query(request));
        let mut met = None;
        let mut asked = self.asked.lock().unwrap();
        for ((when, fault, of), asked) in knobs.faults.iter().zip(&mut *asked) {
            if text.contains(of.as_str()) {
                let number = *asked;
                *asked += 1;
                let now = match when {
                    When::Nth(nth) => number == *nth,
                    When::Every(nth) => number % nth == nth - 1,
                    When::From(nth) => number >= *nth,
                };
                met = met.or(now.then_some(*fault));
            }
        }
        met
    }

    fn note(&self, request: &Request, status: u16) {
        self.log.lock().unwrap().push(Logged {
            method: request.method.clone(),
            key: request.path.clone(),
            query: query(request),
            range: request.header("range").map(String::from),
            create: request.header("if-none-match") == Some("*"),
            status,
        });
    }
}

impl Response {
    /// The length as it is now, whatever becomes of the body.
    fn with_length(self) -> Self {
        let length = self.body.len().to_string();
        self.with("Content-Length", length)
    }
}

fn query(request: &Request) -> String {
    let pairs = request.query.iter().map(|(name, value)| format!("{name}={value}"));
    pairs.collect::<Vec<_>>().join("&")
}

/// Any access key will do but `wrong`, and, as if with a wrong secret, `wrong-secret`; `reader` may read alone.
fn refused(request: &Request) -> Option<Response> {
    let Some(authorization) = request.header("authorization") else {
        return Some(error(403, "AccessDenied"));
    };
    let key = authorization.split("Credential=").nth(1).and_then(|it| it.split('/').next());
    match key {
        Some("reader") if !matches!(request.method.as_str(), "GET" | "HEAD") => {
            Some(error(403, "AccessDenied"))
        }
        Some("wrong") => Some(error(403, "InvalidAccessKeyId")),
        Some("wrong-secret") => Some(error(403, "SignatureDoesNotMatch")),
        Some(_) => None,
        None => Some(error(403, "AccessDenied")),
    }
}
