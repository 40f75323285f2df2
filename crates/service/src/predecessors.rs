//! The migration from services that came before CBR. None came before this one: it is done before it begins.

use crate::{Action, App, Caller, Error};

/// The regions whose backups have been brought in by a migration: this one, at once.
pub fn migrate(app: &App, caller: &Caller) -> Result<Vec<String>, Error> {
    caller.authorise_installation(Action::MigratesCreate)?;
    Ok(vec![app.settings.region.clone()])
}

/// No project has anything to bring in.
pub fn check_done(caller: &Caller) -> Result<(), Error> {
    caller.authorise_installation(Action::MigratesGet)
}
