//! Runs on object storage, through the command: the same bytes as on a disk, whatever happens on the way.

#[path = "../store/tests/servers/mod.rs"]
mod servers;
mod tiny;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use servers::{Conditional, Fault, Installed, Kind, Knobs, SmallS3, When};
use tempfile::TempDir;
use tiny::{PIPELINE, Tiny, three_modules, walk};

const SECRET: &str = "a-secret-of-somebody";

/// A machine: a folder with the pipeline, a cache of its own, and what its environment says of a server.
struct Machine {
    tiny: Tiny,
    cache: TempDir,
    environment: Vec<(String, String)>,
    url: String,
}

impl Machine {
    fn of(server: &SmallS3) -> Self {
        let own = server.environment().into_iter();
        let own = own.map(|(name, value)| (name.to_owned(), value)).collect();
        Self::with(PIPELINE, own, "s3://bucket/runs")
    }

    fn with(pipeline: &str, environment: Vec<(String, String)>, url: &str) -> Self {
        let cache = tempfile::tempdir().unwrap();
        Self { tiny: Tiny::with(pipeline), cache, environment, url: url.to_owned() }
    }

    fn set(&mut self, name: &str, value: &str) {
        self.environment.retain(|it| it.0 != name);
        self.environment.push((name.to_owned(), value.to_owned()));
    }

    fn command(&self, command: &str, args: &[&str]) -> Command {
        let mut gimlet = Command::new(assert_cmd::cargo::cargo_bin!("gimlet"));
        gimlet.current_dir(self.tiny.path(".")).env_remove("GIMLET_DATA");
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("AWS_")) {
            gimlet.env_remove(name);
        }
        gimlet.envs(self.environment.iter().map(|(name, value)| (name, value)));
        gimlet.env("GIMLET_CACHE_DIR", self.cache.path());
        gimlet.env("GIMLET_STORE_PATIENCE", "2").env("GIMLET_LEASE_SECONDS", "3");
        gimlet.args(["--threads", "2", command]);
        if !["inspect", "verify"].contains(&command) {
            gimlet.arg("tiny.toml").arg("--set").arg(format!("store.url=\"{}\"", self.url));
        }
        gimlet.args(args).stdin(Stdio::null());
        gimlet
    }

    fn output(&self, command: &str, args: &[&str]) -> Output {
        let output = self.command(command, args).output().unwrap();
        for said in [&output.stdout, &output.stderr] {
            assert!(!String::from_utf8_lossy(said).contains(SECRET), "it tells the secret");
        }
        output
    }

    fn ok(&self, command: &str, args: &[&str]) -> (String, String) {
        let output = self.output(command, args);
        let [out, err] =
            [&output.stdout, &output.stderr].map(|it| String::from_utf8_lossy(it).into_owned());
        assert!(output.status.success(), "gimlet {command} {args:?}: {err}");
        (out, err)
    }

    /// The exit code and what was said of a command that fails.
    fn fails(&self, command: &str, args: &[&str]) -> (i32, String) {
        let output = self.output(command, args);
        let err = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(err.contains("error: ") && !err.contains("panicked"), "{err}");
        (output.status.code().unwrap(), err)
    }
}

/// Parts and weights of a run, by their names in it.
fn made(objects: &BTreeMap<String, Vec<u8>>) -> BTreeMap<String, Vec<u8>> {
    let run = |key: &str| key.strip_prefix("runs/tiny/").map(str::to_owned);
    let matters = |key: &str| key.ends_with(".parquet") || key.ends_with("weights.safetensors");
    let made = objects.iter().filter(|(key, _)| matters(key));
    made.filter_map(|(key, bytes)| Some((run(key)?, bytes.clone()))).collect()
}

/// The same of a run in a folder of this machine.
fn made_locally(pipeline: &str, args: &[&str]) -> BTreeMap<String, Vec<u8>> {
    let tiny = Tiny::with(pipeline);
    tiny.ok("run", args);
    let run = tiny.path("runs/tiny");
    let mut all = BTreeMap::new();
    walk(&run, &mut |path| {
        let name = path.strip_prefix(&run).unwrap().to_str().unwrap().to_owned();
        if name.ends_with(".parquet") || name.ends_with("weights.safetensors") {
            all.insert(name, std::fs::read(path).unwrap());
        }
    });
    assert!(all.len() > 10, "{:?}", all.keys());
    all
}

