//! A disk that is full, a file system that is read-only, a folder that is somebody else's, a limit on
//! open files, a limit on the size of files: an error that says what and where, and nothing is lost.
//!
//! Each in a process of its own, which is given what it is about by a shell. Mounting takes root, or
//! a system that lets anybody be root in a name space; where it may not be done that is said.
#![cfg(unix)]

mod child;
mod mounting;
mod read_back;
mod support;
mod tree;

use std::fs::{self, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use gimlet_store::{DType, Dataset, Error, ErrorKind, Generation, Result, Schema, Spec, Store};
use mounting::{MOUNT, in_a_name_space, skipped};
use read_back::assert_reads_back;
use support::*;
use tree::tree;

/// Two hundred rows of four kilobytes, in five parts.
const ROWS: usize = 200;
const ROW_BYTES: u64 = 4000;
const PART_ROWS: u64 = 40;

fn large() -> Spec {
    let columns = vec![column("x", DType::F32, &[ROW_BYTES as usize / 4])];
    let schema = Schema { columns, ..schema() };
    Spec { rows: Some(ROWS as u64), ..spec(schema, PART_ROWS as usize, 10) }
}

fn small() -> Spec {
    Spec { key: "0".repeat(64), rows: None, ..large() }
}

fn write_large(dataset: &Dataset) -> Result<Generation> {
    let mut writer = dataset.begin(large())?;
    write_wanted(&mut writer, &large().schema, ROWS, 7)?;
    writer.commit(serde_json::json!({}))
}

/// Goes on where there is room again; the parts that were complete are not made again.
fn goes_on(place: &Path) {
    let dataset = Store::new().dataset(place);
    let complete = dataset.parts_on_disk(&large().key).unwrap() as u64;
    let mut writer = dataset.begin(large()).unwrap();
    assert_eq!(writer.rows_done(), complete * PART_ROWS);
    let made = write_wanted(&mut writer, &large().schema, ROWS, 20).unwrap() as u64;
    assert_eq!(made, ROWS as u64 - complete * PART_ROWS);
    let committed = writer.commit(serde_json::json!({})).unwrap();
    committed.verify().unwrap();
    assert_reads_back(&committed, ROWS);

    let undisturbed = tempfile::tempdir().unwrap();
    generation(&Store::new().dataset(undisturbed.path()), small(), 2, 2);
    write_large(&Store::new().dataset(undisturbed.path())).unwrap();
    assert!(tree(place) == tree(undisturbed.path()), "{:?}", tree(place).keys());
}

fn assert_is(error: &Error, kind: ErrorKind, path: &Path) {
    assert_eq!(error.kind(), kind, "{error}");
    assert!(error.to_string().contains(&path.display().to_string()), "{error}");
}

/// Of a write that found no room: the rows that are in no row group of a part were still needed.
fn assert_needed(error: &Error, place: &Path) {
    let complete = Store::new().dataset(place).parts_on_disk(&large().key).unwrap() as u64;
    let (most, least) =
        (ROWS as u64 - complete * PART_ROWS, ROWS as u64 - (complete + 1) * PART_ROWS);
    let needed = error.needed().unwrap();
    assert!((least * ROW_BYTES..=most * ROW_BYTES).contains(&needed), "{error}");
    assert!(error.to_string().contains(&format!("; {needed} bytes were to be written")), "{error}");
}

/// A folder that whoever may do with as they please, and the child that is to do it. `shell` makes
/// what it is about, and becomes the child.
fn child_in(shell: &str, role: &str) -> (tempfile::TempDir, Command) {
    let folder = tempfile::tempdir().unwrap();
    let child = child::again("in_another_process", role);
    let mut command = Command::new("sh");
    command.args(["-c", &format!("{shell} && exec \"$0\" \"$@\"")]);
    command.arg(child.get_program()).args(child.get_args());
    command.env("CHILD", role).env("PLACE", folder.path());
    (folder, command)
}

fn succeeds(command: &mut Command) {
    ended_well(&command.output().unwrap());
}

fn ended_well(output: &Output) {
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}{errors}", String::from_utf8_lossy(&output.stdout));
}

