//! What is written is read again, and what is damaged is no reason not to begin.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::engine::hub::{RouterConfig, StoredApp, StoredBody, StoredEntry};
use crate::time::{BootTime, LogicalTime, MonoTime, WallTime};
use crate::wire::{self, Digest, Form, Instance, Meta, Stamp};
use crate::Status;

const NOW: Now = Now {
    mono: MonoTime::from_nanos(1_000_000_000),
    wall: WallTime::from_millis(1_800_000_000_000),
    boot: BootTime::from_nanos(1_000_000_000),
};

/// A directory that is removed with its test.
struct Temp(PathBuf);

impl Temp {
    fn new() -> Temp {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let n = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("ns-{}-store-{n}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        Temp(path)
    }

    fn open(&self) -> Result<(Store, Router)> {
        let mut router = Router::new(Instance([9; 16]), RouterConfig::default());
        let store = Store::open(&self.0, NOW, &mut router)?;
        Ok((store, router))
    }

    fn file(&self) -> PathBuf {
        self.0.join("states.db")
    }

    /// The names of all files, without those of SQLite beside its own.
    fn files(&self) -> Vec<String> {
        let names = fs::read_dir(&self.0).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = names.filter(|name| !name.ends_with("-wal") && !name.ends_with("-shm")).collect();
        names.sort();
        names
    }
}

impl Drop for Temp {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn entry(slot: u32, name: &str, data: &[u8], flags: u32) -> StoredEntry {
    let stamp = Some(Stamp { clock: LogicalTime::from_millis(1_799_999_999_000), instance: Instance([1; 16]) });
    let mut body = Vec::new();
    wire::encode(&mut body, Form::V1, "a", name, data, &Meta { stamp, flags, ..Meta::default() });
    let cleared = (flags & Meta::CLEAR != 0).then_some(WallTime::from_millis(1_799_999_000_000));
    StoredEntry { slot, body: StoredBody::Small(body.into()), cleared }
}

/// An app with wills for so many names.
fn app(identity: &str, digest: Option<u8>, wills: usize) -> StoredApp {
    let will = |n: usize| {
        let mut body = Vec::new();
        wire::encode(&mut body, Form::V1, identity, &format!("n{n:03}"), &[7], &Meta::default());
        body.into()
    };
    let (instance, digest) = (Instance([3; 16]), digest.map(|byte| Digest([byte; 16])));
    StoredApp { identity: identity.into(), instance, digest, is_alone: true, wills: (0..wills).map(will).collect() }
}

/// The apps in a store that a hub has opened: it has written anew what it could read.
fn apps(store: &Store) -> Vec<StoredApp> {
    let mut apps = Vec::new();
    let database = store.database.as_ref().unwrap();
    database.each_app(|app| apps.push(app.expect("as it was written"))).unwrap();
    apps
}

fn reserved() -> LogicalTime {
    LogicalTime::from_millis(1_800_000_007_000)
}

/// A batch with values of these names, in as many slots.
fn values(names: std::ops::Range<u32>, size: usize) -> Batch {
    let data = [&[0xC5, (size >> 8) as u8, size as u8][..], &vec![7; size]].concat();
    let entries = names.map(|n| entry(n, &format!("n{n}"), &data, 0)).collect();
    Batch { entries, reserved: reserved(), ..Batch::default() }
}

fn names(router: &Router) -> Vec<String> {
    router.table().iter().map(|entry| entry.name().to_owned()).collect()
}

#[test]
fn what_is_written_is_read_again() {
    let temp = Temp::new();
    let (mut store, router) = temp.open().unwrap();
    assert_eq!((names(&router).len(), temp.files()), (0, vec!["lock".to_owned(), "states.db".to_owned()]));
    let mut batch = values(0..4, 100);
    batch.entries.push(entry(4, "gone", &[2], Meta::CLEAR));
    store.write(&batch).unwrap();
    let more = Batch {
        entries: vec![entry(1, "n1", &[0xC3], 0)],
        freed: vec![2, 77],
        senders: vec![(0, Some(("a".into(), WallTime::from_millis(1_799_990_000_000)))), (5, None)],
        reserved: reserved(),
        ..Batch::default()
    };
    store.write(&more).unwrap();
    drop(store);
    let (_store, mut router) = temp.open().unwrap();
    assert_eq!(names(&router), ["n0", "n1", "n3", "gone"]);
    let table = router.table();
    assert_eq!(table.find("a", "n1").map(|entry| entry.data()), Some(&[0xC3][..]));
    assert!(table.find("a", "gone").is_some_and(|entry| entry.is_cleared()));
    // In 24 hours less 10,000 s, for which it has been gone.
    assert_eq!(table.next_expiry(), Some(NOW.mono + (table.capacity.departed - Duration::from_secs(10_000))));
    assert!(router.take_last_batch(NOW).is_some_and(|batch| batch.reserved >= reserved()));
}

#[test]
fn apps_and_their_wills_are_read_again_and_one_that_was_changed_is_left_out() {
    let temp = Temp::new();
    let (mut store, _) = temp.open().unwrap();
    let told = [app("a", Some(1), 3), app("b", None, 30), StoredApp { is_alone: false, ..app("c", Some(2), 1) }];
    let put = told.iter().cloned().enumerate().map(|(n, app)| (7 + n as u64, Some(app))).collect();
    store.write(&Batch { apps: put, reserved: reserved(), ..Batch::default() }).unwrap();
    store.write(&Batch { apps: vec![(6, Some(app("d", None, 1)))], ..Batch::default() }).unwrap();
    store.write(&Batch { apps: vec![(6, None), (60, None)], ..Batch::default() }).unwrap();
    drop(store);
    let (mut store, _) = temp.open().unwrap();
    assert!(apps(&store) == told);
    store.write(&Batch { apps: vec![(6, Some(app("d", None, 1)))], ..Batch::default() }).unwrap();
    drop(store);
    let change = |sql: &str| rusqlite::Connection::open(temp.file()).unwrap().execute(sql, []).unwrap();
    for sql in [
        "UPDATE apps SET digest = NULL WHERE identity = 'a'",
        "UPDATE apps SET wills = substr(wills, 1, 100) WHERE identity = 'b'",
        "UPDATE apps SET alone = 1 WHERE identity = 'c'",
    ] {
        assert_eq!(change(sql), 1, "{sql}");
    }
    let (store, _) = temp.open().unwrap();
    assert_eq!(apps(&store), [app("d", None, 1)]);
    assert_eq!(temp.files(), ["lock", "states.db", "states.db.damaged-1"]);
}

#[test]
fn more_apps_than_a_batch_has_room_for_are_written_anew_before_a_hub_begins() {
    let temp = Temp::new();
    let (mut store, _) = temp.open().unwrap();
    // More than a batch has room for.
    let put = (0..20_000).map(|n| (n, Some(app(&format!("a{n}"), None, 1)))).collect();
    store.write(&Batch { apps: put, reserved: reserved(), ..Batch::default() }).unwrap();
    drop(store);
    for _ in 0..2 {
        let (store, _) = temp.open().unwrap();
        assert_eq!(apps(&store).len(), 20_000);
    }
}

#[test]
fn a_directory_has_one_hub_at_a_time() {
    let temp = Temp::new();
    let first = temp.open().unwrap();
    let error = temp.open().err().expect("it is in use");
    assert_eq!(error.status(), Status::InUse);
    assert!(error.to_string().contains(temp.0.to_str().unwrap()), "{error}");
    drop(first);
    temp.open().unwrap();
}

#[test]
fn only_its_user_can_read_it() {
    use std::os::unix::fs::PermissionsExt as _;
    let temp = Temp::new();
    let _open = temp.open().unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&temp.0), 0o700);
    for entry in fs::read_dir(&temp.0).unwrap() {
        assert_eq!(mode(&entry.unwrap().path()), 0o600);
    }
}

