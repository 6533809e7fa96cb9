//! The process that holds one module written in PyTorch: started, asked and ended.
//!
//! It ends when its stdin does, so that it never outlives this one. What the stage prints goes to stderr.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use candle_core::Tensor;
use serde_json::{Map, Value, json};

use super::facts::{key_from, learnt};
use super::message::Message;
use super::{PROTOCOL, VERSION, named};
use crate::device::DeviceName;
use crate::module::Frozen;
use crate::parameters::Parameters;
use crate::pipeline::PythonStage;
use crate::train::learning::{Judge, Judged, Lesson};
use crate::{Error, Kind, Result};

/// Lines of stderr that are kept for an error.
const KEPT_LINES: usize = 40;

/// How long a process may take to end after its stdin.
const PATIENCE: Duration = Duration::from_secs(3);

/// Bytes that are written to the process at a time.
const PIECE: usize = 1 << 20;

/// What opens a module in its process.
#[derive(Debug, Clone)]
pub struct Opening {
    /// The name of the module, for messages.
    pub module: String,
    /// What it reads of a sample, `[patches, height, width, channels]`.
    pub shape: [usize; 4],
    /// Rows and columns of its patches.
    pub grid: [usize; 2],
    /// What it writes of a sample.
    pub output: [usize; 4],
    /// The device that it computes on.
    pub device: DeviceName,
    /// What its first weights are drawn from.
    pub seed: u64,
    /// The learning rate of its optimiser, unless the stage makes its own.
    pub learning_rate: f64,
    /// What the keys of the run hold of the stage; `None` where it is in no run.
    pub key: Option<Value>,
}

/// A process that holds a module.
pub struct StageProcess {
    /// The module's name, and the stage that it is.
    called: String,
    shape: [usize; 4],
    ends: Mutex<Ends>,
}

/// Both ends of the connection, and the process.
struct Ends {
    child: Child,
    /// `None` once it is closed.
    requests: Option<BufWriter<ChildStdin>>,
    answers: BufReader<ChildStdout>,
    errors: Option<JoinHandle<()>>,
    heard: Arc<Heard>,
}

/// What the process has written to stderr.
#[derive(Default)]
struct Heard {
    lines: Mutex<VecDeque<String>>,
    /// Whether lines are passed on as they come.
    passes_on: AtomicBool,
}

/// What a process says of itself.
pub(super) struct Hello {
    pub torch: String,
    pub torch_file: String,
}

