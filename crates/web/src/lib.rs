//! HTTP: JSON handlers, extractors, problem documents, OpenAPI.
