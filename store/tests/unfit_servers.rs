//! Servers that misbehave: those that cannot be written to safely are refused, those that fail now and then
//! are borne, and whatever was committed before one ended is there afterwards.

mod servers;

use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use gimlet_store::conformance::{assert_reads_back, key, write};
use gimlet_store::{Dataset, ErrorKind, Lease, Location, Spec, Store};
use servers::{Conditional, Fault, Installed, Kind, Knobs, SmallS3, When};

/// Runs the ignored test `name` in a process of its own, which finds `environment`.
fn in_process(name: &str, environment: &[(&str, String)]) -> String {
    let cache = tempfile::tempdir().unwrap();
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", name, "--ignored", "--nocapture"]);
    command.env("GIMLET_CACHE_DIR", cache.path()).env("GIMLET_STORE_PATIENCE", "2");
    command.envs(environment.iter().map(|(name, value)| (name, value)));
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let result = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && result.contains("1 passed"), "{result}\n{said}");
    said
}

fn root() -> Location {
    Store::new().locate(std::env::var("GIMLET_TEST_ROOT").unwrap_or("s3://bucket/run".into()))
}

#[test]
#[ignore = "is run by other tests of this file"]
fn a_write_is_refused() {
    let error = write(&Dataset::at(root()), &key('a'), 5).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unfit, "{error}");
    assert!(error.to_string().contains("If-None-Match"), "{error}");
    let again = root().join("x").create(b"x").unwrap_err();
    assert_eq!(again.kind(), ErrorKind::Unfit);
    eprintln!("{error}");
}

#[test]
fn a_server_that_takes_no_notice_of_the_condition_is_refused() {
    let server = SmallS3::start(Knobs { conditional: Conditional::Ignored, ..Knobs::default() });
    in_process("a_write_is_refused", &server.environment());
    assert!(server.objects("bucket").is_empty(), "{:?}", server.objects("bucket").keys());
}

#[test]
fn a_server_that_looks_before_it_writes_is_refused() {
    let conditional = Conditional::CheckedFirst(Duration::from_millis(30));
    let server = SmallS3::start(Knobs { conditional, ..Knobs::default() });
    in_process("a_write_is_refused", &server.environment());
    assert!(server.objects("bucket").is_empty(), "{:?}", server.objects("bucket").keys());
}

#[test]
fn s3rver_is_refused() {
    let Some(server) = Installed::start(Kind::S3rver) else { return };
    let keys = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"].map(|it| (it, "S3RVER".to_owned()));
    let rest = [("AWS_REGION", "us-east-1".to_owned()), ("AWS_ENDPOINT_URL", server.url())];
    in_process("a_write_is_refused", &[keys.as_slice(), &rest].concat());
}

#[test]
#[ignore = "is run by other tests of this file"]
fn the_error_is_of_its_kind() {
    let expected = match std::env::var("GIMLET_TEST_KIND").unwrap().as_str() {
        "unauthorized" => ErrorKind::Unauthorized,
        "no bucket" => ErrorKind::NoBucket,
        _ => ErrorKind::Unreachable,
    };
    let dataset = Dataset::at(root());
    let errors = [
        dataset.newest().map(|_| ()).unwrap_err(),
        write(&dataset, &key('a'), 5).map(|_| ()).unwrap_err(),
    ];
    for error in errors {
        assert_eq!(error.kind(), expected, "{error}");
        eprintln!("{error}");
    }
}

#[test]
fn wrong_credentials_and_missing_buckets_say_so_and_tell_no_secret() {
    let server = SmallS3::start(Knobs::default());
    let mut environment = server.environment();
    environment.retain(|it| it.0 != "AWS_ACCESS_KEY_ID");
    environment.push(("AWS_ACCESS_KEY_ID", "wrong".into()));
    environment.push(("GIMLET_TEST_KIND", "unauthorized".into()));
    let said = in_process("the_error_is_of_its_kind", &environment);
    assert!(!said.contains("a-secret-of-somebody"), "{said}");
    let mut environment = server.environment();
    environment.push(("GIMLET_TEST_KIND", "no bucket".into()));
    environment.push(("GIMLET_TEST_ROOT", "s3://missing/run".into()));
    let said = in_process("the_error_is_of_its_kind", &environment);
    assert!(said.contains("NoSuchBucket"), "{said}");
}

