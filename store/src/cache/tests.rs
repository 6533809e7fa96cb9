//! Tests of the cache: a read gives what the server has, whatever happened to the folder, which keeps to its limit.

use std::fs;
use std::process::Command;
use std::sync::Barrier;
use std::thread;

use proptest::prelude::*;

use super::*;
use crate::faults::{Fault, Operation};

/// Bytes per block: few, so that a test has many blocks.
const SMALL: u64 = 64;

/// Bytes of a file in addition to its block.
const CHECKSUM: u64 = 8;

/// A part on a server that counts requests.
struct Server {
    bytes: Bytes,
    content: String,
    ranges: Mutex<Vec<Range<u64>>>,
}

impl Server {
    fn new(seed: u64, size: usize) -> Self {
        let mut bytes = vec![0; size];
        blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut bytes);
        let content = blake3::hash(&bytes).to_hex().to_string();
        Self { bytes: bytes.into(), content, ranges: Mutex::default() }
    }

    fn size(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn fetch(&self, range: Range<u64>) -> io::Result<Bytes> {
        self.ranges.lock().push(range.clone());
        Ok(self.bytes.slice(range.start as usize..range.end as usize))
    }

    fn requests(&self) -> Vec<Range<u64>> {
        std::mem::take(&mut self.ranges.lock())
    }

    /// Bytes that were requested since the last call.
    fn fetched(&self) -> u64 {
        self.requests().iter().map(|range| range.end - range.start).sum()
    }

    /// Reads through the cache, and compares.
    fn check(&self, cache: &Cache, range: Range<u64>) {
        let mut out = vec![0; (range.end - range.start) as usize];
        let fetch = |range| self.fetch(range);
        cache.read(&self.content, self.size(), range.start, &mut out, &fetch).unwrap();
        assert!(out == self.bytes[range.start as usize..range.end as usize], "{range:?}");
    }
}

/// Block files below a folder.
fn blocks(folder: &Path) -> Vec<PathBuf> {
    let folders = fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path());
    let files = folders.filter(|path| path.is_dir()).flat_map(|path| fs::read_dir(path).unwrap());
    // Another process may be removing it.
    files.filter_map(|file| Some(file.ok()?.path())).collect()
}

fn bytes_on_disk(folder: &Path) -> u64 {
    let sizes = blocks(folder).into_iter().filter_map(|path| Some(fs::metadata(path).ok()?.len()));
    sizes.sum()
}

fn small(folder: &Path, max_bytes: u64) -> Cache {
    Cache::with_blocks(&FileSystem::default(), folder, max_bytes, SMALL).unwrap()
}

/// An empty folder, a part of 700 bytes, and a cache with room for it.
fn begin() -> (tempfile::TempDir, Server, Cache) {
    let folder = tempfile::tempdir().unwrap();
    let cache = small(folder.path(), 1 << 20);
    (folder, Server::new(1, 700), cache)
}

#[derive(Debug, Clone)]
enum Step {
    Read(usize, Range<u64>),
    Forget(usize, Range<u64>),
    Hint(usize, Range<u64>),
    Insert(usize),
    /// Damages the n-th block file: flips a bit, cuts it, appends to it, or removes it.
    Damage(usize, u8),
    /// Another process has opened the folder.
    Reopen,
}

fn range() -> impl Strategy<Value = Range<u64>> {
    (0..=700u64, 0..=700u64).prop_map(|(a, b)| a.min(b)..a.max(b))
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..3usize, range()).prop_map(|(part, range)| Step::Read(part, range)),
        1 => (0..3usize, range()).prop_map(|(part, range)| Step::Forget(part, range)),
        1 => (0..3usize, range()).prop_map(|(part, range)| Step::Hint(part, range)),
        1 => (0..3usize).prop_map(Step::Insert),
        2 => (any::<usize>(), 0..4u8).prop_map(|(file, what)| Step::Damage(file, what)),
        2 => Just(Step::Reopen),
    ]
}

