//! Administration of who may do what; our own extension of the API.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Subcommand;
use serde_json::json;

use super::connection::encode;
use super::{Column, Context};

#[derive(Debug, Subcommand)]
pub(crate) enum ProjectVerb {
    /// Make a project.
    Create {
        #[arg(long)]
        name: String,
    },
    /// List projects.
    List,
}

#[derive(Debug, Subcommand)]
pub(crate) enum UserVerb {
    /// Make a user with a role in a project.
    Create {
        #[arg(long)]
        name: String,
        #[arg(long, value_name = "ID")]
        project: String,
        /// admin, operator, backup_user or reader.
        #[arg(long)]
        role: String,
        /// A file whose first line is the password, so that it shows in no process list.
        #[arg(long, value_name = "FILE")]
        password_file: PathBuf,
    },
    /// List users.
    List,
    /// Give a user a role in a project.
    Grant {
        user: String,
        #[arg(long, value_name = "ID")]
        project: String,
        /// admin, operator, backup_user or reader.
        #[arg(long)]
        role: String,
    },
    /// Set a password; ends the user's tokens.
    Password {
        user: String,
        #[arg(long, value_name = "FILE")]
        password_file: PathBuf,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum AccessKeyVerb {
    /// Make an access key for a user; the secret is shown this once.
    Create { user: String },
    /// List a user's access keys.
    List { user: String },
    /// Delete an access key.
    Delete { access_key: String },
}

const PROJECT_COLUMNS: &[Column] = &[("id", "/id"), ("name", "/name")];
const USER_COLUMNS: &[Column] = &[("id", "/id"), ("name", "/name")];
const KEY_COLUMNS: &[Column] = &[
    ("access key", "/access_key"),
    ("secret key", "/secret_key"),
    ("created (UTC)", "/created_at"),
];

pub(super) async fn run_project(context: &Context, verb: ProjectVerb) -> anyhow::Result<()> {
    const ROOT: &str = "//strongroom/v1/projects";
    match verb {
        ProjectVerb::Create { name } => {
            let answer = context
                .connection
                .post(ROOT, &json!({ "name": name }))
                .await?;
            context.print(&answer, "/project", PROJECT_COLUMNS)
        }
        ProjectVerb::List => context.print(
            &context.connection.get(ROOT).await?,
            "/projects",
            PROJECT_COLUMNS,
        ),
    }
}

pub(super) async fn run_user(context: &Context, verb: UserVerb) -> anyhow::Result<()> {
    const ROOT: &str = "//strongroom/v1/users";
    match verb {
        UserVerb::Create {
            name,
            project,
            role,
            password_file,
        } => {
            let password = first_line(&password_file)?;
            let body =
                json!({ "name": name, "password": password, "project_id": project, "role": role });
            context.print(
                &context.connection.post(ROOT, &body).await?,
                "/user",
                USER_COLUMNS,
            )
        }
        UserVerb::List => {
            context.print(&context.connection.get(ROOT).await?, "/users", USER_COLUMNS)
        }
        UserVerb::Grant {
            user,
            project,
            role,
        } => {
            let body = json!({ "project_id": project, "role": role });
            let answer = context
                .connection
                .post(&format!("{ROOT}/{}/memberships", encode(&user)), &body)
                .await?;
            context.say(
                &format!("user {user} is {role} in project {project}"),
                &answer,
            )
        }
        UserVerb::Password {
            user,
            password_file,
        } => {
            let body = json!({ "password": first_line(&password_file)? });
            let answer = context
                .connection
                .put(&format!("{ROOT}/{}/password", encode(&user)), &body)
                .await?;
            context.say(&format!("password of user {user} set"), &answer)
        }
    }
}

pub(super) async fn run_access_key(context: &Context, verb: AccessKeyVerb) -> anyhow::Result<()> {
    let of_user = |user: &str| format!("//strongroom/v1/users/{}/access-keys", encode(user));
    match verb {
        AccessKeyVerb::Create { user } => {
            let answer = context.connection.post(&of_user(&user), &json!({})).await?;
            context.print(&answer, "/access_key", KEY_COLUMNS)
        }
        AccessKeyVerb::List { user } => context.print(
            &context.connection.get(&of_user(&user)).await?,
            "/access_keys",
            KEY_COLUMNS,
        ),
        AccessKeyVerb::Delete { access_key } => {
            let path = format!("//strongroom/v1/access-keys/{}", encode(&access_key));
            let answer = context.connection.delete(&path).await?;
            context.say(&format!("access key {access_key} deleted"), &answer)
        }
    }
}

fn first_line(file: &std::path::Path) -> anyhow::Result<String> {
    let text = std::fs::read_to_string(file)
        .with_context(|| format!("{} cannot be read", file.display()))?;
    let line = text.lines().next().unwrap_or_default();
    anyhow::ensure!(
        !line.is_empty(),
        "the first line of {} is empty",
        file.display()
    );
    Ok(line.to_owned())
}