#[test]
fn a_server_that_is_not_there_says_so() {
    let mut environment = {
        // Its port is free when it has ended.
        SmallS3::start(Knobs::default()).environment()
    };
    environment.push(("GIMLET_TEST_KIND", "unreachable".into()));
    in_process("the_error_is_of_its_kind", &environment);
}

static RUNS: AtomicUsize = AtomicUsize::new(0);

fn next_root() -> Location {
    root().join(RUNS.fetch_add(1, Ordering::Relaxed).to_string())
}

#[test]
#[ignore = "is run by other tests of this file"]
fn a_generation_is_written_and_read() {
    let dataset = Dataset::at(next_root());
    let generation = write(&dataset, &key('a'), 9).unwrap();
    assert_eq!(generation.number(), 1);
    assert_reads_back(&generation, 9);
    generation.verify().unwrap();
    assert_eq!(dataset.generations().unwrap(), [1]);
}

fn fault(when: When, fault: Fault, of: &str) -> Knobs {
    Knobs { faults: vec![(when, fault, of.to_owned())], ..Knobs::default() }
}

#[test]
fn a_server_that_is_overloaded_now_and_then_is_borne() {
    let server = SmallS3::start(fault(When::Every(4), Fault::SlowDown, ""));
    in_process("a_generation_is_written_and_read", &server.environment());
    assert!(server.log().iter().any(|it| it.status == 503));
}

#[test]
fn answers_that_are_lost_do_not_make_a_commit_twice() {
    let server = SmallS3::start(fault(When::Every(5), Fault::DropAfter, "PUT"));
    in_process("a_generation_is_written_and_read", &server.environment());
    let objects = server.objects("bucket");
    let manifests = objects.keys().filter(|it| it.ends_with("00000001.json")).count();
    assert_eq!(manifests, 1, "{:?}", objects.keys());
    assert!(objects.keys().all(|it| !it.ends_with("00000002.json")), "{:?}", objects.keys());
}

#[test]
fn answers_that_end_too_soon_are_asked_for_again() {
    // A copy is three requests: at every third it would never end.
    let server = SmallS3::start(fault(When::Every(5), Fault::CutShort, ""));
    in_process("a_generation_is_written_and_read", &server.environment());
}

#[test]
fn who_may_only_read_reads_and_is_told_so_of_a_write() {
    let server = SmallS3::start(Knobs::default());
    in_process("a_generation_is_written_and_read", &server.environment());
    let before = server.objects("bucket");
    let mut environment = server.environment();
    environment.retain(|it| it.0 != "AWS_ACCESS_KEY_ID");
    environment.push(("AWS_ACCESS_KEY_ID", "reader".into()));
    in_process("a_generation_is_read_and_none_written", &environment);
    assert_eq!(server.objects("bucket"), before);
}

#[test]
#[ignore = "is run by other tests of this file"]
fn a_generation_is_read_and_none_written() {
    let dataset = Dataset::at(root().join("0"));
    let generation = dataset.newest().unwrap().unwrap();
    assert_reads_back(&generation, 9);
    generation.verify().unwrap();
    let error = write(&dataset, &key('b'), 5).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unauthorized, "{error}");
}

#[test]
fn connections_that_end_before_anything_is_done_are_made_again() {
    let server = SmallS3::start(fault(When::Every(5), Fault::DropBefore, ""));
    in_process("a_generation_is_written_and_read", &server.environment());
}

#[test]
fn a_slow_server_is_waited_for() {
    let delay = Duration::from_millis(40);
    let server = SmallS3::start(Knobs { delay, ..Knobs::default() });
    in_process("a_generation_is_written_and_read", &server.environment());
}

