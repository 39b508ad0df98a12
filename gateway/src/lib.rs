//! The gateway service: HTTP/3 listener, stores, admin port and commands around the decisions of `apollo-gateway-core`.

pub mod store;
