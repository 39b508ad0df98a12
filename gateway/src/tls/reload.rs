//! Watches the PEM files and puts new contents into service without dropping a connection.

use std::{sync::Arc, time::Duration};

use arc_swap::ArcSwap;

use super::{Loaded, TlsError, files::Material, load};
use crate::{config::TlsFiles, events};

/// How often the files are read. Contents are compared, not times: Kubernetes swaps mounted secrets behind symbolic
/// links, and three small files cost nothing to read. Certificates are renewed days ahead; seconds do not matter.
pub const POLL_INTERVAL: Duration = Duration::from_secs(5);

/// The TLS settings in force, shared by everything that needs them.
pub type Current = Arc<ArcSwap<Loaded>>;

/// Reads and loads the files for the first time.
pub fn first(paths: &TlsFiles) -> Result<Current, TlsError> {
    let loaded = load(Material::read(paths)?, None)?;
    Ok(Arc::new(ArcSwap::from_pointee(loaded)))
}

/// Polls until dropped. `apply` hands new settings to the listeners. Files that cannot be used leave the old settings in
/// force and are reported once; a pair caught half written is simply found whole at the next look.
pub async fn watch(current: Current, mut apply: impl FnMut(&Loaded)) {
    let mut ticks = tokio::time::interval(POLL_INTERVAL);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut reported = None;
    loop {
        ticks.tick().await;
        match look(&current.load_full()).await {
            Ok(None) => reported = None,
            Ok(Some(loaded)) => {
                reported = None;
                apply(&loaded);
                events::TlsReloaded {
                    authority_generation: loaded.authority_generation,
                }
                .emit();
                current.store(Arc::new(loaded));
            }
            Err(error) => {
                let text = format!("{:#}", anyhow::Error::from(error));
                if reported.as_ref() != Some(&text) {
                    events::TlsReloadFailed { error: &text }.emit();
                    reported = Some(text);
                }
            }
        }
    }
}

/// New settings if the files have changed.
async fn look(current: &Arc<Loaded>) -> Result<Option<Loaded>, TlsError> {
    let paths = current.material().paths.clone();
    let read = tokio::task::spawn_blocking(move || Material::read(&paths)).await;
    // A task that was cancelled means the runtime is going down: nothing to load any more.
    let Ok(material) = read else { return Ok(None) };
    let material = material?;
    if material == *current.material() {
        return Ok(None);
    }
    load(material, Some(current)).map(Some)
}
