//! What attackers try, as operators see it, and what is done about it.

pub mod alerts;
pub(crate) mod blocks;
pub mod catalogue;
pub mod events;
pub mod export;
pub mod feed;
pub mod incident_actions;
pub mod incidents;
pub mod stream;
pub(crate) mod told;
