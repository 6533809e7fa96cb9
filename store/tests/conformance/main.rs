//! One suite for all backends: the file system, the memory of this process, a small S3 server of ours, and
//! servers of others where they are installed. How a server is reached stands in the environment, which a
//! process has once: so for each server the suite runs in a process of its own.

#[path = "../servers/azurite.rs"]
mod azurite;
#[path = "../servers/mod.rs"]
mod servers;

use std::process::Command;

use gimlet_store::Store;
use gimlet_store::conformance::run;
use gimlet_store::faults::{self, Operation};
use servers::{Installed, Kind, Knobs, SmallS3};

/// Says where the suite is to run, to a process of its own.
const ROOT: &str = "GIMLET_CONFORMANCE_ROOT";

/// Runs the suite in a process of its own, with these in its environment.
fn run_in_process(root: &str, environment: &[(&str, String)]) {
    let ended = tried_in_process(root, environment);
    assert!(ended.is_ok(), "{}", ended.unwrap_err());
}

/// Runs the suite in a process of its own; what that said if it failed.
fn tried_in_process(root: &str, environment: &[(&str, String)]) -> Result<(), String> {
    let cache = tempfile::tempdir().unwrap();
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "in_a_process_of_its_own", "--ignored", "--nocapture"]);
    command.env(ROOT, root).env("GIMLET_CACHE_DIR", cache.path());
    command.envs(environment.iter().map(|(name, value)| (name, value)));
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    let result = String::from_utf8_lossy(&output.stdout);
    // A filter that matches nothing passes, too.
    match output.status.success() && result.contains("1 passed") {
        true => Ok(()),
        false => Err(format!("{result}\n{said}")),
    }
}

#[test]
#[ignore = "is run by the other tests of this file"]
fn in_a_process_of_its_own() {
    run(&Store::new().locate(std::env::var(ROOT).unwrap()));
}

#[test]
fn the_file_system() {
    let folder = tempfile::tempdir().unwrap();
    run(&Store::new().locate(folder.path()));
}

/// exFAT, and shares: one process at a time may name a file. There are no locks on some.
#[test]
fn file_systems_without_hard_links() {
    if !faults::AVAILABLE {
        eprintln!("skipped: this build has no faults, and so no file system that lacks something");
        return;
    }
    for lacks in [&[Operation::Link][..], &[Operation::Link, Operation::Move]] {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::new();
        let _lacking = store.faults().lacking(folder.path(), lacks);
        run(&store.locate(folder.path()));
    }
}

#[test]
fn memory() {
    run_in_process("memory://suite", &[]);
}

#[test]
fn a_small_s3_server() {
    let server = SmallS3::start(Knobs::default());
    run_in_process("s3://bucket/some/prefix", &server.environment());
    assert_eq!(server.uploads(), 0, "every upload was completed or given up");
    let objects = server.objects("bucket");
    assert!(objects.keys().all(|key| key.starts_with("some/prefix/")), "{:?}", objects.keys());
    assert!(objects.keys().all(|key| !key.contains("/.leases/")), "{:?}", objects.keys());
    let secret = b"a-secret-of-somebody";
    let tells = |bytes: &Vec<u8>| bytes.windows(secret.len()).any(|it| it == secret);
    assert!(!objects.values().any(tells), "the secret lies in the bucket");
}

/// Google's protocol is that of S3 under other names, and with a condition of its own.
#[test]
fn a_small_server_as_googles() {
    let server = SmallS3::start(Knobs { open_to_all: true, ..Knobs::default() });
    run_in_process("gs://bucket/some/prefix", &server.google_environment());
    assert_eq!(server.uploads(), 0, "every upload was completed or given up");
    assert!(server.log().iter().any(|it| it.create), "no condition was understood");
}

#[test]
fn azurite() {
    let Some(server) = Installed::start(Kind::Azurite) else { return };
    azurite::make_container(&server);
    let environment = [
        ("AZURE_STORAGE_ACCOUNT_NAME", azurite::ACCOUNT.to_owned()),
        ("AZURE_STORAGE_ACCOUNT_KEY", azurite::KEY.to_owned()),
        ("AZURE_STORAGE_ENDPOINT", azurite::endpoint(&server)),
    ];
    run_in_process("az://bucket/prefix", &environment);
}

#[test]
fn moto() {
    let Some(server) = Installed::start(Kind::Moto) else { return };
    server.make_bucket("bucket", &[]);
    let names = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"].map(|it| (it, "test".to_owned()));
    let rest = [("AWS_REGION", "us-east-1".to_owned()), ("AWS_ENDPOINT_URL", server.url())];
    let environment = [names.as_slice(), &rest].concat();
    // It looks, and then writes: on a busy machine two of the 16 writers of the check may both be told that they won.
    let raced = |attempt: u8| {
        let ended = tried_in_process(&format!("s3://bucket/prefix-{attempt}"), &environment);
        let raced = ended.as_ref().is_err_and(|it| it.contains("were told that they had"));
        assert!(raced || ended.is_ok(), "{}", ended.unwrap_err());
        raced
    };
    assert!(!(0..3).all(raced), "moto lets several writers win each time");
}
