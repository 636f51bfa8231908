//! Killed processes, full disks, damaged files, and more than one process.
//!
//! The processes that are killed or limited run this test program again, with the test [`child`]
//! and its orders in the environment.

use std::{
    collections::HashSet,
    fs,
    io::{BufRead, BufReader, Write},
    ops::ControlFlow,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use rand::{Rng, RngExt};
use statuskit_core::{
    crypto::seeded_rng, envelope::Envelope, mailserver::Position, time::UnixSeconds,
};
use statuskit_mailserver::{
    Archive, ArchiveError,
    archive::{EmbeddedArchive, Order, Query, Record, Select, embedded::Settings},
};
use statuskit_testkit::rounds;

use super::model::{envelope, everything, merging_at, pages, topic_of};

const START: u32 = 1_600_000_000;
/// The seconds between two envelopes of the tests.
const STEP: u32 = 20;

fn nth(n: u32) -> Envelope {
    // Some are late, and some are large.
    let late = if n.is_multiple_of(5) { 3 * STEP } else { 0 };
    let len = if n.is_multiple_of(97) { 9_000 } else { 100 + (n % 300) as usize };
    envelope((n % 40) as u8, START + n * STEP - late, n, len)
}

fn settings() -> Settings {
    merging_at(400)
}

fn say(word: &str, n: impl std::fmt::Display) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "\n{word} {n}").unwrap();
    out.flush().unwrap();
}

/// Not a test itself: what the other processes do.
#[test]
fn child() {
    let Ok(orders) = std::env::var("ARCHIVE_TEST_CHILD") else { return };
    let orders: Vec<&str> = orders.split(' ').collect();
    let dir = Path::new(orders[1]);
    match orders[0] {
        "ingest" => ingest(dir, orders[2].parse().unwrap(), false),
        "prune" => ingest(dir, orders[2].parse().unwrap(), true),
        "fill" => fill(dir),
        "open" => match EmbeddedArchive::open(dir) {
            Ok(_) => say("opened", 0),
            Err(error) => say("refused", error),
        },
        "read" => {
            let archive = EmbeddedArchive::open_read_only(dir).unwrap();
            let mut input = BufReader::new(std::io::stdin());
            let mut line = String::new();
            while input.read_line(&mut line).unwrap() > 0 {
                let all = pages(&archive, &everything(Order::OldestFirst), 100);
                let counted = archive.summary().unwrap().envelopes;
                assert_eq!(counted, all.len() as u64);
                say("read", counted);
                line.clear();
            }
            let error = archive.append(&[nth(0)]).unwrap_err();
            assert!(matches!(error, ArchiveError::Unusable(_)), "{error:?}");
        }
        other => panic!("no such orders: {other}"),
    }
}

fn command(orders: &[&dyn std::fmt::Display]) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    let orders: Vec<String> = orders.iter().map(ToString::to_string).collect();
    command
        .args(["--exact", "faults::child", "--nocapture", "--test-threads", "1"])
        .env("ARCHIVE_TEST_CHILD", orders.join(" "))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    command
}

/// Reads the lines that a child prints, each a word and the rest.
fn lines(child: &mut Child) -> impl Iterator<Item = (String, String)> + use<> {
    BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok).filter_map(|line| {
        let (word, rest) = line.split_once(' ')?;
        let known = ["appended", "pruning", "full", "kept", "opened", "refused", "read"];
        known.contains(&word).then(|| (word.to_owned(), rest.to_owned()))
    })
}

/// Appends for ever from the `n`th envelope on, and prints each append; prunes meanwhile.
fn ingest(dir: &Path, mut n: u32, prune: bool) {
    let archive = EmbeddedArchive::open_with(dir, &settings()).unwrap();
    thread::scope(|scope| {
        if prune {
            scope.spawn(|| {
                loop {
                    // Removes what is older than some hundred envelopes.
                    let (_, newest) = archive
                        .summary()
                        .unwrap()
                        .span
                        .unwrap_or((UnixSeconds::EPOCH, UnixSeconds(START)));
                    let before = newest
                        .saturating_sub(Duration::from_secs((700 * STEP).into()))
                        .max(UnixSeconds(START));
                    say("pruning", before);
                    archive.prune(before).unwrap();
                }
            });
        }
        loop {
            let len = 1 + n % 61;
            let batch: Vec<Envelope> = (n..n + len).map(nth).collect();
            archive.append(&batch).unwrap();
            n += len;
            say("appended", n);
        }
    });
}