fn damage(path: &Path, what: u8) {
    let Ok(mut bytes) = fs::read(path) else { return };
    match what {
        0 => {
            let middle = bytes.len() / 2;
            bytes[middle] ^= 4;
        }
        1 => bytes.truncate(bytes.len() / 2),
        2 => bytes.push(7),
        _ => return fs::remove_file(path).unwrap_or(()),
    }
    // Write a new file, as a process relies on the files that it has checked.
    let _ = fs::remove_file(path);
    fs::write(path, bytes).unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..Default::default() })]

    #[test]
    fn reads_what_the_server_has(
        steps in prop::collection::vec(step(), 1..60),
        max_bytes in prop_oneof![Just(0u64), Just(1), 100..3000u64, Just(1 << 20)],
    ) {
        let folder = tempfile::tempdir().unwrap();
        let sizes = [700usize, 641, 705];
        let servers: Vec<Arc<Server>> =
            (0u64..).zip(sizes).map(|(seed, size)| Arc::new(Server::new(seed, size))).collect();
        let mut cache = small(folder.path(), max_bytes);
        for step in steps {
            match step {
                Step::Read(part, range) => {
                    let end = range.end.min(servers[part].size());
                    servers[part].check(&cache, range.start.min(end)..end);
                }
                Step::Forget(part, range) => cache.forget(&servers[part].content, range),
                Step::Hint(part, range) => {
                    let server = servers[part].clone();
                    let fetch = Arc::new(move |range| server.fetch(range));
                    cache.will_need(&servers[part].content, servers[part].size(), range, fetch);
                }
                Step::Insert(part) => {
                    let mut file = tempfile::tempfile().unwrap();
                    io::Write::write_all(&mut file, &servers[part].bytes).unwrap();
                    cache.insert(&servers[part].content, &file, servers[part].size());
                }
                Step::Damage(file, what) => {
                    let mut blocks = blocks(folder.path());
                    blocks.retain(|path| path.extension().is_none());
                    if !blocks.is_empty() {
                        damage(&blocks[file % blocks.len()], what);
                        // A process that has checked the old file continues to read it.
                        cache = small(folder.path(), max_bytes);
                    }
                }
                Step::Reopen => cache = small(folder.path(), max_bytes),
            }
            // One block for each thread that fetches, this one included.
            let over = 9 * (SMALL + CHECKSUM);
            prop_assert!(bytes_on_disk(folder.path()) <= max_bytes + over);
        }
        if max_bytes == 0 {
            prop_assert!(blocks(folder.path()).is_empty());
        }
    }
}

#[test]
fn what_was_read_is_not_fetched_again() {
    let (folder, server, cache) = begin();
    server.check(&cache, 70..71);
    assert_eq!(server.requests(), vec![64..128]);
    // Fetches the missing blocks around it, neighbours in one request.
    server.check(&cache, 0..700);
    assert_eq!(server.requests(), [0..64, 128..256, 256..384, 384..512, 512..640, 640..700]);
    server.check(&cache, 0..700);
    server.check(&small(folder.path(), 1 << 20), 0..700);
    assert!(server.requests().is_empty());
    let counters = cache.counters();
    assert_eq!((counters.fetched, counters.requests), (700, 7 - 1 + 1));
}

#[test]
fn without_a_cache_just_what_is_wanted_is_fetched() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::new(1, 700);
    let cache = small(&folder.path().join("none"), 0);
    server.check(&cache, 70..300);
    server.check(&cache, 70..300);
    assert_eq!(server.requests(), [70..300, 70..300]);
    assert!(!folder.path().join("none").exists());
}

#[test]
fn a_part_ends_where_it_ends() {
    let (_folder, server, cache) = begin();
    let read = |content: &str, offset, length| {
        let fetch = |range| server.fetch(range);
        let read = cache.read(content, 700, offset, &mut vec![0; length], &fetch);
        read.map_err(|error| error.kind())
    };
    assert_eq!(read(&server.content, 690, 11), Err(ErrorKind::UnexpectedEof));
    assert_eq!(read(&server.content, u64::MAX, 11), Err(ErrorKind::UnexpectedEof));
    assert_eq!(read("../../etc/passwd", 0, 1), Err(ErrorKind::InvalidInput));
    assert_eq!(read(&server.content, 700, 0), Ok(()));
    assert!(server.requests().is_empty());
}

#[test]
fn a_server_that_sends_less_is_no_source() {
    let (folder, server, cache) = begin();
    let short = |range: Range<u64>| server.fetch(range.start..range.end - 1);
    let error = cache.read(&server.content, 700, 0, &mut [0; 700], &short).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
    assert!(blocks(folder.path()).is_empty());
    server.check(&cache, 0..700);
}

/// Forgets blocks that a page's checksum has found wrong.
#[test]
fn what_is_forgotten_is_fetched_again() {
    let (_folder, server, cache) = begin();
    server.check(&cache, 0..700);
    server.requests();
    cache.forget(&server.content, 100..129);
    server.check(&cache, 0..700);
    assert_eq!(server.requests(), vec![64..192]);
}

