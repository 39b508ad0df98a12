//! Rules of the source tree that no compiler checks: who may depend on what, how long a file may be, that each rule
//! of the design has a test that names it, and what must not be in the text.

mod layers;
mod promises;
mod sources;
mod tree;