fn kills() -> u32 {
    rounds(12, 100)
}

fn killed_again_and_again(mode: &str) {
    let mut rng = seeded_rng(mode);
    let mut dir = tempfile::tempdir().unwrap();
    let (mut next, mut floor) = (0, 0);
    let mut positions = Vec::new();
    for round in 0..kills() {
        // A new archive now and then, so that checking does not take longer and longer.
        if round % 20 == 19 {
            dir = tempfile::tempdir().unwrap();
            (next, floor) = (0, 0);
            positions.clear();
        }
        let mut child = command(&[&mode, &dir.path().display(), &next]).spawn().unwrap();
        let words = lines(&mut child);
        let after = rng.random_range(1..40);
        let mut said = 0;
        for (word, number) in words {
            match word.as_str() {
                "appended" => next = number.parse().unwrap(),
                "pruning" => floor = number.parse::<u32>().unwrap().max(floor),
                other => panic!("{other}"),
            }
            said += 1;
            if said == after {
                // The child goes on, and is killed wherever it is.
                thread::sleep(Duration::from_micros(rng.random_range(0..4000)));
                child.kill().unwrap();
            }
        }
        assert!(said >= after, "the child ended by itself in round {round}");
        child.wait().unwrap();

        let archive = EmbeddedArchive::open_with(dir.path(), &settings()).unwrap();
        let report = archive.check().unwrap();
        assert!(report.is_sound(), "round {round}: {report:?}");
        let mut held = HashSet::new();
        let mut visit = |record: Record<'_>| {
            assert!(held.insert(record.position), "read twice");
            ControlFlow::Continue(())
        };
        archive.read(&everything(Order::OldestFirst), &mut visit).unwrap();
        positions.extend((positions.len() as u32..next).map(|n| Position::from_envelope(&nth(n))));
        for (n, position) in positions.iter().enumerate() {
            if position.sent >= UnixSeconds(floor) {
                assert!(held.contains(position), "round {round}: lost {n} of {next}");
            }
        }
        // What was not acknowledged is there as a whole or not at all.
        let len = 1 + next % 61;
        let rest = (next..next + len)
            .map(|n| Position::from_envelope(&nth(n)))
            .filter(|position| position.sent >= UnixSeconds(floor))
            .map(|position| held.contains(&position))
            .collect::<HashSet<bool>>();
        assert!(rest.len() <= 1, "round {round}: half of an append");
        // The next pruning completes what was interrupted.
        if round % 4 == 3 {
            archive.prune(UnixSeconds(floor)).unwrap();
            let report = archive.check().unwrap();
            assert!(report.is_sound() && !report.pruning, "round {round}: {report:?}");
            let summary = archive.summary().unwrap();
            assert!(summary.span.is_none_or(|(oldest, _)| oldest >= UnixSeconds(floor)));
            assert_eq!(summary.envelopes, report.envelopes);
        }
    }
}

#[test]
fn nothing_is_lost_when_killed_in_ingest() {
    killed_again_and_again("ingest");
}

#[test]
fn nothing_is_lost_when_killed_in_pruning() {
    killed_again_and_again("prune");
}

