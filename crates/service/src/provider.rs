use strongroom_types::{ObjectType, ResourceType};

const SERVERS: &str = "0daac4c5-6707-4851-97ba-169e36266b66";
const VMWARE: &str = "a13639de-00be-4e94-af30-26912d75e4a2";
const DISKS: &str = "d1603440-187d-4516-af25-121250c7cc97";

/// The wire's `provider_id` of a vault; constants of the API, empty for kinds that are not offered.
pub const fn provider_of_vault(object_type: ObjectType) -> &'static str {
    match object_type {
        ObjectType::Server => SERVERS,
        ObjectType::Disk => DISKS,
        ObjectType::Vmware => VMWARE,
        ObjectType::Turbo | ObjectType::Workspace | ObjectType::Rds | ObjectType::File => "",
    }
}

/// The wire's `provider_id` of a backup or task.
pub const fn provider_of_resource(resource_type: ResourceType) -> &'static str {
    match resource_type {
        ResourceType::Server => SERVERS,
        ResourceType::Volume => DISKS,
        ResourceType::BareMetal
        | ResourceType::Native
        | ResourceType::Turbo
        | ResourceType::Desktop => "",
    }
}
