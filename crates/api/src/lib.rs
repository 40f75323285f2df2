//! The HTTP face: router, extractors, handlers, the one error mapping, OpenAPI.