#[test]
fn a_server_whose_clock_is_wrong_is_taken_by_its_own() {
    for clock in [-3 * 86_400, 3 * 86_400] {
        let server = SmallS3::start(Knobs { clock, ..Knobs::default() });
        in_process("leases_hold_and_attempts_have_their_age", &server.environment());
    }
}

#[test]
#[ignore = "is run by other tests of this file"]
fn leases_hold_and_attempts_have_their_age() {
    use gimlet_store::gc::{Policy, Shelf};
    let lock = root().join("lock");
    let held = Lease::take(&lock, "me").unwrap().unwrap();
    assert!(Lease::take(&lock, "you").unwrap().is_err(), "a lease that is held looks dead");
    drop(held);
    let dataset = Dataset::at(root().join("train"));
    write(&dataset, &key('a'), 5).unwrap();
    let schema = dataset.newest().unwrap().unwrap().manifest().schema.clone();
    drop(dataset.begin(Spec { rows: Some(8), ..Spec::new(schema, key('b')) }).unwrap());
    // Written a moment ago, whatever the clock says.
    let folder = dataset.folder().join(&key('b')[..16]);
    folder.join("part-00000.parquet").create(b"x").unwrap();
    let survey = |grace| {
        let policy = Policy { needed: [key('a')].into(), keep: 1, grace };
        Shelf::of(&dataset).survey(&policy).unwrap()
    };
    let kept = survey(Duration::from_secs(3600));
    assert!(kept.iter().all(|it| it.stays.is_some()), "{kept:?}");
    let gone = survey(Duration::ZERO);
    assert!(gone.iter().any(|it| it.at.path() == folder.path() && it.stays.is_none()), "{gone:?}");
}

/// The lease of a process that is killed goes by itself: by the server's clock, so that nothing here takes time.
#[test]
fn the_lease_of_a_dead_process_is_taken_over() {
    let server = SmallS3::start(Knobs::default());
    in_process("a_lease_that_is_left_behind", &server.environment());
    assert!(server.objects("bucket").keys().any(|key| key.contains("/.leases/")));
    in_process("a_lease_that_may_be_held", &server.environment());
    server.set(Knobs { clock: 100, ..Knobs::default() });
    in_process("a_lease_that_nobody_holds", &server.environment());
    assert!(server.objects("bucket").keys().all(|key| !key.contains("/.leases/")));
}

#[test]
fn a_lease_lives_as_long_as_its_holder() {
    let server = SmallS3::start(Knobs::default());
    let mut environment = server.environment();
    environment.push(("GIMLET_LEASE_SECONDS", "5".into()));
    in_process("a_lease_that_is_held_for_long", &environment);
}

#[test]
#[ignore = "is run by other tests of this file"]
fn a_lease_that_is_left_behind() {
    std::mem::forget(Lease::take(&root().join("lock"), "the dead").unwrap().unwrap());
    // As the process ends now, nobody writes it anew.
}

#[test]
#[ignore = "is run by other tests of this file"]
fn a_lease_that_may_be_held() {
    let taken = Lease::take(&root().join("lock"), "me").unwrap();
    assert_eq!(taken.unwrap_err(), "the dead");
}

#[test]
#[ignore = "is run by other tests of this file"]
fn a_lease_that_nobody_holds() {
    drop(Lease::wait_alone(&root().join("lock")).unwrap());
}

#[test]
#[ignore = "is run by other tests of this file"]
fn a_lease_that_is_held_for_long() {
    let lock = root().join("lock");
    let held = Lease::take(&lock, "me").unwrap().unwrap();
    std::thread::sleep(Duration::from_secs(7));
    assert!(Lease::take(&lock, "you").unwrap().is_err());
    drop(held);
}