/// The child in a file system of its own of 500 kB.
fn in_a_small_file_system(what: &str, role: &str) {
    let Some(mut command) = in_a_name_space(what) else { return };
    let (folder, child) = child_in(MOUNT, role);
    command.arg(child.get_program()).args(child.get_args());
    succeeds(command.env("CHILD", role).env("PLACE", folder.path()));
}

fn remount(place: &Path, options: &str) {
    let mut mount = Command::new("mount");
    mount.args(["-t", "tmpfs", "-o", &format!("remount,{options}"), "tmpfs"]).arg(place);
    assert!(mount.status().unwrap().success());
}

#[test]
fn in_another_process() {
    let Some(role) = child::role() else { return };
    let place = PathBuf::from(std::env::var("PLACE").unwrap());
    match &role[..] {
        "full" => on_a_full_disk(&place),
        "read-only" => on_a_read_only_file_system(&place),
        "somebody else" => where_others_own_the_files(&place),
        "few files" => with_few_open_files(&place),
        "small files" => with_small_files(&place),
        other => panic!("{other}"),
    }
}

#[test]
fn a_full_disk() {
    in_a_small_file_system("a full disk", "full");
}

fn on_a_full_disk(place: &Path) {
    let dataset = Store::new().dataset(place);
    let kept = generation(&dataset, small(), 2, 2);
    for attempt in 0..3 {
        let error = write_large(&dataset).unwrap_err();
        assert_is(&error, ErrorKind::NoSpace, &place.join(&large().key[..16]));
        assert!(error.free().unwrap() < error.needed().unwrap(), "{error}");
        assert_needed(&error, place);
        assert_eq!(dataset.generations().unwrap(), [1], "attempt {attempt}");
        // What fitted is complete; what did not is gone, and its room is free again.
        assert!(dataset.parts_on_disk(&large().key).unwrap() >= 2);
        kept.verify().unwrap();
        assert_reads_back(&kept, 2);
    }

    // A file that takes what is left.
    let mut filler = fs::File::create(place.join("filler")).unwrap();
    while filler.write(&[0; 4096]).is_ok() {}
    drop(filler);
    let records = Store::new().records(place.join("records"));
    let error = records.commit(|_| "x".repeat(10_000)).unwrap_err();
    assert_is(&error, ErrorKind::NoSpace, place);
    assert_eq!(error.free(), Some(0));
    assert!(records.numbers().unwrap().is_empty());
    fs::remove_file(place.join("filler")).unwrap();

    let checkpoint = Store::new().locate(place.join("checkpoint"));
    checkpoint.replace(b"old").unwrap();
    let error = checkpoint.replace(&[0; 600_000]).unwrap_err();
    assert_is(&error, ErrorKind::NoSpace, checkpoint.path());
    assert_eq!(error.needed(), Some(600_000));
    assert_eq!(checkpoint.read().unwrap(), b"old");
    checkpoint.remove().unwrap();
    let _ = fs::remove_dir(records.folder().path());

    remount(place, "size=8m");
    goes_on(place);
}

#[test]
fn a_read_only_file_system() {
    in_a_small_file_system("a read-only file system", "read-only");
}

fn on_a_read_only_file_system(place: &Path) {
    remount(place, "size=8m");
    let dataset = Store::new().dataset(place);
    let kept = generation(&dataset, small(), 2, 2);
    let mut writer = dataset.begin(large()).unwrap();
    write(&mut writer, &large().schema, 0..60).unwrap();
    drop(writer);

    remount(place, "ro");
    kept.verify().unwrap();
    assert_reads_back(&dataset.newest().unwrap().unwrap(), 2);
    assert_is(&write_large(&dataset).unwrap_err(), ErrorKind::Denied, place);
    let records = Store::new().records(place.join("records"));
    assert_is(&records.commit(|_| "x").unwrap_err(), ErrorKind::Denied, records.folder().path());
    let checkpoint = Store::new().locate(place.join("checkpoint"));
    assert_is(&checkpoint.replace(b"x").unwrap_err(), ErrorKind::Denied, place);

    remount(place, "rw");
    assert_eq!(dataset.parts_on_disk(&large().key).unwrap(), 1);
    goes_on(place);
}

