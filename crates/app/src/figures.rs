//! What is measured at the moment in which somebody asks for figures: how full the places are in which requests wait.

use crate::bank::Bank;

impl Bank {
    /// Sets the gauges of queues and pools to what they are now. Whoever shows figures calls it first.
    pub fn set_gauges(&self) {
        let (waiting, most) = self.writer().waiting();
        metrics::gauge!("strongroom_lane_waiting_commands").set(exact(waiting));
        metrics::gauge!("strongroom_lane_waiting_commands_max").set(exact(most));
        for pool in self.store().pools() {
            let name = pool.name;
            metrics::gauge!("strongroom_database_connections", "pool" => name, "state" => "busy")
                .set(f64::from(pool.busy));
            metrics::gauge!("strongroom_database_connections", "pool" => name, "state" => "open")
                .set(f64::from(pool.open));
            metrics::gauge!("strongroom_database_connections_max", "pool" => name).set(f64::from(pool.most));
        }
        let (waiting, most) = self.identity.passwords.queue();
        metrics::gauge!("strongroom_password_waiting").set(exact(waiting));
        metrics::gauge!("strongroom_password_waiting_max").set(exact(most));
    }
}

/// Queues are far smaller than what a float counts exactly.
fn exact(number: usize) -> f64 {
    u32::try_from(number).map_or(f64::INFINITY, f64::from)
}
