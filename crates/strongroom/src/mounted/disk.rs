use std::ffi::OsString;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use strongroom_nbd::{Client, ClientOptions, Error, Result, Target};

/// As long as a service may take to be there again.
const ATTEMPTS_MAX: u32 = 60;
const PAUSE: Duration = Duration::from_secs(1);

/// A disk that is served at a socket.
#[derive(Debug)]
pub(crate) struct Disk {
    pub(crate) file_name: OsString,
    pub(crate) size_bytes: u64,
    target: Target,
    patience: Arc<Patience>,
    /// Connections that nobody uses.
    idle: Mutex<Vec<Client>>,
}

/// How long reads wait for a lost connection: until it is ended, or their attempts are.
#[derive(Debug, Default)]
pub(crate) struct Patience {
    has_ended: Mutex<bool>,
    rung: Condvar,
}

impl Patience {
    pub(crate) fn end(&self) {
        *lock(&self.has_ended) = true;
        self.rung.notify_all();
    }

    /// Waits a moment; `false` when that has no use any more.
    fn pause(&self) -> bool {
        let waiting = self
            .rung
            .wait_timeout_while(lock(&self.has_ended), PAUSE, |ended| !*ended);
        let (has_ended, _) = waiting.unwrap_or_else(PoisonError::into_inner);
        !*has_ended
    }
}

impl Disk {
    /// Connects, so that what cannot be reached is known at once.
    pub(crate) fn open(
        file_name: OsString,
        target: Target,
        patience: Arc<Patience>,
    ) -> Result<Self> {
        let client = connect(&target)?;
        Ok(Self {
            file_name,
            size_bytes: client.size_bytes(),
            target,
            patience,
            idle: Mutex::new(vec![client]),
        })
    }

    /// So many bytes, or what of them lies before the end. A connection that is lost is made anew; after a minute without one, its
    /// error is the answer.
    pub(crate) fn read(&self, offset: u64, size: u32) -> Result<Vec<u8>> {
        let length = u64::from(size).min(self.size_bytes.saturating_sub(offset));
        let mut buffer = vec![0; usize::try_from(length).unwrap_or_default()];
        if buffer.is_empty() {
            return Ok(buffer);
        }
        let mut attempts = 1;
        loop {
            match self.try_read(offset, &mut buffer) {
                Ok(()) => return Ok(buffer),
                Err(error @ (Error::Failed { .. } | Error::Request(_))) => return Err(error),
                Err(error) if attempts == ATTEMPTS_MAX || !self.patience.pause() => {
                    return Err(error);
                }
                Err(_) => attempts += 1,
            }
        }
    }

    fn try_read(&self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        let idle = lock(&self.idle).pop();
        let mut client = match idle {
            Some(client) => client,
            None => connect(&self.target)?,
        };
        let read = client.read_at(offset, buffer);
        match &read {
            Ok(()) | Err(Error::Failed { .. } | Error::Request(_)) => {
                lock(&self.idle).push(client);
            }
            // Those that were made before it have most likely gone as well.
            Err(_) => lock(&self.idle).clear(),
        }
        read
    }
}

fn connect(target: &Target) -> Result<Client> {
    let options = ClientOptions {
        contexts: Vec::new(),
        ..ClientOptions::default()
    };
    Client::connect(target, &options)
}

/// What panics while it holds one leaves it whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
