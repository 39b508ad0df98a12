//! Tests of the gateway's stores on the servers they need; all of it is in `tests/`.