/// Appends until the archive is full, then does what is still possible.
fn fill_up(archive: &EmbeddedArchive, batch: u32) -> u32 {
    let mut n = 0;
    let error = loop {
        let envelopes: Vec<Envelope> = (n..n + batch).map(nth).collect();
        match archive.append(&envelopes) {
            Ok(new) => assert_eq!(new, batch as usize),
            Err(error) => break error,
        }
        n += batch;
    };
    assert!(matches!(error, ArchiveError::Full(_)), "{error:?}");
    assert!(archive.append(&(n..n + batch).map(nth).collect::<Vec<_>>()).is_err());

    // Nothing is lost or half there, and reading goes on.
    assert_eq!(archive.summary().unwrap().envelopes, u64::from(n));
    let all = pages(archive, &everything(Order::NewestFirst), 300);
    assert_eq!(all.len(), n as usize);
    assert!(archive.check().unwrap().is_sound());

    // Pruning makes room in a file that can't grow. Then appending goes on.
    let gone = archive.prune(UnixSeconds(START + n / 2 * STEP)).unwrap();
    assert!(gone > 0);
    for start in (n..n + n / 4).step_by(20) {
        assert_eq!(archive.append(&(start..start + 20).map(nth).collect::<Vec<_>>()).unwrap(), 20);
    }
    let report = archive.check().unwrap();
    assert!(report.is_sound() && !report.pruning, "{report:?}");
    n
}

#[test]
fn a_full_archive_reads_prunes_and_then_appends() {
    for (limit, batch) in [(1 << 20, 30), (1 << 20, 1), (3 << 20, 700)] {
        let dir = tempfile::tempdir().unwrap();
        let mut settings = settings();
        settings.limit = Some(limit);
        let archive = EmbeddedArchive::open_with(dir.path(), &settings).unwrap();
        fill_up(&archive, batch);
        drop(archive);
        // With more room, it works as usual.
        let archive = EmbeddedArchive::open(dir.path()).unwrap();
        assert!(archive.check().unwrap().is_sound());
        archive.append(&(100_000..102_000).map(nth).collect::<Vec<_>>()).unwrap();
        assert!(archive.check().unwrap().is_sound());
    }
}

fn fill(dir: &Path) {
    let archive = EmbeddedArchive::open_with(dir, &settings()).unwrap();
    say("full", fill_up(&archive, 60));
    drop(archive);
}

/// Fresh entries can be removed without room.
#[test]
fn a_full_archive_with_fresh_entries_can_be_pruned() {
    for (limit, batches) in [(300_000, &[1, 40][..]), (900_000, &[40]), (2_500_000, &[300, 1000])] {
        for batch in batches.iter().copied() {
            let dir = tempfile::tempdir().unwrap();
            let mut settings = merging_at(5000);
            settings.limit = Some(limit);
            let archive = EmbeddedArchive::open_with(dir.path(), &settings).unwrap();
            let of = |n: u32| {
                let topic = n.wrapping_mul(0x9e37_79b9).to_be_bytes();
                let data = [1; 40];
                Envelope::new(
                    UnixSeconds(START + n + 50),
                    50,
                    statuskit_core::envelope::Topic(topic),
                    &data,
                    n.into(),
                )
            };
            let mut n = 0;
            while archive.append(&(n..n + batch).map(of).collect::<Vec<_>>()).is_ok() {
                n += batch;
            }
            let held = archive.summary().unwrap().envelopes;
            let gone = archive.prune(UnixSeconds(START + n / 2)).unwrap();
            assert_eq!(gone, u64::from(n / 2), "{limit} {batch}");
            let report = archive.check().unwrap();
            assert!(report.is_sound() && !report.pruning, "{report:?}");
            assert_eq!(report.envelopes, held - gone);
            assert_eq!(archive.summary().unwrap().envelopes, held - gone);
            // As much as went fits again, in small pieces.
            for n in n..n + (n / 20).min(200) {
                archive.append(&[of(n)]).unwrap();
            }
        }
    }
}

/// A file that the system does not let grow. As on a full disk, writes are cut short, then refused.
#[cfg(unix)]
#[test]
fn a_disk_without_room() {
    let dir = tempfile::tempdir().unwrap();
    let inner = command(&[&"fill", &dir.path().display()]);
    let mut child = Command::new("bash")
        .args(["-c", "trap '' XFSZ; ulimit -f 2500; exec \"$0\" \"$@\""])
        .arg(inner.get_program())
        .args(inner.get_args())
        .envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let said: Vec<_> = lines(&mut child).collect();
    assert!(child.wait().unwrap().success(), "{said:?}");
    assert!(matches!(&said[..], [(word, n)] if word == "full" && n != "0"), "{said:?}");
    let archive = EmbeddedArchive::open(dir.path()).unwrap();
    archive.append(&(100_000..102_000).map(nth).collect::<Vec<_>>()).unwrap();
    assert!(archive.check().unwrap().is_sound());
}

