//! Use cases: one Bank, a file per noun, the context of a call, the permit, the ledger writer.
