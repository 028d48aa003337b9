//! One suite for both engines: what the store promises, asked through its surface and behind its back.

mod harness;

mod books;
mod continuity;
mod expiry;
mod keys;
mod reading;
