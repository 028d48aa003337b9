//! Secrets that a node keeps in files of its own: sealed by the ring, each under its name.

use strongroom_crypto::{Place, SecretBytes};

use crate::{bank::Bank, error::Error};

const fn place(name: &str) -> Place<'_> {
    Place {
        table: "node_files",
        column: "content",
        row: name.as_bytes(),
    }
}

impl Bank {
    /// Seals what this node keeps in the file of that name (255 bytes at most): it opens under no other.
    pub fn seal_file(&self, name: &'static str, content: &[u8]) -> Vec<u8> {
        self.ring().seal(place(name), content)
    }

    /// Opens what [`Self::seal_file`] sealed under the same name.
    ///
    /// # Errors
    /// What another bank sealed, a key of the ring that is gone, and every changed byte.
    pub fn open_file(&self, name: &'static str, sealed: &[u8]) -> Result<SecretBytes, Error> {
        self.ring().open(place(name), sealed).map_err(Error::internal)
    }
}