#[test]
fn one_process_writes_and_others_read() {
    let dir = tempfile::tempdir().unwrap();
    let archive = EmbeddedArchive::open_with(dir.path(), &settings()).unwrap();
    let twice = EmbeddedArchive::open(dir.path()).unwrap_err();
    assert!(matches!(&twice, ArchiveError::Unusable(text) if text.contains("in use")), "{twice}");
    let mut other = command(&[&"open", &dir.path().display()]).spawn().unwrap();
    let said: Vec<_> = lines(&mut other).collect();
    other.wait().unwrap();
    assert!(matches!(&said[..], [(word, text)] if word == "refused" && text.contains("in use")));

    archive.append(&(0..10).map(nth).collect::<Vec<_>>()).unwrap();
    let mut reader = command(&[&"read", &dir.path().display()]).spawn().unwrap();
    let mut ask = reader.stdin.take().unwrap();
    let mut answers = lines(&mut reader);
    let mut held = 10;
    for round in 0..30 {
        writeln!(ask, "go").unwrap();
        assert_eq!(answers.next().unwrap(), ("read".into(), held.to_string()));
        let n = 1000 * (round + 1);
        held += archive.append(&(n..n + 50).map(nth).collect::<Vec<_>>()).unwrap();
        if round == 20 {
            held -= archive.prune(UnixSeconds(START + 15_000 * STEP)).unwrap() as usize;
        }
    }
    drop(ask);
    assert!(answers.next().is_none());
    assert!(reader.wait().unwrap().success());
    drop(archive);
    EmbeddedArchive::open(dir.path()).unwrap();
}

#[cfg(unix)]
#[test]
fn only_the_owner_has_access() {
    use std::os::unix::fs::PermissionsExt;

    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("deep/archive");
    let _archive = EmbeddedArchive::open(&path).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&path), 0o700);
    let files: Vec<_> = fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(files.len(), 3);
    for file in files {
        assert_eq!(mode(&file), 0o600, "{}", file.display());
    }
}

/// Killed, or without room, before anything was written.
#[test]
fn an_archive_that_was_only_begun_starts_over() {
    let dir = tempfile::tempdir().unwrap();
    for file in ["data.mdb", "lock.mdb", "writer.lock"] {
        fs::write(dir.path().join(file), []).unwrap();
        assert!(EmbeddedArchive::open_read_only(dir.path()).is_err());
    }
    let archive = EmbeddedArchive::open(dir.path()).unwrap();
    assert_eq!(archive.append(&[nth(0)]).unwrap(), 1);
}

/// The mapped file of readers is fully allocated from the beginning: a disk that is full later must
/// not kill them with a signal.
#[cfg(target_os = "linux")]
#[test]
fn the_file_of_readers_is_fully_allocated() {
    use std::os::linux::fs::MetadataExt;

    let dir = tempfile::tempdir().unwrap();
    let _archive = EmbeddedArchive::open(dir.path()).unwrap();
    let found = fs::metadata(dir.path().join("lock.mdb")).unwrap();
    assert!(
        found.st_size() >= 1024 * 64 && found.st_blocks() * 512 >= found.st_size(),
        "{found:?}"
    );
}

#[test]
fn refuses_what_is_not_an_archive() {
    let dir = tempfile::tempdir().unwrap();
    let refused = |dir: &Path| match EmbeddedArchive::open(dir).unwrap_err() {
        ArchiveError::Unusable(text) => text,
        other => panic!("{other:?}"),
    };
    let missing = EmbeddedArchive::open_read_only(&dir.path().join("none")).unwrap_err();
    assert_eq!(missing.code(), "archive.unusable");
    let mut existing = Settings::default();
    existing.existing = true;
    let none = dir.path().join("none");
    let missing = EmbeddedArchive::open_with(&none, &existing).unwrap_err();
    assert!(matches!(missing, ArchiveError::Unusable(_)) && !none.exists());
    fs::write(dir.path().join("CURRENT"), "MANIFEST-000001").unwrap();
    assert!(refused(dir.path()).contains("CURRENT"));
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "nothing was added");
    fs::remove_file(dir.path().join("CURRENT")).unwrap();
    fs::write(dir.path().join("data.mdb"), vec![7; 100_000]).unwrap();
    let error = EmbeddedArchive::open(dir.path()).unwrap_err();
    assert!(matches!(error, ArchiveError::Damaged(_)), "{error:?}");
    assert_eq!(EmbeddedArchive::salvage(dir.path()).unwrap().filter(Result::is_ok).count(), 0);
}

