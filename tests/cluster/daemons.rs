//! A Slurm cluster of three nodes on this machine, for as long as a value lives.

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// The tests share two cores: one cluster at a time.
static ONE: Mutex<()> = Mutex::new(());

/// How long anything here may take.
const PATIENCE: Duration = Duration::from_secs(300);

pub const NODES: [&str; 3] = ["n1", "n2", "n3"];

pub struct Cluster {
    folder: TempDir,
    daemons: Vec<(String, Child)>,
    /// When a job was last told to begin sooner.
    hurried: RefCell<HashMap<String, Instant>>,
    _one: MutexGuard<'static, ()>,
}

impl Cluster {
    /// Starts one; `None`, with the reason on stderr, where that is not possible.
    pub fn start() -> Option<Self> {
        for program in ["munged", "slurmctld", "slurmd", "sbatch", "setpriv"] {
            let found = Command::new("sh").args(["-c", &format!("command -v {program}")]).output();
            if !found.is_ok_and(|it| it.status.success()) {
                eprintln!("skipped: {program} is not installed");
                return None;
            }
        }
        if !rustix::process::geteuid().is_root() {
            eprintln!("skipped: only root can start a Slurm cluster");
            return None;
        }
        let one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
        let folder = tempfile::Builder::new().prefix("gimlet-cluster").tempdir().unwrap();
        let mut cluster = Self { folder, daemons: vec![], hurried: RefCell::default(), _one: one };
        cluster.configure();
        cluster.daemon("munged", &munged(cluster.path()));
        wait_for("munge", || cluster.path().join("munge/socket").exists());
        let conf = cluster.conf();
        cluster.daemon(
            "slurmctld",
            &["slurmctld", "-D", "-f", conf.to_str().unwrap()].map(String::from),
        );
        NODES.iter().for_each(|node| cluster.start_node(node));
        wait_for("three nodes", || {
            let nodes = cluster.say("sinfo", &["--noheader", "--Node", "--format=%T"]);
            nodes.lines().filter(|state| state.trim() == "idle").count() == NODES.len()
        });
        Some(cluster)
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn conf(&self) -> PathBuf {
        self.path().join("slurm.conf")
    }

    fn configure(&self) {
        let root = self.path();
        std::fs::set_permissions(root, PermissionsExt::from_mode(0o755)).unwrap();
        for (folder, mode) in [("munge", 0o711), ("state", 0o755)] {
            std::fs::create_dir(root.join(folder)).unwrap();
            std::fs::set_permissions(root.join(folder), PermissionsExt::from_mode(mode)).unwrap();
        }
        // Of a secret, it is enough that it is long: nobody else can reach this cluster.
        let key = root.join("munge/key");
        std::fs::write(
            &key,
            blake3::hash(root.as_os_str().as_encoded_bytes()).as_bytes().repeat(32),
        )
        .unwrap();
        std::fs::set_permissions(&key, PermissionsExt::from_mode(0o400)).unwrap();

        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
        let host = host.trim().split('.').next().unwrap();
        let ports: Vec<TcpListener> =
            (0..4).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        let ports: Vec<u16> = ports.iter().map(|it| it.local_addr().unwrap().port()).collect();
        let root = root.display();
        let mut text = format!(
            "ClusterName=gimlet\nSlurmctldHost={host}(127.0.0.1)\nSlurmctldPort={}\n\
             SlurmUser=root\nSlurmdUser=root\nAuthType=auth/munge\nAuthInfo=socket={root}/munge/socket\n\
             CryptoType=crypto/munge\nStateSaveLocation={root}/state\n\
             SlurmctldPidFile={root}/slurmctld.pid\nSlurmdPidFile={root}/slurmd-%n.pid\n\
             SlurmdSpoolDir={root}/spool-%n\nSlurmctldLogFile={root}/slurmctld.log\n\
             SlurmdLogFile={root}/slurmd-%n.log\nSwitchType=switch/none\nMpiDefault=none\n\
             ProctrackType=proctrack/linuxproc\nTaskPlugin=task/none\n\
             JobAcctGatherType=jobacct_gather/none\nAccountingStorageType=accounting_storage/none\n\
             SelectType=select/cons_tres\nSelectTypeParameters=CR_Core\nSchedulerType=sched/backfill\n\
             SchedulerParameters=bf_interval=1,sched_interval=1,batch_sched_delay=0,sched_min_interval=0\n\
             ReturnToService=2\nKillWait=5\nSlurmdTimeout=5\nSlurmdParameters=config_overrides\n\
             PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP\n",
            ports[3]
        );
        for (node, port) in NODES.iter().zip(&ports) {
            text += &format!(
                "NodeName={node} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs=2 \
                 RealMemory=4000 State=UNKNOWN\n"
            );
        }
        std::fs::write(self.conf(), text).unwrap();
    }

    /// A daemon that ends with this process, however that does.
    fn daemon(&mut self, name: &str, command: &[String]) {
        let log = std::fs::File::create(self.path().join(format!("{name}.out"))).unwrap();
        let mut setpriv = Command::new("setpriv");
        setpriv.args(["--pdeathsig", "KILL", "--"]).args(command);
        setpriv.env("SLURM_CONF", self.conf()).stdin(Stdio::null());
        setpriv.stdout(log.try_clone().unwrap()).stderr(log);
        self.daemons.push((name.to_string(), setpriv.spawn().unwrap()));
    }

    fn start_node(&mut self, node: &str) {
        let conf = self.conf();
        let command = ["slurmd", "-D", "-f", conf.to_str().unwrap(), "-N", node].map(String::from);
        self.daemon(node, &command);
    }

    /// Ends the daemon of a node at once; what runs there runs on.
    pub fn kill_node(&mut self, node: &str) {
        let place = self.daemons.iter().position(|(name, _)| name == node).unwrap();
        let (_, mut daemon) = self.daemons.remove(place);
        daemon.kill().unwrap();
        daemon.wait().unwrap();
    }

    /// A program that is to find the cluster.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command.env("SLURM_CONF", self.conf()).env_remove("GIMLET_DATA").stdin(Stdio::null());
        command
    }

