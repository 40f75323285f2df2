//! Our own extension: the content of disks.

use serde::Deserialize;
use strongroom_types::VolumeFormat;
use utoipa::IntoParams;

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ContentQuery {
    /// What the image is; raw when absent.
    pub format: Option<VolumeFormat>,
}