#[test]
fn refuses_another_version() {
    let dir = tempfile::tempdir().unwrap();
    sample(dir.path());
    let data = dir.path().join("data.mdb");
    let mut bytes = fs::read(&data).unwrap();
    let (name, mut changed) = (b"statuskit archive 1", 0);
    for at in 0..bytes.len() - name.len() {
        if bytes[at..].starts_with(name) {
            bytes[at + name.len() - 1] = b'9';
            changed += 1;
        }
    }
    assert!(changed > 0);
    fs::write(&data, bytes).unwrap();
    for opened in [EmbeddedArchive::open(dir.path()), EmbeddedArchive::open_read_only(dir.path())] {
        match opened.unwrap_err() {
            ArchiveError::Unusable(text) => {
                assert!(text.contains("version 9") && text.contains("version 1"), "{text}");
            }
            other => panic!("{other:?}"),
        }
    }
}

/// Makes an archive with all its parts, and returns what it holds.
fn sample(dir: &Path) -> HashSet<Vec<u8>> {
    let archive = EmbeddedArchive::open_with(dir, &settings()).unwrap();
    for start in (0..800).step_by(50) {
        archive.append(&(start..start + 50).map(nth).collect::<Vec<_>>()).unwrap();
    }
    let all = pages(&archive, &everything(Order::OldestFirst), usize::MAX);
    all.into_iter().map(|(_, envelope)| envelope).collect()
}

/// Makes the same; also returns the path and the bytes of its file.
fn sample_file(dir: &Path) -> (HashSet<Vec<u8>>, PathBuf, Vec<u8>) {
    let (all, data) = (sample(dir), dir.join("data.mdb"));
    let whole = fs::read(&data).unwrap();
    (all, data, whole)
}

fn salvaged(dir: &Path) -> (HashSet<Vec<u8>>, usize) {
    let (mut good, mut bad) = (HashSet::new(), 0);
    for item in EmbeddedArchive::salvage(dir).unwrap() {
        match item {
            Ok(envelope) => assert!(good.insert(envelope.raw().to_vec()), "returned twice"),
            Err(error) => {
                assert_eq!(error.code(), "archive.damaged");
                bad += 1;
            }
        }
    }
    (good, bad)
}

#[test]
fn a_sound_file_is_salvaged_whole() {
    let dir = tempfile::tempdir().unwrap();
    let all = sample(dir.path());
    assert_eq!(salvaged(dir.path()), (all, 0));
}

#[test]
fn a_truncated_file_is_refused_and_salvaged() {
    let dir = tempfile::tempdir().unwrap();
    let (all, data, whole) = sample_file(dir.path());
    let mut rng = seeded_rng("cut");
    let mut lens: Vec<usize> = (0..25).map(|_| rng.random_range(1..whole.len())).collect();
    lens.extend([1, 4095, 4096, 8191, 8192, 12_288, whole.len() - 1, whole.len() - 4096]);
    let mut last = (0, 0);
    lens.sort_unstable();
    for len in lens {
        fs::write(&data, &whole[..len]).unwrap();
        match EmbeddedArchive::open(dir.path()) {
            // Only what is in use must be there.
            Ok(archive) => {
                assert!(archive.check().unwrap().is_sound());
                assert_eq!(archive.summary().unwrap().envelopes, all.len() as u64);
            }
            Err(ArchiveError::Damaged(_)) => {}
            Err(other) => panic!("{other:?}"),
        }
        assert_eq!(fs::read(&data).unwrap().len(), len, "opening changed a damaged file");
        let (good, _) = salvaged(dir.path());
        assert!(good.is_subset(&all));
        assert!(good.len() >= last.1, "{len} bytes gave less than {}", last.0);
        last = (len, good.len());
    }
    assert!(last.1 > all.len() * 9 / 10);
    fs::write(&data, &whole).unwrap();
    let archive = EmbeddedArchive::open(dir.path()).unwrap();
    assert_eq!(archive.summary().unwrap().envelopes, all.len() as u64);
}