fn assert_same(found: &BTreeMap<String, Vec<u8>>, expected: &BTreeMap<String, Vec<u8>>) {
    assert_eq!(found.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
    for (name, bytes) in expected {
        assert!(found[name] == *bytes, "{name} has other bytes");
    }
}

fn assert_tidy(server: &SmallS3) {
    let objects = server.objects("bucket");
    let left: Vec<&String> = objects
        .keys()
        .filter(|key| {
            key.contains("/.leases/") || key.contains(".gimlet-") || key.ends_with(".tmp")
        })
        .collect();
    assert!(left.is_empty(), "{left:?}");
    assert_eq!(server.uploads(), 0);
    let secret = SECRET.as_bytes();
    let tells = |bytes: &Vec<u8>| bytes.windows(secret.len()).any(|it| it == secret);
    assert!(!objects.values().any(tells), "the secret lies in the bucket");
}

#[test]
fn a_run_has_the_same_bytes_as_on_a_disk_and_all_commands_read_it() {
    let server = SmallS3::start(Knobs::default());
    let machine = Machine::of(&server);
    machine.ok("run", &[]);
    assert_same(&made(&server.objects("bucket")), &made_locally(PIPELINE, &[]));
    assert_tidy(&server);
    assert!(!machine.tiny.path("runs").exists(), "something lies on the disk");
    // On another machine, with an empty cache, everything is done.
    let other = Machine::of(&server);
    let (_, said) = other.ok("run", &[]);
    assert!(said.contains("all 8 steps are done"), "{said}");
    let (status, _) = other.ok("status", &["--json"]);
    let status: serde_json::Value = serde_json::from_str(&status).unwrap();
    let stages = status["stages"].as_array().unwrap();
    assert!(stages.iter().all(|it| it["state"] == "done"), "{status}");
    assert_eq!(status["run_dir"], "s3://bucket/runs/tiny");
    let (out, _) = other.ok("inspect", &["s3://bucket/runs/tiny/datasets/a/train", "--rows", "2"]);
    assert!(out.contains("s3://bucket/runs/tiny/datasets/a/train/"), "{out}");
    other.ok("verify", &["s3://bucket/runs/tiny"]);
    let (out, _) = other.ok("gc", &["--json"]);
    assert!(out.contains("s3://bucket/runs/tiny"), "{out}");
    other.ok("report", &[]);
    assert!(other.tiny.path("runs/tiny/report/index.html").is_file());
    other.ok("curves", &[]);
    other.ok("plan", &[]);
    assert_tidy(&server);
}

#[test]
fn a_cache_of_any_size_gives_the_same_and_what_is_wrong_in_it_does_not_matter() {
    let expected = made_locally(PIPELINE, &[]);
    for bytes in ["0GB", "1MB"] {
        let server = SmallS3::start(Knobs::default());
        let machine = Machine::of(&server);
        let set = format!("store.cache_bytes=\"{bytes}\"");
        machine.ok("run", &["--set", &set]);
        assert_same(&made(&server.objects("bucket")), &expected);
        let mut kept = 0;
        walk(&machine.cache.path().join("blocks"), &mut |path| {
            kept += path.metadata().unwrap().len();
        });
        assert!(kept <= 1_000_000 + (1 << 20), "{bytes}: {kept}");
        assert!(bytes != "0GB" || kept == 0, "{kept}");
    }
    // Every block of the cache is damaged before the second module trains.
    let server = SmallS3::start(Knobs::default());
    let machine = Machine::of(&server);
    for command in [&["ingest"][..], &["train", "a"], &["encode", "a"]] {
        machine.ok(command[0], &command[1..]);
    }
    let mut blocks = 0;
    walk(&machine.cache.path().join("blocks"), &mut |path| {
        let mut bytes = std::fs::read(path).unwrap();
        if bytes.len() > 100 {
            blocks += 1;
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            std::fs::write(path, bytes).unwrap();
        }
    });
    assert!(blocks > 3, "{blocks}");
    machine.ok("run", &[]);
    assert_same(&made(&server.objects("bucket")), &expected);
    let objects = server.objects("bucket");
    assert!(objects.keys().all(|key| !key.ends_with(".damaged")), "{:?}", objects.keys());
}

#[test]
fn a_damaged_object_is_found_named_and_made_again() {
    let server = SmallS3::start(Knobs::default());
    let machine = Machine::of(&server);
    machine.ok("run", &[]);
    let before = made(&server.objects("bucket"));
    let name = before.keys().find(|it| it.starts_with("datasets/a/train/")).unwrap();
    let mut bad = before[name].clone();
    let middle = bad.len() / 3;
    bad[middle] ^= 1;
    let key = format!("runs/tiny/{name}");
    server.put_behind("bucket", &key, Some(bad));
    let (code, said) = machine.fails("verify", &["s3://bucket/runs/tiny"]);
    assert_eq!(code, 4, "{said}");
    let output = machine.output("verify", &["s3://bucket/runs/tiny"]);
    let all = [output.stdout, output.stderr].concat();
    let all = String::from_utf8_lossy(&all);
    assert!(all.contains("s3://bucket/runs/tiny") && all.contains(name.as_str()), "{all}");
    let (_, said) = Machine::of(&server).ok("run", &[]);
    assert!(said.contains("is damaged: it is rebuilt"), "{said}");
    assert_same(&made(&server.objects("bucket")), &before);
}

/// Has a run come to its creation of an object whose key holds `text`, and kills it there.
fn killed_at(server: &SmallS3, text: &str, machine: &Machine, args: &[&str]) {
    let faults = vec![(When::From(0), Fault::Held, text.to_owned())];
    server.set(Knobs { faults, ..Knobs::default() });
    let mut command = machine.command("run", args);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    while !server.holds_one() {
        assert!(child.try_wait().unwrap().is_none(), "it has ended without {text}");
        std::thread::sleep(Duration::from_millis(5));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    server.set(Knobs::default());
}

#[test]
fn another_machine_goes_on_where_one_was_killed() {
    let long = PIPELINE.replace("[training]\nepochs = 2", "[training]\nepochs = 40");
    let long = long.replace("learning_rate", "checkpoint_seconds = 0.1\nlearning_rate");
    let expected = made_locally(&long, &[]);
    let server = SmallS3::start(Knobs::default());
    let environment = Machine::of(&server).environment;
    for text in ["modules/a/00000001", "datasets/a/train/00000001", "modules/b/00000001"] {
        let machine = Machine::with(&long, environment.clone(), "s3://bucket/runs");
        killed_at(&server, text, &machine, &["--wait"]);
    }
    // Its leases are those of a dead process by and by; so this one waits for them.
    let machine = Machine::with(&long, environment, "s3://bucket/runs");
    machine.ok("run", &["--wait"]);
    assert_same(&made(&server.objects("bucket")), &expected);
    machine.ok("verify", &["s3://bucket/runs/tiny"]);
}

#[test]
fn what_a_killed_machine_has_left_is_removed_when_it_is_old() {
    let server = SmallS3::start(Knobs::default());
    let machine = Machine::of(&server);
    killed_at(&server, "datasets/a/train/00000001", &machine, &[]);
    let leases = |server: &SmallS3| {
        let objects = server.objects("bucket");
        objects.keys().filter(|key| key.contains("/.leases/")).count()
    };
    assert!(leases(&server) > 0);
    server.set(Knobs { clock: 7200, ..Knobs::default() });
    machine.ok("run", &[]);
    let (shown, _) = machine.ok("gc", &["--dry-run", "--json"]);
    assert!(shown.contains(".leases/"), "{shown}");
    machine.ok("gc", &[]);
    assert_tidy(&server);
    machine.ok("verify", &["s3://bucket/runs/tiny"]);
}

#[test]
fn two_machines_on_one_store_make_each_generation_once() {
    let server = SmallS3::start(Knobs::default());
    let machines = [Machine::of(&server), Machine::of(&server)];
    std::thread::scope(|scope| {
        for machine in &machines {
            scope.spawn(|| machine.ok("run", &["--wait"]));
        }
    });
    let objects = server.objects("bucket");
    assert_same(&made(&objects), &made_locally(PIPELINE, &[]));
    assert!(objects.keys().all(|key| !key.ends_with("00000002.json")), "{:?}", objects.keys());
    assert_tidy(&server);
}

#[test]
fn shards_and_asynchronous_workers_meet_on_object_storage() {
    let server = SmallS3::start(Knobs::default());
    let machines = [Machine::of(&server), Machine::of(&server)];
    for command in [&["ingest"][..], &["train", "a"]] {
        machines[0].ok(command[0], &command[1..]);
    }
    std::thread::scope(|scope| {
        for (machine, shard) in machines.iter().zip(["0/2", "1/2"]) {
            scope.spawn(move || machine.ok("encode", &["a", "--shard", shard]));
        }
    });
    machines[0].ok("run", &[]);
    assert_same(&made(&server.objects("bucket")), &made_locally(PIPELINE, &[]));

    let pipeline = format!("{}\n[schedule]\nkind = \"async\"\n", three_modules());
    let server = SmallS3::start(Knobs::default());
    let environment = Machine::of(&server).environment;
    let machine = Machine::with(&pipeline, environment, "s3://bucket/runs");
    machine.ok("run", &[]);
    machine.ok("verify", &["s3://bucket/runs/tiny"]);
    assert_tidy(&server);
}

#[test]
fn what_is_wrong_with_a_server_is_said_with_what_to_do() {
    let server = SmallS3::start(Knobs::default());
    let machine = Machine::of(&server);
    let says = |machine: &Machine, args: &[&str], texts: &[&str]| {
        let (code, said) = machine.fails("run", args);
        assert_eq!(code, 1, "{said}");
        for text in texts {
            assert!(said.contains(text), "`{text}` is not in: {said}");
        }
        assert!(said.contains("hint: "), "{said}");
    };
    let mut other = Machine::of(&server);
    other.set("AWS_ACCESS_KEY_ID", "wrong");
    says(&other, &[], &["refuses access", "AWS_ACCESS_KEY_ID"]);
    let mut other = Machine::of(&server);
    other.url = "s3://missing/runs".into();
    says(&other, &[], &["s3://missing/runs/tiny", "there is no such bucket"]);
    let mut other = Machine::of(&server);
    other.set("AWS_ENDPOINT_URL", "http://127.0.0.1:9");
    says(&other, &[], &["cannot be reached", "what was committed stays"]);
    for (url, text) in [
        ("http://bucket", "is none of those that a store can lie at"),
        ("memory://bucket", "is none of those that a store can lie at"),
        ("s3://", "is followed by the name of a bucket"),
    ] {
        let mut other = Machine::of(&server);
        other.url = url.into();
        let (code, said) = other.fails("run", &[]);
        assert_eq!(code, 2, "{said}");
        assert!(said.contains(text), "{said}");
    }
    assert!(server.objects("bucket").is_empty());

    server.set(Knobs { conditional: Conditional::Ignored, ..Knobs::default() });
    says(&machine, &[], &["is not safe to write to", "If-None-Match", "conditional puts"]);
    assert!(server.objects("bucket").is_empty(), "{:?}", server.objects("bucket").keys());
}

#[test]
fn who_may_only_read_looks_at_a_run_and_cannot_go_on_with_it() {
    let server = SmallS3::start(Knobs::default());
    Machine::of(&server).ok("run", &[]);
    let before = server.objects("bucket");
    let mut reader = Machine::of(&server);
    reader.set("AWS_ACCESS_KEY_ID", "reader");
    let (status, _) = reader.ok("status", &["--json"]);
    assert_eq!(status.matches(r#""state": "done""#).count(), 8, "{status}");
    reader.ok("inspect", &["s3://bucket/runs/tiny/datasets/a/train", "--rows", "2"]);
    reader.ok("verify", &["s3://bucket/runs/tiny"]);
    reader.ok("report", &[]);
    reader.ok("gc", &["--dry-run"]);
    let (code, said) = reader.fails("run", &["--set", "training.epochs=3"]);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("refuses access") && said.contains("hint: "), "{said}");
    assert_eq!(server.objects("bucket"), before);
}

#[test]
fn a_server_that_fails_in_the_middle_is_gone_on_with() {
    let server = SmallS3::start(Knobs::default());
    let machine = Machine::of(&server);
    machine.ok("run", &[]);
    let (requests, expected) = (server.take_log().len(), made(&server.objects("bucket")));
    for part in 1..4 {
        let server = SmallS3::start(Knobs::default());
        let machine = Machine::of(&server);
        let from = When::From(part * requests / 4);
        server.set(Knobs {
            faults: vec![(from, Fault::DropBefore, String::new())],
            ..Knobs::default()
        });
        let (code, said) = machine.fails("run", &[]);
        assert_eq!(code, 1, "{said}");
        server.set(Knobs::default());
        machine.ok("run", &["--wait"]);
        assert_same(&made(&server.objects("bucket")), &expected);
    }
}

#[test]
fn moto() {
    let Some(server) = Installed::start(Kind::Moto) else { return };
    server.make_bucket("bucket", &[]);
    let environment = [
        ("AWS_ACCESS_KEY_ID", "somebody".to_owned()),
        ("AWS_SECRET_ACCESS_KEY", SECRET.to_owned()),
        ("AWS_REGION", "us-east-1".to_owned()),
        ("AWS_ENDPOINT_URL", server.url()),
    ];
    let environment = environment.map(|(name, value)| (name.to_owned(), value)).to_vec();
    let machine = Machine::with(PIPELINE, environment, "s3://bucket/runs");
    // moto looks whether an object is there, and then makes it: on a busy machine two writers may both be told that they
    // had made it. That is found, and refused, as it must be; a moment later it goes well.
    let refused = (0..5).map_while(|_| {
        let output = machine.output("run", &[]);
        let err = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success() || err.contains("were told that they had"), "{err}");
        (!output.status.success()).then_some(err)
    });
    assert!(refused.count() < 5, "moto is never safe to write to");
    machine.ok("verify", &["s3://bucket/runs/tiny"]);
    let (_, said) = machine.ok("run", &[]);
    assert!(said.contains("all 8 steps are done"), "{said}");
    assert!(!Path::new("runs/tiny").join("run.json").exists());
}
