//! `gimlet slurm`: the script, what it does with a Slurm that only writes down what it is told, and what
//! `status` says of it. On a real one: tests/cluster.
#![cfg(unix)]

mod tiny;

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use gimlet::pipeline::Slurm;
use gimlet::slurm::{Commands, Job, Script};
use gimlet::stage::StepKind;
use insta::{Settings, assert_snapshot};
use proptest::prelude::*;
use tempfile::TempDir;
use tiny::{Tiny, text, three_modules};

/// The pipeline with a table of requests.
const TABLE: &str = r#"
[slurm]
partition = "gpu"
time = "4:00:00"
cpus_per_task = 2
extra = ["--mail-type=END"]
setup = ["module load cuda"]

[slurm.train]
time = "1-00:00:00"
gres = "gpu:1"

[slurm.encode]
cpus_per_task = 1
"#;

const SWEEP: &str = "pipeline = \"tiny.toml\"\nseeds = 3\n[grid]\ntraining.epochs = [1, 2, 3, 4]\n";

fn with_table(pipeline: &str) -> Tiny {
    Tiny::with(&format!("{pipeline}{TABLE}"))
}

/// The script, without what differs from machine to machine.
fn script(tiny: &Tiny, args: &[&str]) -> String {
    let mut gimlet = Command::new(assert_cmd::cargo::cargo_bin!("gimlet"));
    gimlet.current_dir(tiny.path(".")).env_remove("GIMLET_DATA");
    let output = gimlet.arg("slurm").args(args).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    text(&output.stdout)
}

fn in_a_folder(check: impl FnOnce()) {
    let mut settings = Settings::clone_current();
    settings.add_filter(r"(?m)^cd .*$", "cd [folder]");
    settings.add_filter(r"(?m)^gimlet=.*$", "gimlet=[program]");
    settings.bind(check);
}

/// The part of a script that submits.
fn jobs(script: &str) -> &str {
    let start = script.find("\nsubmit '").or_else(|| script.find("\nsubmit ingest")).unwrap();
    script[start..].trim()
}

#[test]
fn a_staged_pipeline_is_a_chain_of_jobs() {
    let tiny = with_table(tiny::PIPELINE);
    in_a_folder(|| assert_snapshot!(script(&tiny, &["tiny.toml"])));
}

#[test]
fn an_async_pipeline_trains_in_one_job_with_a_task_a_module() {
    let tiny = with_table(&format!("schedule = \"async\"\n{}", three_modules()));
    assert_snapshot!(jobs(&script(&tiny, &["tiny.toml", "--throttle", "2"])));
}

#[test]
fn a_pipeline_in_rounds_names_the_round_of_each_job() {
    let tiny = with_table(&format!("schedule = \"rounds\"\n{}", tiny::PIPELINE));
    assert_snapshot!(jobs(&script(&tiny, &["tiny.toml", "--shards", "2"])));
}

#[test]
fn modules_that_train_together_are_one_job() {
    let tiny = with_table(&format!("schedule = \"simultaneous\"\n{}", tiny::PIPELINE));
    assert_snapshot!(jobs(&script(&tiny, &["tiny.toml"])));
}

#[test]
fn a_sweep_is_an_array_with_a_throttle_and_a_table_after_it() {
    let tiny = with_table(tiny::PIPELINE);
    std::fs::write(tiny.path("sweep.toml"), SWEEP).unwrap();
    let script = script(&tiny, &["sweep.toml", "--throttle", "3", "--threads", "2"]);
    let start = script.find("\nsubmit ").unwrap();
    assert_snapshot!(script[start..].trim());
}

/// Programs in the place of Slurm's, which write down what they are told.
struct Fake {
    folder: TempDir,
}