/// Pages overwritten at random: reading and checking report it or find nothing wrong, without a
/// crash. What is on other pages is salvaged.
#[test]
fn a_garbled_file_is_detected_and_salvaged() {
    let dir = tempfile::tempdir().unwrap();
    let (all, data, whole) = sample_file(dir.path());
    let pages = whole.len() / 4096;
    let mut rng = seeded_rng("garble");
    let (mut found, mut opened) = (0, 0);
    const ROUNDS: usize = 60;
    for round in 0..ROUNDS {
        let mut bytes = whole.clone();
        let hits = 1 + round % 3;
        for _ in 0..hits {
            let at = rng.random_range(0..pages) * 4096;
            match round % 5 {
                0 => rng.fill_bytes(&mut bytes[at..at + 4096]),
                1 => bytes[at..at + 4096].fill(0),
                // The header, a pointer, or a bit anywhere.
                2 => rng.fill_bytes(&mut bytes[at + 8..at + 16]),
                3 => rng.fill_bytes(&mut bytes[at + 16..at + 40]),
                _ => bytes[at + rng.random_range(0..4096)] ^= 1 << rng.random_range(0..8),
            }
        }
        fs::write(&data, &bytes).unwrap();
        match EmbeddedArchive::open(dir.path()) {
            Ok(archive) => {
                opened += 1;
                let is_whole = answers_in_full(&archive, all.len());
                match archive.check() {
                    Ok(report) if report.is_sound() => {
                        assert!(is_whole);
                        // The damage is on no page in use: nothing may be missing.
                        let mut count = 0;
                        let mut visit = |_: Record<'_>| {
                            count += 1;
                            ControlFlow::Continue(())
                        };
                        archive.read(&everything(Order::OldestFirst), &mut visit).unwrap();
                        assert_eq!(count, all.len());
                        assert_eq!(archive.summary().unwrap().envelopes, all.len() as u64);
                        archive.prune(UnixSeconds(START + 400 * STEP)).unwrap();
                        assert!(archive.check().unwrap().is_sound());
                    }
                    Ok(_) | Err(ArchiveError::Damaged(_)) => found += 1,
                    Err(other) => panic!("{other:?}"),
                }
            }
            Err(ArchiveError::Damaged(_) | ArchiveError::Unusable(_)) => found += 1,
            Err(other) => panic!("{other:?}"),
        }
        let (good, _) = salvaged(dir.path());
        assert!(good.is_subset(&all), "an envelope that never was");
        assert!(
            good.len() + hits * 30 >= all.len(),
            "{} of {} in round {round}",
            good.len(),
            all.len()
        );
    }
    assert!(found > ROUNDS / 2, "only {found} of {ROUNDS} were detected");
    assert!(opened > 0);
}

