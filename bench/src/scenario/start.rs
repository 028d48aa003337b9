//! Starting on a data directory that exists, and what the server holds when nobody asks it anything.

use std::time::Duration;

use super::Site;
use crate::{
    cpu,
    outcome::Outcome,
    report::{Bound, Report},
    settings::Settings,
};

const SCENARIO: &str = "start";
/// Starts of which the best counts.
const STARTS: usize = 5;
/// How long nobody asks anything before the memory is read.
const IDLE: Duration = Duration::from_secs(2);

/// Both engines.
pub(crate) async fn run(settings: &Settings, report: &mut Report) -> Outcome<()> {
    for kind in settings.engines() {
        let mut site = Site::start(kind, settings).await?;
        let case = kind.name();
        for _ in 0..STARTS {
            let Site { server, program, .. } = site;
            server.stop().await?;
            let server = program.start().await?;
            report.add(SCENARIO, case, "ready", "ms", server.ready.as_secs_f64() * 1e3);
            site = Site {
                server,
                program,
                ..site
            };
        }
        tokio::time::sleep(IDLE).await;
        let (now, peak) = cpu::memory(site.server.pid()).ok_or("the server is gone")?;
        #[expect(clippy::cast_precision_loss, reason = "bytes of one process")]
        let megabytes = |bytes: u64| bytes as f64 / 1e6;
        report.add(SCENARIO, case, "idle", "MB", megabytes(now));
        report.add(SCENARIO, case, "peak", "MB", megabytes(peak));
        let least = report.least(SCENARIO, case, "ready");
        report.add(SCENARIO, case, "best ready", "ms", least.unwrap_or(f64::NAN));
        let idle = report.median(SCENARIO, case, "idle");
        report.gate(
            &format!("{case}: idle memory, MB"),
            idle,
            Bound::AtMost(60.0),
            None,
        );
        report.gate(
            &format!("{case}: ready, best of five, ms"),
            least,
            Bound::AtMost(300.0),
            None,
        );
        site.stop().await?;
    }
    Ok(())
}
