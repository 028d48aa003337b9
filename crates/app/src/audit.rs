//! The audit log: what is written, sealed, read, and proved.

pub mod export;
pub mod log;
pub mod record;
pub mod records;
pub mod sealer;
pub mod search;
pub mod verify;
pub mod witnesses;
