//! The contract both ends share: wire types, error codes, paths, the typed client.
