//! What proves a user: access keys and tokens.

use std::fmt;

use sqlx::AssertSqlSafe;
use strongroom_types::{DomainId, ProjectId, Timestamp, UserId};

use crate::tx::on;
use crate::{JsonText, Result, Tx};

/// A temporary key has a token hash, a project and an end; a permanent one has none of them.
#[derive(Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct AccessKey {
    pub access_key: String,
    pub user_id: UserId,
    pub secret_sealed: Vec<u8>,
    pub security_token_hash: Option<Vec<u8>>,
    pub project_id: Option<ProjectId>,
    pub created_at: Timestamp,
    pub expires_at: Option<Timestamp>,
}

#[derive(Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Token {
    pub token_hash: Vec<u8>,
    pub user_id: UserId,
    pub project_id: Option<ProjectId>,
    pub domain_id: Option<DomainId>,
    /// How the user proved who they are, in Keystone's words.
    pub methods: JsonText<Vec<String>>,
    pub issued_at: Timestamp,
    pub expires_at: Timestamp,
}

impl Tx {
    pub async fn insert_access_key(&mut self, new: &AccessKey) -> Result<()> {
        const SQL: &str = "INSERT INTO access_key (access_key, user_id, secret_sealed, security_token_hash, project_id, created_at, expires_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7)";
        on!(self, c => sqlx::query(SQL)
            .bind(&new.access_key).bind(&new.user_id).bind(&new.secret_sealed).bind(&new.security_token_hash)
            .bind(&new.project_id).bind(new.created_at).bind(new.expires_at)
            .execute(c).await.map(|_| ()))?;
        Ok(())
    }

    /// Expired ones included: whether a key is still good is the caller's rule.
    pub async fn find_access_key(&mut self, access_key: &str) -> Result<Option<AccessKey>> {
        const SQL: &str = "SELECT * FROM access_key WHERE access_key = $1";
        Ok(on!(self, c => sqlx::query_as::<_, AccessKey>(SQL)
            .bind(access_key).fetch_optional(c).await)?)
    }

    /// The user's permanent keys, oldest first.
    pub async fn list_access_keys(&mut self, user: &UserId) -> Result<Vec<AccessKey>> {
        const SQL: &str = "SELECT * FROM access_key WHERE user_id = $1 AND expires_at IS NULL ORDER BY created_at, access_key";
        Ok(on!(self, c => sqlx::query_as::<_, AccessKey>(SQL).bind(user).fetch_all(c).await)?)
    }

    pub async fn delete_access_key(&mut self, access_key: &str) -> Result<bool> {
        const SQL: &str = "DELETE FROM access_key WHERE access_key = $1";
        let deleted = on!(self, c => sqlx::query(SQL).bind(access_key)
            .execute(c).await.map(|done| done.rows_affected()))?;
        Ok(deleted == 1)
    }

    pub async fn insert_token(&mut self, new: &Token) -> Result<()> {
        const SQL: &str = "INSERT INTO token (token_hash, user_id, project_id, domain_id, methods, issued_at, expires_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7)";
        on!(self, c => sqlx::query(SQL)
            .bind(&new.token_hash).bind(&new.user_id).bind(&new.project_id).bind(&new.domain_id)
            .bind(&new.methods).bind(new.issued_at).bind(new.expires_at)
            .execute(c).await.map(|_| ()))?;
        Ok(())
    }

    /// A token that has not expired.
    pub async fn find_token(&mut self, token_hash: &[u8], now: Timestamp) -> Result<Option<Token>> {
        const SQL: &str = "SELECT * FROM token WHERE token_hash = $1 AND expires_at > $2";
        Ok(on!(self, c => sqlx::query_as::<_, Token>(SQL)
            .bind(token_hash).bind(now).fetch_optional(c).await)?)
    }

    /// Ends what was issued to a user for a time: tokens and temporary keys.
    pub async fn delete_sessions(&mut self, user: &UserId) -> Result<()> {
        const TOKENS: &str = "DELETE FROM token WHERE user_id = $1";
        const KEYS: &str = "DELETE FROM access_key WHERE user_id = $1 AND expires_at IS NOT NULL";
        on!(self, c => sqlx::query(TOKENS).bind(user).execute(c).await.map(|_| ()))?;
        on!(self, c => sqlx::query(KEYS).bind(user).execute(c).await.map(|_| ()))?;
        Ok(())
    }

    /// Removes up to `limit` expired tokens and as many expired temporary keys; returns how many rows went.
    pub async fn delete_expired_sessions(&mut self, now: Timestamp, limit: u32) -> Result<u64> {
        let skip = self.dialect().skip_locked();
        let mut deleted = 0;
        for (table, key) in [("token", "token_hash"), ("access_key", "access_key")] {
            // Rows that another process is pruning are left to it.
            let sql = format!(
                "DELETE FROM {table} WHERE {key} IN (SELECT {key} FROM {table} WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2{skip})"
            );
            deleted += on!(self, c => sqlx::query(AssertSqlSafe(sql)).bind(now).bind(i64::from(limit))
                .execute(c).await.map(|done| done.rows_affected()))?;
        }
        Ok(deleted)
    }
}

impl fmt::Debug for AccessKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessKey")
            .field("access_key", &self.access_key)
            .field("user_id", &self.user_id)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token")
            .field("user_id", &self.user_id)
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}