    /// What one of Slurm's programs says; nothing where it fails.
    pub fn say(&self, program: &str, args: &[&str]) -> String {
        let output = self.command(program).args(args).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// The states of a job's tasks.
    pub fn states(&self, job: &str) -> Vec<String> {
        let jobs = format!("--jobs={job}");
        let said =
            self.say("squeue", &["--noheader", "--states=all", "--array", "--format=%T", &jobs]);
        said.lines().map(|line| line.trim().to_string()).collect()
    }

    /// Waits until jobs have ended, with the states of their tasks.
    pub fn wait(&self, jobs: &[String]) -> Vec<Vec<String>> {
        let mut states = vec![];
        wait_for(&format!("the end of {jobs:?}"), || {
            self.hurry();
            states = jobs.iter().map(|job| self.states(job)).collect();
            let mut all = states.iter().flatten();
            all.all(|it| {
                !["PENDING", "RUNNING", "COMPLETING", "CONFIGURING"].contains(&it.as_str())
            })
        });
        states
    }

    /// Slurm lets jobs rest for two minutes that go back to the queue, and cannot be told otherwise but job by
    /// job. Some seconds it has to: a node refuses a job whose credential was revoked in the same second.
    pub fn hurry(&self) {
        for line in self.say("squeue", &["--noheader", "--array", "--format=%i|%r"]).lines() {
            let Some(job) = line.trim().strip_suffix("|BeginTime") else { continue };
            let mut hurried = self.hurried.borrow_mut();
            if hurried.get(job).is_none_or(|at| at.elapsed() > Duration::from_secs(15)) {
                self.say("scontrol", &["update", &format!("JobId={job}"), "StartTime=now+4"]);
                hurried.insert(job.to_string(), Instant::now());
            }
        }
    }

    /// The processes that a cluster of this folder has to do with.
    fn processes(&self) -> Vec<rustix::process::Pid> {
        let mark = self.path().as_os_str().as_encoded_bytes().to_vec();
        let mut found = Vec::new();
        for entry in std::fs::read_dir("/proc").unwrap().flatten() {
            let Some(pid) = entry.file_name().to_str().and_then(|it| it.parse::<i32>().ok()) else {
                continue;
            };
            let mut told = std::fs::read(entry.path().join("environ")).unwrap_or_default();
            told.extend(std::fs::read(entry.path().join("cmdline")).unwrap_or_default());
            if told.windows(mark.len()).any(|it| it == mark) && pid != std::process::id() as i32 {
                found.extend(rustix::process::Pid::from_raw(pid));
            }
        }
        found
    }

    /// Prints the end of what the daemons and the jobs have said.
    fn tell(&self) {
        for name in ["slurmctld.log", "slurmctld.out", "munged.out"] {
            let text = std::fs::read_to_string(self.path().join(name)).unwrap_or_default();
            let lines: Vec<&str> = text.lines().collect();
            eprintln!("== {name}\n{}", lines[lines.len().saturating_sub(15)..].join("\n"));
        }
    }
}

fn munged(root: &Path) -> Vec<String> {
    let mut command = vec!["munged".to_string(), "--foreground".to_string()];
    for file in ["key-file", "socket", "pid-file", "log-file", "seed-file"] {
        let name = file.trim_end_matches("-file");
        command.push(format!("--{file}={}", root.join("munge").join(name).display()));
    }
    command
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.tell();
        }
        for (_, daemon) in self.daemons.iter_mut().rev() {
            let _ = daemon.kill();
            let _ = daemon.wait();
        }
        // What the nodes had started lives without them.
        for _ in 0..50 {
            let left = self.processes();
            if left.is_empty() {
                break;
            }
            for pid in left {
                let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

/// Waits until something holds.
pub fn wait_for(what: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < PATIENCE, "waited too long for {what}");
        std::thread::sleep(Duration::from_millis(200));
    }
}
