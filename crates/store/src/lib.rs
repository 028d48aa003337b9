//! The only crate with SQL: entities, migrations, the ledger lanes of both engines.
