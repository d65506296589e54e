//! A directory for what the programs leave: databases and logs.

use std::path::Path;

use anyhow::Context;

/// Gives `work` a directory `nezuko-{purpose}-…` for temporary files. It is removed where all went well, and kept and named
/// where it did not.
pub(crate) async fn in_directory(
    purpose: &str,
    work: impl AsyncFnOnce(&Path) -> anyhow::Result<bool>,
) -> anyhow::Result<bool> {
    let dir = std::env::temp_dir().join(format!("nezuko-{purpose}-{:016x}", rand::random::<u64>()));
    std::fs::create_dir_all(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
    let passed = work(&dir).await;
    if matches!(passed, Ok(true)) {
        std::fs::remove_dir_all(&dir).with_context(|| format!("cannot remove {}", dir.display()))?;
    } else {
        println!("kept for a look: {}", dir.display());
    }
    passed
}