/// Uploads, probes and leases of dead processes go once they are old by the server's clock; what is held, or was
/// committed, stays.
#[test]
fn what_the_dead_have_left_is_found_when_it_is_old() {
    let server = SmallS3::start(Knobs::default());
    in_process("a_generation_is_written_and_read", &server.environment());
    let before = server.objects("bucket");
    in_process("a_lease_that_is_left_behind", &server.environment());
    for name in [".gimlet-probe-01", "0/.part-00000.parquet.01.tmp", "0/.leases/x/shared-01"] {
        server.put_behind("bucket", &format!("run/{name}"), Some(vec![0; 3]));
    }
    assert_eq!(server.objects("bucket").len(), before.len() + 4);
    let mut environment = server.environment();
    for (clock, found) in [(0, 0), (7200, 4), (7200, 0)] {
        server.set(Knobs { clock, ..Knobs::default() });
        environment.push(("GIMLET_TEST_FOUND", found.to_string()));
        in_process("so_many_are_found_and_go", &environment);
    }
    assert_eq!(server.objects("bucket"), before);
}

#[test]
#[ignore = "is run by other tests of this file"]
fn so_many_are_found_and_go() {
    use gimlet_store::gc;
    let _held = Lease::take(&root().join("another"), "me").unwrap().unwrap();
    let found = gc::dead_temps(&root()).unwrap();
    let expected: usize = std::env::var("GIMLET_TEST_FOUND").unwrap().parse().unwrap();
    assert_eq!(found.len(), expected, "{found:?}");
    for it in &found {
        gc::remove_temp(&it.at).unwrap();
    }
}

/// At each of its requests in turn the server ends for good, having done it or not; once another is in its
/// place, with what it had, the same work ends with the same generation.
#[test]
fn a_server_that_ends_in_the_middle_of_a_commit_loses_nothing() {
    let server = SmallS3::start(Knobs::default());
    in_process("a_generation_is_written_and_read", &server.environment());
    let log = server.take_log();
    let writes: Vec<usize> =
        (0..log.len()).filter(|at| matches!(log[*at].method.as_str(), "PUT" | "POST")).collect();
    let expected = server.objects("bucket");
    let parts =
        |objects: &std::collections::BTreeMap<String, Vec<u8>>, run: &str| -> Vec<Vec<u8>> {
            let of_run = objects.iter().filter(|(key, _)| key.starts_with(run));
            of_run.filter(|(key, _)| key.ends_with(".parquet")).map(|(_, it)| it.clone()).collect()
        };
    let expected = parts(&expected, "run/0/");
    assert_eq!(expected.len(), 3);
    let first = writes.iter().position(|at| log[*at].key.contains("/run/")).unwrap();
    // The probe of the server has ended by then. Every seventh: each costs seconds of patience.
    for (nth, at) in writes[first..].iter().enumerate().step_by(7) {
        let how = [Fault::DropBefore, Fault::DropAfter][nth % 2];
        let run = format!("run-{nth}");
        let mut environment = server.environment();
        environment.push(("GIMLET_TEST_ROOT", format!("s3://bucket/{run}")));
        environment.push(("GIMLET_STORE_PATIENCE", "0".into()));
        server.set(Knobs {
            faults: vec![
                (When::Nth(*at), how, String::new()),
                (When::From(*at + 1), Fault::DropBefore, String::new()),
            ],
            ..Knobs::default()
        });
        in_process("a_write_fails", &environment);
        server.set(Knobs::default());
        in_process("a_generation_is_written_and_read", &environment);
        let objects = server.objects("bucket");
        assert_eq!(parts(&objects, &format!("{run}/0/")), expected, "ended at request {at}");
    }
}

#[test]
#[ignore = "is run by other tests of this file"]
fn a_write_fails() {
    match write(&Dataset::at(next_root()), &key('a'), 9) {
        Err(error) => assert_eq!(error.kind(), ErrorKind::Unreachable, "{error}"),
        // It ended after the last request that matters.
        Ok(generation) => assert_eq!(generation.number(), 1),
    }
}
