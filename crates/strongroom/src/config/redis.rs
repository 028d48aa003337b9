//! What nodes have in common besides the database.

use std::{fs, path::PathBuf};

use secrecy::{ExposeSecret, SecretString};
use strongroom_guard::{RedisPlace, RedisPlaceError};

use super::Reader;

/// Where nodes count together.
#[derive(Clone, Debug)]
pub(crate) struct RedisConfig {
    url: SecretString,
    /// The only authorities that are believed; unset means those of the system.
    pub ca: Option<PathBuf>,
}

/// Why it cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RedisConfigError {
    /// The authorities cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: String,
        /// The reason.
        source: std::io::Error,
    },
    /// It is no such place.
    #[error(transparent)]
    Place(#[from] RedisPlaceError),
}

impl RedisConfig {
    /// The place without its authorities, to look at.
    pub(crate) fn place(&self) -> Result<RedisPlace, RedisPlaceError> {
        RedisPlace::read(self.url.expose_secret(), None)
    }

    /// The place as it is used.
    pub(crate) fn open(&self) -> Result<RedisPlace, RedisConfigError> {
        let authorities = self.ca.as_ref().map(|path| {
            fs::read(path).map_err(|source| RedisConfigError::Read {
                path: path.display().to_string(),
                source,
            })
        });
        Ok(RedisPlace::read(
            self.url.expose_secret(),
            authorities.transpose()?,
        )?)
    }
}

impl Reader<'_> {
    pub(super) fn redis(&self) -> Option<RedisConfig> {
        let ca = self.path("redis.ca_file");
        self.secret("redis.url").map(|url| RedisConfig { url, ca })
    }
}
