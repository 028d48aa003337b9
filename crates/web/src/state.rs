//! What every handler is given.

use std::sync::Arc;

use strongroom_app::Bank;

/// The state of the router. Cheap to clone.
#[derive(Clone, Debug)]
pub struct AppState {
    /// The bank.
    pub bank: Arc<Bank>,
}
