//! The only crate that touches secret bytes: keyring, sealing, tokens, passwords, signatures.