#[test]
fn what_was_inserted_is_not_fetched() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::new(1, 700);
    let mut file = tempfile::tempfile().unwrap();
    io::Write::write_all(&mut file, &server.bytes).unwrap();
    let cache = small(folder.path(), 1 << 20);
    cache.insert(&server.content, &file, 700);
    server.check(&cache, 0..700);
    assert!(server.requests().is_empty());
    // The part would push out everything else, and itself.
    let other = tempfile::tempdir().unwrap();
    small(other.path(), 750).insert(&server.content, &file, 700);
    assert!(blocks(other.path()).is_empty());
}

#[test]
fn what_was_hinted_at_comes_once() {
    let folder = tempfile::tempdir().unwrap();
    let server = Arc::new(Server::new(1, 700));
    let cache = small(folder.path(), 1 << 20);
    let fetch = {
        let server = server.clone();
        Arc::new(move |range| server.fetch(range))
    };
    cache.will_need(&server.content, 700, 0..700, fetch.clone());
    // Whether this thread or the others come first, nothing is fetched twice.
    server.check(&cache, 0..700);
    cache.will_need(&server.content, 700, 0..700, fetch);
    server.check(&cache, 0..700);
    assert_eq!(server.fetched(), 700);
}

#[test]
fn threads_that_want_the_same_fetch_it_once() {
    let folder = tempfile::tempdir().unwrap();
    for seed in 0..20 {
        let server = Server::new(seed, 2000);
        let cache = small(folder.path(), 1 << 20);
        let begin = Barrier::new(8);
        thread::scope(|scope| {
            for nth in 0..8u64 {
                let (server, cache, begin) = (&server, &cache, &begin);
                scope.spawn(move || {
                    begin.wait();
                    for range in [nth * 100..2000, 0..2000 - nth * 100, 0..2000] {
                        server.check(cache, range);
                    }
                });
            }
        });
        assert_eq!(server.fetched(), 2000);
    }
}

/// A thread that waits for a block that does not come requests it itself, with its own credentials and patience.
#[test]
fn a_fetch_that_fails_or_panics_is_of_no_consequence_to_others() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::new(1, 60);
    let cache = small(folder.path(), 1 << 20);
    for panics in [false, true] {
        let under_way = Barrier::new(2);
        thread::scope(|scope| {
            let failing = scope.spawn(|| {
                let fetch = |_| {
                    under_way.wait();
                    thread::sleep(Duration::from_millis(20));
                    assert!(!panics, "on purpose");
                    Err(ErrorKind::ConnectionReset.into())
                };
                let read = cache.read(&server.content, 60, 0, &mut [0; 60], &fetch);
                read.unwrap_err().kind()
            });
            under_way.wait();
            server.check(&cache, 0..60);
            match failing.join() {
                Ok(kind) => assert!(!panics && kind == ErrorKind::ConnectionReset),
                Err(_) => assert!(panics),
            }
        });
        cache.forget(&server.content, 0..60);
    }
}

#[test]
fn a_disk_that_fails_costs_nothing_but_requests() {
    if !crate::faults::AVAILABLE {
        return eprintln!("skipped: this build has no faults: a disk that is full");
    }
    let server = Server::new(1, 700);
    for nth in 0..12 {
        let folder = tempfile::tempdir().unwrap();
        let cache = small(folder.path(), 1 << 20);
        let full = Fault::FailsFromThere(ErrorKind::StorageFull);
        let watch = cache.shared.system.faults.watch(folder.path(), Some((nth, full)));
        server.check(&cache, 0..700);
        server.requests();
        server.check(&cache, 10..700);
        // Fewer blocks are missing than before, and only these are fetched.
        let there = blocks(folder.path()).iter().filter(|path| path.extension().is_none()).count();
        assert_eq!(server.fetched(), 700 - 64 * there as u64 - if there == 0 { 10 } else { 0 });
        assert!(watch.operations().iter().any(|(operation, _)| *operation == Operation::Create));
        assert!(cache.shared.told.load(Ordering::Relaxed));
    }
}

#[test]
fn what_was_used_last_stays() {
    let folder = tempfile::tempdir().unwrap();
    let files = SMALL + CHECKSUM;
    let part = |seed| Server::new(seed, SMALL as usize);
    // 28 blocks fit after room was made.
    let cache = small(folder.path(), 32 * files);
    let kept = part(1000);
    kept.check(&cache, 0..SMALL);
    for seed in 0..200 {
        part(seed).check(&cache, 0..SMALL);
        // Pretend that a minute has passed.
        let key = Key { content: hash(&kept.content).unwrap(), number: 0 };
        block::mark_used(&File::open(key.path(folder.path())).unwrap());
        assert!(bytes_on_disk(folder.path()) <= 33 * files);
    }
    kept.requests();
    kept.check(&small(folder.path(), 32 * files), 0..SMALL);
    assert!(kept.requests().is_empty());
    assert!(bytes_on_disk(folder.path()) >= 26 * files);
}

