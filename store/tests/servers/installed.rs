//! Servers of others, if they are installed.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// PyPI: `moto[server,s3]`. Create-only puts are honoured, in a race too.
    Moto,
    /// npm: `s3rver`. Create-only puts are ignored.
    S3rver,
    /// npm: `azurite`, of Azure's blobs. Create-only puts are honoured, in a race too.
    Azurite,
}

/// It ends when it is dropped, and what it wrote goes.
pub struct Installed {
    process: Child,
    port: u16,
    _folder: tempfile::TempDir,
}

/// How long it may take until it answers.
const PATIENCE: Duration = Duration::from_secs(60);

impl Kind {
    fn program(self) -> &'static str {
        match self {
            Self::Moto => "moto_server",
            Self::S3rver => "s3rver",
            Self::Azurite => "azurite-blob",
        }
    }
}

impl Installed {
    /// `None`: it is not installed, or does not answer; that is said.
    pub fn start(kind: Kind) -> Option<Self> {
        let program = kind.program();
        let port = TcpListener::bind("127.0.0.1:0").and_then(|it| it.local_addr()).unwrap().port();
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new(program);
        let place = folder.path().to_str().unwrap();
        match kind {
            Kind::Moto => command.args(["-H", "127.0.0.1", "-p", &port.to_string()]),
            Kind::S3rver => command
                .args(["-a", "127.0.0.1", "-p", &port.to_string(), "-d", place, "-s"])
                .args(["--configure-bucket", "bucket"]),
            Kind::Azurite => command
                .args(["--blobHost", "127.0.0.1", "--blobPort", &port.to_string()])
                .args(["--location", place, "--silent", "--skipApiVersionCheck"]),
        };
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let Ok(process) = command.spawn() else {
            skipped(&format!("{program} is not installed"));
            return None;
        };
        let mut server = Self { process, port, _folder: folder };
        let begun = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            if begun.elapsed() > PATIENCE || server.process.try_wait().unwrap().is_some() {
                skipped(&format!("{program} does not start"));
                return None;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Some(server)
    }

    /// Some have no bucket at first. moto takes any signature, even none; azurite does not.
    pub fn make_bucket(&self, name: &str, headers: &[(String, String)]) {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        let mut text = format!("PUT /{name} HTTP/1.1\r\n");
        for (name, value) in headers {
            text += &format!("{name}: {value}\r\n");
        }
        text += "Host: 127.0.0.1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
        stream.write_all(text.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.contains(" 200 ") || answer.contains(" 201 "), "{answer}");
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}

impl Drop for Installed {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Past the test harness, which swallows what a test prints that passes.
fn skipped(why: &str) {
    let _ = std::io::stderr().write_all(format!("skipped: {why}\n").as_bytes());
}
