//! Every line of SQL: migrations, transactions, the job table.
