//! the corpora of the fuzz targets, replayed as an ordinary test; and that they stay small, and belong to a target.
//!
//! A finding of the fuzzer becomes a file of its target's corpus, named after what was wrong, and is replayed here ever
//! after: docs/testing.md, "Fuzzing".

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

use std::{
    collections::BTreeSet,
    fs,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    thread,
};

use apollo_foreign_bytes::{Check, TARGETS};

const FUZZ: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz");
/// Most files in one corpus: it is read by people, too.
const FILES_MAX: usize = 100;
/// Most bytes in one corpus: they are part of every checkout.
const BYTES_MAX: u64 = 64 * 1024;

/// The names below a directory of `fuzz/`, sorted.
fn names(directory: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    entries
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect()
}

/// Runs a check on every file of its corpus; those that break a promise. Why stands in the test's output.
fn broken(target: &str, check: Check) -> Vec<String> {
    let corpus = PathBuf::from(FUZZ).join("corpus").join(target);
    let breaks = |name: &String| {
        let input = fs::read(corpus.join(name)).unwrap();
        catch_unwind(AssertUnwindSafe(|| check(&input))).is_err()
    };
    let names = names(&corpus).into_iter().filter(breaks);
    names.map(|name| format!("fuzz/corpus/{target}/{name}")).collect()
}

#[test]
fn r13_every_input_of_every_corpus_keeps_the_promises_of_its_target() {
    let broken: Vec<String> = thread::scope(|scope| {
        let replay = |(target, check): &'static (&str, Check)| scope.spawn(move || broken(target, *check));
        let replays: Vec<_> = TARGETS.iter().map(replay).collect();
        replays
            .into_iter()
            .flat_map(|replay| replay.join().unwrap())
            .collect()
    });
    assert!(broken.is_empty(), "they break a promise: {broken:#?}");
}

#[test]
fn every_corpus_is_small() {
    for (target, _) in TARGETS {
        let corpus = PathBuf::from(FUZZ).join("corpus").join(target);
        let files = names(&corpus);
        let bytes: u64 = files
            .iter()
            .map(|name| fs::metadata(corpus.join(name)).unwrap().len())
            .sum();
        assert!(
            (1..=FILES_MAX).contains(&files.len()) && bytes <= BYTES_MAX,
            "fuzz/corpus/{target} has {} files of {bytes} bytes together",
            files.len()
        );
    }
}

#[test]
fn every_target_has_a_binary_and_a_corpus_and_nothing_else_has() {
    let targets: BTreeSet<String> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(targets, names(&Path::new(FUZZ).join("corpus")), "fuzz/corpus");
    let sources = names(&Path::new(FUZZ).join("fuzz_targets"));
    let sources = sources.iter().map(|name| name.replace(".rs", "")).collect();
    assert_eq!(targets, sources, "fuzz/fuzz_targets");
    let manifest = fs::read_to_string(Path::new(FUZZ).join("Cargo.toml")).unwrap();
    for target in targets {
        assert!(
            manifest.contains(&format!("name = \"{target}\"")),
            "fuzz/Cargo.toml has no {target}"
        );
    }
}
