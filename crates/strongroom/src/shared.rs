//! What nodes have in common in Redis, counts and blocks: the connections, and who is told when they are gone.

use std::{error::Error, sync::Arc};

use strongroom_app::Bank;
use strongroom_guard::{BlockSeal, Common, RedisPlace, SharedBlocks, SharedCounters, Together};
use strongroom_web::suspicion::Watch;

use crate::config::Config;

/// Whether this node counts together with others: 1 or 0.
const SHARED: &str = "strongroom_limits_shared";

/// The counters that nodes have in common, where some are named. Nobody waits for them: a node starts without, too.
pub(crate) fn counters(
    config: &Config,
    bank: &Arc<Bank>,
) -> Result<Option<Arc<SharedCounters>>, Box<dyn Error + Send + Sync>> {
    let Some(place) = place(config)? else {
        return Ok(None);
    };
    let names = Arc::clone(bank);
    let counters = SharedCounters::open(&place, move |name| names.limit_name(name))?;
    let (counters, bank) = (Arc::new(counters), Arc::clone(bank));
    let running = Arc::clone(&counters);
    tokio::spawn(async move {
        let changed = |now| match now {
            Together::Yes => {
                metrics::gauge!(SHARED).set(1.0);
                tracing::info!(target: "strongroom", "requests are counted together with other nodes");
            }
            Together::No(reason) => {
                metrics::gauge!(SHARED).set(0.0);
                tracing::error!(target: "strongroom", reason, "requests are counted by this node alone");
                bank.note_limiter_degraded();
            }
        };
        running.run(changed).await;
    });
    Ok(Some(counters))
}

fn place(config: &Config) -> Result<Option<RedisPlace>, Box<dyn Error + Send + Sync>> {
    let place = config.redis.as_ref().map(|redis| redis.open()).transpose();
    Ok(place.map_err(|error| format!("redis.ca_file: {error}"))?)
}

/// Hides blocks from Redis by the keys of the bank.
struct Sealed(Arc<Bank>);

impl BlockSeal for Sealed {
    fn now(&self) -> u64 {
        u64::try_from(self.0.clock().now().micros() / 1_000).unwrap_or_default()
    }

    fn name(&self, address: &[u8]) -> [u8; 16] {
        self.0.shared_block_name(address)
    }

    fn seal(&self, name: &[u8; 16], text: &[u8]) -> Vec<u8> {
        self.0.seal_shared_block(name, text)
    }

    fn open(&self, name: &[u8; 16], sealed: &[u8]) -> Option<Vec<u8>> {
        self.0.open_shared_block(name, sealed)
    }
}

/// The blocks that nodes have in common, where a place for them is named.
pub(crate) fn blocks(
    config: &Config,
    bank: &Arc<Bank>,
) -> Result<Option<SharedBlocks>, Box<dyn Error + Send + Sync>> {
    let place = place(config)?;
    let opened = place.map(|place| SharedBlocks::open(&place, Sealed(Arc::clone(bank))));
    Ok(opened.transpose()?)
}

/// Has blocks in common with other nodes for as long as the process runs.
pub(crate) fn share_blocks(watch: Watch) {
    tokio::spawn(async move {
        let told = |now| match now {
            Common::Shared => {
                tracing::info!(target: "strongroom", "blocks are shared with other nodes");
            }
            Common::Alone(reason) => {
                tracing::warn!(target: "strongroom", reason, "blocks are not shared with other nodes");
            }
            Common::Strange(lines) => {
                tracing::warn!(target: "strongroom", lines, "shared blocks that this bank did not write are ignored");
            }
        };
        watch.share(told).await;
    });
}