#[test]
fn what_is_no_store_is_set_aside_with_its_contents() {
    let foreign = |path: &Path, sql: &str| {
        rusqlite::Connection::open(path).unwrap().execute_batch(sql).unwrap();
    };
    type Make<'a> = &'a dyn Fn(&Path);
    let cases: [(&str, Make<'_>); 6] = [
        ("text", &|path| fs::write(path, "text ".repeat(5000)).unwrap()),
        ("folder", &|path| fs::create_dir(path).unwrap()),
        ("link", &|path| std::os::unix::fs::symlink("/dev/null", path).unwrap()),
        ("of another program", &|path| foreign(path, "CREATE TABLE theirs (x); INSERT INTO theirs VALUES (1)")),
        ("later", &|path| {
            foreign(path, "PRAGMA application_id = 1853060193; PRAGMA user_version = 2; CREATE TABLE t (x)")
        }),
        ("other tables", &|path| {
            foreign(path, "PRAGMA application_id = 1853060193; PRAGMA user_version = 1; CREATE TABLE states (x)");
        }),
    ];
    for (what, make) in cases {
        let temp = Temp::new();
        fs::create_dir(&temp.0).unwrap();
        make(&temp.file());
        let (mut store, _) = temp.open().unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_eq!(temp.files(), ["lock", "states.db", "states.db.damaged-1"], "{what}");
        store.write(&values(0..1, 1)).unwrap();
    }
    // An empty file is an empty store: a hub was killed before it wrote anything.
    let temp = Temp::new();
    fs::create_dir(&temp.0).unwrap();
    fs::write(temp.file(), "").unwrap();
    temp.open().unwrap();
    assert_eq!(temp.files(), ["lock", "states.db"]);
}

#[test]
fn a_row_that_was_changed_is_left_out_and_the_others_are_written_to_a_new_store() {
    let temp = Temp::new();
    let (mut store, _) = temp.open().unwrap();
    store.write(&values(0..10, 20)).unwrap();
    drop(store);
    let connection = rusqlite::Connection::open(temp.file()).unwrap();
    connection.execute("UPDATE states SET body = (SELECT body FROM states WHERE slot = 3) WHERE slot = 4", []).unwrap();
    drop(connection);
    let (mut store, mut router) = temp.open().unwrap();
    assert_eq!((names(&router).len(), temp.files().len()), (9, 3));
    while let Some(batch) = router.take_last_batch(NOW) {
        store.write(&batch).unwrap();
        router.stored(0);
    }
    drop(store);
    let (_store, router) = temp.open().unwrap();
    assert_eq!((names(&router).len(), temp.files().len()), (9, 3));
}

#[test]
fn a_store_without_room_says_so_and_is_as_it_was_until_there_is_some() {
    let temp = Temp::new();
    let (mut store, _) = temp.open().unwrap();
    store.write(&values(0..1, 100)).unwrap();
    store.limit_pages(10);
    for _ in 0..3 {
        let fault = store.write(&values(1..100, 1000)).unwrap_err();
        let error = store.directory.fault(&fault).to_string();
        assert!(error.starts_with("No space left on device: the store in "), "{error}");
    }
    store.limit_pages(1 << 20);
    store.write(&values(1..100, 1000)).unwrap();
    drop(store);
    assert_eq!(names(&temp.open().unwrap().1).len(), 100);
}

#[test]
fn a_writer_tries_again_and_gives_up_only_at_the_end() {
    let temp = Temp::new();
    let (store, _) = temp.open().unwrap();
    store.limit_pages(10);
    let (done, told) = mpsc::channel();
    let writer = Writer::start(store, move || done.send(()).unwrap_or_default()).unwrap();
    assert!(writer.report().idle);
    writer.give(values(0..1, 10));
    told.recv().unwrap();
    assert_eq!(writer.report(), Report { stored: Some(1), idle: true, ..Report::default() });
    writer.give(values(1..100, 1000));
    while writer.report().failed == 0 {
        std::thread::yield_now();
    }
    assert_eq!((writer.report().idle, writer.report().stored), (false, None));
    writer.hurry();
    assert!(!writer.wait(), "it has given up");
    assert!(writer.report().ended);
    drop(writer);
    assert_eq!(names(&temp.open().unwrap().1), ["n0"]);
}

#[test]
fn a_file_that_was_cut_off_anywhere_is_no_reason_not_to_begin() {
    let temp = Temp::new();
    let (mut store, _) = temp.open().unwrap();
    store.write(&values(0..40, 400)).unwrap();
    store.write(&values(40..50, 5000)).unwrap();
    drop(store);
    let whole = fs::read(temp.file()).unwrap();
    // At the beginning of a page, or within one.
    for end in (0..whole.len()).step_by(4096).flat_map(|page| [page, page + 1, page + 2000]) {
        let copy = Temp::new();
        fs::create_dir(&copy.0).unwrap();
        fs::write(copy.file(), &whole[..end]).unwrap();
        assert!(copy.open().is_ok(), "{end} bytes of {}: {:?}", whole.len(), copy.open().err());
    }
}

#[test]
fn a_store_that_is_damaged_while_it_is_used_is_replaced() {
    let temp = Temp::new();
    let (mut store, _) = temp.open().unwrap();
    store.write(&values(0..10, 100)).unwrap();
    rusqlite::Connection::open(store.path()).unwrap().execute_batch("DROP TABLE senders").unwrap();
    let (done, told) = mpsc::channel();
    let writer = Writer::start(store, move || done.send(()).unwrap_or_default()).unwrap();
    writer.give(values(0..10, 10));
    told.recv().unwrap();
    let report = writer.report();
    assert_eq!((report.lost, report.stored, report.idle), (true, None, true));
    writer.give(values(0..3, 10));
    told.recv().unwrap();
    drop(writer);
    assert_eq!((names(&temp.open().unwrap().1).len(), temp.files().len()), (3, 3));
}

/// What happens to a file.
#[derive(Clone, Debug)]
enum Damage {
    Flip(usize, u8),
    Fill(usize, usize, u8),
    Cut(usize),
    Random(Vec<u8>),
}

fn damage() -> impl Strategy<Value = Damage> {
    prop_oneof![
        4 => (any::<usize>(), 1..=255_u8).prop_map(|(at, bits)| Damage::Flip(at, bits)),
        2 => (any::<usize>(), 1..5000_usize, any::<u8>()).prop_map(|(at, len, byte)| Damage::Fill(at, len, byte)),
        1 => any::<usize>().prop_map(Damage::Cut),
        1 => vec(any::<u8>(), 0..3000).prop_map(Damage::Random),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 150, ..ProptestConfig::default() })]

    /// However its files are damaged, a hub begins with the store, and what it has of it is what was written.
    #[test]
    fn whatever_happens_to_its_files_a_hub_begins(damages in vec((0..2_usize, damage()), 1..6), closed in any::<bool>()) {
        let temp = Temp::new();
        let (mut store, _) = temp.open().unwrap();
        store.write(&values(0..40, 400)).unwrap();
        store.write(&values(40..50, 5000)).unwrap();
        let left = [app("a", Some(1), 30), app("b", None, 3)];
        let put = left.iter().cloned().enumerate().map(|(n, app)| (n as u64, Some(app))).collect();
        store.write(&Batch { apps: put, reserved: reserved(), ..Batch::default() }).unwrap();
        let copy = Temp::new();
        fs::create_dir(&copy.0).unwrap();
        if closed {
            drop(store);
        }
        // As a kill leaves it, if it is not closed.
        for name in ["states.db", "states.db-wal"] {
            let _ = fs::copy(temp.0.join(name), copy.0.join(name));
        }
        for (part, damage) in &damages {
            let path = copy.0.join(["states.db", "states.db-wal"][*part]);
            let Ok(mut bytes) = fs::read(&path) else { continue };
            let len = bytes.len().max(1);
            match damage {
                Damage::Flip(at, bits) => bytes.iter_mut().skip(at % len).take(1).for_each(|byte| *byte ^= bits),
                Damage::Fill(at, n, with) => bytes.iter_mut().skip(at % len).take(*n).for_each(|byte| *byte = *with),
                Damage::Cut(at) => bytes.truncate(at % len),
                Damage::Random(random) => bytes.clone_from(random),
            }
            fs::write(&path, bytes).unwrap();
        }
        let (mut store, router) = copy.open().expect("it begins");
        let written: Vec<_> = values(0..40, 400).entries.into_iter().chain(values(40..50, 5000).entries).collect();
        for entry in router.table().iter() {
            prop_assert!(written.iter().any(|written| *written.body == *entry.bytes()), "{} was never written", entry.name());
        }
        for app in apps(&store) {
            prop_assert!(left.contains(&app), "{app:?} was never written");
        }
        store.write(&values(0..3, 10)).expect("it can be written");
        drop(store);
        prop_assert!(copy.open().is_ok());
    }
}