impl StageProcess {
    /// Starts the process of `stage` and loads its class. Returns what it said of itself, and the files that the stage
    /// has imported from the pipeline's folder.
    pub(super) fn start(
        stage: &PythonStage,
        module: Option<&str>,
    ) -> Result<(Self, Hello, Vec<String>)> {
        let interpreter = &stage.interpreter;
        let mut command = Command::new(interpreter);
        command.args(["-m", "gimlet.stage"]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // Neither the working folder nor the order of sets changes what a stage does.
        command.env("PYTHONSAFEPATH", "1").env("PYTHONHASHSEED", "0");
        // Ctrl-C is for this process, which decides when to stop.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let mut child = command.spawn().map_err(|error| {
            let message = format!("could not start `{}`: {error}", interpreter.display());
            Error::failed(message).hint(WHICH_PYTHON)
        })?;
        let (Some(stdin), Some(stdout), Some(stderr)) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            return Err(Error::failed("a process was started without its ends"));
        };
        let heard = Arc::new(Heard::default());
        let errors = Some(std::thread::spawn({
            let heard = heard.clone();
            move || heard.listen(stderr)
        }));
        let requests = Some(BufWriter::with_capacity(PIECE, stdin));
        let answers = BufReader::with_capacity(PIECE, stdout);
        let ends = Mutex::new(Ends { child, requests, answers, errors, heard });
        let called = match module {
            Some(module) => format!("`{module}` ({})", named(stage)),
            None => format!("`{}`", named(stage)),
        };
        let process = Self { called, shape: [0; 4], ends };
        let hello = process.greet(stage)?;
        let load = Message::to("load")
            .saying("file", text_of(&stage.file))
            .saying("folder", text_of(&stage.folder))
            .saying("class", stage.class.as_str());
        let answer = process.ask(&load)?;
        let files = answer.said.get("files").and_then(Value::as_array).cloned().unwrap_or_default();
        let files = files.iter().filter_map(|it| it.as_str().map(str::to_owned)).collect();
        Ok((process, hello, files))
    }

    /// Checks that both ends are of one version, and that there is a torch.
    fn greet(&self, stage: &PythonStage) -> Result<Hello> {
        let interpreter = stage.interpreter.display();
        let greeted = self.ask(&Message::to("hello")).map_err(|error| {
            let text = error.to_string();
            if text.contains("No module named") && text.contains("gimlet") {
                let message = format!("`{interpreter}` has no package `gimlet` with stages");
                return Error::failed(message).hint(format!(
                    "install the package of gimlet {VERSION} there, or {WHICH_PYTHON}"
                ));
            }
            error
        })?;
        let said = |name: &str| {
            greeted.said.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
        };
        let theirs = greeted.said.get("protocol").and_then(Value::as_u64);
        if said("gimlet") != VERSION || theirs != Some(PROTOCOL) {
            let message = format!(
                "`{interpreter}` has the package of gimlet {}, and this program is {VERSION}",
                said("gimlet")
            );
            return Err(Error::failed(message).hint(format!(
                "install the package of gimlet {VERSION} there, or {WHICH_PYTHON}"
            )));
        }
        if greeted.said.contains_key("no_torch") {
            let why = said("no_torch");
            let message = format!("`{interpreter}` cannot import torch: {why}");
            return Err(Error::failed(message)
                .hint(format!("`{interpreter} -m pip install torch`, or {WHICH_PYTHON}")));
        }
        self.locked(|ends| ends.heard.pass_on());
        Ok(Hello { torch: said("torch"), torch_file: said("torch_file") })
    }

    /// Starts the process of `stage` and makes its module, with weights drawn from the seed.
    ///
    /// # Errors
    /// When it cannot be started, or was edited since the keys of the run were made.
    pub fn open(stage: &PythonStage, opening: &Opening) -> Result<Self> {
        let (process, hello, files) = Self::start(stage, Some(&opening.module))?;
        let process = Self { shape: opening.shape, ..process };
        let Opening { module: _, shape, grid, output, device, seed, learning_rate, key } = opening;
        if let Some(key) = key
            && *key != key_from(stage, &learnt(stage, &hello, &files)?)
        {
            let message = format!("{} was edited after this run had begun", process.called);
            return Err(Error::failed(message)
                .hint("run the same command again: what depends on the stage is done again"));
        }
        let request = Message::to("open")
            .saying("arguments", Value::Object(stage.arguments.clone()))
            .saying("shape", json!(shape))
            .saying("grid", json!(grid))
            .saying("output", json!(output))
            .saying("device", torch_device(*device))
            .saying("threads", rayon::current_num_threads())
            .saying("seed", *seed)
            .saying("learning_rate", *learning_rate);
        process.ask(&request)?;
        Ok(process)
    }

    /// The weights, under the names that the stage has for them.
    ///
    /// # Errors
    /// When one is not finite, or not a number that f32 holds.
    pub fn weights(&self) -> Result<Parameters> {
        Ok(Parameters::from_tensors(self.ask(&Message::to("weights"))?.tensors))
    }

    /// Puts `weights` in place of those there.
    ///
    /// # Errors
    /// When the stage has others.
    pub fn load(&self, weights: &Parameters) -> Result<()> {
        let mut request = Message::to("load_weights");
        for (name, tensor) in weights.iter() {
            request = request.with(name, tensor);
        }
        self.ask(&request).map(drop)
    }

    /// The request `does` about the rows `x` of a lesson.
    pub(super) fn about(
        &self,
        does: &str,
        x: &Tensor,
        lesson: &Lesson,
        maps: bool,
    ) -> Result<Message> {
        let mut request = Message::to(does)
            .with("x", &self.rows(x)?)
            .numbers("ids", &lesson.ids)?
            .numbers("labels", &lesson.labels)?
            .saying("step", lesson.number)
            .saying("seed", lesson.seed)
            .saying("maps", maps);
        for (place, negatives) in lesson.samples.drawn.negatives.iter().enumerate() {
            let negatives: Vec<i64> = negatives.iter().map(|it| i64::from(*it)).collect();
            request = request.numbers(format!("negatives.{place}"), &negatives)?;
        }
        Ok(request)
    }

    /// Patches `[n, h, w, channels]` as the rows that the stage reads, `[batch, patches, h, w, channels]`.
    fn rows(&self, x: &Tensor) -> Result<Tensor> {
        let [patches, height, width, channels] = self.shape;
        let dims = x.dims();
        if dims.len() != 4 || !dims[0].is_multiple_of(patches) || dims[1..] != self.shape[1..] {
            let message = format!(
                "{} reads rows of {patches}x{height}x{width}x{channels}, and was given maps of {dims:?}",
                self.called
            );
            return Err(Error::failed(message));
        }
        Ok(x.contiguous()?.reshape((dims[0] / patches, patches, height, width, channels))?)
    }

    /// Sends a request and waits for its answer.
    pub(super) fn ask(&self, request: &Message) -> Result<Message> {
        let answered = self.locked(|ends| {
            let wrote = match &mut ends.requests {
                Some(requests) => request.write(requests),
                None => Err(std::io::ErrorKind::BrokenPipe.into()),
            };
            // It may have ended for a reason that it says.
            let read = match wrote {
                Ok(()) => Message::read(&mut ends.answers),
                Err(_) => Ok(None),
            };
            match read {
                Ok(Some(answer)) => Ok(answer),
                Ok(None) => Err(ends.end()),
                Err(error) => {
                    let (_, lines) = ends.end();
                    Err((Err(error), lines))
                }
            }
        });
        let answer = answered.map_err(|(status, lines)| self.ended(status, &lines))?;
        match answer.said.get("error") {
            None => Ok(answer),
            Some(_) => Err(self.raised(&answer.said)),
        }
    }

    /// The error of an answer that says one.
    fn raised(&self, said: &Map<String, Value>) -> Error {
        let text = |name: &str| said.get(name).and_then(Value::as_str);
        let what = text("error").unwrap_or_default();
        if said.get("not_finite").and_then(Value::as_bool) == Some(true) {
            return Error::failed(format!("{}: {what}", self.called)).hint(
                "lower `training.learning_rate`, or look at the input with `gimlet inspect`",
            );
        }
        let error = match text("traceback") {
            Some(traceback) => {
                Error::failed(format!("{}: {what}\n{}", self.called, traceback.trim_end()))
            }
            None => Error::failed(format!("{}: {what}", self.called)),
        };
        error.hint(text("hint").unwrap_or("mend the stage, and run the same command again"))
    }

    /// The error of a process that has ended without an answer; `lines` are what it wrote last.
    fn ended(&self, status: std::io::Result<ExitStatus>, lines: &[String]) -> Error {
        let (how, hint) = match &status {
            Ok(status) => how(*status),
            Err(error) => (format!("gave no answer: {error}"), ANSWERS),
        };
        let mut message = format!("{}: its Python process {how}", self.called);
        for line in lines {
            message += "\n";
            message += line;
        }
        Error::failed(message).hint(hint)
    }

    fn locked<T>(&self, with: impl FnOnce(&mut Ends) -> T) -> T {
        with(&mut self.ends.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// What to do about the Python that was taken.
const WHICH_PYTHON: &str = "name another Python by GIMLET_PYTHON or `python.interpreter`";

/// What to do about a process that has ended by itself.
const ENDED: &str = "a stage must not end its process: see what it wrote last";

/// What to do about a process that answers something else.
const ANSWERS: &str =
    "see that nothing but the package of gimlet writes to file descriptor 1 of the process";

/// Says how a process has ended, and what to do about it.
fn how(status: ExitStatus) -> (String, &'static str) {
    #[cfg(unix)]
    {
        use std::os::unix::process::ExitStatusExt;
        if let Some(signal) = status.signal() {
            const KILLED: i32 = 9;
            let hint = "if the machine was out of memory, lower `training.batch`, or make the stage smaller";
            let hint = if signal == KILLED { hint } else { ENDED };
            return (format!("was killed (signal {signal})"), hint);
        }
    }
    match status.code() {
        Some(code) => (format!("ended with exit code {code}"), ENDED),
        None => ("has ended".to_owned(), ENDED),
    }
}

impl Ends {
    /// Closes both ends; how the process ended, and the lines that it wrote last.
    fn end(&mut self) -> (std::io::Result<ExitStatus>, Vec<String>) {
        self.requests = None;
        // It ends with its stdin, unless it is at work on what nobody waits for.
        if !within_moments(|| !matches!(self.child.try_wait(), Ok(None))) {
            let _ = self.child.kill();
        }
        let status = self.child.wait();
        self.hear_all();
        (status, self.heard.locked().iter().cloned().collect())
    }

    /// Waits for what the process, which has ended, wrote last. What it has started may hold its stderr for longer.
    fn hear_all(&mut self) {
        if let Some(errors) = self.errors.take() {
            within_moments(|| errors.is_finished());
        }
    }
}

/// Whether something comes to be true within a few seconds.
fn within_moments(mut is_so: impl FnMut() -> bool) -> bool {
    let until = Instant::now() + PATIENCE;
    while !is_so() {
        if Instant::now() > until {
            return false;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    true
}

impl Drop for Ends {
    fn drop(&mut self) {
        let _ = self.end();
    }
}

impl Heard {
    fn listen(&self, stderr: ChildStderr) {
        let mut stderr = BufReader::new(stderr);
        let mut line = Vec::new();
        while stderr.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
            let text = String::from_utf8_lossy(&line).trim_end().to_owned();
            line.clear();
            let mut lines = self.locked();
            if self.passes_on.load(Ordering::Relaxed) {
                let _ = writeln!(std::io::stderr(), "{text}");
            }
            lines.push_back(text);
            if lines.len() > KEPT_LINES {
                lines.pop_front();
            }
        }
    }

    /// Passes on what comes from now on, and what has come before.
    fn pass_on(&self) {
        let mut lines = self.locked();
        for line in lines.drain(..) {
            let _ = writeln!(std::io::stderr(), "{line}");
        }
        self.passes_on.store(true, Ordering::Relaxed);
    }

    fn locked(&self) -> std::sync::MutexGuard<'_, VecDeque<String>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Frozen for StageProcess {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let answer = self.ask(&Message::to("forward").with("x", &self.rows(x)?))?;
        maps_of(&answer)
    }
}

impl Judge for StageProcess {
    fn judge(&self, x: &Tensor, lesson: &Lesson, maps: bool) -> Result<Judged> {
        judged(&self.ask(&self.about("loss", x, lesson, maps)?)?, maps)
    }
}

/// The loss, accuracy and maps of an answer.
pub(super) fn judged(answer: &Message, maps: bool) -> Result<Judged> {
    let number = |name: &str| answer.said.get(name).and_then(Value::as_f64);
    let loss = number("loss").ok_or_else(|| {
        Error::new(Kind::Failed, "the process of a stage answered without a loss")
    })?;
    let maps = if maps { Some(maps_of(answer)?) } else { None };
    Ok(Judged { loss, accuracy: number("accuracy"), maps })
}

/// The maps of an answer, `[batch * patches, h, w, channels]`.
fn maps_of(answer: &Message) -> Result<Tensor> {
    let maps = answer.tensor("maps")?;
    let (batch, patches, height, width, channels) = maps.dims5()?;
    Ok(maps.reshape((batch * patches, height, width, channels))?)
}

/// The name that torch has for a device.
fn torch_device(name: DeviceName) -> String {
    match name {
        DeviceName::Cpu | DeviceName::Candle => "cpu".to_owned(),
        DeviceName::Cuda(number) => format!("cuda:{number}"),
        DeviceName::Metal(number) => format!("mps:{number}"),
    }
}

fn text_of(path: &std::path::Path) -> String {
    path.to_string_lossy().into_owned()
}
