//! A headless Chromium, driven through a pipe by its DevTools protocol
//! (<https://chromedevtools.github.io/devtools-protocol/>): as much of it as looking at a page takes.

// Every test target uses its own part of this.
#![allow(dead_code)]

use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use base64::Engine as _;
use serde_json::{Value, json};
use tempfile::TempDir;

/// How long anything may take. Machines at work are slow.
const PATIENCE: Duration = Duration::from_secs(60);

/// Height of the window.
const HEIGHT: u32 = 900;

/// What the page is shown in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    Light,
    Dark,
}

impl Scheme {
    pub const BOTH: [Self; 2] = [Self::Light, Self::Dark];

    fn name(self) -> &'static str {
        match self {
            Self::Light => "light",
            Self::Dark => "dark",
        }
    }
}

/// The browser with one page. It ends with this value.
pub struct Browser {
    child: Child,
    stdin: Option<ChildStdin>,
    messages: Receiver<Value>,
    /// What has happened and was not looked at yet.
    events: Vec<Value>,
    session: String,
    calls: u64,
    _folder: TempDir,
}

impl Browser {
    /// Starts one. `None` where there is no browser, which is said.
    pub fn start(what: &str) -> Option<Self> {
        let Some(binary) = binary() else {
            skipped(what, "there is no Chromium: name one with GIMLET_CHROMIUM");
            return None;
        };
        let folder = tempfile::tempdir().unwrap();
        // The browser reads from descriptor 3 and writes to 4.
        let script = r#"exec "$0" "$@" 3<&0 4>&1 0</dev/null 1>/dev/null"#;
        let mut command = Command::new("sh");
        command.args(["-c", script]).arg(&binary).args([
            "--headless=new",
            "--remote-debugging-pipe",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--hide-scrollbars",
        ]);
        command.arg(format!("--user-data-dir={}", folder.path().display())).arg("about:blank");
        // A group of its own, which is killed as one.
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).process_group(0);
        let mut child = command.spawn().unwrap();
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take().unwrap());
        let (sender, messages) = channel();
        std::thread::spawn(move || {
            for message in BufReader::new(stdout).split(0) {
                let Ok(message) = message else { return };
                if sender.send(serde_json::from_slice(&message).unwrap()).is_err() {
                    return;
                }
            }
        });
        let (session, events) = (String::new(), Vec::new());
        let mut browser =
            Self { child, stdin, messages, events, session, calls: 0, _folder: folder };
        let target = browser.call("Target.createTarget", json!({ "url": "about:blank" }));
        let attach = json!({ "targetId": target["targetId"], "flatten": true });
        let attached = browser.call("Target.attachToTarget", attach);
        browser.session = attached["sessionId"].as_str().unwrap().to_string();
        for domain in ["Page", "Runtime", "Log", "Network"] {
            browser.call(&format!("{domain}.enable"), json!({}));
        }
        Some(browser)
    }

    /// Asks for something and waits for the answer.
    pub fn call(&mut self, method: &str, params: Value) -> Value {
        self.calls += 1;
        let id = self.calls;
        let mut message = json!({ "id": id, "method": method, "params": params });
        if !self.session.is_empty() {
            message["sessionId"] = json!(self.session);
        }
        let stdin = self.stdin.as_mut().unwrap();
        stdin.write_all(format!("{message}\0").as_bytes()).unwrap();
        stdin.flush().unwrap();
        let until = Instant::now() + PATIENCE;
        loop {
            let message = self.next(until, method);
            if message["id"] == id {
                assert!(message["error"].is_null(), "{method}: {}", message["error"]);
                return message["result"].clone();
            }
            self.events.push(message);
        }
    }

    fn next(&mut self, until: Instant, waiting_for: &str) -> Value {
        match self.messages.recv_timeout(until.saturating_duration_since(Instant::now())) {
            Ok(message) => message,
            Err(RecvTimeoutError::Timeout) => panic!("the browser does not answer: {waiting_for}"),
            Err(RecvTimeoutError::Disconnected) => panic!("the browser has gone: {waiting_for}"),
        }
    }

    /// Opens a file in a window of this width, and waits until all of it is there.
    pub fn open(&mut self, file: &Path, width: u32, scheme: Scheme) {
        let size = json!({
            "width": width, "height": HEIGHT, "deviceScaleFactor": 1, "mobile": false,
        });
        self.call("Emulation.setDeviceMetricsOverride", size);
        let scheme = json!({ "name": "prefers-color-scheme", "value": scheme.name() });
        self.call("Emulation.setEmulatedMedia", json!({ "features": [scheme] }));
        self.events.clear();
        let url = format!("file://{}", file.canonicalize().unwrap().display());
        let opened = self.call("Page.navigate", json!({ "url": url }));
        assert!(opened["errorText"].is_null(), "{url}: {opened}");
        let until = Instant::now() + PATIENCE;
        while !self.events.iter().any(|it| it["method"] == "Page.loadEventFired") {
            let event = self.next(until, "the page to load");
            self.events.push(event);
        }
    }

    /// What went wrong on the page since it was opened: errors, exceptions, and requests for anything that
    /// is not in its file.
    pub fn complaints(&mut self) -> Vec<String> {
        // Whatever has happened before this is answered has been heard of.
        self.evaluate("new Promise((done) => requestAnimationFrame(() => setTimeout(done, 0)))");
        let complaint = |event: &Value| {
            let params = &event["params"];
            match event["method"].as_str()? {
                "Runtime.exceptionThrown" => Some(params["exceptionDetails"].to_string()),
                "Runtime.consoleAPICalled" if params["type"] == "error" => Some(params.to_string()),
                "Log.entryAdded" if params["entry"]["level"] != "verbose" => {
                    Some(params["entry"].to_string())
                }
                "Network.requestWillBeSent" => {
                    let url = params["request"]["url"].as_str()?;
                    let inside = ["file:", "data:", "blob:"].iter().any(|it| url.starts_with(it));
                    (!inside).then(|| format!("a request for {url}"))
                }
                _ => None,
            }
        };
        self.events.iter().filter_map(complaint).collect()
    }

    /// What was asked for since the page was opened.
    pub fn requests(&self) -> Vec<String> {
        let requests = self.events.iter().filter(|it| it["method"] == "Network.requestWillBeSent");
        let url = |it: &Value| it["params"]["request"]["url"].as_str().unwrap().to_string();
        requests.map(url).collect()
    }

    /// The value of an expression of JavaScript, or of what it promises.
    pub fn evaluate(&mut self, expression: &str) -> Value {
        let params =
            json!({ "expression": expression, "returnByValue": true, "awaitPromise": true });
        let mut answer = self.call("Runtime.evaluate", params);
        assert!(answer["exceptionDetails"].is_null(), "{expression}: {answer}");
        answer["result"]["value"].take()
    }

    /// Moves the mouse to a place of the window.
    pub fn move_mouse(&mut self, x: f64, y: f64) {
        let params = json!({ "type": "mouseMoved", "x": x, "y": y });
        self.call("Input.dispatchMouseEvent", params);
    }

    /// Presses and lets go.
    pub fn click(&mut self, x: f64, y: f64) {
        for kind in ["mousePressed", "mouseReleased"] {
            let params = json!({ "type": kind, "x": x, "y": y, "button": "left", "clickCount": 1 });
            self.call("Input.dispatchMouseEvent", params);
        }
    }

    /// All of the page, as PNG.
    pub fn screenshot(&mut self) -> Vec<u8> {
        let params = json!({ "format": "png", "captureBeyondViewport": true });
        let answer = self.call("Page.captureScreenshot", params);
        let data = answer["data"].as_str().unwrap();
        base64::engine::general_purpose::STANDARD.decode(data).unwrap()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        drop(self.stdin.take());
        if let Some(group) = rustix::process::Pid::from_raw(self.child.id() as i32) {
            // It may have ended by itself, now that nobody talks to it.
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
        let _ = self.child.wait();
    }
}

/// The browser: what `GIMLET_CHROMIUM` names, else what the path has.
fn binary() -> Option<PathBuf> {
    if let Some(named) = std::env::var_os("GIMLET_CHROMIUM") {
        return Some(named.into());
    }
    let path = std::env::var_os("PATH")?;
    let names = ["chromium", "chromium-browser", "google-chrome"];
    let places = names.iter().flat_map(|name| {
        std::env::split_paths(&path).map(|folder| folder.join(name)).collect::<Vec<_>>()
    });
    places.into_iter().find(|it| it.is_file())
}

/// Says so past the test harness, which swallows what a test prints that passes.
fn skipped(what: &str, why: &str) {
    let text = format!("skipped: {what} is not tested: {why}\n");
    std::io::stderr().write_all(text.as_bytes()).unwrap();
}