impl Fake {
    fn new() -> Self {
        let fake = Self { folder: tempfile::tempdir().unwrap() };
        fake.program(
            "sbatch",
            r#"[ "$1" = --version ] && exit 0
               n=$(($(cat "$0.count" 2> /dev/null || echo 100) + 1))
               echo $n > "$0.count"
               printf '%q ' "$@" >> "$0.log"; echo >> "$0.log"
               cat > "$0.$n.sh"
               echo "$n;lab""#,
        );
        fake.program("scancel", r#"echo "$@" >> "$0.log""#);
        fake.program("scontrol", r#"echo "ClusterName             = lab""#);
        fake.program("squeue", r#"cat "$0.out" 2> /dev/null"#);
        fake.program("srun", r#"shift; exec "$@""#);
        fake
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn program(&self, name: &str, body: &str) {
        std::fs::write(self.path(name), format!("#!/bin/bash\n{body}\n")).unwrap();
        std::fs::set_permissions(self.path(name), PermissionsExt::from_mode(0o755)).unwrap();
    }

    /// What a program has written down.
    fn log(&self, program: &str) -> String {
        std::fs::read_to_string(self.path(&format!("{program}.log"))).unwrap_or_default()
    }

    /// Has the queue say this.
    fn queue(&self, lines: &str) {
        std::fs::write(self.path("squeue.out"), lines).unwrap();
    }

    /// The programs before all others.
    fn search_path(&self) -> String {
        let others = std::env::var("PATH").unwrap_or_default();
        format!("{}:{others}", self.folder.path().display())
    }

    fn gimlet(&self, tiny: &Tiny, command: &str, args: &[&str]) -> (i32, String, String) {
        self.run(tiny.command(command, args))
    }

    fn run(&self, mut gimlet: assert_cmd::Command) -> (i32, String, String) {
        let output = gimlet.env("PATH", self.search_path()).output().unwrap();
        (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
    }
}

#[test]
fn what_was_submitted_stands_beside_what_is_done() {
    let (tiny, fake) = (Tiny::new(), Fake::new());
    let (code, out, err) = fake.gimlet(&tiny, "slurm", &["--submit"]);
    assert_eq!(code, 0, "{err}");
    assert_eq!(
        out,
        "101\tingest\n102\tencode untrained\n103\ttrain a\n104\tencode a\n105\ttrain b\n\
         106\tencode b\n107\tprobe a, b\n"
    );
    let log = fake.log("sbatch");
    assert!(log.lines().nth(4).unwrap().contains("--dependency=afterok:104"), "{log}");

    // As the cluster says it while the first jobs are done.
    fake.queue("102|RUNNING|None\n104|PENDING|Dependency\n104|PENDING|Dependency\n103|FAILED|NonZeroExitCode\n");
    tiny.ok("ingest", &[]);
    let (_, out, _) = fake.gimlet(&tiny, "status", &[]);
    let line = |stage: &str, step: &str| {
        let is_of = |line: &&str| line.split_whitespace().take(2).eq([stage, step]);
        out.lines().find(is_of).unwrap().trim_end()
    };
    assert!(line("ingest", "ingest").contains(" done "), "the store's truth: {out}");
    assert!(!line("ingest", "ingest").contains("101"), "what is done needs no job: {out}");
    assert!(line("untrained", "encode").ends_with("102: running"), "{out}");
    assert!(line("a", "train").ends_with("103: failed"), "{out}");
    assert!(line("a", "encode").ends_with("104: 2 pending (Dependency)"), "{out}");
    assert!(line("b", "probe").ends_with("107: not in the queue"), "{out}");

    let (_, out, _) = fake.gimlet(&tiny, "status", &["--json"]);
    let document: serde_json::Value = serde_json::from_str(&out).unwrap();
    let encode = &document["stages"][3];
    assert_eq!((&encode["stage"], &encode["job"]["id"]), (&"a".into(), &104.into()));
    assert_eq!(encode["job"]["queue"]["states"]["PENDING"], 2);
    assert_eq!(encode["job"]["cluster"], "lab");
    assert!(document["stages"][4]["job"]["queue"].is_null());

    // Without a queue, and with one that does not end, the store's truth is there all the same.
    fake.program("squeue", "exec sleep 600");
    let (code, out, _) = fake.gimlet(&tiny, "status", &[]);
    assert!(code == 0 && !out.contains("job") && out.contains("done"), "{out}");
}

#[test]
fn a_sweeps_jobs_stand_below_its_runs() {
    let (tiny, fake) = (Tiny::new(), Fake::new());
    std::fs::write(tiny.path("sweep.toml"), SWEEP).unwrap();
    let of_sweep = |command: &str, args: &[&str]| {
        let mut gimlet = tiny::gimlet(&tiny.path("."));
        gimlet.args([command, "sweep.toml"]).args(args);
        let (code, out, err) = fake.run(gimlet);
        assert_eq!(code, 0, "{err}");
        out
    };
    let out = of_sweep("status", &[]);
    assert!(out.contains("12 of 12 runs to do") && !out.contains("job"), "{out}");
    assert_eq!(of_sweep("slurm", &["--submit"]), "101\truns\n102\ttable\n");
    fake.queue("101|RUNNING|None\n101|PENDING|JobArrayTaskLimit\n102|PENDING|Dependency\n");
    let out = of_sweep("status", &[]);
    let below = "job 101, runs: 1 pending (JobArrayTaskLimit), 1 running\n\
                 job 102, table: pending (Dependency)\n";
    assert!(out.ends_with(below), "{out}");
    let document: serde_json::Value =
        serde_json::from_str(&of_sweep("status", &["--json"])).unwrap();
    assert_eq!(document["runs"].as_array().unwrap().len(), 12);
    assert_eq!(document["jobs"][0]["queue"]["states"]["RUNNING"], 1);
}

#[test]
fn jobs_that_are_at_work_are_not_submitted_twice() {
    let (tiny, fake) = (Tiny::new(), Fake::new());
    let submit = |args: &[&str]| fake.gimlet(&tiny, "slurm", &[&["--submit"], args].concat());
    assert_eq!(submit(&[]).0, 0);
    fake.queue("103|PENDING|Resources\n101|COMPLETED|None\n");
    let (code, out, err) = submit(&[]);
    assert_eq!((code, out.as_str()), (1, ""), "{err}");
    assert!(err.contains("1 job of an earlier submission"), "{err}");
    assert!(err.contains("103: train a, pending (Resources)"), "{err}");
    assert!(err.contains("--force"), "{err}");
    assert!(submit(&["--force"]).1.starts_with("108\tingest"));
    fake.queue("103|CANCELLED|None\n108|CANCELLED|None\n");
    assert!(submit(&[]).1.starts_with("115\tingest"), "those that have ended are in nobody's way");
}

#[test]
fn what_is_done_is_left_out() {
    let (tiny, fake) = (Tiny::new(), Fake::new());
    tiny.ok("ingest", &[]);
    tiny.ok("train", &["a"]);
    let (_, out, _) = fake.gimlet(&tiny, "slurm", &["--submit"]);
    let titles: Vec<&str> = out.lines().filter_map(|line| Some(line.split_once('\t')?.1)).collect();
    assert_eq!(titles, ["encode untrained", "encode a", "train b", "encode b", "probe a, b"]);
    let log = fake.log("sbatch");
    assert!(!log.lines().nth(1).unwrap().contains("--dependency"), "{log}");

    tiny.ok("run", &[]);
    let (code, out, err) = fake.gimlet(&tiny, "slurm", &["--submit"]);
    assert_eq!((code, out.as_str()), (0, ""));
    assert!(err.contains("nothing to submit"), "{err}");
}

#[test]
fn a_submission_is_whole_or_there_is_none() {
    let (tiny, fake) = (Tiny::new(), Fake::new());
    fake.program(
        "sbatch",
        r#"[ "$1" = --version ] && exit 0
           for it in "$@"; do
               [ "$it" = --dependency=afterok:7 ] && { echo 'sbatch: error: no such partition' >&2; exit 1; }
           done
           echo 7"#,
    );
    let (code, out, err) = fake.gimlet(&tiny, "slurm", &["--submit"]);
    assert_eq!((code, out.as_str()), (1, ""));
    assert!(err.contains("no such partition") && err.contains("hint: "), "{err}");
    assert_eq!(fake.log("scancel"), "7\n");
    assert!(!tiny.path("runs/tiny/jobs").exists());
}

#[test]
fn without_sbatch_nothing_is_submitted() {
    let tiny = Tiny::new();
    let output = tiny.command("slurm", &["--submit"]).env("PATH", "/nowhere").output().unwrap();
    let err = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{err}");
    assert!(err.contains("no `sbatch`") && err.contains("hint: submit from a login node"), "{err}");
}

#[test]
fn a_job_asks_to_be_run_again_only_where_its_command_does() {
    let (fake, folder) = (Fake::new(), tempfile::tempdir().unwrap());
    fake.program("scontrol", r#"echo "$@" >> "$0.log"; exit 1"#);
    let code = |wanted: i32, task: Option<&str>| {
        let program = folder.path().join("program");
        std::fs::write(&program, format!("#!/bin/bash\nexit {wanted}\n")).unwrap();
        std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).unwrap();
        submit(&fake, &program, folder.path(), &[]);
        let count = std::fs::read_to_string(fake.path("sbatch.count")).unwrap();
        let mut job = Command::new("bash");
        job.arg(fake.path(&format!("sbatch.{}.sh", count.trim())));
        job.env("PATH", fake.search_path()).env("SLURM_JOB_ID", "5");
        if let Some(task) = task {
            job.env("SLURM_ARRAY_JOB_ID", "5").env("SLURM_ARRAY_TASK_ID", task);
        }
        job.status().unwrap().code()
    };
    for other in [0, 1, 5, 130] {
        assert_eq!(code(other, None), Some(other));
    }
    assert_eq!(fake.log("scontrol"), "");
    // Slurm refuses here, so the code is passed on.
    assert_eq!((code(75, None), code(75, Some("3"))), (Some(75), Some(75)));
    assert_eq!(fake.log("scontrol"), "requeue 5\nrequeue 5_3\n");
}

/// Runs a script of one job, which runs `program`.
fn submit(fake: &Fake, program: &Path, folder: &Path, options: &[String]) {
    let job = Job {
        title: "train a".into(),
        kind: StepKind::Train,
        steps: vec![],
        after: vec![],
        array: None,
        runs: Commands::One { command: "train", arguments: vec!["a".into()] },
    };
    let script = Script {
        name: "na'me",
        program: vec![program.into()],
        folder: folder.into(),
        data_root: Some(folder.join("da ta")),
        logs: folder.join("logs $x"),
        arguments: ["pipe line.toml"]
            .into_iter()
            .chain(options.iter().map(|it| &**it))
            .map(Into::into)
            .collect(),
        device: vec![],
        threads: None,
        slurm: &Slurm::default(),
        jobs: &[job],
    };
    let script = script.text().unwrap();
    let mut bash = Command::new("bash");
    let output = bash.arg("-c").arg(&script).env("PATH", fake.search_path()).output().unwrap();
    assert!(output.status.success(), "{}\n{script}", text(&output.stderr));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whatever the settings and paths are, the command gets them as they were given.
    #[test]
    fn a_job_gets_what_it_was_given(
        options in prop::collection::vec("[^\0\x01\x7f]{0,12}|[ '\"\\\\$`!*?\n\t~#&|;<>(){}\\[\\]-]{1,8}", 0..4),
        name in "[^\0/\x01\x7f]{1,12}",
    ) {
        let (fake, place) = (Fake::new(), tempfile::tempdir().unwrap());
        let folder = place.path().join(format!("f{name}"));
        std::fs::create_dir(&folder).unwrap();
        let program = folder.join("pro gram");
        let told = place.path().join("told");
        let body = format!("#!/bin/bash\nprintf '%s\\0' \"$@\" \"$GIMLET_DATA\" > {}\n", told.display());
        std::fs::write(&program, body).unwrap();
        std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).unwrap();
        fake.program("sbatch", r#"SLURM_JOB_ID=1 bash; echo 1"#);

        submit(&fake, &program, &folder, &options);

        let told = std::fs::read_to_string(told).unwrap();
        let told: Vec<&str> = told.strip_suffix('\0').unwrap().split('\0').collect();
        let mut wanted = vec!["train".to_string(), "pipe line.toml".to_string()];
        wanted.extend(options);
        wanted.extend(["a".to_string(), folder.join("da ta").to_str().unwrap().to_string()]);
        prop_assert_eq!(told, wanted);
        let logs = folder.join("logs $x");
        prop_assert!(logs.is_dir());
    }
}
