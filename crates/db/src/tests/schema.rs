//! The two migration folders describe one schema.

use std::collections::BTreeMap;

/// Table → columns, each normalised to `name kind [not null]`, from CREATE TABLE statements.
fn tables(folder: &str) -> BTreeMap<String, Vec<String>> {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("migrations")
        .join(folder);
    let mut files: Vec<_> = std::fs::read_dir(path)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    let mut tables = BTreeMap::new();
    for file in files {
        let sql = std::fs::read_to_string(file).unwrap();
        for statement in sql.split("CREATE TABLE ").skip(1) {
            let (name, rest) = statement.split_once(" (").unwrap();
            let body = rest.split_once("\n)").unwrap().0;
            let columns = body
                .lines()
                .map(str::trim)
                .filter(|line| !line.is_empty())
                .map(normalise)
                .collect();
            tables.insert(name.to_owned(), columns);
        }
    }
    tables
}

fn normalise(line: &str) -> String {
    line.trim_end_matches(',')
        .replace("BYTEA", "BLOB")
        .replace("BIGINT", "INTEGER")
        .replace("BOOLEAN", "INTEGER")
}

fn indexes(folder: &str) -> Vec<String> {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("migrations")
        .join(folder);
    let mut files: Vec<_> = std::fs::read_dir(path)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    let files = files
        .iter()
        .map(|file| std::fs::read_to_string(file).unwrap());
    let sql: String = files.collect();
    sql.split(';')
        .map(str::trim)
        .filter(|s| s.contains(" INDEX "))
        .map(|s| s[s.find("CREATE").unwrap()..].to_owned())
        .collect()
}

#[test]
fn both_databases_have_the_same_tables_columns_and_indexes() {
    assert_eq!(tables("sqlite"), tables("postgres"));
    assert_eq!(indexes("sqlite"), indexes("postgres"));
    assert!(tables("sqlite").len() > 15);
}

#[tokio::test]
async fn a_newer_schema_is_refused_by_name() {
    for database in strongroom_testkit::test_databases().await {
        let db = crate::Db::open(&database.address).await.unwrap();
        let mut tx = db.begin().await.unwrap();
        crate::tx::on!(tx, c => sqlx::query(
            "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) VALUES (9999, 'later', TRUE, $1, 0)"
        ).bind(vec![0u8]).execute(c).await.map(|_| ())).unwrap();
        tx.commit().await.unwrap();
        db.close().await;
        let error = crate::Db::open(&database.address).await.unwrap_err();
        assert!(
            matches!(error, crate::Error::NewerVersion { migration: 9999 }),
            "{error:?}"
        );
    }
}
