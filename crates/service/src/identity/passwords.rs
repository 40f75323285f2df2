//! Argon2id with the crate's default cost (19 MiB, two passes), off the async threads and few at a time: a storm
//! of sign-ins waits here instead of taking the machine's memory.

use std::time::Duration;

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use tokio::sync::{Semaphore, SemaphorePermit};

use super::Secret;
use crate::{App, Error};

const HASHES_AT_ONCE: usize = 2;
/// A sign-in that has not begun by then is refused; well below what clients and the API wait.
const PATIENCE: Duration = Duration::from_secs(20);
const SALT_BYTES: usize = 16;
/// In characters, for a new password.
const LENGTH_MIN: usize = 8;
/// In bytes.
const LENGTH_MAX: usize = 256;

static HASHING: Semaphore = Semaphore::const_new(HASHES_AT_ONCE);

/// Verified when there is no such user: the same cost as a real hash, and no password fits it.
pub(super) const NOBODY: &str = "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$\
    AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// Refuses what is too short to be a secret or too long to be one.
pub(super) fn check_new(password: &Secret) -> Result<(), Error> {
    let text = password.expose();
    if text.chars().count() < LENGTH_MIN || text.len() > LENGTH_MAX {
        return Err(Error::invalid(format!(
            "The password must have {LENGTH_MIN} to {LENGTH_MAX} characters."
        )));
    }
    Ok(())
}

/// The text to keep for a password, in PHC form.
pub(super) async fn hash(app: &App, password: &Secret) -> Result<String, Error> {
    let mut salt = [0; SALT_BYTES];
    app.ids.fill(&mut salt);
    let password = password.clone();
    let permit = permit(&HASHING, PATIENCE).await?;
    let hashed = tokio::task::spawn_blocking(move || {
        let _permit = permit;
        Argon2::default()
            .hash_password_with_salt(password.expose().as_bytes(), &salt)
            .map(|hash: PasswordHash| hash.to_string())
    });
    match hashed.await {
        Ok(Ok(hash)) => Ok(hash),
        Ok(Err(error)) => Err(Error::Internal(Box::new(error))),
        Err(error) => Err(Error::Internal(Box::new(error))),
    }
}

/// Whether `hash` was made from `password`.
pub(super) async fn verify(password: &Secret, hash: String) -> Result<bool, Error> {
    let password = password.clone();
    let permit = permit(&HASHING, PATIENCE).await?;
    let verified = tokio::task::spawn_blocking(move || {
        let _permit = permit;
        let hash = PasswordHash::new(&hash)?;
        Ok(Argon2::default()
            .verify_password(password.expose().as_bytes(), &hash)
            .is_ok())
    });
    match verified.await {
        Ok(Ok(fits)) => Ok(fits),
        Ok(Err(error)) => {
            let error: argon2::password_hash::phc::Error = error;
            Err(Error::Internal(Box::new(error)))
        }
        Err(error) => Err(Error::Internal(Box::new(error))),
    }
}

/// Waits for a free place. The permit goes along into the blocking task, because that one runs on when the
/// request is given up.
async fn permit(
    places: &'static Semaphore,
    patience: Duration,
) -> Result<SemaphorePermit<'static>, Error> {
    match tokio::time::timeout(patience, places.acquire()).await {
        Ok(permit) => Ok(permit.expect("nobody closes this semaphore")),
        Err(_) => Err(Error::TooManySignIns),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_storm_of_sign_ins_is_told_to_come_back() {
        static FULL: Semaphore = Semaphore::const_new(0);
        let refusal = permit(&FULL, Duration::from_millis(1)).await;
        assert!(matches!(refusal, Err(Error::TooManySignIns)));
    }
}
