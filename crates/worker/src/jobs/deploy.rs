use strongroom_service::organization_policies;
use strongroom_service::progress::Failure;
use strongroom_types::OrganizationPolicyId;

use super::{Context, JobError};

pub(super) async fn run(context: &Context, id: &OrganizationPolicyId) -> Result<(), JobError> {
    Ok(organization_policies::deploy(&context.app, &context.lease, id).await?)
}

pub(super) async fn fail(context: &Context, failure: Failure) -> Result<(), JobError> {
    let (app, lease) = (&context.app, &context.lease);
    Ok(organization_policies::fail(app, lease, &failure.message).await?)
}