#[test]
fn only_blocks_are_ever_removed() {
    let folder = tempfile::tempdir().unwrap();
    let photos = folder.path().join("ab");
    fs::create_dir(&photos).unwrap();
    for name in ["img-1", "notes.tmp", &"a".repeat(64)] {
        fs::write(photos.join(name), [7; 1000]).unwrap();
    }
    let cache = small(folder.path(), 200);
    (0..50).for_each(|seed| Server::new(seed, 64).check(&cache, 0..64));
    let names = fs::read_dir(&photos).unwrap().map(|file| file.unwrap().file_name());
    assert_eq!(names.filter(|name| !block::is_block(name.to_str().unwrap())).count(), 3);
}

#[test]
fn a_lower_limit_holds_from_the_next_write_on() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::new(1, 6400);
    server.check(&small(folder.path(), 1 << 20), 0..6400);
    assert!(bytes_on_disk(folder.path()) >= 6400);
    Server::new(2, 64).check(&small(folder.path(), 1000), 0..64);
    assert!(bytes_on_disk(folder.path()) <= 1000 + SMALL + CHECKSUM);
}

#[test]
fn a_folder_that_vanishes_is_made_again() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("cache");
    let server = Server::new(1, 640);
    let cache = small(&place, 16 * 640);
    server.check(&cache, 0..640);
    fs::remove_dir_all(&place).unwrap();
    Server::new(2, 64).check(&cache, 0..64);
    assert!(cache.shared.state.lock().refused.is_none() || !place.exists());
    server.check(&small(&place, 16 * 640), 0..640);
}

#[test]
fn something_else_of_that_name_is_refused() {
    let file = tempfile::NamedTempFile::new().unwrap();
    assert!(Cache::open(&FileSystem::default(), file.path(), 1 << 20).is_err());
}

const PROCESSES: u64 = 4;
const SHARED_LIMIT: u64 = 100 * (SMALL + CHECKSUM);

/// Reads at random until its parent stops it, and damages a file now and then.
#[test]
fn in_another_process() {
    let Ok(seed) = std::env::var("CACHE_CHILD") else { return };
    let seed: usize = seed.parse().unwrap();
    let folder = PathBuf::from(std::env::var("CACHE_FOLDER").unwrap());
    let servers: Vec<Server> = (0..20).map(|seed| Server::new(seed, 700)).collect();
    let cache = small(&folder, SHARED_LIMIT);
    let mut state = seed * 7919 + 1;
    for _ in 0..2000 {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        let (a, b) = ((state >> 33) as u64 % 701, (state >> 43) as u64 % 701);
        servers[(state >> 53) % 20].check(&cache, a.min(b)..a.max(b));
    }
}

#[test]
fn processes_share_a_folder_and_its_limit() {
    use rustix::process::{Pid, Signal, kill_process};
    let folder = tempfile::tempdir().unwrap();
    let children = (0..PROCESSES).map(|seed| {
        let mut child = Command::new(std::env::current_exe().unwrap());
        child.args(["--exact", "cache::tests::in_another_process", "--nocapture", "--quiet"]);
        child.env("CACHE_CHILD", seed.to_string()).env("CACHE_FOLDER", folder.path());
        child.stdout(std::process::Stdio::null()).spawn().unwrap()
    });
    let mut children: Vec<_> = children.collect();
    let mut most = 0;
    let mut ended = vec![None; children.len()];
    while ended.contains(&None) {
        let all = |signal, children: &[std::process::Child]| {
            for (child, _) in children.iter().zip(&ended).filter(|(_, ended)| ended.is_none()) {
                kill_process(Pid::from_child(child), signal).unwrap();
            }
        };
        // Files that appear and vanish during the count would be counted twice.
        all(Signal::STOP, &children);
        let mut bytes = bytes_on_disk(folder.path());
        loop {
            thread::sleep(Duration::from_millis(2));
            let again = bytes_on_disk(folder.path());
            if std::mem::replace(&mut bytes, again) == again {
                break;
            }
        }
        most = most.max(bytes);
        all(Signal::CONT, &children);
        // Otherwise the children would make no progress on a busy machine.
        thread::sleep(Duration::from_millis(20));
        for (child, ended) in children.iter_mut().zip(&mut ended) {
            if ended.is_none() {
                *ended = child.try_wait().unwrap().map(|status| status.success());
            }
        }
    }
    assert_eq!(ended, [Some(true); PROCESSES as usize]);
    assert!(most > SHARED_LIMIT / 2, "{most}");
    assert!(most <= SHARED_LIMIT + PROCESSES * (SMALL + CHECKSUM), "{most}");
}
