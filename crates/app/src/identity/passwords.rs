//! Passwords that somebody thinks of: how good one is, and a good one for who wants none of their own.

use strongroom_crypto::{ExposeSecret, SecretString, password::Strength, random};

use crate::{
    bank::Bank,
    error::{Error, FieldError},
    identity::registration::wrong,
};

/// Input of [`Bank::password_strength`].
#[derive(Debug)]
pub struct MeasurePassword {
    /// The password.
    pub password: SecretString,
    /// What it must not be made of: address, name.
    pub words: Vec<String>,
}

impl Bank {
    /// How good a password would be. Nothing is kept.
    ///
    /// # Errors
    /// `overloaded` when too many are measured.
    pub async fn password_strength(&self, input: MeasurePassword) -> Result<Strength, Error> {
        let _place = self
            .identity
            .meters
            .try_acquire()
            .map_err(|_| Error::overloaded())?;
        let (_, strength) = self.measure(input.password, input.words).await?;
        Ok(strength)
    }

    /// A password that the policy likes, by the generator of the keys. Nothing is kept.
    pub fn generate_password(&self) -> SecretString {
        random::password()
    }

    /// Checks a new password; gives it back with what is wrong with it.
    pub(crate) async fn check_password(
        &self,
        password: SecretString,
        words: Vec<String>,
        pointer: &'static str,
    ) -> Result<(SecretString, Vec<FieldError>), Error> {
        let (password, strength) = self.measure(password, words).await?;
        let fields = strength
            .violations
            .iter()
            .map(|violation| wrong(pointer, violation.code(), &violation.detail()))
            .collect();
        Ok((password, fields))
    }

    /// Off the asynchronous threads: some milliseconds of work.
    async fn measure(
        &self,
        password: SecretString,
        words: Vec<String>,
    ) -> Result<(SecretString, Strength), Error> {
        let policy = self.identity.policy.clone();
        let bank = self.identity.settings.bank_name.clone();
        tokio::task::spawn_blocking(move || {
            let words: Vec<&str> = words
                .iter()
                .map(String::as_str)
                .chain([bank.as_str(), "strongroom"])
                .collect();
            let strength = policy.strength(password.expose_secret(), &words);
            (password, strength)
        })
        .await
        .map_err(Error::internal)
    }
}