/// Scribbles all over a file: an archive is refused, or answers in full, or reports the damage.
#[test]
fn scribbles_are_no_short_answer() {
    let dir = tempfile::tempdir().unwrap();
    let (all, data, whole) = sample_file(dir.path());
    let mut rng = seeded_rng("scribbles");
    let mut refused = 0;
    let rounds = rounds(200, 1000) as usize;
    for round in 0..rounds {
        let mut bytes = whole.clone();
        for _ in 0..1 + round % 10 {
            let len = rng.random_range(1..60);
            let at = rng.random_range(0..bytes.len() - len);
            rng.fill_bytes(&mut bytes[at..at + len]);
        }
        fs::write(&data, &bytes).unwrap();
        let report = match EmbeddedArchive::check_at(dir.path()) {
            Ok(report) => report,
            // The layout's version was hit, or the name of the format.
            Err(ArchiveError::Unusable(_)) => continue,
            Err(other) => panic!("{other:?}"),
        };
        assert_eq!(report.faults.is_empty(), report.is_sound());
        assert!(report.faults.len() <= 20);
        match EmbeddedArchive::open_with(dir.path(), &settings()) {
            Ok(archive) => {
                // Damage is found where it is read, ...
                let whole = answers_in_full(&archive, all.len());
                assert!(whole || !report.is_sound(), "round {round}");
                // ... and all of it on demand: from then on, nothing is answered.
                let looked = archive.inspect();
                let read = archive
                    .read(&everything(Order::OldestFirst), &mut |_| ControlFlow::Continue(()));
                assert_eq!(looked.is_err(), read.is_err() && archive.summary().is_err());
                if looked.is_err() {
                    assert!(!report.is_sound());
                    refused += 1;
                } else {
                    let mut count = 0;
                    let mut visit = |_: Record<'_>| {
                        count += 1;
                        ControlFlow::Continue(())
                    };
                    for order in [Order::OldestFirst, Order::NewestFirst] {
                        archive.read(&everything(order), &mut visit).unwrap();
                    }
                    assert_eq!(count, 2 * all.len(), "round {round}");
                    assert_eq!(archive.summary().unwrap().envelopes, all.len() as u64);
                    let pruned = archive.prune(UnixSeconds(START + 100 * STEP));
                    assert!(matches!(pruned, Ok(_) | Err(ArchiveError::Damaged(_))), "{pruned:?}");
                }
            }
            Err(ArchiveError::Damaged(_)) => {
                assert!(!report.is_sound());
                refused += 1;
            }
            Err(other) => panic!("{other:?}"),
        }
        // Writing into it does not crash, either.
        fs::write(&data, &bytes).unwrap();
        if let Ok(archive) = EmbeddedArchive::open_with(dir.path(), &settings()) {
            let envelopes: Vec<Envelope> = (700..1100).step_by(3).map(nth).collect();
            for envelopes in envelopes.chunks(30) {
                let appended = archive.append(envelopes);
                assert!(matches!(appended, Ok(_) | Err(ArchiveError::Damaged(_))), "{appended:?}");
            }
        }
    }
    assert!((rounds / 4..rounds).contains(&refused), "{refused}");
}

/// Returns whether an archive returns all its envelopes, in both orders and by topic. A scan that
/// misses some must end with an error.
fn answers_in_full(archive: &EmbeddedArchive, all: usize) -> bool {
    let mut is_whole = true;
    let mut count = |query: &Query| {
        let mut count = 0;
        let read = archive.read(query, &mut |_| {
            count += 1;
            ControlFlow::Continue(())
        });
        match read {
            Ok(()) => {}
            Err(ArchiveError::Damaged(_)) => is_whole = false,
            Err(other) => panic!("{other:?}"),
        }
        (count, read.is_ok())
    };
    for order in [Order::OldestFirst, Order::NewestFirst] {
        let (count, is_ok) = count(&everything(order));
        assert!(!is_ok || count == all, "{count} of {all} without an error");
    }
    // An entry of the index with a garbled topic is only found by a check.
    let by_topic = (0..40).map(|topic| {
        let select = Select::Topics([topic_of(topic)].into());
        count(&Query { select, ..everything(Order::OldestFirst) }).0
    });
    by_topic.sum::<usize>() == all && is_whole
}

/// Concurrent writes by another process are no damage.
#[test]
fn an_archive_in_use_is_sound() {
    for mode in ["ingest", "prune"] {
        let dir = tempfile::tempdir().unwrap();
        let mut child = command(&[&mode, &dir.path().display(), &0]).spawn().unwrap();
        let mut words = lines(&mut child);
        for _ in 0..8 {
            // Waits for some commits in between.
            assert!(words.by_ref().take(5).count() == 5, "the child ended by itself");
            let archive = EmbeddedArchive::open_read_only(dir.path()).unwrap();
            let report = archive.check().unwrap();
            assert!(report.is_sound(), "{report:?}");
            drop(archive);
            assert!(EmbeddedArchive::check_at(dir.path()).unwrap().is_sound());
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
