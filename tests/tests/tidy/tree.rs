//! The files of the tree, and their text.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// The root of the workspace.
pub(crate) const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
/// Directories that are not ours or not sources.
const SKIPPED: &[&str] = &["target", ".git", ".cache"];

/// Every file below `directory`, relative to the root of the tree, sorted.
pub(crate) fn files(directory: &Path, extensions: &[&str]) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut left = vec![directory.to_owned()];
    while let Some(directory) = left.pop() {
        for entry in std::fs::read_dir(&directory).with_context(|| directory.display().to_string())? {
            let path = entry?.path();
            let name = path
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            if path.is_dir() {
                if !SKIPPED.contains(&name.as_str()) {
                    left.push(path);
                }
            } else if path
                .extension()
                .is_some_and(|e| extensions.contains(&&*e.to_string_lossy()))
            {
                found.push(path.strip_prefix(ROOT)?.to_owned());
            }
        }
    }
    found.sort();
    Ok(found)
}

/// Every file of the tree with one of these extensions, relative to its root, sorted.
pub(crate) fn all(extensions: &[&str]) -> Result<Vec<PathBuf>> {
    files(Path::new(ROOT), extensions)
}

/// The text of a file, its path relative to the root of the tree.
pub(crate) fn read(path: &Path) -> Result<String> {
    std::fs::read_to_string(Path::new(ROOT).join(path)).with_context(|| path.display().to_string())
}

/// The lines of code: no blank lines, no comments, nothing from the unit tests at the end.
pub(crate) fn code_of(text: &str) -> Vec<&str> {
    let before_tests = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
    let is_code = |line: &&str| !line.trim().is_empty() && !line.trim_start().starts_with("//");
    before_tests.lines().filter(is_code).collect()
}