#[test]
fn files_of_somebody_else() {
    let (folder, mut command) = child_in("true", "somebody else");
    let place = folder.path().join("dataset");
    let dataset = Store::new().dataset(&place);
    generation(&dataset, small(), 2, 2);
    let mut writer = dataset.begin(large()).unwrap();
    write(&mut writer, &large().schema, 0..60).unwrap();
    drop(writer);
    fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();

    // Root may write anywhere, and so goes about it as nobody.
    let hers = folder.path().join("hers");
    fs::create_dir(&hers).unwrap();
    fs::set_permissions(&hers, Permissions::from_mode(0o555)).unwrap();
    if fs::write(hers.join("file"), "").is_ok() {
        // The build folder may be one that nobody cannot look into.
        let program = folder.path().join("program");
        fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
        command = Command::new(&program);
        command.args(child::again("in_another_process", "").get_args());
        command.uid(65_534).gid(65_534).current_dir("/");
    }
    let modes = |folder, file| {
        let parts = place.join(&large().key[..16]);
        for (path, mode) in [
            (place.clone(), folder),
            (parts, folder),
            (place.join(&small().key[..16]).join("part-00000.parquet"), file),
        ] {
            fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
        }
    };
    modes(0o555, 0o000);
    match command.env("CHILD", "somebody else").env("PLACE", &place).output() {
        Ok(output) => ended_well(&output),
        Err(error) => skipped("a folder of somebody else", &error.to_string()),
    }
    modes(0o755, 0o644);
    goes_on(&place);
}

fn where_others_own_the_files(place: &Path) {
    let dataset = Store::new().dataset(place);
    let part = place.join(&small().key[..16]).join("part-00000.parquet");
    let committed = dataset.newest().unwrap().unwrap();
    assert_is(&committed.reader(&["x"]).unwrap_err(), ErrorKind::Denied, &part);
    assert_is(&committed.verify().unwrap_err(), ErrorKind::Denied, &part);
    assert_is(&write_large(&dataset).unwrap_err(), ErrorKind::Denied, place);
    let new = Store::new().dataset(place.join("new"));
    assert_is(&write_large(&new).unwrap_err(), ErrorKind::Denied, new.folder().path());
    let records = Store::new().records(place);
    assert_is(&records.commit(|_| "x").unwrap_err(), ErrorKind::Denied, place);
}

#[test]
fn a_limit_on_open_files() {
    let (_folder, mut child) = child_in("ulimit -n 24", "few files");
    succeeds(&mut child);
}

fn with_few_open_files(place: &Path) {
    let dataset = Store::new().dataset(place);
    // Writing and verifying takes few of them, however many parts there are.
    let many = Spec { rows_per_part: 5, ..large() };
    let committed = generation(&dataset, many, ROWS, 7);
    committed.verify().unwrap();
    // The reader holds all parts open.
    let error = committed.reader(&["x"]).unwrap_err();
    assert_is(&error, ErrorKind::TooManyFiles, committed.dir().path());
    assert!(error.to_string().contains("/part-000"), "{error}");
    // It gave back what it had taken.
    let few = generation(&dataset, small(), 2, 2);
    assert_reads_back(&few, 2);
}

#[test]
fn a_limit_on_the_size_of_files() {
    // A process that does not ignore the signal is killed by it.
    let (folder, mut child) = child_in("trap '' XFSZ && ulimit -f 64", "small files");
    generation(&Store::new().dataset(folder.path()), small(), 2, 2);
    succeeds(&mut child);
    goes_on(folder.path());

    let (folder, mut child) = child_in("ulimit -f 64", "small files");
    generation(&Store::new().dataset(folder.path()), small(), 2, 2);
    assert!(!child.output().unwrap().status.success());
    goes_on(folder.path());
}

fn with_small_files(place: &Path) {
    let error = write_large(&Store::new().dataset(place)).unwrap_err();
    assert_is(&error, ErrorKind::FileLimit, &place.join(&large().key[..16]));
    assert_eq!(Store::new().dataset(place).generations().unwrap(), [1]);
}
