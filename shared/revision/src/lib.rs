//! Which revision of the source a program was built from. A crate of its own, so that a commit rebuilds nothing else.

/// The commit, as short as git makes it unique; `unknown` where neither git nor `NEZUKO_REVISION` told at the build.
pub const REVISION: &str = env!("REVISION");

/// `version (revision)`, for people.
pub const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), " (", env!("REVISION"), ")");
